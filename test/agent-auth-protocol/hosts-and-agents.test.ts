import type { ExecutionContext } from 'ava';
import { type ClientAgent, type Connect, newKey } from '../helpers/agent-client.ts';
import { type AgentWorld, fine, grantsIn, openAgentWorld, said } from '../helpers/agent-world.ts';
import { newMailbox } from '../helpers/common.ts';
import { basic, type Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertRefused } from '../helpers/wire.ts';

onEveryEngine('hosts and agents', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
  });
  test.after(() => world.stop());

  const refused = (t: ExecutionContext, reply: Reply, expected: string, about = '') => {
    const [status, code] = expected.split(' ');
    assertRefused(t, world.on, reply, 'agent protocol', Number(status), code!, about);
  };
  const things = () =>
    Promise.all(
      ['hosts', 'hosted_agents', 'grants', 'approvals', 'registrations', 'accounts'].map((name) =>
        world.count(name),
      ),
    );

  test.describe('a registration that is repeated', (test) => {
    test('with the key of an agent that waits is the same agent, with the same question', async (t) => {
      const { client } = world;
      const host = client.newHost();
      const key = newKey();
      const first = fine(await client.register(host, key, { name: 'one', capabilities: ['read'] }));
      const before = await things();
      world.on.clock.advance(10);
      const again = fine(
        await client.register(host, key, { name: 'two', capabilities: ['read', 'write'], reason: 'other' }),
      );
      t.deepEqual(again, {
        ...first,
        approval: { ...first.approval, expires_in: first.approval.expires_in - 10 },
      });
      t.deepEqual(await things(), before);
    });

    test('mails nobody twice', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const [host, key] = [client.newHost(), newKey()];
      const ask: Connect = { capabilities: ['read'], preferred_method: 'ciba', login_hint: mailbox };
      fine(await client.register(host, key, ask));
      fine(await client.register(host, key, ask));
      t.is(await world.count('outbox WHERE mailbox = ?', [mailbox]), 1);
    });

    test('asks anew once the question is over: the old code and link lead nowhere', async (t) => {
      const { client, on } = world;
      const [host, key] = [client.newHost(), newKey()];
      const first = fine(await client.register(host, key, { capabilities: ['read'] }));
      on.clock.advance(600);
      const status = await client.status({ id: first.agent_id, key, host });
      t.deepEqual([fine(status).status, status.body.approval], ['pending', undefined]);
      const again = fine(await client.register(host, key, { capabilities: ['read'] }));
      t.is(again.agent_id, first.agent_id);
      t.is(again.approval.expires_in, 600);
      t.not(again.approval.user_code, first.approval.user_code);
      t.not(again.approval.verification_uri_complete, first.approval.verification_uri_complete);
      const mailbox = newMailbox();
      await world.answer(again.approval.verification_uri_complete, mailbox);
      t.is(fine(await client.status({ id: first.agent_id, key, host })).status, 'active');
    });

    test('with the key of an agent that is anything else is a conflict, and changes nothing', async (t) => {
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
      t.deepEqual(await states(), ['claimed', 'active', 'revoked', 'rejected']);
      const before = await things();
      for (const { key } of [claimed, active, revoked, rejected]) {
        for (const mode of ['delegated', 'autonomous'] as const) {
          const again = await client.register(host, key, { mode, capabilities: ['read'] });
          refused(t, again, '409 agent_exists', mode);
        }
      }
      on.clock.advance(3600);
      refused(t, await client.register(host, active.key, {}), '409 agent_exists', 'expired');
      t.deepEqual(await things(), before);
      t.deepEqual(await states(), ['claimed', 'expired', 'revoked', 'rejected']);
    });
  });

  test.describe('what an agent asks for', (test) => {
    test('is refused whole where some of it is not there, and the answer names what', async (t) => {
      const { client } = world;
      const agent = await world.letIn(newMailbox());
      const before = await things();
      for (const capabilities of [
        ['read', 'fly', 'swim'],
        [{ name: 'fly', constraints: {} }, 'swim', 'write'],
      ]) {
        const { reply } = await client.connect(client.newHost(), { capabilities });
        refused(t, reply, '400 invalid_capabilities');
        t.deepEqual(reply.body.invalid_capabilities, ['fly', 'swim']);
        const more = await client.request(agent, { capabilities });
        refused(t, more, '400 invalid_capabilities');
        t.deepEqual(more.body.invalid_capabilities, ['fly', 'swim']);
      }
      for (const name of ['READ', ' read', 'read ', '', '*', 'toString', 'constructor.name']) {
        const { reply } = await client.connect(client.newHost(), { capabilities: [name] });
        refused(t, reply, '400 invalid_capabilities', name);
      }
      t.deepEqual(await things(), before);
    });

    test('with constraints of an operator that nobody knows is refused, and the answer names it', async (t) => {
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
        refused(t, reply, '400 unknown_constraint_operator');
        t.deepEqual(reply.body.unknown_operators.sort(), ['gte', 'like']);
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
        t.is(reply.status, 400, JSON.stringify(constraints));
        refused(t, reply, said(reply), JSON.stringify(constraints));
      }
      t.deepEqual(await things(), before);
    });

    test('by a mode that there is not is refused', async (t) => {
      const { client } = world;
      const before = await things();
      for (const mode of ['supervised', '', 'AUTONOMOUS']) {
        const { reply } = await client.connect(client.newHost(), {}, { body: { mode } });
        refused(t, reply, '400 unsupported_mode', mode);
      }
      t.deepEqual(await things(), before);
      const { reply } = await client.connect(client.newHost(), {}, { body: { mode: undefined } });
      t.is(fine(reply).mode, 'delegated', 'where none is named');
    });

    test('may be nothing: then it is let in to nothing', async (t) => {
      const { client } = world;
      const { agent, reply } = await client.connect(client.newHost(), { capabilities: [] });
      t.deepEqual([fine(reply).status, grantsIn(reply)], ['pending', {}]);
      await world.answer(reply.body.approval.verification_uri_complete, newMailbox());
      t.deepEqual(grantsIn(await client.status(agent)), {});
      refused(t, await client.execute(agent, 'whoami'), '403 capability_not_granted');
    });

    test('twice by one name is asked once', async (t) => {
      const { client } = world;
      const { reply } = await client.connect(client.newHost(), {
        capabilities: ['read', 'read', { name: 'read', constraints: { seconds: { max: 60 } } }],
      });
      t.deepEqual(fine(reply).agent_capability_grants, [
        { capability: 'read', status: 'pending', constraints: { seconds: { max: 60 } } },
      ]);
    });
  });

  test.describe('constraints', (test) => {
    const asked = (constraints: object): Connect => ({ capabilities: [{ name: 'write', constraints }] });

    test('are shown wherever the capability is, and are never widened by asking again', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const narrow = { seconds: { max: 60 } };
      const agent = await world.letIn(mailbox, asked(narrow));
      const granted = async () =>
        fine(await client.status(agent)).agent_capability_grants.find(
          ({ capability }: { capability: string }) => capability === 'write',
        ).constraints;
      t.deepEqual(await granted(), narrow);
      for (const capabilities of [['write'], [{ name: 'write', constraints: { seconds: { max: 900 } } }]]) {
        refused(t, await client.request(agent, { capabilities }), '409 already_granted');
        // Together with something new, what it has stays as it is.
        const reply = await client.request(agent, { capabilities: [...capabilities, 'read'] });
        t.true(said(reply) === '200' || said(reply) === '409 already_granted', reply.text);
        t.deepEqual(await granted(), narrow);
      }
      refused(t, await client.execute(agent, 'write', { seconds: 61 }), '403 constraint_violated');
      fine(await client.execute(agent, 'write', { seconds: 60 }));
    });

    test('of what was denied are those of the next question, and the human sees them', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(
        mailbox,
        { capabilities: ['whoami', { name: 'write', constraints: { seconds: { max: 60 } } }] },
        ['whoami'],
      );
      refused(t, await client.execute(agent, 'write', { seconds: 60 }), '403 capability_not_granted');
      const wider = { seconds: { max: 120 } };
      const reply = await client.request(agent, { capabilities: [{ name: 'write', constraints: wider }] });
      const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
      t.regex(page.text, /seconds at most 120/);
      await world.decide(agent.browser, page, 'approve');
      fine(await client.execute(agent, 'write', { seconds: 120 }));
      refused(t, await client.execute(agent, 'write', { seconds: 121 }), '403 constraint_violated');
    });

    test('that an agent widens while its human looks are not what they decide on', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox, { capabilities: ['whoami'] });
      const first = await client.request(agent, {
        capabilities: [{ name: 'write', constraints: { seconds: { max: 60 } } }],
      });
      const page = await agent.browser.get(fine(first).approval.verification_uri_complete);
      fine(await client.request(agent, { capabilities: ['write'] }));
      const late = await world.decide(agent.browser, page, 'approve');
      t.not(late.status, 200);
      t.deepEqual(grantsIn(await client.status(agent)), { whoami: 'active', write: 'pending' });
      refused(t, await client.execute(agent, 'write'), '403 capability_not_granted');
    });

    test('are told to whoever introspects, and the refusal says which was violated', async (t) => {
      const { client, introspect, on } = world;
      const constraints = { seconds: { min: 100, max: 200 }, resource: 'https://api.example.com' };
      const agent = await world.letIn(newMailbox(), asked(constraints));
      const heard = fine(await introspect(client.agentToken(agent, on.url)));
      t.deepEqual(heard.agent_capability_grants, [{ capability: 'write', status: 'active', constraints }]);
      const reply = await client.execute(agent, 'write', { seconds: 60 });
      refused(t, reply, '403 constraint_violated');
      t.deepEqual(reply.body.violations, [
        { field: 'seconds', constraint: { min: 100 }, actual: 60 },
        { field: 'resource', constraint: 'https://api.example.com', actual: null },
      ]);
      fine(await client.execute(agent, 'write', { seconds: 150, resource: 'https://api.example.com' }));
    });
  });

  test('another host sees and changes nothing of an agent, and nobody one that is not there', async (t) => {
    const { client } = world;
    const agent = await world.letIn(newMailbox());
    const { agent: waiting } = await client.connect(client.newHost(), { capabilities: ['read'] });
    const [owned, alone] = [await world.letIn(newMailbox()), await world.autonomous()];
    const pending = await client.connect(client.newHost(), { capabilities: ['read'] });
    for (const { host } of [owned, alone, pending.agent]) {
      for (const theirs of [agent, waiting]) {
        refused(t, await client.status(theirs, {}, host), '403 unauthorized', 'status');
        refused(t, await client.reactivate(theirs, {}, host), '403 unauthorized', 'reactivate');
        refused(t, await client.disconnect(theirs, {}, host), '403 unauthorized', 'revoke');
        refused(t, await client.rotateAgentKey(theirs, newKey(), {}, host), '403 unauthorized', 'rotate');
      }
      const nobody: ClientAgent = { ...agent, id: 'agt_0000000000000000' };
      refused(t, await client.status(nobody, {}, host), '404 agent_not_found', 'status');
      refused(t, await client.reactivate(nobody, {}, host), '404 agent_not_found', 'reactivate');
      refused(t, await client.disconnect(nobody, {}, host), '404 agent_not_found', 'revoke');
      refused(t, await client.rotateAgentKey(nobody, newKey(), {}, host), '404 agent_not_found', 'rotate');
    }
    t.is(fine(await client.status(agent)).status, 'active');
    t.is(fine(await client.status(waiting)).status, 'pending');
    // An agent that came by another door is of no host.
    const { agent_id } = await world.on.register();
    refused(t, await client.status({ ...alone, id: agent_id }), '404 agent_not_found');
    const nameless = await client.get('/agent/status', client.hostToken(alone.host));
    refused(t, nameless, '400 invalid_request');
  });

  test('an agent that waits can be asked about, rotated and ended by its host', async (t) => {
    const { client } = world;
    const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
    const next = newKey();
    t.deepEqual(fine(await client.rotateAgentKey(agent, next)), {
      agent_id: agent.id,
      status: 'pending',
    });
    refused(t, await client.reactivate(agent), '403 agent_pending');
    refused(t, await client.execute(agent, 'read'), '401 invalid_jwt', 'by its old key');
    refused(t, await client.execute({ ...agent, key: next }, 'read'), '403 agent_pending');
    fine(await client.disconnect(agent));
    t.is(fine(await client.status(agent)).status, 'revoked');
    const late = await world.open(fine(reply).approval.verification_uri_complete, newMailbox());
    t.regex(late.text, /decided already/);
    refused(t, await client.execute({ ...agent, key: next }, 'read'), '403 agent_revoked');
  });

  test('what an agent does is in the audit, with what and when, and is no secret', async (t) => {
    const { on } = world;
    const agent = await world.letIn(newMailbox());
    const token = await world.bearerOf(agent, 'write');
    const events = await on.service.deps.db.all<{ kind: string; at: number; details: string | null }>(
      'SELECT kind, at, details FROM events WHERE subject = ? OR agent_id = ? ORDER BY id',
      [agent.id, agent.id],
    );
    const executed = events.filter(({ kind }) => kind === 'capability.executed');
    t.deepEqual(
      executed.map(({ at, details }) => [at, JSON.parse(details!)]),
      [[on.clock(), { capability: 'write' }]],
    );
    t.true(events.some(({ kind }) => kind === 'agent.connected'));
    for (const table of ['events', 'approvals', 'grants', 'hosted_agents', 'outbox', 'credentials']) {
      const rows = await on.service.deps.db.all(`SELECT * FROM ${table}`);
      t.false(JSON.stringify(rows).includes(token), table);
    }
  });

  test('the code and the link that an agent shows are nowhere in the database', async (t) => {
    const { client, on } = world;
    const { reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
    const { user_code, verification_uri_complete: link } = fine(reply).approval;
    const mac = new URL(link).searchParams.get('t')!.split('.')[1]!;
    for (const table of ['approvals', 'events', 'outbox', 'hosted_agents']) {
      const text = JSON.stringify(await on.service.deps.db.all(`SELECT * FROM ${table}`));
      for (const secret of [user_code, user_code.replace('-', ''), mac]) {
        t.false(text.includes(secret), table);
      }
    }
  });
});

onEveryEngine('resource servers', (engine, test) => {
  test('do not follow what is not theirs to know: a merge names accounts, and no host', async (t) => {
    const world = await openAgentWorld(engine);
    t.teardown(() => world.stop());
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
      t.false(text.includes(secret), text);
    }
    t.is(page.events.filter((each: { type: string }) => each.type === 'account_merged').length, 1);
  });
});
