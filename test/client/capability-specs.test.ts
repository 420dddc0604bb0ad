import fc from 'fast-check';
import {
  covers,
  formatCap,
  isWithinRequest,
  listMissing,
  type Permission,
  parseCap,
} from '../../src/client/index.ts';
import { isPlace } from '../../src/lib/artifacts/permission-entry.ts';
import { codeOf } from '../helpers/code-of.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';

const SPECS: Record<string, object | string> = {
  'vouchsafe.api:default:documents/:list,read': {
    service: 'vouchsafe.api',
    space: 'default',
    path: 'documents/',
    actions: ['list', 'read'],
  },
  'api:default:documents/plan.md:read': {
    service: 'vouchsafe.api',
    space: 'default',
    path: 'documents/plan.md',
    actions: ['read'],
  },
  'vouchsafe.api:wsp_1a2b:@fld_specs:read,write': {
    service: 'vouchsafe.api',
    space: 'wsp_1a2b',
    path: '@fld_specs',
    actions: ['read', 'write'],
  },
  'vouchsafe.api:default::read': { service: 'vouchsafe.api', space: 'default', path: '', actions: ['read'] },
  'vouchsafe.api:default:log/2026:01/:read': {
    service: 'vouchsafe.api',
    space: 'default',
    path: 'log/2026:01/',
    actions: ['read'],
  },
  'api:default:x/:write , read,write': {
    service: 'vouchsafe.api',
    space: 'default',
    path: 'x/',
    actions: ['read', 'write'],
  },
  'api:default:x/:workspace~read': {
    service: 'vouchsafe.api',
    space: 'default',
    path: 'x/',
    actions: ['workspace:read'],
  },
  'vouchsafe.api:default:documents/': 'INVALID_CAP',
  'vouchsafe.api:default:documents/:': 'INVALID_CAP',
  'vouchsafe.api': 'INVALID_CAP',
  '': 'INVALID_CAP',
  ':::': 'INVALID_CAP',
  'acme.api:default:x/:read': 'UNKNOWN_SERVICE',
  'vouchsafe.api:default:../x:read': 'INVALID_PATH',
  'vouchsafe.api:default:/x:read': 'INVALID_PATH',
  'vouchsafe.api:default:x//y:read': 'INVALID_PATH',
  'vouchsafe.api:default:x%2fy:read': 'INVALID_PATH',
  'vouchsafe.api:default:x\\y:read': 'INVALID_PATH',
  'vouchsafe.api:default:x\u202e:read': 'INVALID_PATH',
  'vouchsafe.api:default:@a/b:read': 'INVALID_PATH',
  'vouchsafe.api:default:x/:*': 'INVALID_CAP',
  'vouchsafe.api:My Space:x/:read': 'INVALID_CAP',
  'Vouchsafe.Api:default:x/:read': 'INVALID_CAP',
  [`vouchsafe.api:default:${'x'.repeat(1024)}:read`]: 'INVALID_CAP',
  [`vouchsafe.api:default:x/:${Array.from({ length: 17 }, (_, index) => `a${index}`).join(',')}`]:
    'INVALID_CAP',
  'vouchsafe.api:default:x/:fly': {
    service: 'vouchsafe.api',
    space: 'default',
    path: 'x/',
    actions: ['fly'],
  },
};

for (const [spec, expected] of Object.entries(SPECS)) {
  test(`a spec: ${spec.length > 80 ? `${spec.slice(0, 60)}… (${spec.length})` : JSON.stringify(spec)}`, async (t) => {
    if (typeof expected === 'string') return t.is(await codeOf(() => parseCap(spec)), expected);
    t.deepEqual(parseCap(spec) as object, expected);
  });
}

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  .filter((text) => !text.includes('/') && isPlace(text) && !text.startsWith('@'));
const path = fc.oneof(
  fc.constant(''),
  fc.tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean()).map(([names, isFolder]) => {
    return names.join('/') + (isFolder ? '/' : '');
  }),
  fc.stringMatching(/^@[A-Za-z0-9_.~-]{1,12}$/),
);
const action = fc.stringMatching(/^[A-Za-z0-9_.:-]{1,12}$/);
const capability = fc.record({
  service: fc.stringMatching(/^vouchsafe\.[a-z][a-z0-9_-]{0,9}$/),
  space: fc.oneof(fc.constant('default'), fc.stringMatching(/^(wsp|usr)_[A-Za-z0-9]{1,8}$/)),
  path,
  actions: fc.uniqueArray(action, { minLength: 1, maxLength: 5 }).map((all) => all.toSorted()),
});

