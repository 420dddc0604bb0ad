import { JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { badInputOf, routesOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { type BodyRow, encode } from '../helpers/valid-bodies.ts';
import { send } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: members that would give more', (engine, test) => {
  let on: TestService;
  let rows: BodyRow[];
  test.before(async () => {
    on = await startTestService(engine);
    ({ rows } = routesOf(on));
  });
  test.after(() => on.stop());

  const { badRequest, assertPlain, post } = badInputOf(() => on);

  test.describe('members that nobody knows', (test) => {
    test('names that reach for prototypes change nothing for the next request', async (t) => {
      for (const row of rows.filter(({ codec }) => codec === 'form')) {
        const reply = await post(
          row,
          `${encode(row)}&__proto__=x&constructor=x&prototype=x&__proto__[scope]=write`,
        );
        assertPlain(t, row, reply);
      }
      const { scopes } = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
      t.deepEqual(scopes, ['read']);
    });

    test('members that try to set privilege do nothing', async (t) => {
      const greedy = {
        scope: 'write',
        scopes: ['write'],
        user_id: 'usr_1',
        verified: true,
        role: 'admin',
        owner: 'x',
      };
      const { scope, scopes, ...wide } = greedy;
      for (const bound of [{ scope }, { scopes }]) {
        const [field] = Object.keys(bound);
        const reply = await on.post('/agent/auth', { type: 'anonymous', ...bound });
        t.deepEqual([reply.status, reply.body.error.field], [400, field], 'it could also be meant to bound');
      }
      const { data } = (await on.post('/agent/auth', { type: 'anonymous', ...wide })).body;
      const { credential } = data;
      t.deepEqual(data.scopes, ['read']);
      const me = (await on.get('/api/me', credential)).body.data;
      t.deepEqual(me.scopes, ['read']);
      t.is(me.owner, undefined);

      const v01 = { type: 'anonymous', requested_credential_type: 'api_key', ...greedy };
      const key = (await on.post('/agent/auth', v01)).body;
      t.deepEqual(key.scopes, ['read']);
      t.deepEqual((await on.get('/api/me', key.credential)).body.data.scopes, ['read']);

      const claims = {
        identity_assertion: 'x',
        registration_id: 'reg_1',
        generation: 9,
        email_verified: true,
      };
      const identity = (await on.post('/agent/identity', { type: 'anonymous', ...greedy, ...claims })).body;
      t.deepEqual(identity.pre_claim_scopes, ['read']);
      const asked = { grant_type: JWT_BEARER, assertion: identity.identity_assertion };
      const { scope: _, ...others } = greedy;
      const exchanged = (
        await on.post('/oauth2/token', { ...asked, ...others, client_id: 'agt_1', expires_in: 1e9 })
      ).body;
      t.deepEqual([exchanged.scope, exchanged.expires_in], ['read', 3600]);
      const about = (await on.get('/api/me', exchanged.access_token)).body.data;
      t.deepEqual([about.scopes, about.owner], [['read'], undefined]);
    });

    test('an Idempotency-Key is 1 to 255 visible characters, once', async (t) => {
      for (const row of rows.filter(({ repeatable, plain }) => repeatable && !plain.startsWith('400'))) {
        const ask = (...keys: string[]) =>
          send(
            on,
            'POST',
            row.path,
            [['Content-Type', row.type], ...keys.map((key) => ['Idempotency-Key', key] as const)],
            encode(row),
          );
        for (const key of ['a b', 'a'.repeat(256), 'ü'])
          badRequest(t, await ask(key), row.dialect, `${row.line}: ${key}`);
        badRequest(t, await ask('a', 'b'), row.dialect, `${row.line}: two`);
      }
    });
  });
});
