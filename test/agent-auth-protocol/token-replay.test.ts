import { randomUUID } from 'node:crypto';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { type ClientAgent, type Host, newKey, openAgentClient } from '../helpers/agent-client.ts';
import { type AgentWorld, fine, openAgentWorld, said } from '../helpers/agent-world.ts';
import { addApi } from '../helpers/api.ts';
import { newMailbox } from '../helpers/common.ts';
import { basic, createTestClock, createTestDatabase, startTestService } from '../helpers/service.ts';
import { signedEndpoints, tampered } from '../helpers/signed-endpoints.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('tokens of hosts and agents are taken once', (engine, test) => {
  let world: AgentWorld;
  let host: Host;
  let agent: ClientAgent;
  test.before(async () => {
    world = await openAgentWorld(engine);
    host = world.client.newHost('the host');
    agent = await world.letIn(newMailbox(), {}, undefined, host);
  });
  test.after(() => world.stop());

  const { now, HOST_ENDPOINTS, everyHostEndpoint, AGENT_ENDPOINTS, OPEN_ENDPOINTS, refused } =
    signedEndpoints(() => ({ world, host, agent }));

  test.describe('a token is taken once', (test) => {
    test('on every endpoint', async (t) => {
      const { client } = world;
      for (const [name, { ask, good }] of Object.entries(HOST_ENDPOINTS)) {
        const token = client.hostToken(host);
        t.is(said(await ask(token)), good, name);
        refused(t, await ask(token), '401 invalid_jwt', name);
      }
      for (const [name, { ask, audience, good }] of Object.entries(AGENT_ENDPOINTS)) {
        const token = client.agentToken(agent, audience());
        t.is(said(await ask(token)), good, name);
        refused(t, await ask(token), '401 invalid_jwt', name);
      }
      for (const [name, ask] of Object.entries(OPEN_ENDPOINTS)) {
        for (const token of [client.hostToken(host), client.agentToken(agent, world.on.url)]) {
          t.is(said(await ask(token)), '200', name);
          refused(t, await ask(token), '401 invalid_jwt', name);
        }
      }
    });

    test('and then on no other endpoint', async (t) => {
      const { client, introspect, on } = world;
      const first = client.hostToken(host);
      fine(await HOST_ENDPOINTS['GET /agent/status']!.ask(first));
      for (const [name, { ask }] of everyHostEndpoint())
        refused(t, await ask(first), '401 invalid_jwt', name);
      const second = client.agentToken(agent, on.url);
      t.true(fine(await introspect(second)).active);
      refused(t, await AGENT_ENDPOINTS['POST /agent/request-capability']!.ask(second), '401 invalid_jwt', '');
    });

    test('a new token with an old jti is an old token; the jti of somebody else is not', async (t) => {
      const { client, on } = world;
      const jti = randomUUID();
      const claims = { jti };
      fine(await client.status(agent, { claims }));
      on.clock.advance(1);
      refused(t, await client.status(agent, { claims }), '401 invalid_jwt', 'again');
      const other = await world.autonomous();
      fine(await client.status(other, { claims }));
      fine(await client.execute(agent, 'whoami', {}, { claims }));
      fine(await client.execute(other, 'whoami', {}, { claims }));
    });

    test('as long as its times would let it be taken, also when it is swept meanwhile', async (t) => {
      const { client, on } = world;
      for (const [iat, seconds] of [
        [0, 89],
        [30, 119],
      ] as const) {
        const token = client.hostToken(host, { claims: { iat: now() + iat, exp: now() + iat + 60 } });
        const { ask } = HOST_ENDPOINTS['GET /agent/status']!;
        fine(await ask(token));
        on.clock.advance(seconds);
        await deleteExpiredRows(on.service.deps);
        refused(t, await ask(token), '401 invalid_jwt', `after ${seconds} seconds`);
        on.clock.advance(1);
        refused(t, await ask(token), '401 invalid_jwt', 'when it is over');
      }
    });

    test('by one of many that bring it at the same moment', async (t) => {
      const { client } = world;
      const { ask } = HOST_ENDPOINTS['GET /agent/status']!;
      const token = client.hostToken(host);
      const replies = await Promise.all(Array.from({ length: 50 }, () => ask(token)));
      const answers = replies.map(said).sort();
      t.deepEqual(answers, ['200', ...Array.from({ length: 49 }, () => '401 invalid_jwt')]);

      const place = AGENT_ENDPOINTS['POST /capability/execute']!;
      const second = client.agentToken(agent, place.audience());
      const others = await Promise.all(Array.from({ length: 50 }, () => place.ask(second)));
      t.is(others.filter(({ status }) => status === 200).length, 1);
      t.is(others.filter(({ status }) => status === 401).length, 49);
    });

    test('one that is forged uses up nobody’s jti', async (t) => {
      const { client, introspect, on } = world;
      for (const spoil of [tampered, (token: string) => token.slice(0, -43)]) {
        const ofHost = client.hostToken(host);
        for (const [name, { ask }] of everyHostEndpoint()) {
          refused(t, await ask(spoil(ofHost)), '401 invalid_jwt', name);
        }
        fine(await HOST_ENDPOINTS['GET /agent/status']!.ask(ofHost));
        const { ask, audience } = AGENT_ENDPOINTS['POST /capability/execute']!;
        const ofAgent = client.agentToken(agent, audience());
        refused(t, await ask(spoil(ofAgent)), '401 invalid_jwt', 'execute');
        t.deepEqual(fine(await introspect(spoil(ofAgent))), { active: false });
        fine(await ask(ofAgent));
      }
      const claims = { jti: randomUUID() };
      const token = client.agentToken(agent, on.url, { claims });
      const { ask } = HOST_ENDPOINTS['GET /agent/status']!;
      refused(t, await ask(client.hostToken(host, { claims, signer: newKey() })), '401 invalid_jwt', '');
      t.true(fine(await introspect(token)).active);
    });

    test('what is refused for the state of its agent is taken once that has changed', async (t) => {
      const { client, answer } = world;
      const { agent: waiting, reply } = await client.connect(client.newHost(), { capabilities: ['whoami'] });
      const { ask, audience } = AGENT_ENDPOINTS['POST /capability/execute']!;
      const token = client.agentToken(waiting, audience());
      refused(t, await ask(token), '403 agent_pending', 'before');
      await answer(fine(reply).approval.verification_uri_complete, newMailbox());
      fine(await ask(token));
    });

    test('what another resource server shows, for which it is not, is not spent by it', async (t) => {
      const { client, introspect, api, on } = world;
      const other = await addApi(on, 'https://elsewhere.example.com');
      const token = client.agentToken(agent, api.resource);
      t.deepEqual(fine(await introspect(token, other)), { active: false });
      t.true(fine(await introspect(token)).active);
    });
  });
});

