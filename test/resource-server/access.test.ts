import fc from 'fast-check';
import { readAccess } from '../../src/resource-server/access.ts';
import { may, type PlaceOfCall } from '../../src/resource-server/index.ts';
import { test } from '../helpers/suite.ts';

/** Where a credential may do what: may(), and how the places of an introspection are read. */

const RESOURCE = 'https://api.example.com';
const IMPLIES = { admin: ['write'], write: ['read'] };

interface Told {
  identifier: string;
  actions: string[];
  node?: string;
  path?: string;
  datatypes?: string[];
}

const place = (members: Partial<Told>): Told => ({
  ...{ type: 'workspace', locations: [RESOURCE] },
  identifier: 'wsp_1',
  actions: ['read'],
  ...members,
});
const tokenWith = (...places: object[]) => ({
  subject: 'usr_ann',
  scopes: ['read', 'write'],
  access: readAccess(places, RESOURCE)!,
});

test('a whole workspace is covered, and no other', (t) => {
  const token = tokenWith(place({ actions: ['write'] }));
  t.true(may(token, 'write', { workspace: 'wsp_1' }));
  t.true(may(token, 'write', { workspace: 'wsp_1', within: ['prj'], path: 'a/b', type: 'document' }));
  t.false(may(token, 'write', { workspace: 'wsp_2' }));
  t.false(may(token, 'write', { workspace: 'usr_ann' }), 'its own account is one place like any other');
  t.false(may(token, 'read', { workspace: 'wsp_1' }), 'scopes imply only what is said');
  t.true(may(token, 'read', { workspace: 'wsp_1' }, IMPLIES));
  t.false(may(token, 'admin', { workspace: 'wsp_1' }, IMPLIES));
});

test('a node covers itself and all that is in it: not what it is in, and not what lies beside it', (t) => {
  const token = tokenWith(place({ node: 'fld_specs' }));
  t.true(may(token, 'read', { workspace: 'wsp_1', within: ['prj', 'fld_specs'] }));
  t.true(may(token, 'read', { workspace: 'wsp_1', within: ['prj', 'fld_specs', 'doc'] }));
  t.false(may(token, 'read', { workspace: 'wsp_1', within: ['prj', 'fld_other'] }));
  t.false(may(token, 'read', { workspace: 'wsp_1', within: ['prj'] }));
  t.false(may(token, 'read', { workspace: 'wsp_1' }));
  t.false(may(token, 'read', { workspace: 'wsp_2', within: ['fld_specs'] }));
});

test('a path covers itself, and what is below it only if it ends in a slash', (t) => {
  const token = tokenWith(place({ path: 'drafts' }), place({ path: 'notes/' }));
  const at = (path: string) => may(token, 'read', { workspace: 'wsp_1', path });
  t.deepEqual(['drafts', 'drafts/a', 'draftsx', 'notes/', 'notes/a/b', 'notes', 'notesx/a', ''].map(at), [
    true,
    false,
    false,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('a place for some types of things covers those alone', (t) => {
  const token = tokenWith(
    place({ datatypes: ['document'] }),
    place({ datatypes: ['diagram'], actions: ['write'] }),
  );
  const on = (type?: string): PlaceOfCall => ({ workspace: 'wsp_1', ...(type !== undefined && { type }) });
  t.true(may(token, 'read', on('document')));
  t.true(may(token, 'write', on('diagram')));
  t.false(may(token, 'write', on('document')));
  t.false(may(token, 'read', on('diagram')));
  t.false(may(token, 'read', on()), 'what says no type is of none that is meant');
});

test('a credential without places may do what its scopes say in the workspace of its account alone', (t) => {
  const token = { subject: 'usr_ann', scopes: ['write'] };
  t.true(may(token, 'write', { workspace: 'usr_ann', within: ['prj'] }));
  t.true(may(token, 'read', { workspace: 'usr_ann' }, IMPLIES));
  t.false(may(token, 'read', { workspace: 'usr_ann' }));
  t.false(may(token, 'write', { workspace: 'wsp_1' }));
});

test('what an introspection says and this kit does not understand gives nothing', (t) => {
  const good = place({});
  const cases: unknown[] = [
    undefined,
    null,
    {},
    'workspace',
    [],
    [null],
    [{ ...good, type: 'payment' }],
    [{ ...good, until: '2030' }],
    [{ ...good, locations: ['https://other.example.com'] }],
    [{ ...good, locations: undefined }],
    [{ ...good, identifier: 1 }],
    [{ ...good, actions: 'read' }],
    [{ ...good, node: 'a', path: 'b' }],
    [{ ...good, path: 1 }],
    [{ ...good, datatypes: 'document' }],
    [{ ...good, privileges: 'manage' }],
  ];
  for (const details of cases) t.is(readAccess(details, RESOURCE), undefined, JSON.stringify(details));
  const mixed = readAccess([good, { ...good, identifier: 'wsp_2', until: '2030' }], RESOURCE);
  t.deepEqual(
    mixed?.map(({ workspace }) => workspace),
    ['wsp_1'],
  );
});

/** The same decision, as it is said: any place that covers the thing and has the action. */
function mayNaively(places: Told[], action: string, on: PlaceOfCall): boolean {
  const covering =
    action === 'read' ? ['read', 'write', 'admin'] : action === 'write' ? ['write', 'admin'] : ['admin'];
  return places.some(({ identifier, node, path, actions, datatypes }) => {
    const isThere =
      node !== undefined
        ? (on.within ?? []).includes(node)
        : path === undefined ||
          on.path === path ||
          (path.endsWith('/') && on.path?.startsWith(path) === true);
    const isOfType = datatypes === undefined || (on.type !== undefined && datatypes.includes(on.type));
    return (
      identifier === on.workspace && isThere && isOfType && covering.some((each) => actions.includes(each))
    );
  });
}

test('over random places and things it decides as the sentence says', (t) => {
  const workspaces = fc.constantFrom('wsp_1', 'wsp_2', 'usr_ann');
  const nodes = fc.constantFrom('a', 'b', 'c', 'd');
  const paths = fc.constantFrom('x', 'x/', 'x/y', 'x/y/', 'z');
  const types = fc.constantFrom('document', 'diagram');
  const where = fc.oneof(fc.constant({}), fc.record({ node: nodes }), fc.record({ path: paths }));
  const places = fc.array(
    fc
      .record({
        identifier: workspaces,
        actions: fc.uniqueArray(fc.constantFrom('read', 'write', 'admin'), { minLength: 1 }),
        where,
        datatypes: fc.option(fc.uniqueArray(types, { minLength: 1 }), { nil: undefined }),
      })
      .map(({ where: at, datatypes, ...rest }) => place({ ...rest, ...at, ...(datatypes && { datatypes }) })),
    { minLength: 1, maxLength: 12 },
  );
  const things = fc
    .record({
      workspace: workspaces,
      within: fc.option(fc.uniqueArray(nodes), { nil: undefined }),
      path: fc.option(paths, { nil: undefined }),
      type: fc.option(types, { nil: undefined }),
    })
    .map(
      ({ workspace, within, path, type }): PlaceOfCall => ({
        workspace,
        ...(within && { within }),
        ...(path && { path }),
        ...(type && { type }),
      }),
    );
  const checked = fc.check(
    fc.property(
      places,
      fc.constantFrom('read', 'write', 'admin'),
      things,
      (given, action, on) => may(tokenWith(...given), action, on, IMPLIES) === mayNaively(given, action, on),
    ),
    { numRuns: 3000 },
  );
  t.false(checked.failed, fc.defaultReportMessage(checked));
});
