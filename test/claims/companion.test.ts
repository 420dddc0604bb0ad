import { newMailbox } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** A thief of a claim token who shows a key of their own is found out (S-25), on every path that takes one. */
onEveryEngine('a key that comes along with a claim token', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const BODIES: [string, (token: string, mailbox: string) => object][] = [
    ['/agent/auth/claim', (claim_token, email) => ({ claim_token, email })],
    ['/agent/auth/claim/complete', (claim_token) => ({ claim_token, otp: '123456' })],
    ['/agent/identity/claim', (claim_token, email) => ({ claim_token, email })],
    [
      '/agent/identity/claim',
      (claim_token, login_hint) => ({ type: 'service_auth', claim_token, login_hint }),
    ],
    ['/agent/identity/claim', (claim_token, login_hint) => ({ type: 'login_hint', claim_token, login_hint })],
    ['/agent/identity/claim/complete', (claim_token) => ({ claim_token, otp: '123456' })],
    ['/agent/identity/claim/complete', (claim_token) => ({ claim_token, user_code: '123456' })],
  ];

  for (const [path, body] of BODIES) {
    const members = JSON.stringify(body('…', '…'));
    test(`${path} ${members}: of another agent is refused, and nothing is mailed`, async (t) => {
      const isIdentity = path.startsWith('/agent/identity');
      const victim = isIdentity
        ? (await on.post('/agent/identity', { type: 'anonymous' })).body
        : await on.register();
      const thief = await on.register();
      const mailbox = newMailbox();
      const send = (headers: Record<string, string>) =>
        on.post(path, body(victim.claim_token, mailbox), headers);
      const refused = await send({ Authorization: `Bearer ${thief.credential}` });
      t.true([400, 401, 404].includes(refused.status), refused.text);
      t.regex(refused.text, /claim_token|claim token/i);
      const unknown = await send({ Authorization: 'Bearer sk_nothing' });
      t.is(unknown.status, 401, unknown.text);
      const rows = await on.service.deps.db.all('SELECT id FROM claim_attempts WHERE mailbox = ?', [mailbox]);
      t.is(rows.length, 0);
      const alone = await send({});
      t.not(alone.text, refused.text);
    });
  }

  test('of the same agent goes through', async (t) => {
    const agent = await on.register();
    const own = { Authorization: `Bearer ${agent.credential}` };
    for (const path of ['/agent/auth/claim', '/agent/identity/claim']) {
      const reply = await on.post(path, { claim_token: agent.claim_token, email: newMailbox() }, own);
      t.is(reply.status, 200, reply.text);
    }
  });
});
