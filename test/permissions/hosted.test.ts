import { type AgentClient, openAgentClient } from '../helpers/agent-client.ts';
import { givenBy, keyClient, newPerson } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

onEveryEngine('agents under hosts ask for permissions', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  let client: AgentClient;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.service.deps.config.publicUrl);
    client = openAgentClient(on);
  });
  test.after(() => on.stop());

  test('with the key that their host gave them, which is theirs as long as it is current', async (t) => {
    const { agent, reply } = await client.connect(client.newHost(), {
      mode: 'autonomous',
      name: 'Robin',
      capabilities: ['read'],
    });
    t.is(reply.status, 200, reply.text);
    const asker = keyClient(on, {
      ...agent.key,
      privateJwk: agent.key.privateKey.export({ format: 'jwk' }) as Record<string, string>,
    });
    const request = await asker.request();
    const asked = await asker.post(request);
    t.is(asked.body.data?.agent_id, agent.id, asked.text);
    await givenBy(on, request, (await newPerson(places)).id);
    const token = await asker.token();
    t.is(token.status, 200, token.text);
    t.like((await api.ask(token.body.access_token)).body, {
      active: true,
      agent_id: agent.id,
      scope: 'read',
    });
    await client.disconnect(agent);
    t.is((await asker.held()).status, 401);
    t.false((await api.ask(token.body.access_token)).body.active);
  });
});
