import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { hashSecret } from '../../src/lib/secrets.ts';
import { findLastAttempt } from '../../src/store/claim-attempts.ts';
import { findClaimByTokenHash } from '../../src/store/claims.ts';
import { type AuthMd, CLAIM_GRANT, confirm, LOOKS, openAuthMd, says, succeeded } from '../helpers/auth-md.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { codeOf, countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { assertProperty } from '../helpers/property.ts';
import { wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** `claimMode`: an operator who wants one direction only gets that one, in every answer, document and page. */

const MODES = ['both', 'reveal', 'typed'] as const;
type Mode = (typeof MODES)[number];

const TRIES = 5;
const CODE_TTL = 600;
const POLL_EVERY = 5;
const COLLECT_AGAIN = 600;

for (const mode of MODES) {
  onEveryEngine(`claimMode ${mode}`, (engine, test) => {
    let world: AuthMd;
    test.before(async () => {
      world = await openAuthMd(engine, { file: { claimMode: mode } });
    });
    test.after(() => world.stop());

    test.describe('what agents are told', (test) => {
      test('a code to show only where the human can type it', async (t) => {
        const { identity, claim, idJag, present } = world;
        const email = newMailbox();
        const assertion_type = 'verified_email';
        const { claim_token } = succeeded(await identity({ type: 'anonymous' }));
        await signIn(world.on, email);
        const blocks = [
          succeeded(await identity({ type: 'service_auth', login_hint: email })).claim,
          succeeded(await identity({ type: 'identity_assertion', assertion_type, assertion: email })).claim,
          succeeded(await claim({ claim_token, email })).claim_attempt,
          succeeded(await claim({ type: 'login_hint', claim_token, login_hint: email })).claim_attempt,
          (await present(idJag({ sub: email, email }))).body.claim,
        ];
        for (const block of blocks) {
          if (mode === 'reveal') {
            t.deepEqual(
              [block?.user_code, block?.interval, block?.expires_in],
              [undefined, undefined, undefined],
            );
          } else t.regex(block.user_code, LOOKS.digits);
        }
      });

      test('the claim grant only where it leads somewhere', async (t) => {
        const { on, identity, poll } = world;
        const { grant_types_supported } = (await on.get('/.well-known/oauth-authorization-server')).body;
        t.is(grant_types_supported.includes(CLAIM_GRANT), mode !== 'reveal');
        const { claim_token } = succeeded(await identity({ type: 'service_auth', login_hint: newMailbox() }));
        const expected = mode === 'reveal' ? '400 unsupported_grant_type' : '400 authorization_pending';
        t.is(says(await poll(claim_token)), expected);
      });

      test('that the method is off, where a code is brought or to be brought that nobody is shown', async (t) => {
        const { identity, claim, complete } = world;
        const { claim_token } = succeeded(await identity({ type: 'service_auth', login_hint: newMailbox() }));
        const [brought, read] = [{ user_code: 'BCDF-GHJK' }, { otp: '123456' }];
        const isOff = mode === 'typed';
        const early = [
          says(await complete({ claim_token, ...brought })),
          says(await complete({ claim_token, ...read })),
          says(await claim({ type: 'service_auth', claim_token, login_hint: newMailbox() })),
        ];
        const off = '403 auth_method_disabled';
        const on = ['409 claim_not_confirmed', '400 otp_not_generated/claim_not_confirmed', '200'];
        t.deepEqual(early, isOff ? [off, off, off] : on);
      });
    });

    test('the page offers that way alone', async (t) => {
      const mailbox = newMailbox();
      const { claim } = succeeded(await world.identity({ type: 'service_auth', login_hint: mailbox }));
      const human = await world.visit(claim.attempt.verification_uri, mailbox);
      for (const way of ['typed', 'reveal']) {
        const { text } = await human.get(`/claim?way=${way}`);
        const isTyped = mode === 'both' ? way === 'typed' : mode === 'typed';
        t.is(/<input class="code"/.test(text), isTyped);
        t.is(/name="way" value="reveal"/.test(text), !isTyped);
        t.is(/name="other_way"/.test(text), mode === 'both');
      }
    });

    test('v0.1 keeps its own ceremony, which has one way', async (t) => {
      const { on, mailedPage } = world;
      const mailbox = newMailbox();
      const requested_credential_type = 'api_key';
      const { claim_token } = (await on.post('/agent/auth', { type: 'anonymous', requested_credential_type }))
        .body;
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      const reader = openBrowser(on);
      await reader.get(await mailedPage(mailbox));
      const otp = await confirm(reader);
      t.is(says(await on.post('/agent/auth/claim/complete', { claim_token, otp })), '200');
    });

    test('whatever agents, humans and time do, a code counts only from its side, in its time, and once', async (t) => {
      await assertProperty(
        t,
        [fc.array(fc.constantFrom(...MOVES), { minLength: 1, maxLength: 14 })],
        async (t, moves) => {
          const play = await begin(world, mode);
          for (const move of moves) await play[move](t);
          await play.check(t);
        },
        { numRuns: 25 },
      );
    });
  });
}

const MOVES = [
  'poll',
  'bringRight',
  'bringRight',
  'bringAsOtp',
  'bringTyped',
  'bringWrong',
  'confirm',
  'confirm',
  'typeRight',
  'typeRight',
  'typeWrong',
  'typeOld',
  'askAgain',
  'deny',
  'waitShort',
  'waitLong',
] as const;

/** One claim as it should be. Times are seconds of the world's clock. */
interface Model {
  state: 'open' | 'claimed' | 'denied';
  revealed: boolean;
  approved: boolean;
  codeEndsAt: number;
  tries: number;
  typedTries: number;
  polledAt: number;
  claimedAt: number;
  byGrant: boolean;
}

/** A claim of an agent that named its mailbox, with a model beside it: each move does both, and compares what is said. */
async function begin(world: AuthMd, mode: Mode) {
  const { on, clock } = world;
  const mailbox = newMailbox();
  const registered = succeeded(await world.identity({ type: 'service_auth', login_hint: mailbox }));
  const { id, claim_token } = registered;
  const human = await world.visit(registered.claim.attempt.verification_uri, mailbox);
  await human.get('/claim/deny');
  const { csrf } = human.form('/claim/deny');
  const now = () => clock() / 1000;
  const [canReveal, canType] = [mode !== 'typed', mode !== 'reveal'];
  let toType: string | undefined = registered.claim.user_code;
  let old: string | undefined;
  const fresh = () => ({
    revealed: false,
    approved: false,
    codeEndsAt: now() + CODE_TTL,
    tries: 0,
    typedTries: 0,
    polledAt: Number.NEGATIVE_INFINITY,
  });
  const is: Model = { state: 'open', claimedAt: 0, byGrant: false, ...fresh() };

  const isDead = () => now() >= is.codeEndsAt;
  const claimNow = (byGrant: boolean): string => {
    Object.assign(is, { state: 'claimed', claimedAt: now(), byGrant });
    return '200';
  };
  const toRead = async () => (canReveal ? codeOf(on, claim_token) : 'BCDF-GHJK');

  function expectBrought(isRight: boolean): string {
    if (is.state === 'claimed') return '409 already_claimed';
    if (is.state === 'denied') return '403 claim_denied';
    if (!canReveal) return '403 auth_method_disabled';
    if (!is.revealed) return '409 claim_not_confirmed';
    if (isDead() || is.tries >= TRIES) return '410 user_code_expired';
    if (isRight) return claimNow(false);
    is.tries += 1;
    return '401 invalid_user_code';
  }
  const bring = async (t: ExecutionContext, user_code: string, isRight: boolean) => {
    const expected = expectBrought(isRight);
    t.is(says(await world.complete({ claim_token, user_code })), expected);
  };

  function expectPolled(): string {
    if (!canType) return '400 unsupported_grant_type';
    if (is.state === 'denied') return '400 access_denied';
    if (is.state === 'claimed') {
      return is.byGrant && now() - is.claimedAt <= COLLECT_AGAIN ? '200' : '400 expired_token';
    }
    if (is.approved) return claimNow(true);
    const isTypingOver = is.typedTries >= TRIES;
    const isReadingOver = !canReveal || is.tries >= TRIES;
    if (isDead() || (isTypingOver && isReadingOver)) return '400 expired_token';
    if (now() - is.polledAt < POLL_EVERY) return '400 slow_down';
    is.polledAt = now();
    return '400 authorization_pending';
  }

  /** Posts the form of the page as of the newest attempt, whatever the page would show. */
  async function submit(browser: Browser, fields: Record<string, string>): Promise<void> {
    const claim = await findClaimByTokenHash(on.service.deps.db, hashSecret(claim_token));
    const attempt = await findLastAttempt(on.service.deps.db, claim!.registrationId);
    await browser.send('/claim', {
      csrf,
      attempt: attempt!.id,
      'scope:read': 'on',
      'scope:write': 'on',
      ...fields,
    });
  }
  const type = async (code: string | undefined, isRight: boolean) => {
    await submit(human, { code: code ?? '000000' });
    if (is.state !== 'open' || !canType || is.approved || isDead() || is.typedTries >= TRIES) return;
    if (isRight) is.approved = true;
    else is.typedTries += 1;
  };

  return {
    async poll(t: ExecutionContext) {
      const expected = expectPolled();
      t.is(says(await world.poll(claim_token)), expected);
    },
    bringRight: async (t: ExecutionContext) => bring(t, await toRead(), true),
    bringTyped: async (t: ExecutionContext) => bring(t, toType ?? '000000', false),
    bringWrong: async (t: ExecutionContext) => bring(t, 'ZZZZ-ZZZZ', false),
    async bringAsOtp(t: ExecutionContext) {
      const code = await toRead();
      const expected = expectBrought(true);
      const reply = await world.complete({ claim_token, otp: code });
      t.is(reply.status, expected.startsWith('409 claim_not') ? 400 : Number(expected.slice(0, 3)));
    },
    async confirm() {
      await submit(human, { way: 'reveal' });
      if (is.state === 'open' && canReveal && !is.approved && !isDead()) is.revealed = true;
    },
    typeRight: () => type(toType, true),
    typeWrong: () => type(wrongCode(toType ?? '000000'), false),
    typeOld: () => (old === undefined || old === toType ? Promise.resolve() : type(old, false)),
    async askAgain(t: ExecutionContext) {
      const reply = await world.claim({ type: 'login_hint', claim_token, login_hint: mailbox });
      const expected = { open: '200', claimed: '409 already_claimed', denied: '403 claim_denied' }[is.state];
      t.is(says(reply), expected);
      if (is.state !== 'open') return;
      old = toType;
      toType = reply.body.claim_attempt?.user_code;
      await human.get(reply.body.attempt.verification_uri); // a new link each time
      Object.assign(is, fresh());
    },
    async deny() {
      await human.send('/claim/deny', { csrf });
      if (is.state === 'open') is.state = 'denied';
    },
    waitShort: async () => clock.advance(POLL_EVERY),
    async waitLong() {
      clock.advance(CODE_TTL / 2);
      await human.get('/account'); // or the session would end, which is another story
    },
    async check(t: ExecutionContext) {
      const events = await countOf(on, `events WHERE kind = 'claim.completed' AND subject = ?`, [id]);
      const agents = await countOf(on, 'agents WHERE registration_id = ?', [id]);
      const owned = is.state === 'claimed' ? 1 : 0;
      t.deepEqual([events, agents], [owned, owned]);
    },
  };
}
