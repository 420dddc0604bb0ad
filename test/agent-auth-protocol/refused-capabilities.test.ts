import type { ExecutionContext } from 'ava';
import type { ClientAgent, Host } from '../helpers/agent-client.ts';
import { struckOn } from '../helpers/agent-pages.ts';
import { type AgentWorld, boxesOn, fine, grantsIn, openAgentWorld, said } from '../helpers/agent-world.ts';
import type { Browser } from '../helpers/browser.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What a human refuses an agent stays refused, to it and to what its host brings next, until they allow it. */

const NOT_GRANTED = '403 capability_not_granted';

onEveryEngine('what a human refused', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
  });
  test.after(() => world.stop());

  type LetIn = Awaited<ReturnType<AgentWorld['letIn']>>;
  const request = (agent: ClientAgent, capabilities: string[], more = {}) =>
    world.client.request(agent, { capabilities, ...more });
  const linkOf = (reply: Pick<Reply, 'body'>): string => reply.body.approval.verification_uri_complete;
  const reasonOf = ({ body }: Pick<Reply, 'body'>, capability: string): string | undefined =>
    body.agent_capability_grants.find((grant: { capability: string }) => grant.capability === capability)
      .reason;
  const execute = async (agent: ClientAgent, capability: string) =>
    said(await world.client.execute(agent, capability));
  /** An agent that may do everything by default, but for `read`, whose box its human took off. */
  const withoutRead = (host?: Host): Promise<LetIn> =>
    world.letIn(newMailbox(), { capabilities: ['whoami', 'read'] }, ['whoami'], host);

  /** Asserts that something is asked of the human, who refused it before, and that agent and human are told so. */
  async function assertAskedAgain(
    t: ExecutionContext,
    reply: Reply,
    browser: Browser,
    capability = 'read',
  ): Promise<string> {
    fine(reply);
    t.is(reply.body.status, 'pending', reply.text);
    t.is(grantsIn(reply)[capability], 'pending');
    t.regex(reasonOf(reply, capability)!, /refused it before, and is asked again/);
    const page = await browser.get(linkOf(reply));
    t.regex(page.text, /You declined some of this before, and the agent asks again/);
    t.regex(page.text, /You declined this before\./);
    t.false(boxesOn(page)[`allow:${capability}`], 'its box is off');
    return linkOf(reply);
  }

  test('a box that they took off is not had by asking for it again, but by a new question to them', async (t) => {
    const agent = await withoutRead();
    const again = await request(agent, ['read']);
    const link = await assertAskedAgain(t, again, agent.browser);
    t.is(await execute(agent, 'read'), NOT_GRANTED);
    await world.answer(link, '', 'deny', undefined, agent.browser);
    t.is(await execute(agent, 'read'), NOT_GRANTED);
    await assertAskedAgain(t, await request(agent, ['read']), agent.browser);
  });

  test('once they allow it, it is theirs to allow: the agent has it, and asking is no longer asking again', async (t) => {
    const agent = await withoutRead();
    const link = linkOf(fineReply(await request(agent, ['read'])));
    await world.answer(link, '', 'approve', ['read'], agent.browser);
    t.is(await execute(agent, 'read'), '200');
    t.is(said(await request(agent, ['read'])), '409 already_granted');
    const { reply } = await world.client.connect(agent.host, { capabilities: ['read'] });
    t.is(fine(reply).status, 'active', 'the next agent of the host has it at once again');
  });

  test('another agent of the host does not get it by default either', async (t) => {
    const first = await withoutRead();
    for (const capabilities of [['read'], ['whoami', 'read'], undefined]) {
      const { agent, reply } = await world.client.connect(first.host, {
        ...(capabilities && { capabilities }),
      });
      await assertAskedAgain(t, reply, first.browser);
      t.regex(await execute(agent, 'read'), /^40[13] agent_pending$/);
    }
    const { reply } = await world.client.connect(first.host, { capabilities: ['whoami'] });
    t.is(fine(reply).status, 'active', 'what they did not refuse is had at once as before');
  });

  test('what is allowed to one agent is not allowed to the one that was refused', async (t) => {
    const first = await withoutRead();
    const { agent: second, reply } = await world.client.connect(first.host, { capabilities: ['read'] });
    await world.answer(linkOf(fineReply(reply)), '', 'approve', ['read'], first.browser);
    t.is(await execute(second, 'read'), '200');
    await assertAskedAgain(t, await request(first, ['read']), first.browser);
    t.is(await execute(first, 'read'), NOT_GRANTED);
  });

  test('a no to the whole request is remembered for all that it asked', async (t) => {
    const owner = await world.letIn(newMailbox(), { capabilities: ['whoami'] });
    const asked = await request(owner, ['write']);
    await world.answer(linkOf(fineReply(asked)), '', 'deny', undefined, owner.browser);
    await assertAskedAgain(t, await request(owner, ['write']), owner.browser, 'write');
  });

  test('what an agent had when they revoked it, the next one of its host must ask for', async (t) => {
    const first = await world.letIn(newMailbox(), { capabilities: ['whoami', 'read'] });
    await first.browser.get(`/agents/${first.id}/revoke`);
    const ended = await first.browser.post(`/agents/${first.id}/revoke`, {});
    t.deepEqual(struckOn(ended.text), ['read'], 'what it could do until then');
    const { reply } = await world.client.connect(first.host, { capabilities: ['whoami', 'read'] });
    await assertAskedAgain(t, reply, first.browser);
    await assertAskedAgain(t, reply, first.browser, 'whoami');
  });

  test('what they took from an agent by narrowing it, another one of the host must ask for', async (t) => {
    const first = await world.letIn(newMailbox(), { capabilities: ['read', 'write'] });
    await first.browser.get(`/agents/${first.id}`);
    await first.browser.post(`/agents/${first.id}/narrow`, { 'scope:write': 'on' });
    t.is(await execute(first, 'read'), NOT_GRANTED);
    t.regex(reasonOf(fineReply(await request(first, ['read'])), 'read')!, /took it back/);
    const { reply } = await world.client.connect(first.host, { capabilities: ['read'] });
    await assertAskedAgain(t, reply, first.browser);
  });

  test('beginning an expired agent anew gives it nothing that was refused', async (t) => {
    const agent = await withoutRead();
    world.on.clock.advance(3601);
    const reply = await world.client.reactivate(agent);
    t.is(fine(reply).status, 'active');
    t.deepEqual(grantsIn(reply), { read: 'denied', whoami: 'active' });
    t.regex(reasonOf(reply, 'read')!, /refused it before/);
    const again = await request(agent, ['read']);
    t.deepEqual(grantsIn(fineReply(again)), { read: 'pending' });
    t.regex(reasonOf(again, 'read')!, /is asked again/);
  });

  test('the mail that asks says that it asks again', async (t) => {
    const mailbox = newMailbox();
    const agent = await world.letIn(mailbox, { capabilities: ['whoami', 'read'] }, ['whoami']);
    fine(await request(agent, ['read'], { preferred_method: 'ciba', login_hint: mailbox }));
    t.true((await world.approvalMailTo(mailbox)).askedAgain);
    fine(await request(agent, ['write'], { preferred_method: 'ciba', login_hint: mailbox }));
    const fresh = newMailbox();
    const host = world.client.newHost();
    fine((await world.client.connect(host, { preferred_method: 'ciba', login_hint: fresh })).reply);
    t.false((await world.approvalMailTo(fresh)).askedAgain);
  });

  test('of a host that nobody owns nothing is refused: agents that work alone have what anybody may', async (t) => {
    const host = world.client.newHost();
    const { reply } = await world.client.connect(host, { capabilities: ['read'] });
    await world.answer(linkOf(fineReply(reply)), newMailbox(), 'deny');
    const alone = await world.autonomous(host, { capabilities: ['read'] });
    t.is(await execute(alone, 'read'), '200');
  });

  test('an agent that asks while its human says no has nothing afterwards', async (t) => {
    const agent = await world.letIn(newMailbox(), { capabilities: ['whoami'] });
    const link = linkOf(fineReply(await request(agent, ['read', 'write'])));
    // Where the question is asked anew before they say no, it is too late for that one.
    const answered = world.answer(link, '', 'deny', undefined, agent.browser).catch(() => undefined);
    await Promise.all([answered, atOnce(8, () => request(agent, ['write']))]);
    t.is(await execute(agent, 'write'), NOT_GRANTED);
  });

  /** An answer that must have been 200. */
  function fineReply(reply: Reply): Reply {
    fine(reply);
    return reply;
  }
});
