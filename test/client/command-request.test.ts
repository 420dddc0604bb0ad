import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { calculateJwkThumbprint, flattenedVerify, importJWK } from 'jose';
import { type AuthHome, createAuthHome } from '../helpers/auth-home.ts';
import { test } from '../helpers/suite.ts';

/** `vouchsafe auth request` and `import`, by files alone: no service runs here. */

const SERVICE = 'https://id.example.com';
let home: AuthHome;
test.before(async (t) => {
  home = createAuthHome();
  await home.json(t, ['request', '--service', SERVICE, '--cap', 'api:default:first/:read']);
});
test.after(() => home.remove());

const write = (name: string, content: object | string) => {
  const file = join(home.folder, name);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
};

test('an empty home gets the profile default with a key of its own; the request is signed by it, as jose alone verifies', async (t) => {
  const empty = createAuthHome();
  t.teardown(() => empty.remove());
  const ended = await empty.auth([
    'request',
    '--service',
    SERVICE,
    '--cap',
    'vouchsafe.api:default:documents/:list,read',
  ]);
  t.is(ended.code, 0, ended.stderr);
  t.is(ended.stderr, '');
  t.regex(ended.stdout, /^\{\n {2}"kind": "vouchsafe\.auth\.request",\n[\s\S]*\n\}\n$/);
  const request = JSON.parse(ended.stdout);
  t.deepEqual(request.permissions, [
    { service: 'vouchsafe.api', space: 'default', path: 'documents/', actions: ['list', 'read'] },
  ]);
  const { proof, ...signed } = request;
  const [header, , signature] = proof.split('.');
  const key = await importJWK(request.requester.key, 'EdDSA');
  const sorted = JSON.stringify(signed, (_, value) =>
    typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  const { protectedHeader } = await flattenedVerify(
    { protected: header, payload: Buffer.from(sorted).toString('base64url'), signature },
    key,
  );
  const thumbprint = await calculateJwkThumbprint(request.requester.key);
  t.deepEqual(protectedHeader, { alg: 'EdDSA', kid: thumbprint, typ: 'vouchsafe-request+jws' });
  const status = await empty.json(t, ['status']);
  t.deepEqual(
    [status.authenticated, status.profile, status.service, status.thumbprint],
    [false, 'default', SERVICE, thumbprint],
  );
  t.is(statSync(join(empty.store, 'profiles/default/key.json')).mode & 0o777, 0o600);
});

test('a home without a profile is not filled by other verbs, and the first request says which service it is for', async (t) => {
  const empty = createAuthHome();
  t.teardown(() => empty.remove());
  for (const args of [
    ['status'],
    ['caps'],
    ['rotate'],
    ['token'],
    ['retry', '--last'],
    ['whoami'],
    ['logout'],
  ]) {
    await empty.fails(t, args, 3, 'NO_KEY');
    await empty.fails(t, [...args, '--profile', 'ci'], 4, 'PROFILE_NOT_FOUND');
  }
  await empty.fails(t, ['request', '--cap', 'api:default:x/:read'], 2, 'INVALID_USAGE');
  for (const url of ['http://id.example.com', 'ftp://id.example.com', 'id.example.com']) {
    await empty.fails(t, ['request', '--service', url, '--cap', 'api:default:x/:read'], 2, 'INVALID_USAGE');
  }
});

test('specs that are none end with 2 before anything is asked', async (t) => {
  const cases = {
    'vouchsafe.api:default:documents/': 'INVALID_CAP',
    'vouchsafe.api:default:documents/:': 'INVALID_CAP',
    'acme.api:default:x/:read': 'UNKNOWN_SERVICE',
    'vouchsafe.api:default:../x:read': 'INVALID_PATH',
    'vouchsafe.api:default:/x:read': 'INVALID_PATH',
    'vouchsafe.api:default:x//y:read': 'INVALID_PATH',
    'vouchsafe.api:default:x%2fy:read': 'INVALID_PATH',
    'vouchsafe.api:default:x\\y:read': 'INVALID_PATH',
    'vouchsafe.api:default:x\u202ey:read': 'INVALID_PATH',
    'vouchsafe.api:default:x/:*': 'INVALID_CAP',
    'vouchsafe.api:My Space:x/:read': 'INVALID_CAP',
  };
  for (const [spec, code] of Object.entries(cases)) await home.fails(t, ['request', '--cap', spec], 2, code);
  await home.fails(t, ['caps', '--diff', 'api:default:x/:*'], 2, 'INVALID_CAP');
  await home.fails(t, ['token', '--cap', 'nothing'], 2, 'INVALID_CAP');
  await home.fails(t, ['request'], 2, 'NO_CAPS_REQUESTED');
});

test('all ways to say what is asked for may be given together; the same said twice is asked once', async (t) => {
  const file = write('wanted.json', {
    permissions: [
      {
        service: 'api',
        path: 'notes/',
        actions: ['write', 'read'],
        description: 'To keep notes',
        expiry: '30m',
      },
      { service: 'vouchsafe.api', space: 'default', path: 'documents/', actions: ['read'] },
    ],
  });
  const manifest = {
    app_id: 'notes',
    name: 'Notes',
    permissions: [{ service: 'api', path: 'x/', actions: ['read'] }],
  };
  const made = await home.json(t, [
    'request',
    '--cap',
    'api:default:documents/:read',
    '--cap',
    'vouchsafe.api:wsp_1a2b:@fld_specs:read',
    '--permission',
    file,
    '--manifest',
    write('manifest.json', manifest),
  ]);
  t.deepEqual(made.permissions.map(({ path }: { path: string }) => path).toSorted(), [
    '@fld_specs',
    'documents/',
    'notes/',
    'notes/x/',
  ]);
  const notes = made.permissions.find(({ path }: { path: string }) => path === 'notes/');
  t.deepEqual(
    [notes.reason, notes.lifetime_seconds, notes.actions],
    ['To keep notes', 1800, ['read', 'write']],
  );
  t.is(made.requester.name, 'Notes');
});

test('a manifest is taken as a file, as base64: and as raw base64, and asks for the same', async (t) => {
  const manifest = {
    app_id: 'board',
    permissions: [{ service: 'api', path: 'b/', actions: ['read'] }],
    more: 1,
  };
  const encoded = Buffer.from(JSON.stringify(manifest)).toString('base64');
  const forms = [write('board.json', manifest), `base64:${encoded}`, encoded];
  const made = [];
  for (const form of forms) made.push((await home.auth(['request', '--manifest', form])).stdout);
  t.is(new Set(made).size, 1, 'an identical request that is open is answered again');
  t.is(JSON.parse(made[0]!).permissions[0].path, 'board/b/');
  await home.fails(t, ['request', '--manifest', 'no-such-file'], 2, 'INVALID_MANIFEST');
});

test('permission files with unknown members, caveats, or no list are refused by name', async (t) => {
  const entry = { service: 'api', path: 'x/', actions: ['read'] };
  const cases = [
    [{ permissions: [entry], command: ['rm'] }, 'INVALID_PERMISSION_FILE'],
    [{ permissions: [{ ...entry, skipPrefix: true }] }, 'INVALID_PERMISSION_FILE'],
    [{ permissions: [{ ...entry, caveats: [] }] }, 'CAVEATS_UNSUPPORTED'],
    [{ permissions: [{ ...entry, path: '../x' }] }, 'INVALID_PATH'],
    [{ permissions: [{ ...entry, expiry: '1y' }] }, 'INVALID_EXPIRY'],
    [{ permissions: [] }, 'INVALID_PERMISSION_FILE'],
    ['not json', 'INVALID_PERMISSION_FILE'],
  ] as const;
  for (const [content, code] of cases) {
    await home.fails(t, ['request', '--permission', write('bad.json', content)], 2, code);
  }
  await home.fails(t, ['request', '--permission', 'missing.json'], 2, 'INVALID_PERMISSION_FILE');
  const long = write('long.json', { permissions: [{ ...entry, expiry: '2d' }] });
  await home.fails(t, ['request', '--permission', long, '--expiry', '1d'], 2, 'INVALID_PERMISSION_FILE');
  const both = await home.json(t, [
    'request',
    '--permission',
    write('weeks.json', { permissions: [{ ...entry, expiry: '2w' }] }),
  ]);
  t.is(both.lifetime_seconds, 1_209_600, 'an entry that lasts longer makes the request last longer');
});

test('--expiry is a time from a minute to a year, or milliseconds', async (t) => {
  const lifetimes = { '30m': 1800, '1800000': 1800, '7d': 604_800, '90500': 90, '2w': 1_209_600 };
  for (const [expiry, seconds] of Object.entries(lifetimes)) {
    const made = await home.json(t, ['request', '--cap', 'api:default:expiry/:read', '--expiry', expiry]);
    t.is(made.lifetime_seconds, seconds, expiry);
  }
  for (const expiry of ['0', '-1', '1.5', '1y', '2 years', '59s', '367d', '']) {
    await home.fails(
      t,
      ['request', '--cap', 'api:default:x/:read', `--expiry=${expiry}`],
      2,
      'INVALID_EXPIRY',
    );
  }
});

test('--emit writes a new file that its owner alone reads, and replaces a request, but no link and no other file', async (t) => {
  const file = join(home.folder, 'request.vauth.json');
  const emit = (path: string, cap = 'api:default:emit/:read') => ['request', '--cap', cap, '--emit', path];
  const answer = await home.json(t, emit(file));
  const { emitted, path, request_id, requested } = answer;
  t.deepEqual([emitted, path, requested[0].path], [true, file, 'emit/']);
  t.is(statSync(file).mode & 0o777, 0o600);
  const stdout = (await home.auth([...emit('x').slice(0, -1)])).stdout;
  t.is(
    readFileSync(file, 'utf8'),
    stdout,
    'the file is what is printed without --emit, and with --emit alone',
  );
  t.is(JSON.parse(stdout).id, request_id);

  const other = await home.json(t, emit(file, 'api:default:emit/:list'));
  t.not(other.request_id, request_id);
  const before = JSON.parse(stdout);
  const after = JSON.parse(readFileSync(file, 'utf8'));
  const differing = Object.keys(after).filter(
    (name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]),
  );
  const times = ['issued_at', 'expires_at'];
  t.deepEqual(
    differing.filter((name) => !times.includes(name)),
    ['id', 'permissions', 'proof'],
  );

  const plain = write('notes.txt', 'notes');
  symlinkSync(file, join(home.folder, 'link.json'));
  mkdirSync(join(home.folder, 'folder'), { recursive: true });
  for (const taken of [plain, join(home.folder, 'link.json'), join(home.folder, 'folder')]) {
    await home.fails(t, emit(taken), 2, 'OUTPUT_EXISTS');
  }
  t.is(readFileSync(plain, 'utf8'), 'notes');
  t.is(JSON.parse(readFileSync(file, 'utf8')).id, other.request_id);
  await home.fails(t, emit(join(home.folder, 'no/such/folder.json')), 2, 'INVALID_USAGE');
});

