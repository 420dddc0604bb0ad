import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { localAsker } from '../src/domain/audit/audit-log.ts';
import { sweep } from '../src/domain/jobs/retention.ts';
import { deleteAccount } from '../src/domain/owner/delete-account.ts';
import { narrowAgent } from '../src/domain/owner/manage-agents.ts';
import { type ClientAgent, type Connect, newKey } from './helpers/agent-client.ts';
import { type AgentWorld, fine, grantsIn, newMailbox, openAgentWorld, said } from './helpers/agent-world.ts';
import { basic, onEveryEngine, type Reply } from './helpers/service.ts';
import { assertRefused } from './helpers/wire.ts';

/** What holds of hosts, their agents and what these are allowed, whoever asks and how often (agent-auth-protocol.md 1, 3, 8). */

const atOnce = <Item>(count: number, ask: (index: number) => Promise<Item>) =>
  Promise.all(Array.from({ length: count }, (_, index) => ask(index)));

/** How often each answer came. */
function tally(replies: readonly Reply[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const reply of replies) counts[said(reply)] = (counts[said(reply)] ?? 0) + 1;
  return counts;
}

onEveryEngine('hosts and agents', (engine) => {
  let world: AgentWorld;
  before(async () => {
    world = await openAgentWorld(engine);
  });
  after(() => world.stop());

  const refused = (reply: Reply, expected: string, about = '') => {
    const [status, code] = expected.split(' ');
    assertRefused(world.on, reply, 'agent protocol', Number(status), code!, about);
  };
  const things = () =>
    Promise.all(
      ['hosts', 'hosted_agents', 'grants', 'approvals', 'registrations', 'accounts'].map((name) =>
        world.count(name),
      ),
    );

  describe('a registration that is repeated', () => {
    test('with the key of an agent that waits is the same agent, with the same question', async () => {
      const { client } = world;
      const host = client.newHost();
      const key = newKey();
      const first = fine(await client.register(host, key, { name: 'one', capabilities: ['read'] }));
      const before = await things();
      world.on.clock.advance(10);
      const again = fine(
        await client.register(host, key, { name: 'two', capabilities: ['read', 'write'], reason: 'other' }),
      );
      assert.deepEqual(again, {
        ...first,
        approval: { ...first.approval, expires_in: first.approval.expires_in - 10 },
      });
      assert.deepEqual(await things(), before);
    });

    test('mails nobody twice', async () => {
      const { client } = world;
      const mailbox = newMailbox();
      const [host, key] = [client.newHost(), newKey()];
      const ask: Connect = { capabilities: ['read'], preferred_method: 'ciba', login_hint: mailbox };
      fine(await client.register(host, key, ask));
      fine(await client.register(host, key, ask));
      assert.equal(await world.count('outbox WHERE mailbox = ?', [mailbox]), 1);
    });

    test('asks anew once the question is over: the old code and link lead nowhere', async () => {
      const { client, on } = world;
      const [host, key] = [client.newHost(), newKey()];
      const first = fine(await client.register(host, key, { capabilities: ['read'] }));
      on.clock.advance(600);
      const status = await client.status({ id: first.agent_id, key, host });
      assert.deepEqual([fine(status).status, status.body.approval], ['pending', undefined]);
      const again = fine(await client.register(host, key, { capabilities: ['read'] }));
      assert.equal(again.agent_id, first.agent_id);
      assert.equal(again.approval.expires_in, 600);
      assert.notEqual(again.approval.user_code, first.approval.user_code);
      assert.notEqual(again.approval.verification_uri_complete, first.approval.verification_uri_complete);
      const mailbox = newMailbox();
      await world.answer(again.approval.verification_uri_complete, mailbox);
      assert.equal(fine(await client.status({ id: first.agent_id, key, host })).status, 'active');
    });

    test('with the key of an agent that is anything else is a conflict, and changes nothing', async () => {
      const { client, on } = world;
      const host = client.newHost();
      const mailbox = newMailbox();
      const claimed = await world.autonomous(host);
      const active = await world.letIn(mailbox, {}, undefined, host);
      const revoked = await world.letIn(mailbox, {}, undefined, host);
      await client.disconnect(revoked);
      const { agent: rejected, reply } = await client.connect(host, { capabilities: ['write'] });
      await world.answer(fine(reply).approval.verification_uri_complete, mailbox, 'deny');
      const states = async () =>
        Promise.all(
          [claimed, active, revoked, rejected].map(async (each) => fine(await client.status(each)).status),
        );
      assert.deepEqual(await states(), ['claimed', 'active', 'revoked', 'rejected']);
      const before = await things();
      for (const { key } of [claimed, active, revoked, rejected]) {
        for (const mode of ['delegated', 'autonomous'] as const) {
          const again = await client.register(host, key, { mode, capabilities: ['read'] });
          refused(again, '409 agent_exists', mode);
        }
      }
      on.clock.advance(3600);
      refused(await client.register(host, active.key, {}), '409 agent_exists', 'expired');
      assert.deepEqual(await things(), before);
      assert.deepEqual(await states(), ['claimed', 'expired', 'revoked', 'rejected']);
    });
  });

  describe('what an agent asks for', () => {
    test('is refused whole where some of it is not there, and the answer names what', async () => {
      const { client } = world;
      const agent = await world.letIn(newMailbox());
      const before = await things();
      for (const capabilities of [
        ['read', 'fly', 'swim'],
        [{ name: 'fly', constraints: {} }, 'swim', 'write'],
      ]) {
        const { reply } = await client.connect(client.newHost(), { capabilities });
        refused(reply, '400 invalid_capabilities');
        assert.deepEqual(reply.body.invalid_capabilities, ['fly', 'swim']);
        const more = await client.request(agent, { capabilities });
        refused(more, '400 invalid_capabilities');
        assert.deepEqual(more.body.invalid_capabilities, ['fly', 'swim']);
      }
      for (const name of ['READ', ' read', 'read ', '', '*', 'toString', 'constructor.name']) {
        const { reply } = await client.connect(client.newHost(), { capabilities: [name] });
        refused(reply, '400 invalid_capabilities', name);
      }
      assert.deepEqual(await things(), before);
    });

    test('with constraints of an operator that nobody knows is refused, and the answer names it', async () => {
      const { client } = world;
      const agent = await world.letIn(newMailbox(), { capabilities: ['read'] });
      const before = await things();
      const capabilities = [
        'read',
        { name: 'write', constraints: { to: { like: 'x', in: ['y'] }, amount: { max: 5, gte: 1 }, ok: 7 } },
      ];
      for (const reply of [
        (await client.connect(client.newHost(), { capabilities })).reply,
        await client.request(agent, { capabilities }),
      ]) {
        refused(reply, '400 unknown_constraint_operator');
        assert.deepEqual(reply.body.unknown_operators.sort(), ['gte', 'like']);
      }
      for (const constraints of [
        'x',
        7,
        true,
        ['max'],
        { to: { max: '5' } },
        { to: { in: 'x' } },
        { to: { min: null } },
      ]) {
        const { reply } = await client.connect(client.newHost(), {
          capabilities: [{ name: 'write', constraints }],
        });
        assert.equal(reply.status, 400, JSON.stringify(constraints));
        refused(reply, said(reply), JSON.stringify(constraints));
      }
      assert.deepEqual(await things(), before);
    });

    test('by a mode that there is not is refused', async () => {
      const { client } = world;
      const before = await things();
      for (const mode of ['supervised', '', 'AUTONOMOUS']) {
        const { reply } = await client.connect(client.newHost(), {}, { body: { mode } });
        refused(reply, '400 unsupported_mode', mode);
      }
      assert.deepEqual(await things(), before);
      const { reply } = await client.connect(client.newHost(), {}, { body: { mode: undefined } });
      assert.equal(fine(reply).mode, 'delegated', 'where none is named');
    });

    test('may be nothing: then it is let in to nothing', async () => {
      const { client } = world;
      const { agent, reply } = await client.connect(client.newHost(), { capabilities: [] });
      assert.deepEqual([fine(reply).status, grantsIn(reply)], ['pending', {}]);
      await world.answer(reply.body.approval.verification_uri_complete, newMailbox());
      assert.deepEqual(grantsIn(await client.status(agent)), {});
      refused(await client.execute(agent, 'whoami'), '403 capability_not_granted');
    });

    test('twice by one name is asked once', async () => {
      const { client } = world;
      const { reply } = await client.connect(client.newHost(), {
        capabilities: ['read', 'read', { name: 'read', constraints: { seconds: { max: 60 } } }],
      });
      assert.deepEqual(fine(reply).agent_capability_grants, [
        { capability: 'read', status: 'pending', constraints: { seconds: { max: 60 } } },
      ]);
    });
  });

  describe('constraints', () => {
    const asked = (constraints: object): Connect => ({ capabilities: [{ name: 'write', constraints }] });

    test('are shown wherever the capability is, and are never widened by asking again', async () => {
      const { client } = world;
      const mailbox = newMailbox();
      const narrow = { seconds: { max: 60 } };
      const agent = await world.letIn(mailbox, asked(narrow));
      const granted = async () =>
        fine(await client.status(agent)).agent_capability_grants.find(
          ({ capability }: { capability: string }) => capability === 'write',
        ).constraints;
      assert.deepEqual(await granted(), narrow);
      for (const capabilities of [['write'], [{ name: 'write', constraints: { seconds: { max: 900 } } }]]) {
        refused(await client.request(agent, { capabilities }), '409 already_granted');
        // Together with something new, what it has stays as it is.
        const reply = await client.request(agent, { capabilities: [...capabilities, 'read'] });
        assert.ok(said(reply) === '200' || said(reply) === '409 already_granted', reply.text);
        assert.deepEqual(await granted(), narrow);
      }
      refused(await client.execute(agent, 'write', { seconds: 61 }), '403 constraint_violated');
      fine(await client.execute(agent, 'write', { seconds: 60 }));
    });

    test('of what was denied are those of the next question, and the human sees them', async () => {
      const { client } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(
        mailbox,
        { capabilities: ['whoami', { name: 'write', constraints: { seconds: { max: 60 } } }] },
        ['whoami'],
      );
      refused(await client.execute(agent, 'write', { seconds: 60 }), '403 capability_not_granted');
      const wider = { seconds: { max: 120 } };
      const reply = await client.request(agent, { capabilities: [{ name: 'write', constraints: wider }] });
      const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
      assert.match(page.text, /seconds at most 120/);
      await world.decide(agent.browser, page, 'approve');
      fine(await client.execute(agent, 'write', { seconds: 120 }));
      refused(await client.execute(agent, 'write', { seconds: 121 }), '403 constraint_violated');
    });

    test('that an agent widens while its human looks are not what they decide on', async () => {
      const { client } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox, { capabilities: ['whoami'] });
      const first = await client.request(agent, {
        capabilities: [{ name: 'write', constraints: { seconds: { max: 60 } } }],
      });
      const page = await agent.browser.get(fine(first).approval.verification_uri_complete);
      fine(await client.request(agent, { capabilities: ['write'] }));
      const late = await world.decide(agent.browser, page, 'approve');
      assert.notEqual(late.status, 200);
      assert.deepEqual(grantsIn(await client.status(agent)), { whoami: 'active', write: 'pending' });
      refused(await client.execute(agent, 'write'), '403 capability_not_granted');
    });

    test('are told to whoever introspects, and the refusal says which was violated', async () => {
      const { client, introspect, on } = world;
      const constraints = { seconds: { min: 100, max: 200 }, resource: 'https://api.example.com' };
      const agent = await world.letIn(newMailbox(), asked(constraints));
      const heard = fine(await introspect(client.agentToken(agent, on.url)));
      assert.deepEqual(heard.agent_capability_grants, [
        { capability: 'write', status: 'active', constraints },
      ]);
      const reply = await client.execute(agent, 'write', { seconds: 60 });
      refused(reply, '403 constraint_violated');
      assert.deepEqual(reply.body.violations, [
        { field: 'seconds', constraint: { min: 100 }, actual: 60 },
        { field: 'resource', constraint: 'https://api.example.com', actual: null },
      ]);
      fine(await client.execute(agent, 'write', { seconds: 150, resource: 'https://api.example.com' }));
    });
  });

  test('another host sees and changes nothing of an agent, and nobody one that is not there', async () => {
    const { client } = world;
    const agent = await world.letIn(newMailbox());
    const { agent: waiting } = await client.connect(client.newHost(), { capabilities: ['read'] });
    const [owned, alone] = [await world.letIn(newMailbox()), await world.autonomous()];
    const pending = await client.connect(client.newHost(), { capabilities: ['read'] });
    for (const { host } of [owned, alone, pending.agent]) {
      for (const theirs of [agent, waiting]) {
        refused(await client.status(theirs, {}, host), '403 unauthorized', 'status');
        refused(await client.reactivate(theirs, {}, host), '403 unauthorized', 'reactivate');
        refused(await client.disconnect(theirs, {}, host), '403 unauthorized', 'revoke');
        refused(await client.rotateAgentKey(theirs, newKey(), {}, host), '403 unauthorized', 'rotate');
      }
      const nobody: ClientAgent = { ...agent, id: 'agt_0000000000000000' };
      refused(await client.status(nobody, {}, host), '404 agent_not_found', 'status');
      refused(await client.reactivate(nobody, {}, host), '404 agent_not_found', 'reactivate');
      refused(await client.disconnect(nobody, {}, host), '404 agent_not_found', 'revoke');
      refused(await client.rotateAgentKey(nobody, newKey(), {}, host), '404 agent_not_found', 'rotate');
    }
    assert.equal(fine(await client.status(agent)).status, 'active');
    assert.equal(fine(await client.status(waiting)).status, 'pending');
    // An agent that came by another door is of no host.
    const { agent_id } = await world.on.register();
    refused(await client.status({ ...alone, id: agent_id }), '404 agent_not_found');
    const nameless = await client.get('/agent/status', client.hostToken(alone.host));
    refused(nameless, '400 invalid_request');
  });

  test('an agent that waits can be asked about, rotated and ended by its host', async () => {
    const { client } = world;
    const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
    const next = newKey();
    assert.deepEqual(fine(await client.rotateAgentKey(agent, next)), {
      agent_id: agent.id,
      status: 'pending',
    });
    refused(await client.reactivate(agent), '403 agent_pending');
    refused(await client.execute(agent, 'read'), '401 invalid_jwt', 'by its old key');
    refused(await client.execute({ ...agent, key: next }, 'read'), '403 agent_pending');
    fine(await client.disconnect(agent));
    assert.equal(fine(await client.status(agent)).status, 'revoked');
    const late = await world.open(fine(reply).approval.verification_uri_complete, newMailbox());
    assert.match(late.text, /decided already/);
    refused(await client.execute({ ...agent, key: next }, 'read'), '403 agent_revoked');
  });

  test('what an agent does is in the audit, with what and when, and is no secret', async () => {
    const { on } = world;
    const agent = await world.letIn(newMailbox());
    const token = await world.bearerOf(agent, 'write');
    const events = await on.service.deps.db.all<{ kind: string; at: number; details: string | null }>(
      'SELECT kind, at, details FROM events WHERE subject = ? OR agent_id = ? ORDER BY id',
      [agent.id, agent.id],
    );
    const executed = events.filter(({ kind }) => kind === 'capability.executed');
    assert.deepEqual(
      executed.map(({ at, details }) => [at, JSON.parse(details!)]),
      [[on.clock(), { capability: 'write' }]],
    );
    assert.ok(events.some(({ kind }) => kind === 'agent.connected'));
    for (const table of ['events', 'approvals', 'grants', 'hosted_agents', 'outbox', 'credentials']) {
      const rows = await on.service.deps.db.all(`SELECT * FROM ${table}`);
      assert.ok(!JSON.stringify(rows).includes(token), table);
    }
  });

  test('the code and the link that an agent shows are nowhere in the database', async () => {
    const { client, on } = world;
    const { reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
    const { user_code, verification_uri_complete: link } = fine(reply).approval;
    const mac = new URL(link).searchParams.get('t')!.split('.')[1]!;
    for (const table of ['approvals', 'events', 'outbox', 'hosted_agents']) {
      const text = JSON.stringify(await on.service.deps.db.all(`SELECT * FROM ${table}`));
      for (const secret of [user_code, user_code.replace('-', ''), mac]) {
        assert.ok(!text.includes(secret), table);
      }
    }
  });

  describe('at the same moment', () => {
    test('a new host that registers many agents is one host, and all of them are in', async () => {
      const { client } = world;
      const host = client.newHost();
      const [hosts, registrations] = [await world.count('hosts'), await world.count('registrations')];
      const replies = await atOnce(
        16,
        async () => (await client.connect(host, { mode: 'autonomous' })).reply,
      );
      assert.deepEqual(tally(replies), { 200: 16 });
      assert.equal(new Set(replies.map(({ body }) => body.host_id)).size, 1);
      assert.equal(new Set(replies.map(({ body }) => body.agent_id)).size, 16);
      assert.equal(await world.count('hosts'), hosts + 1);
      assert.equal(await world.count('registrations'), registrations + 1);
    });

    test('one agent key that is registered many times is one agent with one question', async () => {
      const { client } = world;
      const [host, key] = [client.newHost(), newKey()];
      const replies = await atOnce(16, () => client.register(host, key, { capabilities: ['read'] }));
      assert.deepEqual(tally(replies), { 200: 16 });
      assert.equal(new Set(replies.map(({ body }) => body.agent_id)).size, 1);
      assert.equal(new Set(replies.map(({ body }) => body.approval.user_code)).size, 1);
      assert.equal(await world.count('approvals WHERE agent_id = ?', [replies[0]!.body.agent_id]), 1);
    });

    test('a question that is answered many times is answered once, by one yes or one no', async () => {
      const { client, on } = world;
      const mailbox = newMailbox();
      const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read', 'write'] });
      const browser = (await world.letIn(mailbox)).browser;
      await browser.get(fine(reply).approval.verification_uri_complete);
      const form = browser.form('/connect/review');
      const pages = await atOnce(16, (index) =>
        browser.send('/connect/review', {
          ...form,
          decision: index % 2 ? 'approve' : 'deny',
          'allow:read': 'on',
          ...(index % 4 === 1 && { 'allow:write': 'on' }),
        }),
      );
      assert.equal(pages.filter(({ status }) => status === 200).length, 1);
      for (const { status } of pages)
        assert.ok(status === 200 || (status >= 400 && status < 500), String(status));
      const decided = await world.count(
        `events WHERE kind IN ('agent.connected', 'agent.rejected') AND (agent_id = ? OR subject = ?)`,
        [agent.id, agent.id],
      );
      assert.equal(decided, 1);
      const status = await client.status(agent);
      assert.ok(['active', 'rejected'].includes(fine(status).status));
      const granted = Object.values(grantsIn(status)).filter((each) => each === 'active').length;
      assert.equal(granted > 0, status.body.status === 'active');
      assert.ok(!on.logged.some((line) => line.includes('"level":50')), 'nothing went wrong here');
    });

    test('two humans who let agents of one host in: it becomes one human’s, and only theirs come in', async () => {
      const { client } = world;
      for (let round = 0; round < 4; round += 1) {
        const host = client.newHost();
        const mailboxes = [newMailbox(), newMailbox()];
        const agents = await Promise.all(
          mailboxes.map(() => client.connect(host, { capabilities: ['write'] })),
        );
        const browsers = await Promise.all(mailboxes.map(async (each) => (await world.letIn(each)).browser));
        const pages = await atOnce(2, (index) =>
          browsers[index]!.get(fine(agents[index]!.reply).approval.verification_uri_complete),
        );
        const done = await atOnce(2, (index) => world.decide(browsers[index]!, pages[index]!, 'approve'));
        assert.deepEqual(done.map(({ status }) => status).sort(), [200, 403]);
        const states = await Promise.all(
          agents.map(async ({ agent }) => fine(await client.status(agent)).status),
        );
        assert.deepEqual(states.sort(), ['active', 'pending']);
      }
    });

    test('a host that is linked while it registers agents that work alone has none of them in the end', async () => {
      const { client } = world;
      for (let round = 0; round < 4; round += 1) {
        const host = client.newHost();
        const { agent, reply } = await client.connect(host, { capabilities: ['read'] });
        const { browser } = await world.letIn(newMailbox());
        const page = await browser.get(fine(reply).approval.verification_uri_complete);
        const [, ...alone] = await Promise.all([
          world.decide(browser, page, 'approve'),
          ...Array.from({ length: 8 }, () => client.connect(host, { mode: 'autonomous' })),
        ]);
        assert.equal(fine(await client.status(agent)).status, 'active');
        for (const each of alone) {
          if (said(each.reply) === '400 unsupported_mode') continue;
          assert.equal(
            fine(await client.status({ ...each.agent, id: fine(each.reply).agent_id })).status,
            'claimed',
          );
        }
      }
    });

    test('an agent that asks for more while its host is linked ends as claimed, with nothing that it asked', async () => {
      const { client } = world;
      for (let round = 0; round < 4; round += 1) {
        const host = client.newHost();
        const alone = await atOnce(4, () => world.autonomous(host, { capabilities: ['whoami'] }));
        const { reply } = await client.connect(host, { capabilities: ['read'] });
        const { browser } = await world.letIn(newMailbox());
        const page = await browser.get(fine(reply).approval.verification_uri_complete);
        const [, asked] = await Promise.all([
          world.decide(browser, page, 'approve'),
          atOnce(16, (index) => client.request(alone[index % 4]!, { capabilities: ['read', 'write'] })),
        ]);
        for (const each of asked) assert.ok(each.status < 500, each.text);
        for (const agent of alone) {
          const status = await client.status(agent);
          assert.deepEqual(
            [fine(status).status, grantsIn(status), status.body.approval],
            ['claimed', {}, undefined],
          );
        }
      }
    });

    test('a host that is revoked from three sides while its agents work leaves nothing that works', async () => {
      const { client, api, introspectBearer } = world;
      for (let round = 0; round < 4; round += 1) {
        const mailbox = newMailbox();
        const host = client.newHost();
        const agent = await world.letIn(mailbox, {}, undefined, host);
        const { reply } = await client.connect(host, { capabilities: ['write'] });
        const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
        const csrf = agent.browser.form('/connect/review').csrf;
        const hostId = fine(await client.status(agent)).host_id;
        const [tokens, ...ends] = await Promise.all([
          atOnce(8, () => client.execute(agent, 'write', { resource: api.resource })),
          client.revokeHost(host),
          agent.browser.send(`/hosts/${hostId}/revoke`, { csrf }),
          agent.browser.send(`/agents/${agent.id}/revoke`, { csrf }),
          world.decide(agent.browser, page, 'approve'),
          client.disconnect(agent),
          client.connect(host, { capabilities: ['read'] }).then((each) => each.reply),
        ]);
        for (const { status, text } of ends) assert.ok(status < 500, `${status} ${text}`);
        for (const token of tokens) {
          assert.ok(token.status < 500, token.text);
          if (token.status !== 200) continue;
          assert.equal((await introspectBearer(token.body.data.access_token)).active, false);
        }
        refused(await client.execute(agent, 'whoami'), '403 host_revoked');
      }
    });

    test('an account that is deleted while agents are let in, come and work leaves nothing that works', async () => {
      const { client, on, api, introspectBearer } = world;
      for (let round = 0; round < 4; round += 1) {
        const host = client.newHost();
        const agent = await world.letIn(newMailbox(), {}, undefined, host);
        const { reply } = await client.connect(client.newHost(), { capabilities: ['write'] });
        const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
        const [, decided, came, tokens] = await Promise.all([
          deleteAccount(on.service.deps, localAsker('test'), agent.userId),
          world.decide(agent.browser, page, 'approve'),
          atOnce(4, async () => (await client.connect(host, { capabilities: ['read'] })).reply),
          atOnce(4, () => client.execute(agent, 'write', { resource: api.resource })),
        ]);
        for (const { status, text } of [decided, ...came, ...tokens]) assert.ok(status < 500, text);
        for (const { status, body } of tokens) {
          if (status !== 200) continue;
          assert.equal((await introspectBearer(body.data.access_token)).active, false);
        }
        refused(await client.execute(agent, 'whoami'), '403 host_revoked');
        refused((await client.connect(host)).reply, '403 host_revoked');
      }
    });

    test('an agent that is narrowed while it gets tokens has none left that writes', async () => {
      const { client, on, api, introspectBearer } = world;
      for (let round = 0; round < 4; round += 1) {
        const agent = await world.letIn(newMailbox());
        const [tokens] = await Promise.all([
          atOnce(16, () => client.execute(agent, 'write', { resource: api.resource })),
          narrowAgent(on.service.deps, localAsker('test'), agent.userId, agent.id, ['read']),
        ]);
        for (const { status, body, text } of tokens) {
          assert.ok(status < 500, text);
          if (status !== 200) continue;
          assert.equal((await introspectBearer(body.data.access_token)).active, false);
        }
      }
    });

    test('a host rotates its key once', async () => {
      const { client } = world;
      const agent = await world.autonomous();
      const keys = Array.from({ length: 16 }, newKey);
      const replies = await atOnce(16, (index) => client.rotateHostKey(agent.host, keys[index]!));
      assert.equal(replies.filter(({ status }) => status === 200).length, 1, JSON.stringify(tally(replies)));
      for (const { status } of replies) assert.ok(status < 500);
      const works = await Promise.all(
        keys.map(async (key) => (await client.status(agent, {}, { ...agent.host, key })).status === 200),
      );
      assert.deepEqual(
        works,
        replies.map(({ status }) => status === 200),
      );
    });
  });
});

