import type { ExecutionContext } from 'ava';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { narrowAgent } from '../../src/domain/owner/manage-agents.ts';
import { localOrigin } from '../../src/work.ts';
import { newKey } from '../helpers/agent-client.ts';
import { type AgentWorld, fine, grantsIn, openAgentWorld, said } from '../helpers/agent-world.ts';
import { atOnce, newMailbox, tallyBy } from '../helpers/common.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertRefused } from '../helpers/wire.ts';

/** What holds of hosts, their agents and what these are allowed, whoever asks and how often (Agent Auth Protocol 1.0-draft, sections 2, 5 and 8). */

/** How often each answer came. */
function tally(replies: readonly Reply[]): Record<string, number> {
  return tallyBy(replies, said);
}

onEveryEngine('hosts and agents at the same moment', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
  });
  test.after(() => world.stop());

  const refused = (t: ExecutionContext, reply: Reply, expected: string, about = '') => {
    const [status, code] = expected.split(' ');
    assertRefused(t, world.on, reply, 'agent protocol', Number(status), code!, about);
  };

  test.describe('at the same moment', (test) => {
    test('a new host that registers many agents is one host, and all of them are in', async (t) => {
      const { client } = world;
      const host = client.newHost();
      const [hosts, registrations] = [await world.count('hosts'), await world.count('registrations')];
      const replies = await atOnce(
        16,
        async () => (await client.connect(host, { mode: 'autonomous' })).reply,
      );
      t.deepEqual(tally(replies), { 200: 16 });
      t.is(new Set(replies.map(({ body }) => body.host_id)).size, 1);
      t.is(new Set(replies.map(({ body }) => body.agent_id)).size, 16);
      t.is(await world.count('hosts'), hosts + 1);
      t.is(await world.count('registrations'), registrations + 1);
    });

    test('one agent key that is registered many times is one agent with one question', async (t) => {
      const { client } = world;
      const [host, key] = [client.newHost(), newKey()];
      const replies = await atOnce(16, () => client.register(host, key, { capabilities: ['read'] }));
      t.deepEqual(tally(replies), { 200: 16 });
      t.is(new Set(replies.map(({ body }) => body.agent_id)).size, 1);
      t.is(new Set(replies.map(({ body }) => body.approval.user_code)).size, 1);
      t.is(await world.count('approvals WHERE agent_id = ?', [replies[0]!.body.agent_id]), 1);
    });

    test('a question that is answered many times is answered once, by one yes or one no', async (t) => {
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
      t.is(pages.filter(({ status }) => status === 200).length, 1);
      for (const { status } of pages)
        t.true(status === 200 || (status >= 400 && status < 500), String(status));
      const decided = await world.count(
        `events WHERE kind IN ('agent.connected', 'agent.rejected') AND (agent_id = ? OR subject = ?)`,
        [agent.id, agent.id],
      );
      t.is(decided, 1);
      const status = await client.status(agent);
      t.true(['active', 'rejected'].includes(fine(status).status));
      const granted = Object.values(grantsIn(status)).filter((each) => each === 'active').length;
      t.is(granted > 0, status.body.status === 'active');
      t.false(
        on.logged.some((line) => line.includes('"level":50')),
        'nothing went wrong here',
      );
    });

    test('two humans who let agents of one host in: it becomes one human’s, and only theirs come in', async (t) => {
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
        t.deepEqual(done.map(({ status }) => status).sort(), [200, 403]);
        const states = await Promise.all(
          agents.map(async ({ agent }) => fine(await client.status(agent)).status),
        );
        t.deepEqual(states.sort(), ['active', 'pending']);
      }
    });

    test('a host that is linked while it registers agents that work alone has none of them in the end', async (t) => {
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
        t.is(fine(await client.status(agent)).status, 'active');
        for (const each of alone) {
          if (said(each.reply) === '400 unsupported_mode') continue;
          t.is(fine(await client.status({ ...each.agent, id: fine(each.reply).agent_id })).status, 'claimed');
        }
      }
    });

    test('an agent that asks for more while its host is linked ends as claimed, with nothing that it asked', async (t) => {
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
        for (const each of asked) t.true(each.status < 500, each.text);
        for (const agent of alone) {
          const status = await client.status(agent);
          t.deepEqual(
            [fine(status).status, grantsIn(status), status.body.approval],
            ['claimed', {}, undefined],
          );
        }
      }
    });

    test('a host that is revoked from three sides while its agents work leaves nothing that works', async (t) => {
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
        for (const { status, text } of ends) t.true(status < 500, `${status} ${text}`);
        for (const token of tokens) {
          t.true(token.status < 500, token.text);
          if (token.status !== 200) continue;
          t.false((await introspectBearer(token.body.data.access_token)).active);
        }
        refused(t, await client.execute(agent, 'whoami'), '403 host_revoked');
      }
    });

    test('an account that is deleted while agents are let in, come and work leaves nothing that works', async (t) => {
      const { client, on, api, introspectBearer } = world;
      for (let round = 0; round < 4; round += 1) {
        const host = client.newHost();
        const agent = await world.letIn(newMailbox(), {}, undefined, host);
        const { reply } = await client.connect(client.newHost(), { capabilities: ['write'] });
        const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
        const [, decided, came, tokens] = await Promise.all([
          deleteAccount(on.service.deps, localOrigin('test'), agent.userId),
          world.decide(agent.browser, page, 'approve'),
          atOnce(4, async () => (await client.connect(host, { capabilities: ['read'] })).reply),
          atOnce(4, () => client.execute(agent, 'write', { resource: api.resource })),
        ]);
        for (const { status, text } of [decided, ...came, ...tokens]) t.true(status < 500, text);
        for (const { status, body } of tokens) {
          if (status !== 200) continue;
          t.false((await introspectBearer(body.data.access_token)).active);
        }
        refused(t, await client.execute(agent, 'whoami'), '403 host_revoked');
        refused(t, (await client.connect(host)).reply, '403 host_revoked');
      }
    });

    test('an agent that is narrowed while it gets tokens has none left that writes', async (t) => {
      const { client, on, api, introspectBearer } = world;
      for (let round = 0; round < 4; round += 1) {
        const agent = await world.letIn(newMailbox());
        const [tokens] = await Promise.all([
          atOnce(16, () => client.execute(agent, 'write', { resource: api.resource })),
          narrowAgent(on.service.deps, localOrigin('test'), agent.userId, agent.id, ['read']),
        ]);
        for (const { status, body, text } of tokens) {
          t.true(status < 500, text);
          if (status !== 200) continue;
          t.false((await introspectBearer(body.data.access_token)).active);
        }
      }
    });

    test('a host rotates its key once', async (t) => {
      const { client } = world;
      const agent = await world.autonomous();
      const keys = Array.from({ length: 16 }, newKey);
      const replies = await atOnce(16, (index) => client.rotateHostKey(agent.host, keys[index]!));
      t.is(replies.filter(({ status }) => status === 200).length, 1, JSON.stringify(tally(replies)));
      for (const { status } of replies) t.true(status < 500);
      const works = await Promise.all(
        keys.map(async (key) => (await client.status(agent, {}, { ...agent.host, key })).status === 200),
      );
      t.deepEqual(
        works,
        replies.map(({ status }) => status === 200),
      );
    });
  });
});
