import { badInputOf, routesOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { type BodyRow, encode, unknownClaimToken } from '../helpers/valid-bodies.ts';
import { assertFailureShape, MARK } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: fields', (engine, test) => {
  let on: TestService;
  let rows: BodyRow[];
  test.before(async () => {
    on = await startTestService(engine);
    ({ rows } = routesOf(on));
  });
  test.after(() => on.stop());

  const { refused, assertPlain, post } = badInputOf(() => on);

  test('the valid bodies of this test are valid', async (t) => {
    for (const row of rows) {
      const reply = await post(row, encode(row));
      assertPlain(t, row, reply);
      if (reply.status >= 400) assertFailureShape(t, on, reply, row.dialect, row.line);
    }
  });

  test.describe('fields', (test) => {
    test('a missing, mistyped, wrong or too long member is 400 and named by `field`', async (t) => {
      const assertion = { type: 'verified_email', email: 'human@example.com' };
      const identity = { type: 'identity_assertion', assertions: [assertion] };
      const long = MARK.repeat(400);
      const cases: [path: string, body: Record<string, unknown>, field: string][] = [
        ['/agent/auth', {}, 'type'],
        ['/agent/auth', { type: MARK }, 'type'],
        ['/agent/auth', { type: ['anonymous'] }, 'type'],
        ['/agent/auth', { type: 'anonymous', agent_name: 1 }, 'agent_name'],
        ['/agent/auth', { type: 'anonymous', agent_name: null }, 'agent_name'],
        ['/agent/auth', { type: 'anonymous', agent_name: MARK.repeat(9) }, 'agent_name'],
        ['/agent/auth', { type: 'anonymous', agent_name: long }, 'agent_name'],
        ['/agent/auth', { type: 'identity_assertion' }, 'assertions'],
        ['/agent/auth', { ...identity, assertions: assertion }, 'assertions'],
        ['/agent/auth', { ...identity, assertions: [assertion, assertion] }, 'assertions'],
        ['/agent/auth', { ...identity, assertions: [{ ...assertion, type: MARK }] }, 'assertions.0.type'],
        ['/agent/auth', { ...identity, assertions: [{ type: 'verified_email' }] }, 'assertions.0.email'],
        ['/agent/auth', { ...identity, link: 'yes' }, 'link'],
        ['/agent/auth/claim', { email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: '', email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: 1, email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: MARK.repeat(20), email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: unknownClaimToken }, 'email'],
        ['/agent/auth/claim', { claim_token: unknownClaimToken, email: ['human@example.com'] }, 'email'],
        [
          '/agent/auth/claim',
          { claim_token: unknownClaimToken, email: `${MARK.repeat(40)}@example.com` },
          'email',
        ],
        ['/agent/auth/claim', { claim_token: unknownClaimToken, email: `${long}@example.com` }, 'email'],
        [
          '/agent/auth/claim',
          { claim_token: unknownClaimToken, email: 'human@example.com', link: 1 },
          'link',
        ],
        ['/agent/auth/claim/complete', { otp: '123456' }, 'claim_token'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: null }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: 123456 }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '12345' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '1234567' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '12345a' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '123.456' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '１２３４５' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: ['123456'] }, 'otp'],
        ['/api/tokens', { scope: 'read' }, 'name'],
        ['/api/tokens', { name: '', scope: 'read' }, 'name'],
        ['/api/tokens', { name: MARK.repeat(9), scope: 'read' }, 'name'],
        ['/api/tokens', { name: 'x' }, 'scope'],
        ['/api/tokens', { name: 'x', scope: '' }, 'scope'],
        ['/api/tokens', { name: 'x', scope: ['read'] }, 'scope'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: '60' }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: 0 }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: 1.5 }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: 1e12 }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', resources: [] }, 'resources'],
        ['/api/tokens', { name: 'x', scope: 'read', resources: 'https://a.example' }, 'resources'],
        ['/api/tokens', { name: 'x', scope: 'read', resources: [1] }, 'resources.0'],
      ];
      for (const [path, body, field] of cases) {
        const about = `${path} ${JSON.stringify(body).slice(0, 120)}`;
        const reply = await on.post(path, body);
        refused(t, reply, 'tinysend', 400, 'invalid_request', about);
        t.is(reply.body.error.field, field, about);
      }
    });
  });
});
