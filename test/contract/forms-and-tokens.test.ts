import { CLAIM_GRANT, JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { badInputOf, routesOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import {
  type BodyRow,
  encode,
  jwt,
  type Members,
  mailbox,
  stranger,
  unknownClaimToken,
  unknownKey,
  unknownOwnClaimToken,
} from '../helpers/valid-bodies.ts';
import { type DialectName, MARK } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: forms and tokens', (engine, test) => {
  let on: TestService;
  let rows: BodyRow[];
  test.before(async () => {
    on = await startTestService(engine);
    ({ rows } = routesOf(on));
  });
  test.after(() => on.stop());

  const { refused, badRequest, post } = badInputOf(() => on);

  test.describe('forms and tokens', (test) => {
    test('a form of a page with a missing, wrong or too long member is 400, without its token 403', async (t) => {
      const claim = { csrf: 'x', attempt: 'cla_0', code: '123456' };
      const long = MARK.repeat(9);
      const cases: [path: string, body: Record<string, string>, status: number][] = [
        ['/claim', { csrf: 'x', code: '123456' }, 400],
        ['/claim', { ...claim, csrf: long }, 400],
        ['/claim', { ...claim, attempt: long }, 400],
        ['/claim', { ...claim, code: long }, 400],
        ['/claim', { attempt: 'cla_0', code: '123456' }, 403],
        ['/claim/deny', { csrf: long }, 400],
        ['/claim/deny', { csrf: 'x', no_more: MARK }, 400],
        ['/claim/deny', { no_more: 'on' }, 403],
      ];
      for (const [path, body, status] of cases) {
        refused(t, await on.form(path, body), 'page', status, '', `${path} ${JSON.stringify(body)}`);
      }
    });

    test('what is no mailbox is 400, natively invalid_email, and costs no mail', async (t) => {
      const { claim_token } = await on.register();
      const own = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const V01 = 'invalid_request/invalid_login_hint';
      const before = on.mails.length;
      const hostile = [
        MARK,
        '@example.com',
        'human@',
        'human@localhost',
        'human@127.0.0.1',
        'human@[127.0.0.1]',
        'human@example.com, other@example.com',
        'human@example.com;other@example.com',
        'Human <human@example.com>',
        '"human"@example.com',
        'hu man@example.com',
        'human@exa mple.com',
        'human@@example.com',
        'human@example..com',
        '.human@example.com',
        'human.@example.com',
        'hu..man@example.com',
        'human(comment)@example.com',
        'humän@example.com',
        'admın@example.com',
        'human@example.com?bcc=other@example.com',
        'human%0d%0aBcc:other@example.com@',
        'human@-example.com',
        'human@example.1',
        'human@ｅxample.com',
        `${'a'.repeat(65)}@example.com`,
        `human@${'a'.repeat(64)}.com`,
        'group:human@example.com;',
        'human@\u212aexample.com',
      ];
      for (const email of hostile) {
        const claimed = await on.post('/agent/auth/claim', { claim_token, email });
        const asserted = await on.post('/agent/auth', {
          type: 'identity_assertion',
          assertions: [{ type: 'verified_email', email }],
        });
        refused(t, claimed, 'tinysend', 400, 'invalid_email', email);
        refused(t, asserted, 'tinysend', 400, 'invalid_email', email);
        t.is(claimed.body.error.field, 'email');
        t.is(asserted.body.error.field, 'assertions.0.email');
        const verified = { type: 'identity_assertion', assertion_type: 'verified_email', assertion: email };
        const flat: [path: string, body: Members, dialect: DialectName, code: string, field: string][] = [
          ['/agent/auth', { ...verified, requested_credential_type: 'api_key' }, 'auth.md', V01, 'assertion'],
          ['/agent/auth/claim', { claim_token: own.claim_token, email }, 'auth.md', V01, 'email'],
          ['/agent/identity', verified, 'auth.md', 'invalid_login_hint', 'assertion'],
          [
            '/agent/identity',
            { type: 'service_auth', login_hint: email },
            'auth.md',
            'invalid_login_hint',
            'login_hint',
          ],
          [
            '/agent/identity/claim',
            { claim_token: own.claim_token, email },
            'auth.md',
            'invalid_login_hint',
            'login_hint',
          ],
          [
            '/agent/identity/claim',
            { type: 'service_auth', claim_token: own.claim_token, login_hint: email },
            'auth.md production',
            'invalid_login_hint',
            'login_hint',
          ],
        ];
        for (const [path, body, dialect, code, field] of flat) {
          const reply = await on.post(path, body);
          refused(t, reply, dialect, 400, code, `${path} ${email}`);
          t.is(reply.body.field, field, path);
        }
      }
      t.is(on.mails.length, before);
    });

    test('a form without its token is 400', async (t) => {
      for (const row of rows.filter(
        (each) => each.dialect === 'oauth' && each.codec === 'form' && each.path !== '/oauth2/token',
      )) {
        const texts = {
          nothing: '',
          'no token': 'token_type_hint=access_token',
          'an empty token': 'token=',
          brackets: `token[]=${unknownKey}`,
          'an index': `token[0]=${unknownKey}`,
          JSON: JSON.stringify(row.valid),
        };
        for (const [what, text] of Object.entries(texts)) {
          refused(t, await post(row, text), row.dialect, 400, 'invalid_request', `${row.line}: ${what}`);
        }
      }
    });

    test('the token endpoint names what is missing or too much, in a form as in JSON', async (t) => {
      const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' }))
        .body;
      const { claim_token } = (
        await on.post('/agent/identity', { type: 'service_auth', login_hint: mailbox })
      ).body;
      const bearer = { grant_type: JWT_BEARER, assertion };
      const grant = { grant_type: CLAIM_GRANT, claim_token };
      const cases: [body: Record<string, string>, code: string][] = [
        [{}, 'unsupported_grant_type'],
        [{ assertion }, 'unsupported_grant_type'],
        ...[MARK, 'password', `${JWT_BEARER} `, CLAIM_GRANT.toUpperCase()].map(
          (grant_type): [Record<string, string>, string] => [
            { ...bearer, grant_type },
            'unsupported_grant_type',
          ],
        ),
        [{ grant_type: MARK.repeat(40) }, 'invalid_request'],
        [{ grant_type: JWT_BEARER }, 'invalid_request'],
        [{ grant_type: JWT_BEARER, claim_token }, 'invalid_request'],
        [{ grant_type: CLAIM_GRANT, assertion }, 'invalid_request'],
        [{ ...bearer, assertion: MARK }, 'invalid_grant'],
        [{ ...bearer, assertion: `${assertion}A` }, 'invalid_grant'],
        [{ ...bearer, assertion: assertion.replace(/\.[^.]+$/, '.') }, 'invalid_grant'],
        [{ ...bearer, assertion: unknownKey }, 'invalid_grant'],
        [{ ...bearer, assertion: claim_token }, 'invalid_grant'],
        [
          { ...bearer, assertion: jwt({ alg: 'none', typ: 'agent-identity+jwt' }, { iss: on.url }) },
          'invalid_grant',
        ],
        [{ ...bearer, assertion: stranger('oauth-id-jag+jwt') }, 'invalid_grant'],
        [{ ...bearer, assertion: MARK.repeat(1025) }, 'invalid_request'],
        ...[
          MARK,
          'https://',
          'file:///etc/passwd',
          `https://${MARK}.example/`,
          '//evil.example',
          `${on.url}/x`,
          `${on.url}#x`,
        ].map((resource): [Record<string, string>, string] => [{ ...bearer, resource }, 'invalid_target']),
        ...['write', 'read write', MARK, 'READ'].map((scope): [Record<string, string>, string] => [
          { ...bearer, scope },
          'invalid_scope',
        ]),
        [{ ...grant, claim_token: MARK }, 'expired_token'],
        [{ ...grant, claim_token: unknownClaimToken }, 'expired_token'],
        [{ ...grant, claim_token: unknownOwnClaimToken }, 'expired_token'],
        [{ ...grant, claim_token: assertion }, 'expired_token'],
        [grant, 'authorization_pending'],
        [grant, 'slow_down'],
      ];
      for (const [body, code] of cases) {
        const about = JSON.stringify(body).slice(0, 160);
        if (code !== 'slow_down') refused(t, await on.form('/oauth2/token', body), 'oauth', 400, code, about);
        const isFirst = code === 'authorization_pending';
        if (!isFirst)
          refused(t, await on.post('/oauth2/token', body), 'oauth', 400, code, `${about} as JSON`);
      }
      for (const [name, value] of Object.entries({
        ...bearer,
        claim_token,
        scope: 'read',
        resource: on.url,
      })) {
        for (const wrong of [1, true, [value], { value }]) {
          const reply = await on.post('/oauth2/token', { ...bearer, [name]: wrong });
          badRequest(t, reply, 'oauth', `${name} as ${JSON.stringify(wrong)}`);
        }
      }
      const accepted: Record<string, string>[] = [
        {},
        { scope: 'read' },
        { resource: on.url },
        { scope: '', resource: '', x: 'y' },
      ];
      for (const parameters of accepted) {
        t.is((await on.form('/oauth2/token', { ...bearer, ...parameters })).status, 200);
      }
    });

    test('a token that is the whole body is refused for what is wrong with it, and nothing of it is repeated', async (t) => {
      for (const [path, typ, dialect] of [
        ['/agent/event/notify', 'secevent+jwt', 'security events'],
        ['/agent/auth/revoke', 'logout+jwt', 'auth.md'],
      ] as const) {
        const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' }))
          .body;
        const row = rows.find((each) => each.path === path)!;
        const header = { alg: 'ES256', typ, kid: '1' };
        const claims = {
          iss: 'https://stranger.example',
          aud: on.url,
          sub: 'x',
          jti: MARK,
          iat: 1,
          events: {},
        };
        const cases: Record<string, [body: string | Uint8Array, code: string]> = {
          nothing: ['', 'invalid_request'],
          'white space': [' \n ', 'invalid_request'],
          'a word': [MARK, 'invalid_request'],
          dots: ['..', 'invalid_request'],
          'two parts': ['e30.e30', 'invalid_request'],
          'five parts': ['e30.e30.e30.e30.e30', 'invalid_request'],
          'padding in base64': ['e30=.e30=.AAAA', 'invalid_request'],
          'white space inside': [stranger(typ).replaceAll('.', ' .\n'), 'invalid_request'],
          'an empty header and no claims': ['e30.e30.AAAA', 'invalid_request'],
          'no JSON inside': [`${Buffer.from(MARK).toString('base64url')}.e30.AAAA`, 'invalid_request'],
          'NUL in a claim': [jwt(header, { ...claims, sub: '\0' }), 'invalid_request'],
          'a name twice': [
            `${jwt(header, {}).split('.')[0]}.${Buffer.from('{"iss":1,"iss":2}').toString('base64url')}.AAAA`,
            'invalid_request',
          ],
          'a header that reaches for more': [jwt({ ...header, crit: ['x'] }, claims), 'invalid_request'],
          'no typ': [jwt({ alg: 'ES256' }, claims), 'invalid_request'],
          'another typ': [jwt({ ...header, typ: MARK }, claims), 'invalid_request'],
          'the typ of another path': [
            stranger(typ === 'logout+jwt' ? 'secevent+jwt' : 'logout+jwt'),
            'invalid_request',
          ],
          'an assertion of ours': [assertion, 'invalid_request'],
          JSON: [JSON.stringify({ token: stranger(typ) }), 'invalid_request'],
          'a form': [`token=${stranger(typ)}`, 'invalid_request'],
          'more than 8 KiB': [jwt(header, { ...claims, x: 'a'.repeat(8000) }), 'invalid_request'],
          'bytes that are no text': [Buffer.from([0xff, 0x2e, 0xfe, 0x2e, 0x00]), 'invalid_request'],
          'a stranger': [jwt(header, claims), 'invalid_issuer'],
          'a stranger without algorithm': [jwt({ ...header, alg: 'none' }, claims, ''), 'invalid_request'],
          'no issuer': [jwt(header, { ...claims, iss: undefined }), 'invalid_issuer'],
          'an issuer that is no text': [jwt(header, { ...claims, iss: ['x'] }), 'invalid_issuer'],
          'us as issuer': [jwt(header, { ...claims, iss: on.url }), 'invalid_issuer'],
        };
        for (const [what, [body, code]] of Object.entries(cases)) {
          refused(t, await post(row, body), dialect, 400, code, `${path}: ${what}`);
        }
      }
    });

    test('a form with a parameter twice, without end or of no text is 400', async (t) => {
      for (const row of rows.filter(({ codec }) => codec === 'form')) {
        const valid = encode(row);
        const first = Object.keys(row.valid)[0]!;
        const texts = {
          'a parameter twice': `${valid}&${first}=${MARK}`,
          'the same parameters twice': `${valid}&${valid}`,
          'a parameter and an empty one': `${valid}&${first}=`,
          'an unknown parameter twice': `${valid}&${MARK}=1&${MARK}=2`,
          NUL: `${valid}&x=%00`,
          'a control character': `${valid}&x=%1b`,
          'a C1 control character': `${valid}&x=%C2%85`,
          'bad UTF-8': `${valid}&x=%ff`,
          'half a surrogate pair': `${valid}&x=%ed%a0%80`,
          'too many parameters': `${valid}&${Array.from({ length: row.media === 'choicesForm' ? 1025 : 65 }, (_, index) => `n${index}=1`).join('&')}`,
          'a parameter without end': encode(row, { ...row.valid, [first]: 'a'.repeat(9000) }),
        };
        for (const [what, text] of Object.entries(texts)) {
          badRequest(t, await post(row, text), row.dialect, `${row.line}: ${what}`);
        }
        const bytes = Buffer.concat([Buffer.from(`${valid}&x=`), Buffer.from([0xff])]);
        refused(t, await post(row, bytes), row.dialect, 400, 'invalid_request', `${row.line}: raw bytes`);
      }
    });
  });
});
