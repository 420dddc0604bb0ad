import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type AgentWorld, openAgentWorld, said } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/service.ts';

onEveryEngine('an execution that is refused', (engine) => {
  let world: AgentWorld;
  before(async () => {
    world = await openAgentWorld(engine);
  });
  after(() => world.stop());

  const refusals = async (id: string) => {
    const rows = await world.on.service.deps.db.all<{ details: string }>(
      "SELECT details FROM events WHERE kind = 'capability.refused' AND subject = ? ORDER BY id",
      [id],
    );
    return rows.map(({ details }) => JSON.parse(details));
  };

  test('is in the audit with the capability and the reason, and nothing of the arguments', async () => {
    const { client } = world;
    const agent = await world.letIn(newMailbox());
    const tried = [
      await client.execute(agent, 'write', { seconds: 1e9, resource: 'not said again' }),
      await client.execute(agent, 'whoami'),
      await client.execute(agent, 'nothing_of_ours'),
    ];
    assert.deepEqual(
      tried.map(({ status }) => status),
      [400, 200, 404],
      tried.map(said).join(),
    );
    assert.deepEqual(await refusals(agent.id), [{ capability: 'write', code: 'badRequest' }]);
    assert.equal(await world.eventsOf('capability.executed', agent.id), 1);
  });

  test('for want of a grant is there, too', async () => {
    const agent = await world.autonomous();
    const reply = await world.client.execute(agent, 'write');
    assert.equal(said(reply), '403 capability_not_granted');
    assert.deepEqual(await refusals(agent.id), [{ capability: 'write', code: 'capability_not_granted' }]);
  });
});