onEveryEngine('limits of hosts', (engine) => {
  test('a new host is a registration like any other: past the limit of its address it is 429, with when to come again', async (t) => {
    const world = await openAgentWorld(engine, { limits: { registerPerIp: '3/h' } });
    t.after(() => world.stop());
    const { client, on } = world;
    fine((await client.connect(client.newHost(), { mode: 'autonomous' })).reply);
    fine((await client.connect(client.newHost(), { capabilities: ['read'] })).reply);
    await on.register();
    for (const mode of ['autonomous', 'delegated'] as const) {
      const { reply } = await client.connect(client.newHost(), { mode });
      assertRefused(on, reply, 'agent protocol', 429, 'rate_limited', mode);
    }
    assert.equal((await on.post('/agent/auth', { type: 'anonymous' })).status, 429);
    assert.equal(await world.count('hosts'), 2);
    on.clock.advance(3600);
    fine((await client.connect(client.newHost(), { mode: 'autonomous' })).reply);
  });

  test('agents of a host that is known are no registrations, and are counted by themselves', async (t) => {
    const world = await openAgentWorld(engine, { limits: { registerPerIp: '2/h', agentsPerHost: '3/d' } });
    t.after(() => world.stop());
    const { client, on } = world;
    const host = client.newHost();
    const key = newKey();
    for (let times = 0; times < 4; times += 1) {
      fine(await client.register(host, key, { capabilities: ['read'] })); // the same one each time
    }
    for (let times = 0; times < 2; times += 1) await world.autonomous(host);
    const { reply } = await client.connect(host, { mode: 'autonomous' });
    assertRefused(on, reply, 'agent protocol', 429, 'rate_limited', '');
    assert.equal(reply.body.retry_after, 86_400);
    assert.equal(await world.count('hosted_agents'), 3);
    await world.autonomous();

    // The budget of the address is spent now, for newcomers and for nobody else; they leave nothing behind.
    const spent = await world.count('spent_tokens');
    for (const mode of ['autonomous', 'delegated'] as const) {
      const late = await client.connect(client.newHost(), { mode });
      assertRefused(on, late.reply, 'agent protocol', 429, 'rate_limited', mode);
    }
    assert.equal(await world.count('spent_tokens'), spent);
    fine(await client.register(host, key, { capabilities: ['read'] }));
  });

  test('whoever shows a link asks for no mail, and is not held up by those who did', async (t) => {
    const world = await openAgentWorld(engine, { limits: { claimMailPerIp: '1/h' } });
    t.after(() => world.stop());
    const { client } = world;
    const agent = await world.letIn(newMailbox(), { capabilities: ['read'] });
    const byMail = { capabilities: ['write'], preferred_method: 'ciba' };
    fine(await client.request(agent, { ...byMail, login_hint: newMailbox() }));
    const late = await client.request(agent, { ...byMail, login_hint: newMailbox() });
    assertRefused(world.on, late, 'agent protocol', 429, 'rate_limited', 'mailed');
    fine(await client.request(agent, { capabilities: ['write'] }));
  });

  test('polling costs nothing', async (t) => {
    const limits = { registerPerIp: '1/h', agentsPerHost: '1/d', claimMailPerIp: '1/h', wrongPerIpHour: 1 };
    const world = await openAgentWorld(engine, { limits });
    t.after(() => world.stop());
    const { client } = world;
    const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
    fine(reply);
    for (let times = 0; times < 100; times += 1) fine(await client.status(agent));
  });
});

