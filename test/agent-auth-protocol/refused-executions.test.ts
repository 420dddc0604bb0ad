import { type AgentWorld, openAgentWorld, said } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('an execution that is refused', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
  });
  test.after(() => world.stop());

  const refusals = async (id: string) => {
    const rows = await world.on.service.deps.db.all<{ details: string }>(
      "SELECT details FROM events WHERE kind = 'capability.refused' AND subject = ? ORDER BY id",
      [id],
    );
    return rows.map(({ details }) => JSON.parse(details));
  };

  test('is in the audit with the capability and the reason, and nothing of the arguments', async (t) => {
    const { client } = world;
    const agent = await world.letIn(newMailbox());
    const tried = [
      await client.execute(agent, 'write', { seconds: 1e9, resource: 'not said again' }),
      await client.execute(agent, 'whoami'),
      await client.execute(agent, 'nothing_of_ours'),
    ];
    t.deepEqual(
      tried.map(({ status }) => status),
      [400, 200, 404],
      tried.map(said).join(),
    );
    t.deepEqual(await refusals(agent.id), [{ capability: 'write', code: 'badRequest' }]);
    t.is(await world.eventsOf('capability.executed', agent.id), 1);
  });

  test('for want of a grant is there, too', async (t) => {
    const agent = await world.autonomous();
    const reply = await world.client.execute(agent, 'write');
    t.is(said(reply), '403 capability_not_granted');
    t.deepEqual(await refusals(agent.id), [{ capability: 'write', code: 'capability_not_granted' }]);
  });
});
