import {
  createRequest,
  findManifest,
  parseLifetime,
  readManifest,
  readPermissionFile,
} from '../../src/client/index.ts';
import { canonicalJson } from '../../src/lib/artifacts/canonical-json.ts';
import { codeOf } from '../helpers/code-of.ts';
import { VECTOR_KEY } from '../helpers/request-vector.ts';
import { test } from '../helpers/suite.ts';

const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const entry = { service: 'vouchsafe.api', space: 'default', path: 'documents/', actions: ['read', 'list'] };

test('a permission file gives its entries, also as TinyCloud writes them', (t) => {
  const read = readPermissionFile(
    bytes({
      permissions: [
        entry,
        { service: 'kv', path: 'x/', actions: ['get'], expiry: '30m', description: 'Nightly index' },
      ],
    }),
  );
  t.deepEqual(read, [
    { ...entry, actions: ['list', 'read'] },
    {
      service: 'vouchsafe.kv',
      space: 'default',
      path: 'x/',
      actions: ['get'],
      reason: 'Nightly index',
      lifetime_seconds: 1800,
    },
  ]);
});

test('what a permission file must not hold is refused', async (t) => {
  for (const [code, file] of [
    ['INVALID_PERMISSION_FILE', { permissions: [] }],
    ['INVALID_PERMISSION_FILE', {}],
    ['INVALID_PERMISSION_FILE', { permissions: [entry], command: 'x' }],
    ['INVALID_PERMISSION_FILE', { permissions: [{ ...entry, skipPrefix: true }] }],
    ['INVALID_PERMISSION_FILE', { permissions: [{ ...entry, actions: ['*'] }] }],
    ['INVALID_PERMISSION_FILE', { permissions: [{ ...entry, actions: [] }] }],
    ['INVALID_PERMISSION_FILE', { permissions: [{ ...entry, service: 'No Service' }] }],
    ['INVALID_PERMISSION_FILE', { permissions: [{ ...entry, expiry: '1d', lifetime_seconds: 60 }] }],
    ['INVALID_PERMISSION_FILE', { permissions: Array.from({ length: 51 }, () => entry) }],
    ['INVALID_PERMISSION_FILE', '[]'],
    ['INVALID_PERMISSION_FILE', '{'],
    ['INVALID_PERMISSION_FILE', '{"permissions":[],"permissions":[]}'],
    ['CAVEATS_UNSUPPORTED', { permissions: [{ ...entry, caveats: [] }] }],
    ['INVALID_EXPIRY', { permissions: [{ ...entry, expiry: '1y' }] }],
    ['INVALID_PATH', { permissions: [{ ...entry, path: '/x' }] }],
    ['UNKNOWN_SERVICE', { permissions: [{ ...entry, service: 'acme.api' }] }],
  ] as const) {
    t.is(await codeOf(() => readPermissionFile(bytes(file))), code, JSON.stringify(file).slice(0, 200));
  }
});

const manifest = {
  app_id: 'notes',
  name: 'Notes',
  space: 'default',
  icon: null,
  permissions: [
    { service: 'vouchsafe.api', path: 'documents/', actions: ['read'], note: 'ignored' },
    { service: 'vouchsafe.api', path: 'shared/', actions: ['read'], skipPrefix: true },
    { service: 'vouchsafe.api', path: '@fld_1', actions: ['read'] },
    { service: 'vouchsafe.api', path: '', actions: ['read'] },
  ],
};

test('a manifest asks below the name of its app, whether it is a file, base64: or raw base64', async (t) => {
  const base64 = bytes(manifest).toString('base64');
  const url = bytes(manifest).toString('base64url');
  const readFile = (name: string) => (name === 'notes.json' ? bytes(manifest) : undefined);
  const found = ['notes.json', `base64:${base64}`, base64, url, `base64:${url}`].map((argument) =>
    readManifest(findManifest(argument, readFile)),
  );
  for (const each of found) {
    t.is(each.name, 'Notes');
    t.deepEqual(
      each.permissions.map(({ path }) => path),
      ['notes/documents/', 'shared/', '@fld_1', 'notes/'],
    );
    t.is(
      canonicalJson(each.permissions.map((one) => ({ ...one }))),
      canonicalJson(found[0]!.permissions.map((one) => ({ ...one }))),
    );
  }
});

test('what a manifest must not hold, and what is none, is refused', async (t) => {
  const read = (argument: string) => codeOf(() => readManifest(findManifest(argument, () => undefined)));
  const encoded = (value: object) => bytes(value).toString('base64');
  for (const [code, argument] of [
    ['INVALID_MANIFEST', 'no-such-file.json'],
    ['INVALID_MANIFEST', 'base64:'],
    ['INVALID_MANIFEST', 'base64:%%%'],
    ['INVALID_MANIFEST', Buffer.from('[1]').toString('base64')],
    ['INVALID_MANIFEST', encoded({ ...manifest, app_id: 'a/b' })],
    ['INVALID_MANIFEST', encoded({ ...manifest, app_id: '..' })],
    ['INVALID_MANIFEST', encoded({ ...manifest, secrets: {} })],
    ['INVALID_MANIFEST', encoded({ ...manifest, permissions: 'all' })],
    ['INVALID_MANIFEST', encoded({ ...manifest, more: 'x'.repeat(65_536) })],
    ['CAVEATS_UNSUPPORTED', encoded({ ...manifest, permissions: [{ ...entry, caveats: {} }] })],
    ['INVALID_PATH', encoded({ ...manifest, permissions: [{ ...entry, path: '../x' }] })],
  ] as const) {
    t.is(await read(argument), code, argument.slice(0, 80));
  }
});

test('a time is 30m, 7d, 2w or milliseconds, from a minute to a year', async (t) => {
  for (const [text, seconds] of [
    ['60s', 60],
    ['30m', 1800],
    ['12h', 43_200],
    ['7d', 604_800],
    ['2w', 1_209_600],
    ['1800000', 1800],
    ['60999', 60],
    ['366d', 31_622_400],
  ] as const) {
    t.is(parseLifetime(text), seconds, text);
  }
  for (const text of [
    '0',
    '-1',
    '1.5',
    '1y',
    '730d',
    '59s',
    '59999',
    '',
    '30 m',
    '07d',
    '1e9',
    '99999999999999999999',
  ]) {
    t.is(await codeOf(() => parseLifetime(text)), 'INVALID_EXPIRY', text);
  }
});

test('an entry that lasts longer makes the request longer, unless a time was asked for', async (t) => {
  const [long] = readPermissionFile(bytes({ permissions: [{ ...entry, expiry: '30d' }] }));
  const options = { service: 'https://id.example.com', key: VECTOR_KEY, permissions: [long!] };
  t.is((await createRequest(options)).lifetime_seconds, 2_592_000);
  t.is(await codeOf(() => createRequest({ ...options, lifetimeSeconds: 3600 })), 'INVALID_PERMISSION_FILE');
  t.is(await codeOf(() => createRequest({ ...options, permissions: [] })), 'NO_CAPS_REQUESTED');
});

test('exact repeats are dropped, and the order in which permissions are named changes nothing', async (t) => {
  const [one] = readPermissionFile(bytes({ permissions: [entry] }));
  const other = { ...one!, path: 'a/' };
  const now = Date.now();
  const options = { service: 'https://id.example.com', key: VECTOR_KEY, now };
  const first = await createRequest({ ...options, permissions: [one!, other, one!] });
  const second = await createRequest({ ...options, permissions: [other, one!] });
  t.deepEqual(first, second);
  t.is(first.permissions?.length, 2);
});
