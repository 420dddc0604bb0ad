import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

/** A thief of a claim token who shows a key of their own is found out (S-25), on every path that takes one. */
onEveryEngine('a key that comes along with a claim token', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

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
    const members = Object.keys(body('', ''));
    test(`${path} ${members.join(', ')}: of another agent is refused, and nothing is mailed`, async () => {
      const isIdentity = path.startsWith('/agent/identity');
      const victim = isIdentity
        ? (await on.post('/agent/identity', { type: 'anonymous' })).body
        : await on.register();
      const thief = await on.register();
      const mailbox = newMailbox();
      const send = (headers: Record<string, string>) =>
        on.post(path, body(victim.claim_token, mailbox), headers);
      const refused = await send({ Authorization: `Bearer ${thief.credential}` });
      assert.ok([400, 401, 404].includes(refused.status), refused.text);
      assert.match(refused.text, /claim_token|claim token/i);
      const unknown = await send({ Authorization: 'Bearer sk_nothing' });
      assert.equal(unknown.status, 401, unknown.text);
      const rows = await on.service.deps.db.all('SELECT id FROM claim_attempts WHERE mailbox = ?', [mailbox]);
      assert.equal(rows.length, 0);
      const alone = await send({});
      assert.notEqual(alone.text, refused.text);
    });
  }

  test('of the same agent goes through', async () => {
    const agent = await on.register();
    const own = { Authorization: `Bearer ${agent.credential}` };
    for (const path of ['/agent/auth/claim', '/agent/identity/claim']) {
      const reply = await on.post(path, { claim_token: agent.claim_token, email: newMailbox() }, own);
      assert.equal(reply.status, 200, reply.text);
    }
  });
});