test('what is written as a spec is read as the same, and written the same again', async (t) => {
  await assertProperty(t, [capability], (t, cap) => {
    const spec = formatCap(cap);
    t.deepEqual(parseCap(spec), cap);
    t.is(formatCap(parseCap(spec)), spec);
  });
});

test('any text is a spec or refused with a code', async (t) => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc
      .array(
        fc.constantFrom('vouchsafe.', 'api', ':', 'default', 'wsp_1', '@', '/', '..', ',', 'read', '~', ' '),
      )
      .map((words) => words.join('')),
  );
  await assertProperty(t, [text], async (t, text) => {
    const code = await codeOf(() => formatCap(parseCap(text)));
    t.true(code === undefined || ['INVALID_CAP', 'INVALID_PATH', 'UNKNOWN_SERVICE'].includes(code as string));
  });
});

const held = (spec: string, more: Partial<Permission> = {}): Permission => ({ ...parseCap(spec), ...more });

test('what is held covers what is within it: same service and space, path below, actions among', (t) => {
  const documents = [held('api:usr_a:documents/:read,write')];
  for (const [wanted, isCovered] of [
    ['api:usr_a:documents/:read', true],
    ['api:usr_a:documents/a/b.md:read,write', true],
    ['api:default:documents/a:read', true],
    ['api:usr_a:documents:read', false],
    ['api:usr_a:documentsx/:read', false],
    ['api:usr_a::read', false],
    ['api:usr_b:documents/:read', false],
    ['kv:usr_a:documents/:read', false],
    ['api:usr_a:documents/:read,delete', false],
    ['api:usr_a:@fld_1:read', false],
  ] as const) {
    t.is(covers(documents, parseCap(wanted)), isCovered, wanted);
  }
  t.true(covers([held('api:usr_a::read')], parseCap('api:usr_a:@fld_1:read')));
  t.true(covers([held('api:usr_a:@fld_1:read')], parseCap('api:usr_a:@fld_1:read')));
  t.true(covers([held('api:usr_a:x/:workspace~read')], parseCap('api:default:x/:read')));
  t.true(
    covers([held('api:usr_a:x/:admin')], parseCap('api:default:x/:read'), {
      admin: ['write'],
      write: ['read'],
    }),
  );
});

test('permissions add up, but those of two workspaces are not those of one', (t) => {
  const two = [held('api:usr_a:x/:read'), held('api:usr_a:x/:write')];
  t.true(covers(two, parseCap('api:default:x/:read,write')));
  const apart = [held('api:usr_a:x/:read'), held('api:wsp_1:x/:write')];
  t.false(covers(apart, parseCap('api:default:x/:read,write')));
  t.deepEqual(listMissing(apart, [parseCap('api:default:x/:read,write')]).map(formatCap), [
    'vouchsafe.api:default:x/:write',
  ]);
});

test('permissions for some types cover those types alone', (t) => {
  const some = [held('api:usr_a:x/:read', { types: ['document', 'table'] })];
  const wanted = parseCap('api:usr_a:x/:read');
  t.false(covers(some, wanted));
  t.true(covers(some, { ...wanted, types: ['table'] }));
  t.false(covers(some, { ...wanted, types: ['image', 'table'] }));
  t.true(covers([held('api:usr_a:x/:read')], { ...wanted, types: ['image'] }));
});

test('what covers a permission is within a request for it, and no wider one is', async (t) => {
  const narrower = fc.tuple(capability, segment).map(([cap, name]) => {
    const below = cap.path === '' || cap.path.endsWith('/') ? `${cap.path}${name}` : cap.path;
    return { cap, inner: { ...cap, path: below, actions: cap.actions.slice(0, 1) } };
  });
  await assertProperty(t, [narrower], (t, { cap, inner }) => {
    t.true(covers([cap], inner));
    t.true(isWithinRequest([inner], [cap]));
    if (inner.path !== cap.path) t.false(isWithinRequest([cap], [inner]));
    t.false(isWithinRequest([{ ...inner, actions: ['another'] }], [{ ...cap, actions: ['other'] }]));
  });
});
