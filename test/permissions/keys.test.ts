import { connectTerminal, endTerminal } from '../../src/domain/permissions/terminals.ts';
import type { RequestOptions } from '../../src/lib/artifacts/permission-request.ts';
import { asker } from '../helpers/api-keys.ts';
import { newMailbox } from '../helpers/common.ts';
import {
  allOf,
  givenBy,
  keyClient,
  keyToken,
  newPerson,
  newSessionKey,
  READ_DOCUMENTS,
} from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

const LOGIN: Partial<RequestOptions> = { permissions: undefined, name: 'Laptop' };

onEveryEngine('session keys', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => on.stop());

  /** An agent to which a person granted what it asked for. */
  async function granted() {
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request);
    const person = await newPerson(places);
    return { agent, request, person, ...(await givenBy(on, request, person.id)) };
  }

  /** A terminal that acts for a person. */
  async function terminal(bound?: { scopes: string[]; workspaces: string[] }, by?: string) {
    const person = by ?? (await newPerson(places)).id;
    const client = keyClient(on);
    const request = await client.request(LOGIN);
    const asked = await client.post(request);
    await connectTerminal(on.service.deps, asker, request.id, person, {
      bound: bound ?? { scopes: ['read'], workspaces: [person] },
      lifetimeSeconds: 43_200,
    });
    return { client, person, request, asked };
  }

  test('a new key takes over: the old one works until the new one is used, grants stay, tokens run on', async (t) => {
    const { agent, request } = await granted();
    const token = (await agent.token()).body.access_token;
    const next = newSessionKey();
    const rotated = await agent.rotate(next);
    t.is(rotated.status, 200, rotated.text);
    t.like(rotated.body.data, { thumbprint: next.thumbprint, old_thumbprint: agent.key.thumbprint });
    t.is((await agent.held()).body.data.grants.length, 1);
    const successor = keyClient(on, next);
    t.is((await successor.held()).body.data.grants.length, 1);
    const old = await agent.held();
    t.deepEqual([old.status, old.body.error.code], [401, 'invalid_token']);
    t.is((await successor.show(request.id)).body.data.state, 'granted');
    t.true((await api.ask(token)).body.active);
    t.is((await successor.token()).status, 200);
  });

  test('a rotation without the proof of the new key, to a known key or twice is refused', async (t) => {
    const { agent } = await granted();
    const other = keyClient(on);
    await other.ask();
    const next = newSessionKey();
    t.is((await agent.rotate(next, {})).body.error.code, 'invalid_signature');
    t.is((await agent.rotate(other.key)).body.error.code, 'key_in_use');
    t.is((await agent.rotate(agent.key)).body.error.code, 'key_in_use');
    t.is((await agent.rotate(next)).status, 200);
    t.is((await agent.rotate(newSessionKey())).body.error.code, 'key_in_use');
    const withPrivate = { key: { ...newSessionKey().privateJwk }, proof: 'a.b.c' };
    t.is((await agent.call('POST', '/agent/session-key', withPrivate)).body.error.field, 'key');
  });

  test('of sixteen rotations at once one counts', async (t) => {
    const { agent } = await granted();
    const replies = await Promise.all(Array.from({ length: 16 }, () => agent.rotate(newSessionKey())));
    t.is(replies.filter(({ status }) => status === 200).length, 1);
    t.true(replies.every(({ status }) => status === 200 || status === 409));
  });

  test('the old key retires after ten minutes, also if the new one is not used', async (t) => {
    const own = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
    const agent = keyClient(own);
    await agent.ask();
    t.is((await agent.rotate(newSessionKey())).status, 200);
    own.clock.advance(601);
    t.is((await agent.held()).status, 401);
    await own.stop();
  });

  test('an ended key does nothing any more, and registers no other agent', async (t) => {
    const { agent } = await granted();
    t.like((await agent.end()).body.data, { ended: true });
    t.is((await agent.held()).status, 401);
    const again = await agent.ask({ permissions: [{ ...READ_DOCUMENTS, path: 'b/' }] });
    t.deepEqual([again.status, again.body.error.code], [401, 'invalid_token']);
  });

  test('a session key ends with the key that bound it', async (t) => {
    const mailbox = newMailbox();
    const { credential } = await on.claimed(mailbox);
    const agent = keyClient(on);
    t.is((await agent.ask({}, credential)).status, 200);
    t.is((await agent.held()).status, 200);
    const me = (await on.get('/api/me', credential)).body.data;
    await on.del(`/api/tokens/${me.key.id}`, credential);
    t.is((await agent.held()).status, 401);
  });

  test('an agent has three session keys at most', async (t) => {
    const { credential } = await on.register();
    for (let count = 0; count < 3; count += 1) t.is((await keyClient(on).ask({}, credential)).status, 200);
    const fourth = await keyClient(on).ask({}, credential);
    t.deepEqual([fourth.status, fourth.body.error.code], [400, 'too_many']);
  });

  test('a login makes no agent; a person connects it, and it grants within its bound', async (t) => {
    const { client, person, request, asked } = await terminal();
    t.is(asked.body.data.agent_id, undefined);
    t.is(asked.body.data.verification_uri, `${on.service.deps.config.publicUrl}/permissions`);
    const state = (await client.show(request.id)).body.data;
    t.is(state.state, 'granted');
    t.like(state.login, { account: person, bound: { scopes: ['read'], workspaces: [person] } });
    t.is(state.grant, undefined);
    const agent = keyClient(on);
    const wanted = await agent.request();
    await agent.post(wanted);
    t.is((await client.show(wanted.id)).body.data.user_code, undefined);
    const given = await client.grant(wanted.id, { permissions: allOf(wanted), lifetime_seconds: 3600 });
    t.is(given.body.data?.state, 'granted', given.text);
    t.is(given.body.data.grant.granted_by.account, person);
    t.is((await agent.token()).status, 200);
    t.is((await client.revoke(given.body.data.grant.id)).status, 200);
    t.is((await agent.token()).body.error, 'invalid_grant');
  });

  test('a terminal grants nothing beyond its bound, nothing wide, and no agent grants at all', async (t) => {
    const { client, person } = await terminal();
    const asks = async (entry: object) => {
      const agent = keyClient(on);
      const request = await agent.request({ permissions: [{ ...READ_DOCUMENTS, ...entry }] });
      await agent.post(request);
      return { agent, request };
    };
    const write = await asks({ actions: ['read', 'write'] });
    const tooMuch = await client.grant(write.request.id, { permissions: allOf(write.request) });
    t.deepEqual([tooMuch.status, tooMuch.body.error.code], [403, 'grant_not_allowed']);
    const less = [{ index: 0, actions: ['read'] }];
    const onlyWrite = await asks({ actions: ['write'] });
    t.is((await client.grant(onlyWrite.request.id, { permissions: allOf(onlyWrite.request) })).status, 404);
    const wide = await asks({ path: '' });
    t.is((await client.grant(wide.request.id, { permissions: less })).body.error.code, 'grant_not_allowed');
    const elsewhere = await places.workspace([person, 'owner']);
    const shared = await client.grant(write.request.id, {
      permissions: [{ ...less[0], space: elsewhere }],
    });
    t.is(shared.body.error.code, 'grant_not_allowed');
    const wider = await client.grant(write.request.id, { permissions: [{ index: 0, actions: ['delete'] }] });
    t.deepEqual([wider.status, wider.body.error.code], [400, 'invalid_request']);
    const longer = await client.grant(write.request.id, { permissions: less, lifetime_seconds: 31_622_400 });
    t.deepEqual([longer.status, longer.body.error.field], [400, 'lifetime_seconds']);
    const byAgent = await write.agent.grant(write.request.id, { permissions: less });
    t.deepEqual([byAgent.status, byAgent.body.error.code], [403, 'grant_not_allowed']);
    t.is((await client.grant(write.request.id, { permissions: less })).status, 200);
    t.is((await client.grant(write.request.id, { permissions: less })).body.error.code, 'request_decided');
    t.is((await client.deny(wide.request.id)).body.data.state, 'denied');
  });

  test('a terminal grants to itself, and its token is that of its human', async (t) => {
    const { client, person } = await terminal();
    const request = await client.request();
    const asked = await client.post(request);
    t.is(asked.body.data?.agent_id, undefined, asked.text);
    t.is((await client.grant(request.id, { permissions: allOf(request) })).status, 200);
    const token = await client.token();
    t.is(token.status, 200, token.text);
    const told = (await api.ask(token.body.access_token)).body;
    t.like(told, { active: true, sub: person, credential_kind: 'personal', credential_form: 'token' });
  });

  test('a terminal that its human ends is gone, and with it what it granted if they say so', async (t) => {
    for (const endsGrants of [false, true]) {
      const { client, person } = await terminal();
      const agent = keyClient(on);
      const request = await agent.request();
      await agent.post(request);
      await client.grant(request.id, { permissions: allOf(request) });
      await endTerminal(on.service.deps, asker, person, client.key.thumbprint, { endsGrants });
      t.is((await client.held()).status, 401);
      t.is((await agent.token()).status, endsGrants ? 400 : 200);
    }
  });

  test('a key that is known signs in nobody, and another person’s grant does not reach a key beside it', async (t) => {
    const { agent } = await granted();
    const login = await agent.ask(LOGIN);
    t.deepEqual([login.status, login.body.error.code], [409, 'key_in_use']);
    const { credential } = await on.register();
    const [one, other] = [keyClient(on), keyClient(on)];
    const request = await one.request();
    await one.post(request, credential);
    await other.ask({ permissions: [{ ...READ_DOCUMENTS, path: 'b/' }] }, credential);
    await givenBy(on, request, (await newPerson(places)).id);
    t.is((await one.token()).status, 200);
    t.is((await other.token()).body.error, 'invalid_grant');
  });

  test('a token of a session key is good for one URL and one minute', async (t) => {
    const agent = keyClient(on);
    await agent.ask();
    const url = `${on.service.deps.config.publicUrl}/agent/permissions`;
    const wrong = [
      keyToken(agent.key, `${url}/`, { now: on.clock() }),
      keyToken(agent.key, url, { now: on.clock() - 91_000 }),
      keyToken(agent.key, url, { now: on.clock() + 31_000 }),
      keyToken(agent.key, url, { now: on.clock(), header: { typ: 'agent+jwt' } }),
      keyToken(agent.key, url, { now: on.clock(), header: { alg: 'none' } }),
      keyToken(agent.key, url, { now: on.clock(), claims: { sub: 'someone' } }),
      keyToken({ ...agent.key, privateKey: newSessionKey().privateKey }, url, { now: on.clock() }),
    ];
    for (const token of wrong) t.is((await on.get('/agent/permissions', token)).status, 401);
    const good = keyToken(agent.key, url, { now: on.clock() });
    const replies = await Promise.all(Array.from({ length: 16 }, () => on.get('/agent/permissions', good)));
    t.is(replies.filter(({ status }) => status === 200).length, 1);
  });
});
