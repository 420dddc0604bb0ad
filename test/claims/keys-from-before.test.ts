import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { API, type AuthMd, confirm, openAuthMd, succeeded } from '../helpers/auth-md.ts';
import { vouchFor, type Way } from '../helpers/auth-md-agents.ts';
import { openBrowser } from '../helpers/browser.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/service.ts';

/** What was captured before the claim gains nothing by it, but where an older version of auth.md demands it. README says which. */

onEveryEngine('what was captured before the claim', (engine) => {
  let world: AuthMd;
  before(async () => {
    world = await openAuthMd(engine);
  });
  after(() => world.stop());

  test('tinysend: the key keeps its old scope in its old account, and ends at the first use of the new one', async () => {
    for (const link of [false, true]) {
      const { old, credential, user_id } = await world.on.claimed(newMailbox(), link);
      const { scope, sub } = await world.introspected(old);
      assert.equal(scope, 'read');
      assert.equal(sub === user_id, link, 'a merged agent has another account now, a linked one its own');
      await world.on.get('/api/me', credential);
      assert.equal(await world.scopeOf(old), 'dead');
    }
  });

  test('0.1: an anonymous agent’s key gets the new scopes, as that version demands', async () => {
    const { on } = world;
    const body = { type: 'anonymous', requested_credential_type: 'api_key' };
    const { credential, claim_token } = succeeded(await on.post('/agent/auth', body));
    assert.equal(await world.scopeOf(credential), 'read');
    const email = newMailbox();
    succeeded(await on.post('/agent/auth/claim', { claim_token, email }));
    const human = openBrowser(on);
    await human.get(await world.mailedPage(email));
    const otp = await confirm(human);
    succeeded(await on.post('/agent/auth/claim/complete', { claim_token, otp }));
    assert.equal(await world.scopeOf(credential), 'read write');
  });

  test('0.2 and 0.3: the assertion gets the new scopes, a token from before does not', async () => {
    const { before: held } = await vouchFor(world, 'otp');
    assert.equal(await world.scopeOf(await world.tokenFor(held!.assertion)), 'read write');
    assert.notEqual(await world.scopeOf(held!.token), 'read write');
  });

  for (const [version, way] of [
    ['0.4 to 0.7', 'typed'],
    ['production', 'reveal'],
  ] satisfies [string, Way][]) {
    test(`${version}: assertion, refresh token and access token from before are dead`, async () => {
      const { before: held } = await vouchFor(world, way);
      assert.equal((await world.exchange(held!.assertion)).status, 400);
      assert.equal((await world.refresh(held!.refresh)).status, 400);
      assert.equal(await world.scopeOf(held!.token, API), 'dead');
    });
  }
});

test('README promises it for exactly those versions', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').replaceAll('\n', ' ');
  assert.match(
    readme,
    /\*\*A key captured before the claim gains nothing by it\*\*, but where auth\.md 0\.1, 0\.2 or 0\.3 demands it/,
  );
});