onEveryEngine('lifetimes', (engine) => {
  let world: AgentWorld;
  const LIMITS = { agentIdleSeconds: 600, agentLifetimeSeconds: 1800, agentAbsoluteSeconds: 7200 };
  before(async () => {
    world = await openAgentWorld(engine, { limits: LIMITS });
  });
  after(() => world.stop());

  const refused = (reply: Reply, expected: string, about = '') => {
    const [status, code] = expected.split(' ');
    assertRefused(world.on, reply, 'agent protocol', Number(status), code!, about);
  };
  const stateOf = async (agent: ClientAgent) => fine(await world.client.status(agent)).status;

  test('an agent expires when it has signed nothing for a while, to the second; whatever it signs keeps it going', async () => {
    const { client, on, introspect, api } = world;
    const agent = await world.letIn(newMailbox());
    const uses: (() => Promise<Reply>)[] = [
      () => client.listAsAgent(agent),
      () => client.execute(agent, 'whoami'),
    ];
    for (const use of uses) {
      on.clock.advance(599);
      fine(await use());
      assert.equal(fine(await client.status(agent)).last_used_at, new Date(on.clock()).toISOString());
    }
    on.clock.advance(300);
    assert.equal(fine(await introspect(client.agentToken(agent, api.resource))).active, true);
    // What its host does keeps it not.
    const again = await world.letIn(newMailbox());
    on.clock.advance(599);
    assert.equal(await stateOf(again), 'active');
    on.clock.advance(1);
    assert.equal(await stateOf(again), 'expired');
  });

  test('and in any case a while after it became active', async () => {
    const { client, on } = world;
    const agent = await world.letIn(newMailbox());
    for (let times = 0; times < 3; times += 1) {
      on.clock.advance(times === 2 ? 599 : 600 - 1);
      fine(await client.execute(agent, 'whoami'));
    }
    assert.equal(fine(await client.status(agent)).expires_at, new Date(on.clock() + 3000).toISOString());
    on.clock.advance(3);
    refused(await client.execute(agent, 'whoami'), '403 agent_expired');
    assert.equal(await stateOf(agent), 'expired');
  });

  test('one that has expired can do nothing, and is told so; its token stays good for when it is back', async () => {
    const { client, on, introspect } = world;
    const agent = await world.letIn(newMailbox());
    on.clock.advance(600);
    const token = client.agentToken(agent, client.executeAt());
    const execute = () => client.post('/capability/execute', token, { capability: 'whoami' });
    refused(await execute(), '403 agent_expired');
    refused(await client.request(agent, { capabilities: ['read'] }), '403 agent_expired');
    refused(await client.listAsAgent(agent), '403 agent_expired', 'no wrong token: a state');
    refused(await client.describe('read', agent), '403 agent_expired');
    assert.deepEqual(fine(await introspect(client.agentToken(agent, on.url))), { active: false });
    fine(await client.reactivate(agent));
    fine(await execute());
  });

  test('reactivation drops what a human allowed, and what was asked of them; clocks begin anew, but for the last one', async () => {
    const { client, on } = world;
    const mailbox = newMailbox();
    const agent = await world.letIn(mailbox, {
      capabilities: ['read', { name: 'write', constraints: { seconds: { max: 60 } } }],
    });
    const { created_at } = fine(await client.status(agent));
    on.clock.advance(600);
    const reply = await client.reactivate(agent);
    assert.deepEqual(grantsIn(reply), { read: 'active', whoami: 'active' });
    assert.equal(fine(reply).created_at, created_at);
    refused(await client.execute(agent, 'write', { seconds: 60 }), '403 capability_not_granted');
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
    t.after(() => other.stop());
    const { client, on } = other;
    for (const isBack of [false, true]) {
      const agent = await other.letIn(newMailbox(), { capabilities: ['read'] });
      const reply = await client.request(agent, { capabilities: ['write'] });
      const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
      on.clock.advance(300);
      if (isBack) assert.equal(fine(await client.reactivate(agent)).approval, undefined);
      const late = await other.decide(agent.browser, page, 'approve');
      assert.notEqual(late.status, 200);
      fine(await client.reactivate(agent));
      assert.deepEqual(grantsIn(await client.status(agent)), { read: 'active', whoami: 'active' });
    }
  });

  test('an agent that has lived as long as one may is over, whatever its host does', async () => {
    const { client, on, introspect } = world;
    const agent = await world.letIn(newMailbox());
    for (let seconds = 600; seconds < 7200; seconds += 600) {
      on.clock.advance(600);
      fine(await client.reactivate(agent));
    }
    on.clock.advance(599);
    fine(await client.execute(agent, 'whoami'));
    on.clock.advance(1);
    refused(await client.execute(agent, 'whoami'), '403 absolute_lifetime_exceeded');
    refused(await client.reactivate(agent), '403 absolute_lifetime_exceeded');
    assert.equal(await stateOf(agent), 'revoked');
    assert.deepEqual(fine(await introspect(client.agentToken(agent, on.url))), { active: false });
  });

  test('an agent that waits does not expire by itself; the clock runs from when it is let in', async () => {
    const { client, on } = world;
    const [host, key] = [client.newHost(), newKey()];
    const { agent_id: id } = fine(await client.register(host, key, { capabilities: ['read'] }));
    on.clock.advance(3600);
    const reply = await client.register(host, key, { capabilities: ['read'] });
    await world.answer(fine(reply).approval.verification_uri_complete, newMailbox());
    const status = fine(await client.status({ id, key, host }));
    assert.deepEqual(
      [status.status, status.expires_at],
      ['active', new Date(on.clock() + 600_000).toISOString()],
    );
  });
});

