import { showAgent } from '../../src/domain/agents/agent-view.ts';
import { struckOn } from '../helpers/agent-pages.ts';
import { type AgentWorld, openAgentWorld } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('an agent past its absolute lifetime', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine, { limits: { agentAbsoluteSeconds: 7200 } });
  });
  test.after(() => world.stop());

  test('is listed as over, and found among those that ended', async (t) => {
    const { on } = world;
    const mailbox = newMailbox();
    const agent = await world.letIn(mailbox);
    const before = await (await signIn(on, mailbox)).get('/agents');
    t.regex(before.text, /<span class="chip">read<\/span>/);
    t.regex(before.text, /<\/span>Active<\/span>/);
    t.is((await showAgent(on.service.deps, agent.id))?.claim.kind, 'claimed');

    on.clock.advance(7201);
    const browser = await signIn(on, mailbox);
    const list = await browser.get('/agents');
    t.regex(list.text, new RegExp(`<s><a href="/agents/${agent.id}">`));
    t.regex(list.text, /<\/span>Ended<\/span>/);
    t.deepEqual(struckOn(list.text), ['read', 'write'], 'what it could do until then');
    t.notRegex(list.text, /<span class="chip">[^<]/);
    const one = await browser.get(`/agents/${agent.id}`);
    t.regex(one.text, /Ended on <time[^>]*>\d+ \w+ \d{4}<\/time>: /);
    t.notRegex(one.text, /Revoke this agent/);
    t.is((await browser.get(`/agents/${agent.id}/revoke`)).path, `/agents/${agent.id}`);
    const isShown = async (query: string) => (await browser.get(`/agents?${query}`)).text.includes(agent.id);
    t.deepEqual([await isShown('show=unused'), await isShown('show=revoked')], [false, true]);
    const exported = JSON.parse((await browser.get('/account/export')).text);
    t.deepEqual([exported.agents[0].scopes, typeof exported.agents[0].over_at], [[], 'string']);
    t.is((await showAgent(on.service.deps, agent.id))?.claim.kind, 'expired');
  });
});
