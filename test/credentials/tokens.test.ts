import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JSONWebKeySet,
  jwtVerify,
  UnsecuredJWT,
} from 'jose';
import { rotateSigningKeys } from '../../src/domain/credentials/signing-keys.ts';
import { localOrigin } from '../../src/work.ts';
import {
  API,
  type AuthMd,
  assertShape,
  CLAIM_GRANT,
  JWT_BEARER,
  LOOKS,
  newUser,
  openAuthMd,
  READING_API,
  SIGNED_API,
  says,
  succeeded,
} from '../helpers/auth-md.ts';
import { act, agentOf, type Held, vouchFor, WAYS } from '../helpers/auth-md-agents.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The token endpoint: what an identity is exchanged for, for which API, and until when it holds (RFC 7523, 8707, 9068). */

onEveryEngine('tokens', (engine, test) => {
  let world: AuthMd;
  test.before(async () => {
    world = await openAuthMd(engine);
  });
  test.after(() => world.stop());

  /** An agent that nobody vouches for. */
  const newcomer = async () => succeeded(await world.identity({ type: 'anonymous' }));
  const revoke = (token: string, more: object = {}) => world.on.form('/oauth2/revoke', { token, ...more });

  test.describe('the exchange', (test) => {
    test('an assertion gives an access token, by a form as by JSON, and no more beside it', async (t) => {
      const { on, scopeOf } = world;
      const { identity_assertion: assertion } = await newcomer();
      const body = { grant_type: JWT_BEARER, assertion };
      for (const reply of [await on.form('/oauth2/token', body), await on.post('/oauth2/token', body)]) {
        assertShape(t, succeeded(reply), {
          access_token: LOOKS.token,
          token_type: 'Bearer',
          expires_in: 3600,
          scope: 'read',
        });
        t.is(reply.headers.get('cache-control'), 'no-store');
        t.is(reply.headers.get('pragma'), 'no-cache');
        t.is(await scopeOf(reply.body.access_token), 'read');
      }
    });

    test('null in JSON, or nothing in a form, is as good as not there (RFC 6749 3.2)', async (t) => {
      const { identity_assertion: assertion } = await newcomer();
      const more = { resource: null, scope: null, claim_token: null, client_id: 'anybody' };
      const reply = await world.on.post('/oauth2/token', { grant_type: JWT_BEARER, assertion, ...more });
      t.is(succeeded(reply).scope, 'read');
      t.is(says(await world.exchange(assertion, { resource: '', scope: '' })), '200');
    });

    test('an assertion can be exchanged until it is over, and not after', async (t) => {
      const { on, exchange } = world;
      const { identity_assertion } = await newcomer();
      on.clock.advance(3599);
      t.is(says(await exchange(identity_assertion)), '200');
      on.clock.advance(62); // the clocks of replicas may differ by a minute
      t.is(says(await exchange(identity_assertion)), '400 invalid_grant');
    });

    test('a token is for the resource that was asked for, the default one unless another was', async (t) => {
      const { exchange, scopeOf, tokenFor } = world;
      const { assertion } = await vouchFor(world, 'reveal');
      const byDefault = await tokenFor(assertion);
      const forReading = await tokenFor(assertion, { resource: READING_API });
      const signed = await tokenFor(assertion, { resource: `${SIGNED_API}/` });
      const table: [token: string, works: Record<string, unknown>][] = [
        [byDefault, { [API]: 'read write', [READING_API]: 'dead', [SIGNED_API]: 'dead' }],
        [forReading, { [API]: 'dead', [READING_API]: 'read', [SIGNED_API]: 'dead' }],
        [signed, { [API]: 'dead', [READING_API]: 'dead', [SIGNED_API]: 'read write' }],
      ];
      for (const [token, works] of table) {
        for (const [url, scope] of Object.entries(works)) t.is(await scopeOf(token, url), scope, url);
      }
      for (const resource of [
        'https://elsewhere.example.com',
        `${API}/v2`,
        'api',
        `${API}#x`,
        world.on.url,
      ]) {
        t.is(says(await exchange(assertion, { resource })), '400 invalid_target', resource);
      }
    });

    test('fewer scopes can be asked for, and never more than the agent and the resource have', async (t) => {
      const { exchange, scopeOf } = world;
      const { assertion } = await vouchFor(world, 'reveal');
      const narrow = succeeded(await exchange(assertion, { scope: 'read' }));
      t.is(narrow.scope, 'read');
      t.is(await scopeOf(narrow.access_token), 'read');
      t.is(succeeded(await exchange(assertion, { scope: 'write  read' })).scope, 'read write');
      const { identity_assertion } = await newcomer();
      const refused: [assertion: string, more: Record<string, string>][] = [
        [assertion, { scope: 'admin' }],
        [assertion, { scope: 'read admin' }],
        [assertion, { scope: 'write', resource: READING_API }],
        [assertion, { scope: ' ' }],
        [identity_assertion, { scope: 'write' }],
        [identity_assertion, { scope: 'read write' }],
      ];
      for (const [each, more] of refused) {
        t.is(says(await exchange(each, more)), '400 invalid_scope', JSON.stringify(more));
      }
    });

    test('what is asked wrongly is refused in the words of OAuth', async (t) => {
      const { on } = world;
      const { identity_assertion: assertion, claim_token } = await newcomer();
      const table: [body: Record<string, string>, expected: string][] = [
        [{ assertion }, '400 unsupported_grant_type'],
        [{ grant_type: 'password', assertion }, '400 unsupported_grant_type'],
        [{ grant_type: JWT_BEARER.toUpperCase(), assertion }, '400 unsupported_grant_type'],
        [{ grant_type: JWT_BEARER, claim_token }, '400 invalid_request'],
        [{ grant_type: CLAIM_GRANT, assertion }, '400 invalid_request'],
        [{ grant_type: JWT_BEARER, assertion: '' }, '400 invalid_request'],
        [{ grant_type: JWT_BEARER, assertion: 'rubbish' }, '400 invalid_grant'],
      ];
      for (const [body, expected] of table) {
        for (const reply of [await on.form('/oauth2/token', body), await on.post('/oauth2/token', body)]) {
          t.is(says(reply), expected, JSON.stringify(body));
          t.deepEqual(Object.keys(reply.body), ['error', 'error_description']);
          t.is(reply.headers.get('cache-control'), 'no-store');
        }
      }
    });
  });

  test.describe('what takes the place of an assertion', (test) => {
    test('gives nothing: tokens of providers, tokens of ours of other kinds, and forged ones', async (t) => {
      const { exchange, idJag, tokenFor, present, on } = world;
      const { identity_assertion: assertion, identity, claim_token } = await newcomer();
      const signed = await tokenFor(assertion, { resource: SIGNED_API });
      const [header, , signature] = assertion.split('.') as [string, string, string];
      const rewritten = Buffer.from(JSON.stringify({ ...decodeJwt(assertion), generation: 1 })).toString(
        'base64url',
      );
      const others = {
        'an ID-JAG': idJag(newUser()),
        'an ID-JAG that says it is ours': idJag(newUser(), { iss: on.url }),
        'an access token that we signed': signed,
        'a refresh token': identity.refresh_token.value,
        'a claim token': claim_token,
        'one without signature': new UnsecuredJWT(decodeJwt(assertion)).encode(),
        'one that was rewritten': `${header}.${rewritten}.${signature}`,
        'one with half of its signature': assertion.slice(0, -40),
      };
      for (const [name, token] of Object.entries(others)) {
        t.is(says(await exchange(token)), '400 invalid_grant', name);
      }
      // And ours is no provider's, as whatever it is presented.
      t.is(says(await present(assertion)), '400 invalid_request');
      const claimed = await world.claim({ type: 'identity_assertion', claim_token, assertion });
      t.is(says(claimed), '400 invalid_request');
    });

    test('is taken by no API: an assertion is no access token', async (t) => {
      const { on, scopeOf } = world;
      const { identity_assertion } = await newcomer();
      t.is(await scopeOf(identity_assertion), 'dead');
      t.is((await on.get('/api/me', identity_assertion)).status, 401);
    });

    test('an assertion by a key of ours that was replaced at once is dead, and by one that was replaced in time it is not', async (t) => {
      const { exchange, on, clock } = world;
      const { deps } = on.service;
      const { identity_assertion: first } = await newcomer();
      await rotateSigningKeys(deps, localOrigin('test'), false);
      clock.advance(601);
      const { identity_assertion: second } = await newcomer();
      t.not(decodeProtectedHeader(first).kid, decodeProtectedHeader(second).kid);
      for (const each of [first, second]) t.is(says(await exchange(each)), '200');
      await rotateSigningKeys(deps, localOrigin('test'), true);
      for (const each of [first, second]) t.is(says(await exchange(each)), '400 invalid_grant');
    });
  });

  test.describe('signed tokens (RFC 9068)', (test) => {
    test('verify by our published keys, and say whom they are of and for what', async (t) => {
      const { on, exchange, clock } = world;
      const { id, assertion } = await vouchFor(world, 'typed');
      const { access_token, ...rest } = succeeded(await exchange(assertion, { resource: SIGNED_API }));
      t.deepEqual(rest, { token_type: 'Bearer', expires_in: 300, scope: 'read write' });
      const keys = createLocalJWKSet((await on.get('/.well-known/jwks.json')).body as JSONWebKeySet);
      const { payload, protectedHeader } = await jwtVerify(access_token, keys, {
        issuer: on.url,
        audience: SIGNED_API,
        typ: 'at+jwt',
        algorithms: ['ES256'],
        currentDate: new Date(clock()),
      });
      const agent = await agentOf(world, id);
      const seconds = Math.floor(clock() / 1000);
      assertShape(t, payload, {
        iss: on.url,
        aud: SIGNED_API,
        sub: agent.accountId,
        client_id: agent.id,
        jti: /^tok_[0-9A-Za-z]+$/,
        iat: seconds,
        exp: seconds + 300,
        scope: 'read write',
      } as unknown);
      t.deepEqual(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ']);
    });

    test('are published without anything that signs', async (t) => {
      const { keys } = (await world.on.get('/.well-known/jwks.json')).body;
      t.true(keys.length > 0);
      for (const key of keys) {
        t.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
      }
    });
  });

  test.describe('introspection and revocation', (test) => {
    for (const resource of [API, SIGNED_API]) {
      const kind = resource === API ? 'opaque' : 'signed';
      test(`an API hears whose an ${kind} token is, until it is over`, async (t) => {
        const { on, clock, introspected, tokenFor } = world;
        const { id, assertion } = await vouchFor(world, 'reveal');
        const token = await tokenFor(assertion, { resource });
        const agent = await agentOf(world, id);
        const ttl = kind === 'opaque' ? 3600 : 300;
        const { merged_from, ...heard } = await introspected(token, resource);
        assertShape(t, heard, {
          active: true,
          sub: agent.accountId,
          client_id: agent.id,
          scope: 'read write',
          aud: resource,
          iss: on.url,
          iat: Math.floor(clock() / 1000),
          exp: Math.floor(clock() / 1000 + ttl),
          token_type: 'Bearer',
          jti: /^tok_[0-9A-Za-z]+$/,
          credential_kind: 'claimed',
          credential_form: 'token',
          agent_id: agent.id,
          owner: agent.accountId,
        });
        t.regex(String(merged_from), /^usr_/);
        clock.advance(ttl);
        t.deepEqual(await introspected(token, resource), { active: false });
      });

      test(`whoever holds an ${kind} token can end it; the assertion and the other tokens live on`, async (t) => {
        const { scopeOf, tokenFor } = world;
        const { assertion } = await vouchFor(world, 'reveal');
        const [ended, other] = [
          await tokenFor(assertion, { resource }),
          await tokenFor(assertion, { resource }),
        ];
        for (const token of [ended, ended, 'rubbish', `at_${'0'.repeat(49)}`]) {
          for (const hint of ['access_token', 'refresh_token', 'anything']) {
            const reply = await revoke(token, { token_type_hint: hint });
            t.is(reply.status, 200);
            t.is(reply.text, '');
            t.is(reply.headers.get('cache-control'), 'no-store');
          }
        }
        t.is(await scopeOf(ended, resource), 'dead');
        t.is(await scopeOf(other, resource), 'read write');
        t.is(await scopeOf(await tokenFor(assertion, { resource }), resource), 'read write');
      });
    }
  });

  test('whoever holds a refresh token can end it with all that would follow it, spent or not (RFC 7009)', async (t) => {
    const { identity } = await newcomer();
    const first = identity.refresh_token.value;
    const next = succeeded(await world.refresh(first)).identity.refresh_token.value;
    for (const times of [1, 2]) {
      const reply = await revoke(first, { token_type_hint: 'refresh_token' });
      t.deepEqual([reply.status, reply.text], [200, ''], `${times}`);
    }
    for (const value of [first, next]) {
      t.is(says(await world.refresh(value)), '400 invalid_refresh_token');
    }
    const mine = `art_${'0'.repeat(49)}`;
    t.is((await revoke(mine)).status, 200);
    const events = `events WHERE kind = 'refresh_token.revoked'`;
    t.is(await countOf(world.on, events), 1, 'and it is told once');
  });

  test.describe('what becomes of the agent becomes of its tokens', (test) => {
    /** Everything that an agent may hold, and what is left of it. */
    const left = async ({ assertion, refresh, token }: Held) => ({
      token: await world.scopeOf(token),
      assertion: scopeOrRefusal(await world.exchange(assertion)),
      refresh: says(await world.refresh(refresh)),
    });
    const scopeOrRefusal = (reply: Reply) => reply.body.scope ?? says(reply);
    const DEAD = { token: 'dead', assertion: '400 invalid_grant', refresh: '400 invalid_refresh_token' };

    test('what was held before a claim is dead after it, but where v0.2 and v0.3 keep the assertion (S-26)', async (t) => {
      for (const way of WAYS) {
        const { before: earlier } = await vouchFor(world, way);
        const kept = { token: 'read', assertion: 'read write', refresh: '200' };
        t.deepEqual(await left(earlier!), way === 'otp' ? kept : DEAD, way);
        if (way === 'otp') {
          world.on.clock.advance(600);
          t.is(await world.scopeOf(earlier!.token), 'dead');
        }
      }
    });

    for (const way of WAYS) {
      test(`one that its owner revoked has nothing left (${way})`, async (t) => {
        const agent = await vouchFor(world, way);
        await act(world, agent, 'revoke');
        t.deepEqual(await left(agent), DEAD);
        if (agent.before) t.deepEqual(await left(agent.before), DEAD);
        t.is(says(await world.poll(agent.claim_token)), '400 expired_token');
      });
    }

    test('one that its owner narrowed gets no more than was left to it, by whatever it holds', async (t) => {
      const agent = await vouchFor(world, 'reveal');
      const signed = await world.tokenFor(agent.assertion, { resource: SIGNED_API });
      await act(world, agent, 'narrow', { 'scope:read': 'on' });
      t.deepEqual(await left(agent), { token: 'read', assertion: 'read', refresh: '200' });
      t.is(await world.scopeOf(signed, SIGNED_API), 'read');
      t.is(says(await world.exchange(agent.assertion, { scope: 'write' })), '400 invalid_scope');
    });

    test('one whose merge was undone is as one that nobody claimed, in its own account', async (t) => {
      const { on, exchange, introspected, scopeOf } = world;
      for (const anonymous of [true, false]) {
        const agent = await vouchFor(world, 'typed', { anonymous });
        const { accountId: owner } = await agentOf(world, agent.id);
        await act(world, agent, 'undo');
        const { accountId } = await agentOf(world, agent.id);
        t.not(accountId, owner);
        t.is(await scopeOf(agent.token), 'read');
        const { access_token, scope } = succeeded(await exchange(agent.assertion));
        t.is(scope, 'read');
        const { sub, owner: known } = await introspected(access_token);
        t.deepEqual([sub, known], [accountId, undefined]);
        const renewed = succeeded(await world.refresh(agent.refresh));
        t.is(decodeJwt(renewed.identity.assertion).email, undefined);
        t.is(await countOf(on, 'agents WHERE account_id = ?', [owner]), 0);
      }
    });

    test('one that was linked and is let go has its own account as before, and no more than anybody', async (t) => {
      const { on, complete, exchange, introspected, tokenFor } = world;
      const mailbox = newMailbox();
      const { claim_token, user_id } = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
      await on.post('/agent/auth/claim', { claim_token, email: mailbox, link: true });
      const done = succeeded(await complete({ claim_token, otp: await on.codeFor(mailbox) }));
      const token = await tokenFor(done.identity.assertion);
      const { sub, scope, owner } = await introspected(token);
      t.deepEqual([sub, scope], [user_id, 'read write']);
      t.regex(String(owner), /^usr_/);
      await act(world, { id: done.id, human: await signIn(on, mailbox) }, 'unlink');
      for (const each of [token, succeeded(await exchange(done.identity.assertion)).access_token]) {
        const after = await introspected(each);
        t.deepEqual([after.sub, after.scope, after.owner], [user_id, 'read', undefined]);
      }
    });

    test('one whose owner deleted their account has nothing left', async (t) => {
      const agent = await vouchFor(world, 'typed');
      await agent.human.get('/account/delete');
      await agent.human.post('/account/delete', { mailbox: agent.mailbox });
      t.is(await countOf(world.on, 'accounts WHERE mailbox = ?', [agent.mailbox]), 0);
      t.deepEqual(await left(agent), DEAD);
    });

    test('one that nobody claims lives no longer than its registration, and its tokens neither', async (t) => {
      const { on, exchange, scopeOf, refresh } = world;
      const { identity } = await newcomer();
      on.clock.advance(2_592_000 - 600);
      const renewed = succeeded(await refresh(identity.refresh_token.value)).identity;
      const { access_token, expires_in } = succeeded(await exchange(renewed.assertion));
      t.is(expires_in, 600);
      on.clock.advance(600);
      t.is(await scopeOf(access_token), 'dead');
      t.is(says(await exchange(renewed.assertion)), '400 invalid_grant');
    });
  });

  test('an agent gets so many tokens an hour, and another one is not held up by it', async (t) => {
    const limited = await openAuthMd(engine, { limits: { tokensPerAgent: '3/h' } });
    t.teardown(limited.stop);
    const [greedy, other] = await Promise.all(
      [1, 2].map(async () => succeeded(await limited.identity({ type: 'anonymous' }))),
    );
    const ask = () => limited.exchange(greedy.identity_assertion);
    const replies = [await ask(), await ask(), await ask(), await ask()];
    t.deepEqual(replies.map(says), ['200', '200', '200', '429 rate_limited']);
    t.is(replies[3]!.headers.get('retry-after'), '3600');
    t.is(says(await limited.refresh(greedy.identity.refresh_token.value)), '429 rate_limit_exceeded');
    t.is(says(await limited.exchange(other.identity_assertion)), '200');
  });
});
