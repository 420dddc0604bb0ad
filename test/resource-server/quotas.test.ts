import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { createGuard, loadPolicy } from '../../src/resource-server/index.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { onEveryEngine, startTestService, TEST_SECRET, type TestService } from '../helpers/service.ts';

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

onEveryEngine('what the operator wrote once', (engine) => {
  let on: TestService;
  let api: Api;
  before(async () => {
    on = await startTestService(engine, { env: { CONFIG } });
    api = await addApi(on);
  });
  after(() => on.stop());

  const guardOf = (credential: string) => {
    const guard = createGuard({ verifier: api.verifier(), consumesQuota: 'send' });
    return () => guard((name) => (name === 'authorization' ? `Bearer ${credential}` : undefined));
  };

  test('an anonymous account may so often a month, of fifty at once no more; then it is told what unlocks more', async () => {
    const agent = await on.register();
    const ask = guardOf(agent.credential);
    const all = await Promise.all(Array.from({ length: 50 }, ask));
    assert.equal(all.filter((each) => 'token' in each).length, 3);
    const refused = await ask();
    assert.ok('status' in refused);
    assert.equal(refused.status, 402);
    assert.equal(refused.body.error, 'claim_required');
    const page = await on.request('GET', refused.body.verification_uri!.slice(on.url.length));
    assert.equal(page.status, 303, 'the address is that of the claim page');
    assert.ok(Number(refused.headers['Retry-After']) > 0);
  });

  test('once claimed it may more, and then it is 429 until the next month', async () => {
    const agent = await on.claimed('quota@example.com', true);
    const ask = guardOf(agent.credential);
    for (let times = 0; times < 5; times += 1) assert.ok('token' in (await ask()));
    const refused = await ask();
    assert.ok('status' in refused && refused.status === 429 && refused.body.error === 'rate_limited');
    assert.equal(refused.body.verification_uri, undefined);
    on.clock.advance(31 * 86_400);
    assert.ok('token' in (await ask()));
  });

  test('an action without a quota, and a key that is not there, are no licence: nobody can say', async () => {
    const { credential } = await on.register();
    const guard = createGuard({ verifier: api.verifier(), consumesQuota: 'explode' });
    const decision = await guard((name) => (name === 'authorization' ? `Bearer ${credential}` : undefined));
    assert.ok('status' in decision && decision.status === 503);
  });

  test('the rules of tools come from the configuration, and are decided here', async () => {
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
    assert.equal(await reason(token, 'look'), 'read');
    assert.equal(await reason(token, 'records', { action: 'drop' }), 'write');
    assert.equal(
      await reason({ ...token, scopes: ['read'] }, 'records', { action: 'drop' }),
      'missing_scope',
    );
    assert.equal(await reason(token, 'gone'), 'endpoint_forbidden');
    const anonymous = { subject: 'usr_1', agentId: 'agt_1', scopes: ['read'] };
    assert.equal(await reason(anonymous, 'records', { action: 'query' }), 'oauth_only');
    assert.equal(configured.presets['read-only']!.recommended, true);
    assert.deepEqual(configured.quotas, { send: { anonymous: 3, claimed: 5 } });
  });

  test('only resource servers are told the rules, or count', async () => {
    const { credential } = await on.register();
    const bearer = { Authorization: `Bearer ${credential}` };
    assert.equal((await on.request('GET', '/resource/policy', { headers: bearer })).status, 401);
    assert.equal((await on.form('/resource/quota', { key_id: 'key_1', action: 'send' }, bearer)).status, 401);
  });
});

test('rules that name a scope which is not listed stop the start', () => {
  for (const content of [
    { policy: { tools: { look: 'unheard' } } },
    { policy: { tools: { look: { argument: 'a', scopes: { b: 'unheard' } } } } },
    { scopes: { read: { description: 'x', implies: ['unheard'] }, write: { description: 'y' } } },
  ]) {
    assert.throws(
      () => loadConfig({ SECRET: TEST_SECRET, CONFIG: configFile(content) }),
      (error: unknown) => error instanceof ConfigError && error.message.includes('"unheard"'),
    );
  }
});
