import type { ExecutionContext } from 'ava';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { type ClientAgent, newKey } from '../helpers/agent-client.ts';
import { type AgentWorld, fine, grantsIn, openAgentWorld, said } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertRefused } from '../helpers/wire.ts';

onEveryEngine('limits of hosts', (engine, test) => {
  test('a new host is a registration like any other: past the limit of its address it is 429, with when to come again', async (t) => {
    const world = await openAgentWorld(engine, { limits: { registerPerIp: '3/h' } });
    t.teardown(() => world.stop());
    const { client, on } = world;
    fine((await client.connect(client.newHost(), { mode: 'autonomous' })).reply);
    fine((await client.connect(client.newHost(), { capabilities: ['read'] })).reply);
    await on.register();
    for (const mode of ['autonomous', 'delegated'] as const) {
      const { reply } = await client.connect(client.newHost(), { mode });
      assertRefused(t, on, reply, 'agent protocol', 429, 'rate_limited', mode);
    }
    t.is((await on.post('/agent/auth', { type: 'anonymous' })).status, 429);
    t.is(await world.count('hosts'), 2);
    on.clock.advance(3600);
    fine((await client.connect(client.newHost(), { mode: 'autonomous' })).reply);
  });

  test('agents of a host that is known are no registrations, and are counted by themselves', async (t) => {
    const world = await openAgentWorld(engine, { limits: { registerPerIp: '2/h', agentsPerHost: '3/d' } });
    t.teardown(() => world.stop());
    const { client, on } = world;
    const host = client.newHost();
    const key = newKey();
    for (let times = 0; times < 4; times += 1) {
      fine(await client.register(host, key, { capabilities: ['read'] })); // the same one each time
    }
    for (let times = 0; times < 2; times += 1) await world.autonomous(host);
    const { reply } = await client.connect(host, { mode: 'autonomous' });
    assertRefused(t, on, reply, 'agent protocol', 429, 'rate_limited', '');
    t.is(reply.body.retry_after, 86_400);
    t.is(await world.count('hosted_agents'), 3);
    await world.autonomous();

    // The budget of the address is spent now, for newcomers and for nobody else; they leave nothing behind.
    const spent = await world.count('spent_tokens');
    for (const mode of ['autonomous', 'delegated'] as const) {
      const late = await client.connect(client.newHost(), { mode });
      assertRefused(t, on, late.reply, 'agent protocol', 429, 'rate_limited', mode);
    }
    t.is(await world.count('spent_tokens'), spent);
    fine(await client.register(host, key, { capabilities: ['read'] }));
  });

  test('whoever shows a link asks for no mail, and is not held up by those who did', async (t) => {
    const world = await openAgentWorld(engine, { limits: { claimMailPerIp: '1/h' } });
    t.teardown(() => world.stop());
    const { client } = world;
    const agent = await world.letIn(newMailbox(), { capabilities: ['read'] });
    const byMail = { capabilities: ['write'], preferred_method: 'ciba' };
    fine(await client.request(agent, { ...byMail, login_hint: newMailbox() }));
    const late = await client.request(agent, { ...byMail, login_hint: newMailbox() });
    assertRefused(t, world.on, late, 'agent protocol', 429, 'rate_limited', 'mailed');
    fine(await client.request(agent, { capabilities: ['write'] }));
  });

  test('polling costs nothing', async (t) => {
    const limits = { registerPerIp: '1/h', agentsPerHost: '1/d', claimMailPerIp: '1/h', wrongPerIpHour: 1 };
    const world = await openAgentWorld(engine, { limits });
    t.teardown(() => world.stop());
    const { client } = world;
    const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
    fine(reply);
    for (let times = 0; times < 100; times += 1) {
      const polled = await client.status(agent);
      t.is(polled.status, 200, polled.text);
    }
  });
});

