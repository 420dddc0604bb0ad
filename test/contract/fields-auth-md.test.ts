import { ID_JAG, JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { badInputOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import {
  type Members,
  mailbox,
  stranger,
  unknownClaimToken,
  unknownOwnClaimToken,
  unknownRefreshToken,
} from '../helpers/valid-bodies.ts';
import { type DialectName, MARK } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: fields of auth.md versions', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const { refused, badRequest } = badInputOf(() => on);

  test.describe('fields of auth.md versions', (test) => {
    test("the same in the bodies of auth.md's own versions, whose answers are flat", async (t) => {
      const production = (path: string, body: Members) =>
        path.startsWith('/agent/identity') && speaksProduction(body);
      const speaksProduction = ({ type, user_code, assertion }: Members) =>
        type === 'refresh' ||
        user_code !== undefined ||
        (typeof type === 'string' && assertion === undefined);
      const v01 = { type: 'anonymous', requested_credential_type: 'api_key' };
      const word = {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: stranger('oauth-id-jag+jwt'),
      };
      const word01 = { ...word, requested_credential_type: 'api_key' };
      const { requested_credential_type: _, ...untyped } = word01;
      const claim_token = unknownOwnClaimToken;
      const long = MARK.repeat(1025); // 8,200 characters
      const codes = [
        '',
        null,
        123456,
        ['123456'],
        '12345',
        '1234567',
        '12345a',
        'BCDF-GHJ',
        'BCDF-GHJK-L',
        '１２３４５',
        '12.34\u00a056',
        '.123456',
        `${MARK}1`,
      ];
      const cases: [path: string, body: Members, field: string][] = [
        ['/agent/auth', { requested_credential_type: 'api_key' }, 'type'],
        ['/agent/auth', { ...v01, type: MARK }, 'type'],
        ['/agent/auth', { ...v01, type: ['anonymous'] }, 'type'],
        ['/agent/auth', { ...v01, type: 'refresh' }, 'type'],
        ['/agent/auth', { ...v01, requested_credential_type: MARK }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, requested_credential_type: 'access_token' }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, requested_credential_type: ['api_key'] }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, requested_credential_type: false }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, agent_name: 1 }, 'agent_name'],
        ['/agent/auth', { ...v01, agent_name: MARK.repeat(9) }, 'agent_name'],
        ['/agent/auth', untyped, 'requested_credential_type'],
        ['/agent/auth', { ...word01, assertion_type: MARK }, 'assertion_type'],
        ['/agent/auth', { ...word01, assertion_type: undefined }, 'assertion_type'],
        ['/agent/auth', { ...word01, assertion_type: [ID_JAG] }, 'assertion_type'],
        ['/agent/auth', { ...word01, assertion: undefined }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: '' }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: null }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: [word.assertion] }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: long }, 'assertion'],
        ['/agent/auth/claim', { claim_token }, 'email'],
        ['/agent/auth/claim', { claim_token, email: null }, 'email'],
        ['/agent/auth/claim', { claim_token, email: 1 }, 'email'],
        ['/agent/auth/claim', { claim_token, email: `${MARK.repeat(40)}@example.com` }, 'email'],
        ['/agent/auth/claim', { claim_token: `clm_${MARK.repeat(20)}`, email: mailbox }, 'claim_token'],
        ['/agent/auth/claim/complete', { claim_token }, 'otp'],
        [
          '/agent/auth/claim/complete',
          { claim_token: `clm_${MARK.repeat(20)}`, otp: '123456' },
          'claim_token',
        ],
        ...codes.map((otp): [string, Members, string] => [
          '/agent/auth/claim/complete',
          { claim_token, otp },
          'otp',
        ]),
        ['/agent/identity', {}, 'type'],
        ['/agent/identity', { type: ['anonymous'], assertion: '' }, 'type'],
        ['/agent/identity', { type: 'agent', assertion: MARK }, 'type'],
        ['/agent/identity', { type: 'anonymous', agent_name: 1, assertion: '' }, 'agent_name'],
        ['/agent/identity', { type: 'anonymous', agent_name: MARK.repeat(9), assertion: '' }, 'agent_name'],
        ['/agent/identity', { type: 'service_auth', assertion: '' }, 'login_hint'],
        [
          '/agent/identity',
          { type: 'service_auth', login_hint: null, email: null, assertion: '' },
          'login_hint',
        ],
        ['/agent/identity', { type: 'service_auth', login_hint: 1, assertion: '' }, 'login_hint'],
        ['/agent/identity', { type: 'service_auth', email: ['x'], assertion: '' }, 'email'],
        [
          '/agent/identity',
          { type: 'service_auth', login_hint: `${MARK.repeat(40)}@example.com`, assertion: '' },
          'login_hint',
        ],
        ['/agent/identity', { ...word, assertion_type: undefined }, 'assertion_type'],
        ['/agent/identity', { ...word, assertion_type: MARK }, 'assertion_type'],
        ['/agent/identity', { ...word, assertion: '' }, 'assertion'],
        ['/agent/identity', { ...word, assertion: {} }, 'assertion'],
        ['/agent/identity', { ...word, assertion: long }, 'assertion'],
        ['/agent/identity', { type: 'refresh' }, 'refresh_token'],
        ['/agent/identity', { type: 'refresh', refresh_token: '' }, 'refresh_token'],
        ['/agent/identity', { type: 'refresh', refresh_token: null }, 'refresh_token'],
        [
          '/agent/identity',
          { type: 'refresh', refresh_token: { value: unknownRefreshToken } },
          'refresh_token',
        ],
        ['/agent/identity', { type: 'refresh', refresh_token: MARK.repeat(20) }, 'refresh_token'],
        ['/agent/identity/claim', { email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token: '', email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token: 1, email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token: MARK.repeat(20), email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token }, 'login_hint'],
        ['/agent/identity/claim', { claim_token, email: null }, 'login_hint'],
        ['/agent/identity/claim', { claim_token, email: 1 }, 'email'],
        ['/agent/identity/claim', { type: 'service_auth', login_hint: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { type: 'service_auth', claim_token }, 'login_hint'],
        ['/agent/identity/claim', { type: 'service_auth', claim_token, login_hint: 1 }, 'login_hint'],
        ['/agent/identity/claim', { type: MARK.repeat(9), claim_token, login_hint: mailbox }, 'type'],
        ['/agent/identity/claim', { ...word, claim_token: undefined }, 'claim_token'],
        ['/agent/identity/claim', { ...word, claim_token, assertion: '' }, 'assertion'],
        ['/agent/identity/claim', { ...word, claim_token, assertion: long }, 'assertion'],
        ['/agent/identity/claim/complete', {}, 'claim_token'],
        ['/agent/identity/claim/complete', { claim_token }, 'otp'],
        ['/agent/identity/claim/complete', { otp: '123456' }, 'claim_token'],
        ['/agent/identity/claim/complete', { user_code: 'BCDF-GHJK' }, 'claim_token'],
        ...codes.map((otp): [string, Members, string] => [
          '/agent/identity/claim/complete',
          { claim_token, otp },
          'otp',
        ]),
        ...codes
          .filter((code) => code !== null)
          .map((user_code): [string, Members, string] => [
            '/agent/identity/claim/complete',
            { claim_token, user_code },
            'user_code',
          ]),
      ];
      for (const [path, body, field] of cases) {
        const about = `${path} ${JSON.stringify(body).slice(0, 120)}`;
        const reply = await on.post(path, body);
        badRequest(t, reply, production(path, body) ? 'auth.md production' : 'auth.md', about);
        t.is(reply.body.field, field, about);
      }
    });

    test('a body that several versions could have sent is of one of them, and is answered as that one answers', async (t) => {
      const claim_token = unknownOwnClaimToken;
      const codes = { otp: '123456', user_code: 'BCDF-GHJK' };
      const native = { claim_token: unknownClaimToken };
      const production = 'auth.md production';
      const spoken: [path: string, body: Members, dialect: DialectName, status: number, code: string][] = [
        ['/agent/identity/claim/complete', { claim_token, ...codes }, production, 400, 'invalid_claim'],
        [
          '/agent/identity/claim',
          { claim_token, type: 'refresh', email: mailbox },
          production,
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/auth/claim',
          { claim_token, email: mailbox, link: true },
          'tinysend',
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/auth/claim',
          { ...native, email: mailbox, type: 'x' },
          'tinysend',
          401,
          'invalid_claim_token',
        ],
        ['/agent/auth/claim/complete', { ...native, ...codes }, 'tinysend', 401, 'invalid_claim_token'],
      ];
      for (const [path, body, dialect, status, code] of spoken) {
        refused(t, await on.post(path, body), dialect, status, code, `${path} ${JSON.stringify(body)}`);
      }
      const assertions = [{ type: 'verified_email', email: mailbox }];
      const mixed = { type: 'identity_assertion', assertions, requested_credential_type: 'api_key' };
      const mailed = on.mails.length;
      badRequest(t, await on.post('/agent/auth', mixed), 'auth.md', 'assertions and a type of credential');
      t.is(on.mails.length, mailed);
    });

    test('null is as good as nothing, where a version has optional members', async (t) => {
      const nobody = { agent_name: null, login_hint: null, email: null };
      const accepted: [path: string, body: Members][] = [
        ['/agent/auth', { type: 'anonymous', requested_credential_type: null, assertion_type: null }],
        [
          '/agent/auth',
          { type: 'anonymous', requested_credential_type: 'api_key', agent_name: null, assertion: null },
        ],
        ['/agent/identity', { type: 'anonymous', ...nobody, assertion: null, refresh_token: null }],
        ['/agent/identity', { type: 'service_auth', ...nobody, login_hint: mailbox }],
        ['/agent/identity', { type: 'service_auth', ...nobody, email: mailbox }],
      ];
      for (const [path, body] of accepted) {
        const reply = await on.post(path, body);
        t.is(reply.status, 200, `${path} ${JSON.stringify(body)}: ${reply.text}`);
      }
      const claim_token = unknownOwnClaimToken;
      const otherwise: [path: string, body: Members, status: number, code: string][] = [
        [
          '/agent/identity/claim',
          { type: null, claim_token, email: mailbox, assertion: null },
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/identity/claim',
          { type: null, claim_token, email: null, login_hint: mailbox },
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/identity/claim/complete',
          { claim_token, otp: '123456', user_code: null },
          401,
          'invalid_claim_token',
        ],
      ];
      for (const [path, body, status, code] of otherwise) {
        refused(t, await on.post(path, body), 'auth.md', status, code, `${path} ${JSON.stringify(body)}`);
      }
      const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' }))
        .body;
      const asked = { grant_type: JWT_BEARER, assertion, claim_token: null, resource: null, scope: null };
      t.is((await on.post('/oauth2/token', asked)).status, 200);
    });
  });
});