test('the same artifact by file, stdin and - is one stored request, however it is indented', async (t) => {
  const { stdout } = await home.auth(['request', '--cap', 'api:default:travel/:read']);
  const reader = createAuthHome();
  t.teardown(() => reader.remove());
  await reader.json(t, ['request', '--service', SERVICE, '--cap', 'api:default:own/:read']);
  const file = join(reader.folder, 'r.json');
  const compact = JSON.stringify(JSON.parse(stdout));
  const forms = [
    stdout,
    compact,
    stdout.replaceAll('\n', '\r\n'),
    JSON.stringify(JSON.parse(stdout), null, '\t'),
  ];
  for (const form of forms) {
    writeFileSync(file, form);
    const runs = [[file], ['--stdin'], ['-']];
    for (const source of runs) {
      const answer = await reader.json(t, ['import', ...source], { stdin: form });
      t.deepEqual(
        [answer.imported, answer.kind, answer.request_id],
        [true, 'request', JSON.parse(stdout).id],
      );
      t.is(answer.next, `vouchsafe auth grant ${answer.request_id}`);
    }
  }
  const stored = JSON.parse(readFileSync(join(reader.store, 'profiles/default/requests.json'), 'utf8'));
  t.is(JSON.stringify(stored).split(JSON.parse(stdout).id).length - 1, 1);
  const marked = await reader.fails(t, ['import', '-'], 2, 'INVALID_REQUEST_ARTIFACT', {
    stdin: `\ufeff${stdout}`,
  });
  t.regex(marked.message, /byte order mark/);
  await reader.fails(t, ['import'], 2, 'SOURCE_REQUIRED');
  await reader.fails(t, ['import', file, '--stdin'], 2, 'SOURCE_REQUIRED');
  await reader.fails(t, ['import', 'missing.json'], 2, 'SOURCE_REQUIRED');
  await reader.fails(t, ['import', '--paste'], 2, 'CONFIRMATION_REQUIRED');
});

test('what is called wrongly is one line for people and JSON for programs, with 2', async (t) => {
  for (const args of [
    ['request', '--no-such-option'],
    ['login', '--method', 'magic'],
    ['request', '--cap'],
    ['grant', 'a', 'b'],
    ['grant', 'prq_x', '--only', '0'],
    ['retry'],
    ['retry', 'prq_x', '--last'],
    ['status', '--timeout', '0'],
    ['request', 'command-without-dashes', '--cap', 'api:default:x/:read'],
  ]) {
    await home.fails(t, args, 2, 'INVALID_USAGE');
  }
  await home.fails(t, ['retry', 'prq_x'], 4, 'REQUEST_NOT_FOUND');
  await home.fails(t, ['status', '--profile', 'other'], 4, 'PROFILE_NOT_FOUND');
});
