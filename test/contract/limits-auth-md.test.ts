import type { ExecutionContext } from 'ava';
import { confirm, ID_JAG, newUser, openAuthMd, says } from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { from, said } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { assertSpent, DAY, DEFAULTS, HOUR, newAddress, steps } from '../helpers/limit-steps.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine("limits in auth.md's own versions", (engine, test) => {
  let on: TestService;
  let at: ReturnType<typeof steps>;
  test.before(async () => {
    on = await startTestService(engine, { env: DEFAULTS });
    at = steps(on);
  });
  test.after(() => on.stop());

  /** The refusal in their words, and the headers that every refusal by a budget has. */
  function assertSpentFlat(
    t: ExecutionContext,
    reply: Reply,
    name: string,
    budget: { max: number; windowSeconds: number },
  ): void {
    t.is(says(reply), '429 rate_limited/rate_limit_exceeded', reply.text);
    t.is(reply.body.retry_after, budget.windowSeconds);
    t.is(reply.headers.get('retry-after'), String(budget.windowSeconds));
    t.is(reply.headers.get('ratelimit-policy'), `"${name}";q=${budget.max};w=${budget.windowSeconds}`);
    t.is(reply.headers.get('ratelimit'), `"${name}";r=0;t=${budget.windowSeconds}`);
  }

  test('an address registers ten agents an hour in all versions together', async (t) => {
    const address = newAddress();
    const ways = {
      anonymous: ['/agent/identity', { type: 'anonymous' }],
      hinted: ['/agent/identity', { type: 'service_auth', login_hint: newMailbox() }],
      'by key': ['/agent/auth', { type: 'anonymous', requested_credential_type: 'api_key' }],
      mailed: [
        '/agent/auth',
        {
          type: 'identity_assertion',
          assertion_type: 'verified_email',
          assertion: newMailbox(),
          requested_credential_type: 'api_key',
        },
      ],
    } as const;
    let left = 10;
    for (const [path, body] of [...Object.values(ways), ...Object.values(ways)]) {
      const reply = await on.post(path, body, from(address));
      t.is(reply.status, 200, reply.text);
      left -= 1;
      t.is(reply.headers.get('ratelimit'), `"registerPerIp";r=${left};t=3600`);
    }
    for (; left > 0; left -= 1) t.is(said(await at.register(from(address))), '200');
    const budget = { max: 10, windowSeconds: HOUR };
    assertSpent(t, await at.register(from(address)), 'registerPerIp', budget);
    const { anonymous, hinted, ...older } = ways;
    for (const [path, body] of [anonymous, hinted]) {
      assertSpentFlat(t, await on.post(path, body, from(address)), 'registerPerIp', budget);
    }
    // Before its body is read nobody knows of which version it is: it is refused in the way of the row.
    for (const [path, body] of Object.values(older)) {
      assertSpent(t, await on.post(path, body, from(address)), 'registerPerIp', budget);
    }
  });

  test('a claim that is not mailed costs its address and its agent, and no mailbox', async (t) => {
    const address = newAddress();
    const mailbox = newMailbox();
    const { claim_token } = (await on.post('/agent/identity', { type: 'anonymous' }, from(newAddress())))
      .body;
    const ask = (login_hint: string) =>
      on.post('/agent/identity/claim', { type: 'service_auth', claim_token, login_hint }, from(address));
    for (let count = 0; count < 3; count += 1) t.is((await ask(mailbox)).status, 200);
    const fourth = await ask(mailbox);
    t.is(says(fourth), '429 too_many_attempts', 'a claim has three codes, whoever brings them');
    t.is(fourth.body.retry_after, DAY);
    t.is(await at.used(`claimMailPerIp:${address}`), 3);
    t.is(await at.used(`codesPerMailboxHour:${mailbox}`), 0);
    t.is(on.mails.filter(({ to }) => to === mailbox).length, 0);
  });

  test('wrong codes count on the budgets of the mailbox and the address, whichever version brings them', async (t) => {
    const address = newAddress();
    const mailbox = newMailbox();
    await at.wrongTimes(5, await at.pending(mailbox), address);
    /** An agent whose human has confirmed, and reads it this code. */
    const shown = async () => {
      const register = { type: 'service_auth', login_hint: mailbox };
      const { claim_token, claim } = (await on.post('/agent/identity', register, from(newAddress()))).body;
      const human = openBrowser(on);
      await human.get(claim.attempt.verification_uri);
      await signIn(on, mailbox, { browser: human });
      return { claim_token, user_code: await confirm(human) };
    };
    const bring = (codes: object, sender: string) =>
      on.post('/agent/identity/claim/complete', codes, from(sender));
    const [first, second] = [await shown(), await shown()];
    for (let left = 4; left >= 0; left -= 1) {
      const wrong = await bring({ ...first, user_code: 'BBBB-BBBB' }, address);
      t.is(says(wrong), '401 invalid_user_code');
      t.is(wrong.body.attempts_remaining, left);
    }
    t.is(says(await bring(first, address)), '410 user_code_expired');
    t.is(await at.used(`wrongPerMailboxDay:${mailbox}`), 10);
    t.is(await at.used(`wrongPerIpHour:${address}`), 10);
    const refused = await bring(second, newAddress());
    t.is(says(refused), '429 rate_limit_exceeded', refused.text);
    t.is(refused.headers.get('ratelimit-policy'), '"wrongPerMailboxDay";q=10;w=86400');
  });

  test('a provider presents so many assertions; others are not touched, and what was refused can be presented later', async (t) => {
    const world = await openAuthMd(engine, { limits: { assertionsPerIssuer: '2/m' } });
    t.teardown(() => world.stop());
    const policy = { max: 2, windowSeconds: 60 };
    for (let count = 0; count < 2; count += 1) {
      t.is((await world.present(world.idJag(newUser()))).status, 200);
    }
    const late = world.idJag(newUser());
    assertSpentFlat(t, await world.present(late), 'assertionsPerIssuer', policy);
    const v01 = { type: 'identity_assertion', assertion_type: ID_JAG, requested_credential_type: 'api_key' };
    const byKey = await world.on.post('/agent/auth', { ...v01, assertion: world.idJag(newUser()) });
    assertSpentFlat(t, byKey, 'assertionsPerIssuer', policy);
    t.is((await world.present(world.otherIdJag(newUser()))).status, 200);
    // What is not good is refused for that, and costs nothing.
    const bad = world.otherIdJag(newUser(), { aud: 'https://elsewhere.example' });
    for (let count = 0; count < 4; count += 1) {
      t.is(says(await world.present(bad)), '400 invalid_audience');
    }
    t.is((await world.present(world.otherIdJag(newUser()))).status, 200);
    world.clock.advance(60);
    t.is((await world.present(late)).status, 200);
  });
});
