import { openBrowser } from '../helpers/browser.ts';
import { APPROVED, heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('confirming a merge (CLAIM_EXISTING_ACCOUNT=confirm)', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, { env: { CLAIM_EXISTING_ACCOUNT: 'confirm' } });
  });
  test.after(() => on.stop());

  async function ask(mailbox: string, link = false) {
    const agent = await on.register();
    const { claim_token } = agent;
    const earlier = on.mails.filter(({ to }) => to === mailbox).length;
    const reply = await on.post('/agent/auth/claim', { claim_token, email: mailbox, link });
    const code = await on.codeFor(mailbox, earlier);
    return { ...agent, code, url: reply.body.data.verification_uri as string };
  }
  const collect = (claim_token: string, otp?: string) =>
    on.post('/agent/auth/claim/complete', { claim_token, otp });

  test('merging into an account needs its owner signed in; then the agent gets its key', async (t) => {
    const mailbox = newMailbox();
    await signIn(on, mailbox);
    const asked = await ask(mailbox);
    const refused = await collect(asked.claim_token, asked.code);
    t.is(refused.status, 401);
    t.is(refused.body.error.code, 'interaction_required');
    t.is(refused.body.error.verification_uri, asked.url);

    const human = openBrowser(on);
    const page = await human.get(asked.url);
    t.regex(page.text, /href="\/sign-in\?next=\/claim"/);
    const { csrf } = await human.get('/claim/deny').then(() => human.form('/claim/deny'));
    const attempt = (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM claim_attempts WHERE mailbox = ?',
      [mailbox],
    ))!.id;
    const early = await human.send('/claim', { csrf, attempt, code: asked.code });
    t.is(early.status, 401);

    await signIn(on, mailbox, { browser: human, next: '/claim' });
    await human.get('/claim');
    const done = await human.post('/claim', { code: asked.code });
    t.is(heading(done), APPROVED);
    const collected = await collect(asked.claim_token);
    t.is(collected.status, 200, collected.text);
    t.is(collected.body.data.mode, 'merge');
  });

  test('signed in as somebody else one neither sees nor approves it (S-76)', async (t) => {
    const [mailbox, other] = [newMailbox(), newMailbox()];
    const asked = await ask(mailbox);
    const stranger = openBrowser(on);
    await stranger.get(asked.url);
    await signIn(on, other, { browser: stranger });
    const page = await stranger.get('/claim');
    t.is(page.status, 403);
    t.is(heading(page), 'This request is for another account');
    t.false(page.text.includes(mailbox));
    t.true(page.text.includes(`It was sent to h***@example.com. You’re signed in as ${other}.`), page.text);
    t.truthy(stranger.form('/sign-out').csrf);
    const attempt = (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM claim_attempts WHERE mailbox = ?',
      [mailbox],
    ))!.id;
    await stranger.get('/account');
    const { csrf } = stranger.form('/sign-out');
    const posted = await stranger.send('/claim', { csrf, attempt, code: asked.code });
    t.is(posted.status, 403);
    t.is((await collect(asked.claim_token)).body.error.code, 'authorization_pending');
  });

  test('linking needs no more than the code', async (t) => {
    const mailbox = newMailbox();
    await signIn(on, mailbox);
    const asked = await ask(mailbox, true);
    t.is((await collect(asked.claim_token, asked.code)).status, 200);
  });
});
