import type { ExecutionContext } from 'ava';
import { showAgent } from '../../src/domain/agents/agent-view.ts';
import { createRender } from '../../src/mail/render.ts';
import { permissionsOn } from '../helpers/agent-pages.ts';
import {
  type AgentWorld,
  ASKED,
  boxesOn,
  fine,
  grantsIn,
  IN,
  openAgentWorld,
  said,
  waitingAgents,
} from '../helpers/agent-world.ts';
import { openBrowser, type Page } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { HOSTILE_NAMES } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What humans decide about agents that sign their requests, and what they see and take back later (Agent Auth Protocol 1.0-draft, section 8). */

/** A page without what it says: its tags, and the names of their attributes. */
const structureOf = (html: string) =>
  [...html.matchAll(/<[^>]*>/g)].map(([tag]) => tag.replaceAll(/="[^"]*"/g, '')).join('\n');
/** What hides or reorders what stands beside it. */
const TRICKS = /[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/u;

onEveryEngine('letting agents in: what a human sees and has', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
  });
  test.after(() => world.stop());

  const { waiting, stateOf } = waitingAgents(() => ({ world }));

  test.describe('what strangers write', (test) => {
    const benign = 'Robert';

    /** Whatever can be written, written in one word. */
    async function ask(text: string, mailbox: string) {
      const { client } = world;
      const host = client.newHost(text);
      return client.connect(host, {
        name: text,
        capabilities: [
          'read',
          { name: 'write', constraints: { [text.slice(0, 40)]: { in: [text] }, plain: text } },
        ],
        reason: text,
        binding_message: text,
        preferred_method: 'ciba',
        login_hint: mailbox,
      });
    }

    async function see(
      t: ExecutionContext,
      text: string,
    ): Promise<{ pages: Page[]; mail: { html: string; text: string } }> {
      const mailbox = newMailbox();
      const { reply } = await ask(text, mailbox);
      t.is(fine(reply).approval.method, 'ciba', text);
      const mail = await world.approvalMailTo(mailbox);
      const browser = openBrowser(world.on);
      const review = await world.open(mail.pageUrl, mailbox, browser);
      t.is(heading(await world.decide(browser, review, 'approve')), IN);
      const id = reply.body.agent_id;
      const pages = [review];
      for (const path of ['/agents', `/agents/${id}`, '/account/activity'])
        pages.push(await browser.get(path));
      return { pages, mail: createRender(world.on.service.deps.config)(mail) };
    }

    test('stands on pages and in mails as text alone, and reorders and hides nothing', async (t) => {
      const plain = await see(t, benign);
      for (const text of HOSTILE_NAMES) {
        const { pages, mail } = await see(t, text);
        for (const [index, page] of pages.entries()) {
          t.is(page.status, 200);
          t.is(structureOf(page.text), structureOf(plain.pages[index]!.text), `${text} on ${page.path}`);
          t.notRegex(page.text, TRICKS, `${text} on ${page.path}`);
        }
        t.is(structureOf(mail.html), structureOf(plain.mail.html), text);
        for (const shown of [mail.html, mail.text]) {
          t.notRegex(shown, TRICKS, text);
          for (const [url] of shown.matchAll(/https?:\/\/[^\s"<]+/g))
            t.true(url.startsWith(world.on.url), url);
        }
        const policy = pages[0]!.headers.get('content-security-policy')!;
        t.regex(policy, /default-src 'none'/);
      }
    });

    test('is kept within bounds, and is one line', async (t) => {
      const { client } = world;
      const long = { name: 'n'.repeat(201), reason: 'r'.repeat(501), binding_message: 'b'.repeat(201) };
      for (const [member, text] of Object.entries(long)) {
        const { reply } = await client.connect(
          client.newHost(),
          { capabilities: ['read'] },
          { body: { [member]: text } },
        );
        t.is(said(reply), '400 invalid_request', member);
        t.is(reply.body.field, member);
      }
      const wide = { name: 'n'.repeat(200), reason: 'r'.repeat(500), binding_message: 'b'.repeat(200) };
      const { reply } = await client.connect(client.newHost(), { capabilities: ['read'], ...wide });
      t.is(fine(reply).name.length, 200);
      const page = await world.open(reply.body.approval.verification_uri_complete, newMailbox());
      t.true(page.text.includes('r'.repeat(500)));
      for (const body of [{ name: '' }, { name: undefined }, { name: 7 }, { reason: ['x'] }]) {
        const refused = await client.connect(client.newHost(), { capabilities: ['read'] }, { body });
        t.is(said(refused.reply), '400 invalid_request', JSON.stringify(body));
      }
      const spaced = await client.connect(client.newHost(), {
        name: '  a\u2028 \u00a0 b ',
        mode: 'autonomous',
      });
      t.is(fine(spaced.reply).name, 'a b');
    });

    test('constraints are shown whole, each by its field, operators and values', async (t) => {
      const { client, on } = world;
      const list = Array.from({ length: 40 }, (_, index) => `account-number-${index}`);
      const { reply } = await client.connect(client.newHost(), {
        capabilities: [
          {
            name: 'read',
            constraints: {
              amount: { min: 1, max: 99 },
              to: { in: list },
              not: { not_in: ['x', 'y'] },
              exact: true,
            },
          },
        ],
      });
      const page = await world.open(
        fine(reply).approval.verification_uri_complete,
        newMailbox(),
        openBrowser(on),
      );
      for (const word of ['amount', '1', '99', 'exact', 'true', ...list, '&quot;x&quot;, &quot;y&quot;']) {
        t.true(page.text.includes(word), `${word} is not shown: ${page.text}`);
      }
    });
  });

  test.describe('what a human has', (test) => {
    const rowsOn = ({ text }: Page) =>
      [...text.matchAll(/<tr role="row"[^>]*>\s*<td[\s\S]*?<\/tr>/g)].map(([row]) => row);

    test('shows their agents with what these may do, and where they run', async (t) => {
      const { client, on } = world;
      const mailbox = newMailbox();
      const host = client.newHost('build-server');
      const agent = await world.letIn(mailbox, { name: 'builder' }, ['read', 'whoami'], host);
      const [row, ...others] = rowsOn(await agent.browser.get('/agents'));
      t.deepEqual(others, []);
      const [where, ...rest] = rowsOn(await agent.browser.get('/agents?show=environments'));
      t.deepEqual(rest, []);
      t.regex(row!, /builder/);
      t.regex(row!, />Merged</);
      t.deepEqual(
        [...row!.matchAll(/<span class="chip">([^<]*)</g)].map(([, scope]) => scope),
        ['read'],
      );
      t.regex(where!, /build-server/);
      t.regex(where!, /data-label="Linked"><time datetime="\d{4}-/);
      t.regex(where!, /data-label="Agents"><span class="figures">1<\/span>/);
      const page = await agent.browser.get(`/agents/${agent.id}`);
      t.is(heading(page), 'builder');
      t.regex(page.text, /Chosen by the agent, not verified/);
      t.notRegex(page.text, /Given by you/);
      t.deepEqual(permissionsOn(page.text), ['read']);
      await agent.browser.get(`/agents/${agent.id}/rename`);
      await agent.browser.post(`/agents/${agent.id}/rename`, { name: 'my builder' });
      t.regex((await agent.browser.get(`/agents/${agent.id}`)).text, /Given by you/);
      // One that waits is not theirs yet, and somebody else sees nothing.
      await client.connect(host, { name: 'newcomer', capabilities: ['write'] });
      t.notRegex((await agent.browser.get('/agents')).text, /newcomer/);
      const stranger = await signIn(on, newMailbox());
      for (const path of ['/agents', '/agents?show=environments']) {
        const theirs = await stranger.get(path);
        t.notRegex(theirs.text, /builder|build-server|environments/);
        t.regex(theirs.text, /No agents yet/);
      }
      t.is((await stranger.get(`/agents/${agent.id}`)).status, 404);
    });

    test('an agent that they revoke is dead at once, and its tokens with it', async (t) => {
      const { client, introspect, introspectBearer, api, on } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const agent = await world.letIn(mailbox, {}, undefined, host);
      const sibling = await world.letIn(mailbox, {}, undefined, host);
      const bearer = await world.bearerOf(agent, 'write', { resource: api.resource });
      const more = await client.request(agent, { capabilities: ['whoami'] });
      t.is(said(more), '409 already_granted');
      await agent.browser.get(`/agents/${agent.id}/revoke`);
      await agent.browser.post(`/agents/${agent.id}/revoke`);
      t.is(said(await client.execute(agent, 'whoami')), '403 agent_revoked');
      t.is(await stateOf(agent), 'revoked');
      t.is(said(await client.reactivate(agent)), '403 agent_revoked');
      t.deepEqual(fine(await introspect(client.agentToken(agent, on.url))), { active: false });
      t.false((await introspectBearer(bearer)).active);
      fine(await client.execute(sibling, 'whoami'));
    });

    test('a host that they revoke is dead at once with all that runs there; nobody else revokes it', async (t) => {
      const { client, on, introspectBearer, api } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const agent = await world.letIn(mailbox, {}, undefined, host);
      const { agent: pending, link } = await waiting(['write'], host);
      const bearer = await world.bearerOf(agent, 'read', { resource: api.resource });
      const { host_id } = fine(await client.status(agent));
      const stranger = await signIn(on, newMailbox());
      await stranger.get('/account');
      const { csrf } = stranger.form('/sign-out');
      t.is((await stranger.get(`/hosts/${host_id}/revoke`)).status, 404);
      t.is((await stranger.send(`/hosts/${host_id}/revoke`, { csrf })).status, 404);
      fine(await client.execute(agent, 'whoami'));

      const before = await agent.browser.get('/agents?show=environments');
      t.true(before.text.includes(`href="/hosts/${host_id}/revoke"`));
      const asked = await agent.browser.get(`/hosts/${host_id}/revoke`);
      t.regex(asked.text, /All agents that run there end with it, immediately and for good\./);
      fine(await client.execute(agent, 'whoami'));
      const unsigned = await agent.browser.send(`/hosts/${host_id}/revoke`, {});
      t.true(unsigned.status >= 400);
      fine(await client.execute(agent, 'whoami'));
      await agent.browser.get(`/hosts/${host_id}/revoke`);
      const page = await agent.browser.post(`/hosts/${host_id}/revoke`);
      t.is(page.path, '/agents?show=environments');
      t.regex(page.text, /Environment revoked\./);
      t.false(page.text.includes(`href="/hosts/${host_id}/revoke"`));
      t.is((await agent.browser.get(`/hosts/${host_id}/revoke`)).path, '/agents?show=environments');
      for (const each of [agent, pending])
        t.is(said(await client.execute(each, 'whoami')), '403 host_revoked');
      t.false((await introspectBearer(bearer)).active);
      t.is(said((await client.connect(host)).reply), '403 host_revoked');
      t.not(heading(await agent.browser.get(link)), ASKED);
      const notice = on.notices.filter(({ to }) => to === mailbox);
      t.true(notice.length > 0);
      t.is(await world.eventsOf('host.revoked', host_id), 1);
    });

    test('an agent that they narrow to reading writes no more, whatever it asks and whoever says yes', async (t) => {
      const { client, introspect, introspectBearer, api, on } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox);
      const writes = await world.bearerOf(agent, 'write', { resource: api.resource });
      const reads = await world.bearerOf(agent, 'read', { resource: api.resource });
      const page = await agent.browser.get(`/agents/${agent.id}`);
      t.deepEqual(Object.keys(boxesOn(page)), ['scope:read', 'scope:write']);
      const narrowed = await agent.browser.post(`/agents/${agent.id}/narrow`, { 'scope:read': 'on' });
      t.deepEqual(permissionsOn(narrowed.text), ['read']);
      t.false((await introspectBearer(writes)).active);
      t.is((await introspectBearer(reads)).scope, 'read');
      t.is(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      fine(await client.execute(agent, 'read'));

      // Wherever it is told what it has, it is told the truth.
      const status = await client.status(agent);
      t.deepEqual(grantsIn(status), { read: 'active', whoami: 'active', write: 'denied' });
      t.deepEqual(fine(await client.execute(agent, 'whoami')).data.grants, ['read', 'whoami']);
      const listed = fine(await client.listAsAgent(agent)).capabilities as {
        name: string;
        grant_status: string;
      }[];
      t.is(listed.find(({ name }) => name === 'write')!.grant_status, 'not_granted');
      t.is(fine(await client.describe('write', agent)).grant_status, 'not_granted');
      const heard = fine(await introspect(client.agentToken(agent, on.url)));
      t.deepEqual(
        heard.agent_capability_grants.map(({ capability }: { capability: string }) => capability),
        ['read', 'whoami'],
      );

      const more = await client.request(agent, { capabilities: ['write'] });
      t.deepEqual([fine(more).status, more.body.approval], ['active', undefined]);
      t.deepEqual(grantsIn(more), { write: 'denied' });
      on.clock.advance(3600);
      fine(await client.reactivate(agent));
      const anew = await client.request(agent, { capabilities: ['write'] });
      t.deepEqual(grantsIn({ body: fine(anew) }), { write: 'denied' });
      t.is(said(await client.execute(agent, 'write')), '403 capability_not_granted');
    });

    test('what they narrow while it is asked for is not had by a yes to the question', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox, { capabilities: ['read'] });
      const reply = await client.request(agent, { capabilities: ['write'] });
      const page = await agent.browser.get(fine(reply).approval.verification_uri_complete);
      const csrf = agent.browser.form('/connect/review').csrf;
      await agent.browser.send(`/agents/${agent.id}/narrow`, { csrf, 'scope:read': 'on' });
      await agent.browser.get(fine(reply).approval.verification_uri_complete);
      await world.decide(agent.browser, page, 'approve');
      t.is(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active', write: 'denied' });
    });

    test('is neither unlinked nor unmerged: an agent of a host is revoked', async (t) => {
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox);
      const page = await agent.browser.get(`/agents/${agent.id}`);
      t.notRegex(page.text, /Move out|Unlink/);
      const { csrf } = agent.browser.form(`/agents/${agent.id}/narrow`);
      for (const way of ['undo', 'unlink']) {
        t.is((await agent.browser.get(`/agents/${agent.id}/${way}`)).path, `/agents/${agent.id}`);
        t.is((await agent.browser.send(`/agents/${agent.id}/${way}`, { csrf })).status, 400, way);
      }
      fine(await world.client.execute(agent, 'write'));
    });

    test('goes with their account: hosts and agents end, also those that wait', async (t) => {
      const { client, introspectBearer, api } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const agent = await world.letIn(mailbox, {}, undefined, host);
      const { agent: pending, link } = await waiting(['write'], host);
      const elsewhere = await world.letIn(mailbox);
      const bearer = await world.bearerOf(agent, 'write', { resource: api.resource });
      await agent.browser.get('/account/delete');
      const gone = await agent.browser.post('/account/delete', { mailbox });
      t.is(gone.status, 200, gone.text);
      for (const each of [agent, pending, elsewhere]) {
        t.is(said(await client.execute(each, 'whoami')), '403 host_revoked');
        t.is(said(await client.status(each)), '403 host_revoked');
      }
      t.false((await introspectBearer(bearer)).active);
      t.is(said((await client.connect(host)).reply), '403 host_revoked');
      // The same mailbox begins anew, and has nothing of it.
      const again = openBrowser(world.on);
      const page = await world.open(link, mailbox, again);
      t.not(heading(page), ASKED);
      t.regex((await again.get('/agents')).text, /No agents yet/);
    });

    test('and the operator sees such an agent like any other', async (t) => {
      const { on } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox, { name: 'visible' });
      const shown = await showAgent(on.service.deps, agent.id);
      t.deepEqual(
        [shown!.registrationKind, shown!.owner!.mailbox, shown!.claim.kind, shown!.name],
        ['host', mailbox, 'claimed', 'visible'],
      );
      const alone = await world.autonomous();
      const other = await showAgent(on.service.deps, alone.id);
      t.is(other!.owner, undefined);
      t.not(other!.claim.kind, 'expired', 'it works');
    });
  });
});
