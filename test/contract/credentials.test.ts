import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import type { Route } from '../../src/http/server/table.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { newSecret } from '../../src/lib/secrets.ts';
import { localOrigin } from '../../src/work.ts';
import { badInputOf, routesOf } from '../helpers/bad-input.ts';
import { basic, type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { type BodyRow, concrete, encode, FORM_TYPE, unknownKey } from '../helpers/valid-bodies.ts';
import { type DialectName, MARK, send } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: credentials', (engine, test) => {
  let on: TestService;
  let closed: Route[]; // the rows that are no open documents
  let rows: BodyRow[];
  test.before(async () => {
    on = await startTestService(engine);
    ({ closed, rows } = routesOf(on));
  });
  test.after(() => on.stop());

  const { refused, badRequest } = badInputOf(() => on);

  test.describe('credentials', (test) => {
    type Headers = readonly (readonly [string, string])[];
    /** Every call of agents, with a body that is not at fault. */
    const allCalls = () => [
      ...closed
        .filter((row) => row.body === undefined)
        .map((row) => {
          const { method, caller } = row;
          const path = concrete(row.path);
          const call = (headers: Headers, query = '') => send(on, method, path + query, headers);
          const dialect = row.dialect.name as DialectName;
          return { line: `${method} ${path}`, before: dialect, dialect, caller, call };
        }),
      ...rows.map(({ line, before, dialect, caller, ...row }) => ({
        line,
        before,
        dialect,
        caller,
        call: (headers: Headers, query = '') =>
          send(on, row.method, row.path + query, [...headers, ['Content-Type', row.type]], encode(row)),
      })),
    ];
    /** Those that read a bearer. */
    const bearerCalls = () =>
      allCalls().filter(({ caller }) => caller === 'agent' || caller === 'agentIfAny');

    test('no key is 401 unauthorized, and the challenge names no error', async (t) => {
      for (const { line, call } of bearerCalls().filter(({ caller }) => caller === 'agent')) {
        const reply = await call([]);
        refused(t, reply, 'tinysend', 401, 'unauthorized', line);
        t.notRegex(reply.headers.get('www-authenticate')!, /error/);
      }
    });

    test('unknown, malformed, mistyped, expired, revoked and foreign keys all get one and the same answer', async (t) => {
      const { credential } = await on.claimed(`keys-${engine}@example.com`);
      const make = async () =>
        (
          await on.post(
            '/api/tokens',
            { name: 'x', scope: 'read', expires_in: 1 },
            {
              Authorization: `Bearer ${credential}`,
            },
          )
        ).body.data;
      const early = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const asked = { grant_type: JWT_BEARER, assertion: early.identity_assertion };
      const over = (await on.form('/oauth2/token', asked)).body;
      t.is((await on.get('/api/me', over.access_token)).status, 200);
      on.clock.advance(over.expires_in);
      const [expired, revoked] = [await make(), await make()];
      await on.del(`/api/tokens/${revoked.id}`, credential);
      on.clock.advance(2);
      const other = await on.register();
      const own = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const mistyped = credential.slice(0, 20) + (credential[20] === 'a' ? 'b' : 'a') + credential.slice(21);
      const bad = {
        unknown: `Bearer ${unknownKey}`,
        malformed: `Bearer sk_${MARK}`,
        'not of ours': 'Bearer eyJhbGciOiJub25lIn0.e30.',
        mistyped: `Bearer ${mistyped}`,
        'cut short': `Bearer ${credential.slice(0, -1)}`,
        expired: `Bearer ${expired.credential}`,
        revoked: `Bearer ${revoked.credential}`,
        'a claim token': `Bearer ${other.claim_token}`,
        'a claim token of another version': `Bearer ${own.claim_token}`,
        'an identity assertion': `Bearer ${own.identity_assertion}`,
        'a refresh token': `Bearer ${own.identity.refresh_token.value}`,
        'an unknown access token': `Bearer ${newSecret('at', systemRandom)}`,
        'an access token that is over': `Bearer ${over.access_token}`,
        'an empty one': 'Bearer ',
        'no token': 'Bearer',
        'two words': `Bearer ${credential} ${credential}`,
        'another scheme': `Basic ${Buffer.from(`${credential}:`).toString('base64')}`,
        'no scheme': credential,
        'in quotes': `Bearer "${credential}"`,
        'a key of another brand': `Bearer ${newSecret('sk', systemRandom, 'acme')}`,
        'very long': `Bearer sk_${'a'.repeat(8000)}`,
      };
      for (const { line, dialect, call } of bearerCalls()) {
        const answers = new Map<string, string>();
        for (const [what, header] of Object.entries(bad)) {
          const reply = await call([['Authorization', header]]);
          refused(t, reply, dialect, 401, 'invalid_token', `${line}: ${what}`);
          const { request_id: _, ...error } = dialect === 'tinysend' ? reply.body.error : reply.body;
          const { date: _date, 'x-request-id': _id, ...headers } = Object.fromEntries(reply.headers);
          answers.set(JSON.stringify([error, headers]), what);
          t.false(reply.text.includes(credential.slice(3, 20)));
        }
        t.is(answers.size, 1, `${line} tells apart: ${[...answers.values()]}`);
      }
    });

    test('two credentials are 400', async (t) => {
      const { credential } = await on.register();
      const bearer = ['Authorization', `Bearer ${credential}`] as const;
      for (const { line, dialect, call } of bearerCalls()) {
        badRequest(t, await call([bearer, bearer]), dialect, line);
        badRequest(t, await call([bearer, ['authorization', MARK]]), dialect, line);
      }
    });

    test('a secret in the query is 400, wherever it is, also beside a good key', async (t) => {
      const { credential } = await on.register();
      const names =
        'access_token refresh_token token assertion credential claim_token client_secret otp user_code'.split(
          ' ',
        );
      for (const { line, before, call } of allCalls()) {
        for (const name of names) {
          const reply = await call([['Authorization', `Bearer ${credential}`]], `?x=1&${name}=${MARK}`);
          badRequest(t, reply, before, `${line}?${name}`);
        }
      }
    });

    test('a resource server that is unknown or has the wrong secret is 401 invalid_client, in one and the same way', async (t) => {
      const { deps } = on.service;
      const input = { url: 'https://api.example.com', name: 'API', scopes: undefined };
      const { server, secret } = await addResourceServer(deps, localOrigin('test'), input);
      const ask = (headers: Record<string, string>, body: Record<string, string> = {}) =>
        on.form('/oauth2/introspect', { token: unknownKey, ...body }, headers);
      t.deepEqual((await ask(basic(server.id, secret))).body, { active: false });

      const wrongSecret = newSecret('rss', systemRandom);
      const scheme = (text: string) => ({ Authorization: text });
      const attempts: Record<string, Reply> = {
        'wrong secret': await ask(basic(server.id, wrongSecret)),
        'a secret with something behind it': await ask(basic(server.id, `${secret}:${MARK}`)),
        'malformed secret': await ask(basic(server.id, MARK)),
        'unknown id': await ask(basic('rs_0', secret)),
        'an id with NUL': await ask(basic('rs_\0', secret)),
        'an id of bad UTF-8': await ask(
          scheme(`Basic ${Buffer.from([0xff, 0x3a, ...Buffer.from(secret)]).toString('base64')}`),
        ),
        'in the body': await ask({}, { client_id: server.id, client_secret: wrongSecret }),
        'no colon': await ask(scheme(`Basic ${Buffer.from(server.id).toString('base64')}`)),
        'no base64': await ask(scheme(`Basic ${MARK}!`)),
        'a key as bearer': await ask(scheme(`Bearer ${unknownKey}`)),
        'its secret as bearer': await ask(scheme(`Bearer ${secret}`)),
        'a key as secret': await ask(basic(server.id, unknownKey)),
        nothing: await ask({}),
        'an id alone': await ask({}, { client_id: server.id }),
        'a secret alone': await ask({}, { client_secret: secret }),
      };
      for (const [what, reply] of Object.entries(attempts)) {
        refused(t, reply, 'oauth', 401, 'invalid_client', what);
        t.regex(reply.headers.get('www-authenticate')!, /^Basic /, what);
      }
      const twice = {
        'the secret twice': await ask(basic(server.id, secret), { client_secret: secret }),
        'two pairs': await ask(basic(server.id, secret), { client_id: server.id, client_secret: secret }),
        'another id in the body': await ask(basic(server.id, secret), { client_id: 'rs_0' }),
        'two headers': await send(
          on,
          'POST',
          '/oauth2/introspect',
          [
            ['Content-Type', FORM_TYPE],
            ['Authorization', basic(server.id, secret).Authorization!],
            ['Authorization', basic(server.id, secret).Authorization!],
          ],
          `token=${unknownKey}`,
        ),
      };
      for (const [what, reply] of Object.entries(twice))
        refused(t, reply, 'oauth', 400, 'invalid_request', what);
    });
  });
});
