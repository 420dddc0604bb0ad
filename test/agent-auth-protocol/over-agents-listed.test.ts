import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { showAgent } from '../../src/domain/agents/agent-view.ts';
import { type AgentWorld, openAgentWorld } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/service.ts';

onEveryEngine('an agent past its absolute lifetime', (engine) => {
  let world: AgentWorld;
  before(async () => {
    world = await openAgentWorld(engine, { limits: { agentAbsoluteSeconds: 7200 } });
  });
  after(() => world.stop());

  test('is listed as over, and found among those that ended', async () => {
    const { on } = world;
    const mailbox = newMailbox();
    const agent = await world.letIn(mailbox);
    const before = await (await signIn(on, mailbox)).get('/agents');
    assert.match(before.text, /May read/);
    assert.equal((await showAgent(on.service.deps, agent.id))?.claim.kind, 'claimed');

    on.clock.advance(7201);
    const browser = await signIn(on, mailbox);
    const list = await browser.get('/agents');
    assert.match(list.text, new RegExp(`<s><a href="/agents/${agent.id}">`));
    assert.match(list.text, /Its time was over \d{4}-/);
    assert.doesNotMatch(list.text, /May read/);
    const one = await browser.get(`/agents/${agent.id}`);
    assert.match(one.text, /Its time was over/);
    assert.doesNotMatch(one.text, /Revoke this agent/);
    const isShown = async (query: string) => (await browser.get(`/agents?${query}`)).text.includes(agent.id);
    assert.deepEqual([await isShown('show=live'), await isShown('show=ended')], [false, true]);
    const exported = JSON.parse((await browser.get('/account/export')).text);
    assert.deepEqual([exported.agents[0].scopes, typeof exported.agents[0].over_at], [[], 'string']);
    assert.equal((await showAgent(on.service.deps, agent.id))?.claim.kind, 'expired');
  });
});