onEveryEngine('tokens of hosts and agents, at several processes', (engine, test) => {
  test('a token that one took is taken by no other', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const clock = createTestClock(Math.floor(Date.now() / 1000) * 1000);
    const one = await startTestService(engine, { database, clock });
    t.teardown(() => one.stop());
    const two = await startTestService(engine, { database, clock, env: { PUBLIC_URL: one.url } });
    t.teardown(() => two.stop());
    const [first, second] = [openAgentClient(one), openAgentClient(two, one.url)];
    const host = first.newHost();
    const { agent, reply } = await first.connect(host, { mode: 'autonomous' });
    fine(reply);

    const ofHost = first.hostToken(host);
    const path = `/agent/status?agent_id=${agent.id}`;
    fine(await first.get(path, ofHost));
    t.is(said(await second.get(path, ofHost)), '401 invalid_jwt');
    fine(await second.get(path, second.hostToken(host)));

    const ofAgent = second.agentToken(agent, second.executeAt());
    fine(await second.post('/capability/execute', ofAgent, { capability: 'whoami' }));
    const again = await first.post('/capability/execute', ofAgent, { capability: 'whoami' });
    t.is(said(again), '401 invalid_jwt');

    const api = await addApi(one);
    const introspect = (on: typeof one, token: string) =>
      on.post('/agent/introspect', { token }, basic(api.clientId, api.clientSecret));
    const shown = first.agentToken(agent, api.resource);
    t.true(fine(await introspect(two, shown)).active);
    t.false(fine(await introspect(one, shown)).active);

    const token = first.hostToken(host);
    const replies = await Promise.all(
      Array.from({ length: 32 }, (_, index) => (index % 2 ? first : second).get(path, token)),
    );
    t.is(replies.filter(({ status }) => status === 200).length, 1);
    t.is(replies.filter(({ status }) => status === 401).length, 31);
  });
});
