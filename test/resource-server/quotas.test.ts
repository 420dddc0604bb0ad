import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { createGuard, loadPolicy } from '../../src/resource-server/index.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { startTestService, TEST_SECRET, type TestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

function configFile(content: object): string {
  const path = join(mkdtempSync(join(tmpdir(), 'vouchsafe-rules-')), 'config.json');
  writeFileSync(path, JSON.stringify(content));
  return path;
}

const CONFIG = configFile({
  scopes: { read: { description: 'Look' }, write: { description: 'Change', implies: ['read'] } },
  policy: {
    tools: { look: 'read', records: { argument: 'action', scopes: { query: 'read' }, otherwise: 'write' } },
    deny: ['gone'],
    kinds: { anonymous: ['look'] },
  },
  quotas: { send: { anonymous: 3, claimed: 5 } },
});

onEveryEngine('what the operator wrote once', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine, { env: { CONFIG } });
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const guardOf = (credential: string) => {
    const guard = createGuard({ verifier: api.verifier(), consumesQuota: 'send' });
    return () => guard((name) => (name === 'authorization' ? `Bearer ${credential}` : undefined));
  };

  test('an anonymous account may so often a month, of fifty at once no more; then it is told what unlocks more', async (t) => {
    const agent = await on.register();
    const ask = guardOf(agent.credential);
    const all = await Promise.all(Array.from({ length: 50 }, ask));
    t.is(all.filter((each) => 'token' in each).length, 3);
    const refused = await ask();
    if (!('status' in refused)) return t.fail('it was let in');
    t.is(refused.status, 402);
    t.is(refused.body.error, 'claim_required');
    const page = await on.request('GET', refused.body.verification_uri!.slice(on.url.length));
    t.is(page.status, 303, 'the address is that of the claim page');
    t.true(Number(refused.headers['Retry-After']) > 0);
  });

  test('once claimed it may more, and then it is 429 until the next month', async (t) => {
    const agent = await on.claimed('quota@example.com', true);
    const ask = guardOf(agent.credential);
    for (let times = 0; times < 5; times += 1) t.true('token' in (await ask()));
    const refused = await ask();
    if (!('status' in refused)) return t.fail('it was let in');
    t.deepEqual([refused.status, refused.body.error], [429, 'rate_limited']);
    t.is(refused.body.verification_uri, undefined);
    on.clock.advance(31 * 86_400);
    t.true('token' in (await ask()));
  });

  test('an action without a quota, and a key that is not there, are no licence: nobody can say', async (t) => {
    const { credential } = await on.register();
    const guard = createGuard({ verifier: api.verifier(), consumesQuota: 'explode' });
    const decision = await guard((name) => (name === 'authorization' ? `Bearer ${credential}` : undefined));
    t.true('status' in decision && decision.status === 503);
  });

  test('an action without a quota costs the next verification nothing', async (t) => {
    const [known, fresh] = [await on.register(), await on.register()];
    const verifier = api.verifier();
    const guard = createGuard({ verifier, consumesQuota: 'explode' });
    const decision = await guard((name) =>
      name === 'authorization' ? `Bearer ${known.credential}` : undefined,
    );
    t.like(decision, { status: 503 });
    t.is((await verifier.verify(fresh.credential)).subject, fresh.user_id);
    verifier.close();
  });

  test('the rules of tools come from the configuration, and are decided here', async (t) => {
    const { policy, configured } = await loadPolicy({
      issuer: on.url,
      clientId: api.clientId,
      clientSecret: api.clientSecret,
    });
    const token = { subject: 'usr_1', agentId: 'agt_1', owner: 'usr_1', scopes: ['write'] };
    const reason = async (...args: Parameters<typeof policy.decide>) => {
      const verdict = await policy.decide(...args);
      return verdict.allowed ? verdict.scope : verdict.reason;
    };
    t.is(await reason(token, 'look'), 'read');
    t.is(await reason(token, 'records', { action: 'drop' }), 'write');
    t.is(await reason({ ...token, scopes: ['read'] }, 'records', { action: 'drop' }), 'missing_scope');
    t.is(await reason(token, 'gone'), 'endpoint_forbidden');
    const anonymous = { subject: 'usr_1', agentId: 'agt_1', scopes: ['read'] };
    t.is(await reason(anonymous, 'records', { action: 'query' }), 'oauth_only');
    t.true(configured.presets['read-only']!.recommended);
    t.deepEqual(configured.quotas, { send: { anonymous: 3, claimed: 5 } });
  });

  test('only resource servers are told the rules, or count', async (t) => {
    const { credential } = await on.register();
    const bearer = { Authorization: `Bearer ${credential}` };
    t.is((await on.request('GET', '/resource/policy', { headers: bearer })).status, 401);
    t.is((await on.form('/resource/quota', { key_id: 'key_1', action: 'send' }, bearer)).status, 401);
  });
});

test('rules that name a scope which is not listed stop the start', (t) => {
  for (const content of [
    { policy: { tools: { look: 'unheard' } } },
    { policy: { tools: { look: { argument: 'a', scopes: { b: 'unheard' } } } } },
    { scopes: { read: { description: 'x', implies: ['unheard'] }, write: { description: 'y' } } },
  ]) {
    t.throws(() => loadConfig({ SECRET: TEST_SECRET, CONFIG: configFile(content) }), {
      instanceOf: ConfigError,
      message: /"unheard"/,
    });
  }
});