onEveryEngine('hosts that nobody owns', (engine) => {
  const DAY = 86_400;
  const LONG = { agentIdleSeconds: 30 * DAY, agentLifetimeSeconds: 30 * DAY, agentAbsoluteSeconds: 30 * DAY };

  test('end like an anonymous registration, swept or not; then all that hangs on them goes', async (t) => {
    const world = await openAgentWorld(engine, { limits: { ...LONG, unclaimedTtlSeconds: 3 * DAY } });
    t.after(() => world.stop('swept'));
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
      assert.equal(said(await client.execute(agent, 'whoami')), '403 host_revoked');
      assert.deepEqual(fine(await introspect(client.agentToken(agent, on.url))), { active: false });
    }
    for (const host of [alone.host, next]) {
      assert.equal(said((await client.connect(host, { capabilities: ['read'] })).reply), '403 host_revoked');
    }
    const page = await world.open(fine(reply).approval.verification_uri_complete, mailbox);
    assert.doesNotMatch(page.text, /Do you let this agent in/);
    assert.equal(fine(await client.status(owned)).status, 'active');
    on.clock.advance(DAY + 3600);
    await sweep(on.service.deps);
    assert.equal((await introspectBearer(bearer)).active, false);
    for (const table of ['hosts', 'hosted_agents', 'registrations']) {
      assert.equal(await world.count(table), 1, table);
    }
    // What was asked and why is nobody's business any more.
    assert.equal(await world.count('approvals'), 0);
    assert.equal(await world.count('retired_host_keys'), 0);
    assert.equal(await world.count(`accounts WHERE kind = 'agent' AND ended_at IS NULL`), 0);
    fine(await client.execute(owned, 'whoami'));
    // Their keys are as good as new, also that which one had before.
    fine((await client.connect(alone.host, { mode: 'autonomous' })).reply);
    fine((await client.connect(rekeyed.host, { mode: 'autonomous' })).reply);
  });

  test('agents that nobody let in within a week are forgotten, with what they asked; all others stay', async (t) => {
    const world = await openAgentWorld(engine, { limits: LONG });
    t.after(() => world.stop('swept'));
    const { client, on } = world;
    const host = client.newHost();
    const working = await world.letIn(newMailbox(), {}, undefined, host);
    const { agent: waiting } = await client.connect(host, { capabilities: ['write'], reason: 'private' });
    on.clock.advance(6 * DAY);
    const { agent: younger } = await client.connect(host, { capabilities: ['write'] });
    await sweep(on.service.deps);
    assert.equal(fine(await client.status(waiting)).status, 'pending');
    on.clock.advance(DAY);
    await sweep(on.service.deps);
    assert.equal(said(await client.status(waiting)), '404 agent_not_found');
    assert.equal(fine(await client.status(younger)).status, 'pending');
    fine(await client.execute(working, 'write'));
    assert.equal(await world.count('hosted_agents'), 2);
  });
});

onEveryEngine('resource servers', (engine) => {
  test('do not follow what is not theirs to know: a merge names accounts, and no host', async (t) => {
    const world = await openAgentWorld(engine);
    t.after(() => world.stop());
    const { client, on, api } = world;
    const headers = basic(api.clientId, api.clientSecret);
    const { last } = fine(await on.request('GET', '/resource/events', { headers }));
    const host = client.newHost('secret-name.example');
    const alone = await world.autonomous(host, { name: 'secret agent' });
    on.clock.advance(1);
    await world.letIn(newMailbox(), { reason: 'secret reason' }, undefined, host);
    const page = fine(await on.request('GET', `/resource/events?after=${last}`, { headers }));
    const text = JSON.stringify(page);
    for (const secret of ['secret', host.key.thumbprint, alone.key.thumbprint, '@example.com']) {
      assert.ok(!text.includes(secret), text);
    }
    assert.equal(page.events.filter((each: { type: string }) => each.type === 'account_merged').length, 1);
  });
});
