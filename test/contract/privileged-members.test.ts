import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { badInputOf, routesOf } from '../helpers/bad-input.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

import { type BodyRow, encode } from '../helpers/valid-bodies.ts';
import { send } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: members that would give more', (engine) => {
  let on: TestService;
  let rows: BodyRow[];
  before(async () => {
    on = await startTestService(engine);
    ({ rows } = routesOf(on));
  });
  after(() => on.stop());

  const { badRequest, assertPlain, post } = badInputOf(() => on);

  describe('members that nobody knows', () => {
    test('names that reach for prototypes change nothing for the next request', async () => {
      for (const row of rows.filter(({ codec }) => codec === 'form')) {
        const reply = await post(
          row,
          `${encode(row)}&__proto__=x&constructor=x&prototype=x&__proto__[scope]=write`,
        );
        assertPlain(row, reply);
      }
      const { scopes } = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
      assert.deepEqual(scopes, ['read']);
    });

    test('members that try to set privilege do nothing', async () => {
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
        assert.deepEqual(
          [reply.status, reply.body.error.field],
          [400, field],
          'it could also be meant to bound',
        );
      }
      const { data } = (await on.post('/agent/auth', { type: 'anonymous', ...wide })).body;
      const { credential } = data;
      assert.deepEqual(data.scopes, ['read']);
      const me = (await on.get('/api/me', credential)).body.data;
      assert.deepEqual(me.scopes, ['read']);
      assert.equal(me.owner, undefined);

      const v01 = { type: 'anonymous', requested_credential_type: 'api_key', ...greedy };
      const key = (await on.post('/agent/auth', v01)).body;
      assert.deepEqual(key.scopes, ['read']);
      assert.deepEqual((await on.get('/api/me', key.credential)).body.data.scopes, ['read']);

      const claims = {
        identity_assertion: 'x',
        registration_id: 'reg_1',
        generation: 9,
        email_verified: true,
      };
      const identity = (await on.post('/agent/identity', { type: 'anonymous', ...greedy, ...claims })).body;
      assert.deepEqual(identity.pre_claim_scopes, ['read']);
      const asked = { grant_type: JWT_BEARER, assertion: identity.identity_assertion };
      const { scope: _, ...others } = greedy;
      const exchanged = (
        await on.post('/oauth2/token', { ...asked, ...others, client_id: 'agt_1', expires_in: 1e9 })
      ).body;
      assert.deepEqual([exchanged.scope, exchanged.expires_in], ['read', 3600]);
      const about = (await on.get('/api/me', exchanged.access_token)).body.data;
      assert.deepEqual([about.scopes, about.owner], [['read'], undefined]);
    });

    test('an Idempotency-Key is 1 to 255 visible characters, once', async () => {
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
          badRequest(await ask(key), row.dialect, `${row.line}: ${key}`);
        badRequest(await ask('a', 'b'), row.dialect, `${row.line}: two`);
      }
    });
  });
});
