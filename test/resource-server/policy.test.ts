import fc from 'fast-check';
import { createPolicy, type PolicyOptions } from '../../src/resource-server/index.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';

interface App {
  owner: string;
  readers: string[];
}

const APPS: Record<string, App> = { shop: { owner: 'usr_owner', readers: ['usr_reader'] } };
const OPTIONS: PolicyOptions<App> = {
  scopes: { read: {}, write: { implies: ['read'] }, admin: { implies: ['write'] } },
  tools: {
    list_apps: 'read',
    deploy_app: 'write',
    connect_repo: 'admin',
    blocked: 'read',
    records: { argument: 'action', scopes: { query: 'read', insert: 'write', delete: 'write' } },
    manage_ci: { argument: 'action', scopes: { list: 'read', rerun: 'write' }, otherwise: 'admin' },
    nested: { argument: 'spec/mode', scopes: { look: 'read' } },
  },
  deny: ['blocked'],
  kinds: { anonymous: ['list_apps', 'records'] },
  resolveResource: (_, args) => APPS[String(args.app)],
  effectiveScopes: (subject, app) => ({
    canManage: subject === app.owner,
    scopes: subject === app.owner ? ['write'] : app.readers.includes(subject) ? ['read'] : [],
  }),
};
const policy = createPolicy(OPTIONS);

function token(scopes: string[], subject = 'usr_owner', owner: string | undefined = 'usr_owner') {
  return { subject, agentId: 'agt_1', scopes, ...(owner === undefined ? {} : { owner }) };
}
const reason = async (...[who, tool, args]: Parameters<typeof policy.decide>) => {
  const verdict = await policy.decide(who, tool, args);
  return verdict.allowed ? 'allowed' : verdict.reason;
};

test.describe('policy', (test) => {
  test('a tool needs its scope, or one that implies it', async (t) => {
    t.is(await reason(token(['read']), 'list_apps'), 'allowed');
    t.is(await reason(token(['admin']), 'list_apps'), 'allowed');
    t.is(await reason(token(['admin']), 'deploy_app'), 'allowed');
    t.is(await reason(token(['write']), 'connect_repo'), 'missing_scope');
    t.is(await reason(token([]), 'list_apps'), 'missing_scope');
  });

  test('the scope can depend on an argument; a value that no rule knows is refused, or is the dearest', async (t) => {
    t.is(await reason(token(['read']), 'records', { action: 'query' }), 'allowed');
    t.is(await reason(token(['read']), 'records', { action: 'insert' }), 'missing_scope');
    t.is(await reason(token(['admin']), 'records', { action: 'explode' }), 'endpoint_forbidden');
    t.is(await reason(token(['admin']), 'records', {}), 'endpoint_forbidden');
    t.is(await reason(token(['read']), 'manage_ci', { action: 'list' }), 'allowed');
    t.is(await reason(token(['write']), 'manage_ci', { action: 'rerun' }), 'allowed');
    t.is(await reason(token(['write']), 'manage_ci', { action: 'enable' }), 'missing_scope');
    t.is(await reason(token(['write']), 'manage_ci', { action: ['list'] }), 'missing_scope');
    t.is(await reason(token(['read']), 'nested', { spec: { mode: 'look' } }), 'allowed');
  });

  test('a tool on the deny list, or without a rule, is refused whatever the key may', async (t) => {
    t.is(await reason(token(['admin']), 'blocked'), 'endpoint_forbidden');
    for (const tool of ['unheard_of', 'constructor', '__proto__', 'toString']) {
      t.is(await reason(token(['admin']), tool), 'endpoint_forbidden', tool);
    }
    t.is(await reason(token(['admin']), 'records', { action: 'constructor' }), 'endpoint_forbidden');
  });

  test('a kind of credential reaches its tools only', async (t) => {
    const anonymous = { subject: 'usr_1', agentId: 'agt_1', scopes: ['write'] };
    t.is(await reason(anonymous, 'list_apps'), 'allowed');
    t.is(await reason(anonymous, 'deploy_app'), 'oauth_only');
    const personal = { subject: 'usr_1', agentId: undefined, owner: 'usr_1', scopes: ['write'] };
    t.is(await reason(personal, 'deploy_app'), 'allowed');
  });

  test('on one resource its own rights count, too', async (t) => {
    const args = { app: 'shop' };
    t.is(await reason(token(['write']), 'deploy_app', args), 'allowed');
    t.is(await reason(token(['write'], 'usr_reader'), 'deploy_app', args), 'endpoint_forbidden');
    t.is(await reason(token(['read'], 'usr_reader'), 'list_apps', args), 'allowed');
    t.is(await reason(token(['read'], 'usr_stranger'), 'list_apps', args), 'resource_scope');
    t.is(await reason(token(['admin']), 'connect_repo', args), 'resource_scope');
    t.is(await reason(token(['write']), 'deploy_app', { app: 'unknown' }), 'allowed');
  });

  test('what holds everywhere comes first, in its order', async (t) => {
    const stranger = { subject: 'usr_stranger', agentId: 'agt_1', scopes: [] };
    t.is(await reason(stranger, 'blocked'), 'endpoint_forbidden');
    t.is(await reason(stranger, 'deploy_app', { app: 'shop' }), 'missing_scope');
    t.is(await reason({ ...stranger, scopes: ['write'] }, 'deploy_app', { app: 'shop' }), 'oauth_only');
  });

  test('a refusal says what to ask for', async (t) => {
    const verdict = await policy.decide(token(['read']), 'connect_repo');
    t.true(!verdict.allowed && verdict.scope === 'admin' && /"admin"/.test(verdict.message));
  });

  test('a tool is read-only if none of its arguments makes it more', (t) => {
    t.deepEqual(
      ['list_apps', 'records', 'manage_ci', 'nested', 'unheard_of'].map((tool) => policy.isReadOnly(tool)),
      [true, false, false, true, false],
    );
    t.deepEqual(policy.scopesOf('manage_ci').sort(), ['admin', 'read', 'write']);
  });

  test('a rule that names an unknown scope is refused when the policy is made', (t) => {
    t.throws(() => createPolicy({ scopes: { read: {} }, tools: { x: 'write' } }), {
      message: /"x".*"write"/,
    });
    t.throws(() => createPolicy({ scopes: { read: { implies: ['all'] } }, tools: {} }), {
      message: /"read".*"all"/,
    });
  });

  test('more scopes never allow less, and circles of implication end', async (t) => {
    const names = ['a', 'b', 'c', 'd'];
    const graph = fc.dictionary(fc.constantFrom(...names), fc.subarray(names), { noNullPrototype: true });
    await assertProperty(t, [graph, fc.subarray(names), fc.subarray(names)], async (t, edges, held, more) => {
      const scopes = Object.fromEntries(names.map((name) => [name, { implies: edges[name] ?? [] }]));
      const any = createPolicy({ scopes, tools: Object.fromEntries(names.map((name) => [name, name])) });
      for (const name of names) {
        const few = await any.decide(token(held), name);
        const many = await any.decide(token([...held, ...more]), name);
        t.true(!few.allowed || many.allowed);
        if (held.includes(name)) t.true(few.allowed);
      }
    });
  });
});