onEveryEngine('lifetimes', (engine, test) => {
  let world: AgentWorld;
  const LIMITS = { agentIdleSeconds: 600, agentLifetimeSeconds: 1800, agentAbsoluteSeconds: 7200 };
  test.before(async () => {
    world = await openAgentWorld(engine, { limits: LIMITS });
  });
  test.after(() => world.stop());

  const refused = (t: ExecutionContext, reply: Reply, expected: string, about = '') => {
    const [status, code] = expected.split(' ');
    assertRefused(t, world.on, reply, 'agent protocol', Number(status), code!, about);
  };
  const stateOf = async (agent: ClientAgent) => fine(await world.client.status(agent)).status;

  test('an agent expires when it has signed nothing for a while, to the second; whatever it signs keeps it going', async (t) => {
    const { client, on, introspect, api } = world;
    const agent = await world.letIn(newMailbox());
    const uses: (() => Promise<Reply>)[] = [
      () => client.listAsAgent(agent),
      () => client.execute(agent, 'whoami'),
    ];
    for (const use of uses) {
      on.clock.advance(599);
      fine(await use());
      t.is(fine(await client.status(agent)).last_used_at, new Date(on.clock()).toISOString());
    }
    on.clock.advance(300);
    t.true(fine(await introspect(client.agentToken(agent, api.resource))).active);
    // What its host does keeps it not.
    const again = await world.letIn(newMailbox());
    on.clock.advance(599);
    t.is(await stateOf(again), 'active');
    on.clock.advance(1);
    t.is(await stateOf(again), 'expired');
  });

  test('and in any case a while after it became active', async (t) => {
    const { client, on } = world;
    const agent = await world.letIn(newMailbox());
    for (let times = 0; times < 3; times += 1) {
      on.clock.advance(times === 2 ? 599 : 600 - 1);
      fine(await client.execute(agent, 'whoami'));
    }
    t.is(fine(await client.status(agent)).expires_at, new Date(on.clock() + 3000).toISOString());
    on.clock.advance(3);
    refused(t, await client.execute(agent, 'whoami'), '403 agent_expired');
    t.is(await stateOf(agent), 'expired');
  });

  test('one that has expired can do nothing, and is told so; its token stays good for when it is back', async (t) => {
    const { client, on, introspect } = world;
    const agent = await world.letIn(newMailbox());
    on.clock.advance(600);
    const token = client.agentToken(agent, client.executeAt());
    const execute = () => client.post('/capability/execute', token, { capability: 'whoami' });
    refused(t, await execute(), '403 agent_expired');
    refused(t, await client.request(agent, { capabilities: ['read'] }), '403 agent_expired');
    refused(t, await client.listAsAgent(agent), '403 agent_expired', 'no wrong token: a state');
    refused(t, await client.describe('read', agent), '403 agent_expired');
    t.deepEqual(fine(await introspect(client.agentToken(agent, on.url))), { active: false });
    fine(await client.reactivate(agent));
    fine(await execute());
  });

  test('reactivation drops what a human allowed, and what was asked of them; clocks begin anew, but for the last one', async (t) => {
    const { client, on } = world;
    const mailbox = newMailbox();
    const agent = await world.letIn(mailbox, {
      capabilities: ['read', { name: 'write', constraints: { seconds: { max: 60 } } }],
    });
    const { created_at } = fine(await client.status(agent));
    on.clock.advance(600);
    const reply = await client.reactivate(agent);
    t.deepEqual(grantsIn(reply), { read: 'active', whoami: 'active' });
    t.is(fine(reply).created_at, created_at);
    refused(t, await client.execute(agent, 'write', { seconds: 60 }), '403 capability_not_granted');
    // It asks again, without its constraints: it is a new question.
    const more = await client.request(agent, { capabilities: ['write'] });
    await world.answer(
      fine(more).approval.verification_uri_complete,
      mailbox,
      'approve',
      undefined,
      agent.browser,
    );
    fine(await client.execute(agent, 'write', { seconds: 900 }));
  });

  test('a question that was open when an agent expired gives it nothing, also when it is back', async (t) => {
    const other = await openAgentWorld(engine, { limits: { agentIdleSeconds: 300 } });
    t.teardown(() => other.stop());
    const { client, on } = other;
    for (const isBack of [false, true]) {
      const agent = await other.letIn(newMailbox(), { capabilities: ['read'] });
      const reply = await client.request(agent, { capabilities: ['write'] });
      const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
      on.clock.advance(300);
      if (isBack) t.is(fine(await client.reactivate(agent)).approval, undefined);
      const late = await other.decide(agent.browser, page, 'approve');
      t.not(late.status, 200);
      fine(await client.reactivate(agent));
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active', whoami: 'active' });
    }
  });

  test('an agent that has lived as long as one may is over, whatever its host does', async (t) => {
    const { client, on, introspect } = world;
    const agent = await world.letIn(newMailbox());
    for (let seconds = 600; seconds < 7200; seconds += 600) {
      on.clock.advance(600);
      fine(await client.reactivate(agent));
    }
    on.clock.advance(599);
    fine(await client.execute(agent, 'whoami'));
    on.clock.advance(1);
    refused(t, await client.execute(agent, 'whoami'), '403 absolute_lifetime_exceeded');
    refused(t, await client.reactivate(agent), '403 absolute_lifetime_exceeded');
    t.is(await stateOf(agent), 'revoked');
    t.deepEqual(fine(await introspect(client.agentToken(agent, on.url))), { active: false });
  });

  test('an agent that waits does not expire by itself; the clock runs from when it is let in', async (t) => {
    const { client, on } = world;
    const [host, key] = [client.newHost(), newKey()];
    const { agent_id: id } = fine(await client.register(host, key, { capabilities: ['read'] }));
    on.clock.advance(3600);
    const reply = await client.register(host, key, { capabilities: ['read'] });
    await world.answer(fine(reply).approval.verification_uri_complete, newMailbox());
    const status = fine(await client.status({ id, key, host }));
    t.deepEqual([status.status, status.expires_at], ['active', new Date(on.clock() + 600_000).toISOString()]);
  });
});

