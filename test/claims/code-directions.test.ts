import type { ExecutionContext } from 'ava';
import { deriveClaimCode, deriveTypedCode } from '../../src/domain/codes/one-time-codes.ts';
import {
  type AuthMd,
  confirm,
  LOOKS,
  openAuthMd,
  says,
  shownCode,
  succeeded,
  typeCode,
} from '../helpers/auth-md.ts';
import { vouchFor } from '../helpers/auth-md-agents.ts';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { codeOf, countOf } from '../helpers/ceremony.ts';
import { APPROVED, CODE_OVER, DENIED, heading, REPLACED, WAITING } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { setUpApp, signIn } from '../helpers/human.ts';
import { wrongCode } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/**
 * The codes of an attempt go one way each (docs/dialects.md): the one that the agent was told counts only when its human types
 * it, and the one that the page shows to the human counts only when the agent brings it.
 */

onEveryEngine('the directions of codes', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  const complete = (claim_token: string, user_code: string) => world.complete({ claim_token, user_code });
  const completeOld = (claim_token: string, otp: string) => world.complete({ claim_token, otp });

  /** An agent, its human at the page, and both codes; the one to be read out is in six digits where mail goes out. */
  async function asked(input: { mailbox?: string; isMailed?: boolean } = {}) {
    const { mailbox = newMailbox(), isMailed = false } = input;
    const body = isMailed
      ? { type: 'identity_assertion', assertion_type: 'verified_email', assertion: mailbox }
      : { type: 'service_auth', login_hint: mailbox };
    const { id, claim_token, claim } = succeeded(await world.identity(body));
    const human = await world.visit(claim.verification_uri, mailbox);
    const toRead = await codeOf(world.on, claim_token);
    return {
      id,
      claim_token,
      mailbox,
      human,
      toType: claim.user_code as string,
      toRead,
      uri: claim.verification_uri,
    };
  }
  type Asked = Awaited<ReturnType<typeof asked>>;

  /** Posts the page's form as it is, whatever the page shows. */
  const post = ({ human }: Pick<Asked, 'human'>, fields: Record<string, string | undefined>) =>
    human.send('/claim', { ...human.form('/claim'), ...fields });

  /** What the tries of an attempt have come to: at the code to read, at the code to type. */
  async function triesAt({ id }: Asked): Promise<unknown[]> {
    const row = await world.on.service.deps.db.get<{ tries: number; typedTries: number }>(
      'SELECT tries, typed_tries AS "typedTries" FROM claim_attempts WHERE registration_id = ? AND ended_at IS NULL',
      [id],
    );
    return [row?.tries, row?.typedTries];
  }

  async function assertNothingHappened(t: ExecutionContext, { id, claim_token }: Asked): Promise<void> {
    t.is(await countOf(world.on, `events WHERE kind = 'claim.completed' AND subject = ?`, [id]), 0);
    t.is(says(await world.poll(claim_token)), '400 authorization_pending');
  }

  test.describe('from the wrong side no code counts', (test) => {
    for (const isMailed of [false, true]) {
      const kind = isMailed ? 'six digits' : 'eight letters';
      test(`the code to type, brought by the agent, where the other is of ${kind}`, async (t) => {
        const agent = await asked({ isMailed });
        t.not(agent.toType, agent.toRead);
        t.is(says(await complete(agent.claim_token, agent.toType)), '409 claim_not_confirmed');
        const early = await completeOld(agent.claim_token, agent.toType);
        t.is(says(early), '400 otp_not_generated/claim_not_confirmed');
        t.is(await confirm(agent.human), agent.toRead);
        t.is(says(await complete(agent.claim_token, agent.toType)), '401 invalid_user_code');
        const late = await completeOld(agent.claim_token, agent.toType);
        t.is(says(late), '401 otp_invalid/invalid_user_code');
        t.deepEqual(await triesAt(agent), [2, 0]);
        await assertNothingHappened(t, agent);
        t.is(says(await complete(agent.claim_token, agent.toRead)), '200');
      });

      test(`the code to read, typed on the page, where it is of ${kind}`, async (t) => {
        const agent = await asked({ isMailed });
        await confirm(agent.human);
        await agent.human.get('/claim?way=typed');
        const page = await post(agent, { code: agent.toRead, way: undefined });
        t.is(page.status, 400);
        t.deepEqual(await triesAt(agent), [0, isMailed ? 1 : 0]);
        await assertNothingHappened(t, agent);
      });
    }

    test('the right code to read, before the human has confirmed', async (t) => {
      const agent = await asked();
      t.is(says(await complete(agent.claim_token, agent.toRead)), '409 claim_not_confirmed');
      const old = await completeOld(agent.claim_token, agent.toRead);
      t.is(says(old), '400 otp_not_generated/claim_not_confirmed');
      t.deepEqual(await triesAt(agent), [0, 0]);
      await assertNothingHappened(t, agent);
    });

    test('the right code to type, brought as the browser would bring it, but without a browser', async (t) => {
      const agent = await asked();
      const { attempt } = agent.human.form('/claim');
      const bodies = [
        { claim_attempt_token: attempt, user_code: agent.toType },
        { attempt, code: agent.toType },
        { claim_attempt_token: new URL(agent.uri).searchParams.get('t'), user_code: agent.toType },
      ];
      for (const body of bodies) t.is((await world.complete(body)).status, 400);
      t.is((await world.on.form('/claim', { attempt: attempt!, code: agent.toType })).status, 403);
      t.deepEqual(await triesAt(agent), [0, 0]);
      await assertNothingHappened(t, agent);
    });

    test('codes of another attempt: an older one of the agent, and one of another agent at the same mailbox', async (t) => {
      const agent = await asked();
      const other = await asked({ mailbox: agent.mailbox });
      const again = succeeded(await world.claim({ claim_token: agent.claim_token, email: agent.mailbox }));
      await agent.human.get(again.claim_attempt.verification_uri);
      for (const code of [agent.toType, other.toType]) {
        t.is(heading(await typeCode(agent.human, code)), WAITING);
      }
      const toRead = await confirm(agent.human);
      for (const code of [agent.toRead, other.toRead, other.toType]) {
        t.is(says(await complete(agent.claim_token, code)), '401 invalid_user_code');
      }
      await assertNothingHappened(t, other);
      t.is(says(await complete(agent.claim_token, toRead)), '200');
      t.not(again.claim_attempt.user_code, agent.toType);
    });

    test('a form of an older attempt, whatever code comes with it', async (t) => {
      const agent = await asked();
      const form = agent.human.form('/claim');
      const again = succeeded(await world.claim({ claim_token: agent.claim_token, email: agent.mailbox }));
      for (const fields of [
        { code: agent.toType },
        { code: again.claim_attempt.user_code },
        { way: 'reveal' },
      ]) {
        const page = await agent.human.send('/claim', { ...form, ...fields });
        t.is(page.status, 400);
        t.is(shownCode(page), undefined);
      }
      await assertNothingHappened(t, agent);
    });
  });

  test.describe('from whom a code counts', (test) => {
    /** Both ways to agree, sent from where they must come to nothing. */
    async function assertRefused(
      t: ExecutionContext,
      agent: Asked,
      from: Browser,
      status: number,
      page: string,
    ): Promise<void> {
      const { attempt } = agent.human.form('/claim');
      await from.get(page);
      const { csrf } = from.form(page === '/account' ? '/sign-out' : page);
      for (const fields of [{ code: agent.toType }, { way: 'reveal' }]) {
        const refused = await from.send('/claim', { csrf, attempt, 'scope:read': 'on', ...fields });
        t.is(refused.status, status, refused.text);
        t.is(shownCode(refused), undefined);
      }
      t.deepEqual(await triesAt(agent), [0, 0]);
      await assertNothingHappened(t, agent);
    }

    test('not of somebody who is not signed in and has the link from the agent', async (t) => {
      const agent = await asked();
      const nobody = openBrowser(world.on);
      const page = await nobody.get(agent.uri);
      t.is(page.status, 200);
      t.regex(page.text, /href="\/sign-in\?next=\/claim"/);
      t.notRegex(page.text, /<form method="post" action="\/claim"/);
      await assertRefused(t, agent, nobody, 401, '/claim/deny');
    });

    test('not of somebody who is signed in with another mailbox, and they are not told the right one', async (t) => {
      const agent = await asked();
      const stranger = openBrowser(world.on);
      await signIn(world.on, newMailbox('stranger'), { browser: stranger });
      const page = await stranger.get(agent.uri);
      t.is(page.status, 403);
      t.false(page.text.includes(agent.mailbox), page.text);
      await assertRefused(t, agent, stranger, 403, '/account');
    });

    test('not of somebody who has the mail, where the account has an app for a second factor', async (t) => {
      const { on, mailedPage } = world;
      const agent = await asked({ isMailed: true });
      await setUpApp(on, agent.human);
      await agent.human.get('/claim');
      const reader = openBrowser(on);
      await reader.get(await mailedPage(agent.mailbox));
      await assertRefused(t, agent, reader, 401, '/claim');
      await typeCode(agent.human, agent.toType);
      t.is(says(await world.poll(agent.claim_token)), '200');
    });

    test('of whoever has the mail, without signing in, but for its own attempt alone', async (t) => {
      const { on, mailedPage, claim } = world;
      const agent = await asked({ isMailed: true });
      const reader = openBrowser(on);
      await reader.get(await mailedPage(agent.mailbox));
      t.is(await confirm(reader), agent.toRead);
      // A new attempt at another mailbox: the mail of the first one opens nothing of it.
      const other = newMailbox();
      const again = succeeded(await claim({ claim_token: agent.claim_token, email: other }));
      const toRead = await codeOf(on, agent.claim_token);
      const stale = await reader.get('/claim');
      t.is(heading(stale), REPLACED);
      t.true(!stale.text.includes(toRead) && !stale.text.includes(agent.toRead), stale.text);
      t.is(says(await complete(agent.claim_token, agent.toRead)), '409 claim_not_confirmed');
      t.is((await agent.human.get(agent.uri)).status, 410);
      t.is((await agent.human.get(again.claim_attempt.verification_uri)).status, 403);
    });
  });

  test.describe('the page', (test) => {
    const canType = ({ text }: Page) => /<input class="code"[^>]* name="code"/.test(text);
    const canReveal = ({ text }: Page) => /<button [^>]*name="way" value="reveal"/.test(text);

    test('leads the way that suits the agent: to the code where it never asks, to the field where it polls', async (t) => {
      const agent = await asked();
      const silent = await agent.human.get('/claim');
      t.deepEqual([canReveal(silent), canType(silent)], [true, false]);
      const other = await agent.human.get('/claim?way=typed');
      t.deepEqual([canReveal(other), canType(other)], [false, true]);

      const polling = await asked();
      await world.poll(polling.claim_token);
      const first = await polling.human.get('/claim');
      t.deepEqual([canReveal(first), canType(first)], [false, true]);
      const second = await polling.human.get('/claim?way=reveal');
      t.deepEqual([canReveal(second), canType(second)], [true, false]);
    });

    test('shows no code before a button is pressed, and from then on to its human alone', async (t) => {
      const agent = await asked();
      for (const path of ['/claim', '/claim?way=reveal', '/claim?way=typed', agent.uri]) {
        const page = await agent.human.get(path);
        t.true(!page.text.includes(agent.toRead) && !page.text.includes(agent.toType), path);
      }
      t.is(says(await complete(agent.claim_token, agent.toRead)), '409 claim_not_confirmed');
      await confirm(agent.human);
      t.is(shownCode(await agent.human.get('/claim')), agent.toRead);
      const elsewhere = openBrowser(world.on);
      const page = await elsewhere.get(agent.uri);
      t.is(shownCode(page), undefined);
      t.false(page.text.includes(agent.toRead));
    });

    test('says how far it is, and shows the code no longer than it is of use', async (t) => {
      const { on } = world;
      const agent = await asked();
      t.is(heading(await agent.human.get('/claim')), WAITING);
      await confirm(agent.human);
      on.clock.advance(600);
      const over = await agent.human.get('/claim');
      t.is(heading(over), CODE_OVER);
      t.is(shownCode(over), undefined);

      const typed = await asked();
      await confirm(typed.human);
      await typed.human.get('/claim?way=typed');
      await post(typed, { code: typed.toType, way: undefined });
      t.is(heading(await typed.human.get('/claim')), APPROVED);

      const done = await vouchFor(world, 'reveal');
      const claimed = await done.human.get('/claim');
      t.is(heading(claimed), APPROVED);
      t.regex(claimed.text, /The agent has its key/);
      t.is(shownCode(claimed), undefined);
    });

    test('pressing twice, and opening it again, is as pressing once', async (t) => {
      const agent = await asked();
      const first = await confirm(agent.human);
      const twice = await post(agent, { way: 'reveal' });
      t.is(shownCode(twice), first);
      const typed = await asked();
      await typeCode(typed.human, typed.toType);
      await typed.human.get('/claim/deny');
      const { csrf } = typed.human.form('/claim/deny');
      const attempt = await world.on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM claim_attempts WHERE registration_id = ?',
        [typed.id],
      );
      const again = await typed.human.send('/claim', {
        csrf,
        attempt: attempt!.id,
        code: wrongCode(typed.toType),
      });
      t.is(heading(again), APPROVED);
      t.is(says(await world.poll(typed.claim_token)), '200');
    });

    test('five wrong codes typed leave the other way, and five wrong ones brought leave the field', async (t) => {
      const agent = await asked();
      for (let tries = 0; tries < 5; tries += 1) await typeCode(agent.human, wrongCode(agent.toType));
      const page = await agent.human.get('/claim');
      t.deepEqual([canReveal(page), canType(page)], [true, false]);
      t.notRegex(page.text, /name="other_way"/);
      t.is(says(await complete(agent.claim_token, await confirm(agent.human))), '200');

      const other = await asked();
      await confirm(other.human);
      for (let tries = 0; tries < 5; tries += 1) await complete(other.claim_token, 'BCDF-GHJK');
      t.is(shownCode(await other.human.get('/claim')), undefined);
      await typeCode(other.human, other.toType);
      t.is(says(await world.poll(other.claim_token)), '200');
    });

    test('tells who vouches for their first agent, and not who has one already', async (t) => {
      const mailbox = newMailbox();
      const advice = /first agent you approve here/;
      const first = await asked({ mailbox });
      t.regex((await first.human.get('/claim')).text, advice);
      await typeCode(first.human, first.toType);
      succeeded(await world.poll(first.claim_token));
      const second = await asked({ mailbox });
      t.notRegex((await second.human.get('/claim')).text, advice);
    });

    test('a no ends both ways, whichever the human had begun', async (t) => {
      const begun: ((agent: Asked) => Promise<unknown>)[] = [
        async () => {},
        ({ human }) => confirm(human),
        ({ human, toType }) => typeCode(human, toType),
      ];
      for (const begin of begun) {
        const agent = await asked();
        await begin(agent);
        await agent.human.get('/claim/deny');
        t.is(heading(await agent.human.post('/claim/deny')), DENIED);
        t.is(says(await world.poll(agent.claim_token)), '400 access_denied');
        t.is(says(await complete(agent.claim_token, agent.toRead)), '403 claim_denied');
        const old = await completeOld(agent.claim_token, agent.toRead);
        t.is(says(old), '403 access_denied/claim_denied');
        t.is(shownCode(await agent.human.get('/claim')), undefined);
      }
    });
  });
});

test('the two codes of an attempt are never the same, even where chance would have it so', (t) => {
  const keyring = { derive: () => Buffer.alloc(32, 7) } as never;
  const attempt = {
    id: 'cla_1',
    registrationId: 'reg_1',
    mailbox: 'human@example.com',
    mode: 'merge',
    secretId: 'one',
    counter: 1,
    reveal: 'digits',
    typed: 1,
  } as const;
  const [toRead, toType] = [deriveClaimCode({ keyring }, attempt), deriveTypedCode({ keyring }, attempt)];
  t.regex(toRead!, LOOKS.digits);
  t.regex(toType!, LOOKS.digits);
  t.not(toRead, toType);
  t.is(deriveClaimCode({ keyring }, { ...attempt, typed: 0 }), toType);
});
