import { readFileSync } from 'node:fs';
import { API, type AuthMd, confirm, openAuthMd, succeeded } from '../helpers/auth-md.ts';
import { vouchFor, type Way } from '../helpers/auth-md-agents.ts';
import { openBrowser } from '../helpers/browser.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** What was captured before the claim gains nothing by it, but where an older version of auth.md demands it. README says which. */

onEveryEngine('what was captured before the claim', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  test('tinysend: the key keeps its old scope in its old account, and ends at the first use of the new one', async (t) => {
    for (const link of [false, true]) {
      const { old, credential, user_id } = await world.on.claimed(newMailbox(), link);
      const { scope, sub } = await world.introspected(old);
      t.is(scope, 'read');
      t.is(sub === user_id, link, 'a merged agent has another account now, a linked one its own');
      await world.on.get('/api/me', credential);
      t.is(await world.scopeOf(old), 'dead');
    }
  });

  test('0.1: an anonymous agent’s key gets the new scopes, as that version demands', async (t) => {
    const { on } = world;
    const body = { type: 'anonymous', requested_credential_type: 'api_key' };
    const { credential, claim_token } = succeeded(await on.post('/agent/auth', body));
    t.is(await world.scopeOf(credential), 'read');
    const email = newMailbox();
    succeeded(await on.post('/agent/auth/claim', { claim_token, email }));
    const human = openBrowser(on);
    await human.get(await world.mailedPage(email));
    const otp = await confirm(human);
    succeeded(await on.post('/agent/auth/claim/complete', { claim_token, otp }));
    t.is(await world.scopeOf(credential), 'read write');
  });

  test('0.2 and 0.3: the assertion gets the new scopes, a token from before does not', async (t) => {
    const { before: held } = await vouchFor(world, 'otp');
    t.is(await world.scopeOf(await world.tokenFor(held!.assertion)), 'read write');
    t.not(await world.scopeOf(held!.token), 'read write');
  });

  for (const [version, way] of [
    ['0.4 to 0.7', 'typed'],
    ['production', 'reveal'],
  ] satisfies [string, Way][]) {
    test(`${version}: assertion, refresh token and access token from before are dead`, async (t) => {
      const { before: held } = await vouchFor(world, way);
      t.is((await world.exchange(held!.assertion)).status, 400);
      t.is((await world.refresh(held!.refresh)).status, 400);
      t.is(await world.scopeOf(held!.token, API), 'dead');
    });
  }
});

test('README promises it for exactly those versions', (t) => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').replaceAll('\n', ' ');
  t.regex(
    readme,
    /\*\*A key captured before the claim gains nothing by it\*\*, but where auth\.md 0\.1, 0\.2 or 0\.3 demands it/,
  );
});