onEveryEngine('hosts that nobody owns', (engine, test) => {
  const DAY = 86_400;
  const LONG = { agentIdleSeconds: 30 * DAY, agentLifetimeSeconds: 30 * DAY, agentAbsoluteSeconds: 30 * DAY };

  test('end like an anonymous registration, swept or not; then all that hangs on them goes', async (t) => {
    const world = await openAgentWorld(engine, { limits: { ...LONG, unclaimedTtlSeconds: 3 * DAY } });
    t.teardown(() => world.stop('swept'));
    const { client, on, introspect, api, introspectBearer } = world;
    const alone = await world.autonomous();
    const rekeyed = await world.autonomous();
    const next = { ...rekeyed.host, key: newKey() };
    fine(await client.rotateHostKey(rekeyed.host, next.key));
    const { reply } = await client.connect(alone.host, { capabilities: ['write'] });
    const mailbox = newMailbox();
    const owned = await world.letIn(mailbox);
    on.clock.advance(3 * DAY - 1);
    fine(await client.execute(alone, 'whoami'));
    const bearer = await world.bearerOf(alone, 'read', { resource: api.resource, seconds: 900 });
    on.clock.advance(1);
    for (const agent of [alone, rekeyed]) {
      t.is(said(await client.execute(agent, 'whoami')), '403 host_revoked');
      t.deepEqual(fine(await introspect(client.agentToken(agent, on.url))), { active: false });
    }
    for (const host of [alone.host, next]) {
      t.is(said((await client.connect(host, { capabilities: ['read'] })).reply), '403 host_revoked');
    }
    const page = await world.open(fine(reply).approval.verification_uri_complete, mailbox);
    t.notRegex(page.text, /Approve these permissions/);
    t.is(fine(await client.status(owned)).status, 'active');
    on.clock.advance(DAY + 3600);
    await deleteExpiredRows(on.service.deps);
    t.false((await introspectBearer(bearer)).active);
    for (const table of ['hosts', 'hosted_agents', 'registrations']) {
      t.is(await world.count(table), 1, table);
    }
    // What was asked and why is nobody's business any more.
    t.is(await world.count('approvals'), 0);
    t.is(await world.count('retired_host_keys'), 0);
    t.is(await world.count(`accounts WHERE kind = 'agent' AND ended_at IS NULL`), 0);
    fine(await client.execute(owned, 'whoami'));
    // Their keys are as good as new, also that which one had before.
    fine((await client.connect(alone.host, { mode: 'autonomous' })).reply);
    fine((await client.connect(rekeyed.host, { mode: 'autonomous' })).reply);
  });

  test('agents that nobody let in within a week are forgotten, with what they asked; all others stay', async (t) => {
    const world = await openAgentWorld(engine, { limits: LONG });
    t.teardown(() => world.stop('swept'));
    const { client, on } = world;
    const host = client.newHost();
    const working = await world.letIn(newMailbox(), {}, undefined, host);
    const { agent: waiting } = await client.connect(host, { capabilities: ['write'], reason: 'private' });
    on.clock.advance(6 * DAY);
    const { agent: younger } = await client.connect(host, { capabilities: ['write'] });
    await deleteExpiredRows(on.service.deps);
    t.is(fine(await client.status(waiting)).status, 'pending');
    on.clock.advance(DAY);
    await deleteExpiredRows(on.service.deps);
    t.is(said(await client.status(waiting)), '404 agent_not_found');
    t.is(fine(await client.status(younger)).status, 'pending');
    fine(await client.execute(working, 'write'));
    t.is(await world.count('hosted_agents'), 2);
  });
});
