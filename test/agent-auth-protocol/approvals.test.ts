import { openAgentClient } from '../helpers/agent-client.ts';
import {
  type AgentWorld,
  ASKED,
  boxesOn,
  DECIDED,
  fine,
  grantsIn,
  IN,
  OVER,
  openAgentWorld,
  said,
  TURNED_AWAY,
  waitingAgents,
} from '../helpers/agent-world.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('letting agents in', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
  });
  test.after(() => world.stop());

  const { waiting, stateOf } = waitingAgents(() => ({ world }));

  test.describe('a decision', (test) => {
    test('no: the agent is rejected for good', async (t) => {
      const { client, answer } = world;
      const mailbox = newMailbox();
      const { agent, link } = await waiting();
      const browser = await answer(link, mailbox, 'deny');
      const status = await client.status(agent);
      t.deepEqual(
        [fine(status).status, grantsIn(status), status.body.approval],
        ['rejected', { read: 'denied', write: 'denied' }, undefined],
      );
      t.is(said(await client.execute(agent, 'read')), '403 agent_rejected');
      t.is(said(await client.reactivate(agent)), '403 agent_rejected');
      t.is(said(await client.register(agent.host, agent.key, {})), '409 agent_exists');
      t.is(status.body.user_id, undefined, 'its host is nobody’s');
      t.is(heading(await browser.get(link)), DECIDED);
      // The host may bring another one.
      const next = await waiting(['read'], agent.host);
      await answer(next.link, mailbox, 'approve', undefined, browser);
      t.is(await stateOf(next.agent), 'active');
    });

    test('yes without any box decides nothing, and the page says so; one box is enough', async (t) => {
      const { client, on } = world;
      const { agent, link } = await waiting(['whoami', 'read', 'write']);
      const browser = openBrowser(on);
      const page = await world.open(link, newMailbox(), browser);
      for (const fields of [{}, { 'allow:admin': 'on' }]) {
        await browser.get(link);
        const again = await browser.post('/connect/review', { ...fields, decision: 'approve' });
        t.deepEqual([again.status, heading(again)], [400, ASKED]);
        t.regex(again.text, /<title>Error: /);
        t.true(again.text.includes('Nothing is selected. Select something, or decline.'));
        t.deepEqual(boxesOn(again), { 'allow:whoami': false, 'allow:read': false, 'allow:write': false });
        const status = await client.status(agent);
        t.is(fine(status).status, 'pending');
        t.deepEqual(grantsIn(status), { read: 'pending', whoami: 'pending', write: 'pending' });
      }
      t.is(await world.eventsOf('agent.connected', agent.id), 0);
      t.is(heading(await world.decide(browser, page, 'approve', ['whoami'])), IN);
      const status = await client.status(agent);
      t.is(fine(status).status, 'active');
      t.deepEqual(grantsIn(status), { read: 'denied', whoami: 'active', write: 'denied' });
      for (const grant of status.body.agent_capability_grants) {
        if (grant.capability !== 'whoami') t.regex(grant.reason, /human/);
      }
      for (const capability of ['read', 'write']) {
        t.is(said(await client.execute(agent, capability)), '403 capability_not_granted');
      }
    });

    test('yes to more without any box leaves the agent with what it has', async (t) => {
      const { client } = world;
      const agent = await world.letIn(newMailbox(), { capabilities: ['read'] });
      const asked = fine(await client.request(agent, { capabilities: ['write'] }));
      const page = await agent.browser.get(asked.approval.verification_uri_complete);
      const again = await world.decide(agent.browser, page, 'approve', []);
      t.is(again.status, 400);
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active', write: 'pending' });
    });

    test('decline is a form of its own, so that no key in a box declines', async (t) => {
      const { agent, link } = await waiting(['read']);
      const browser = openBrowser(world.on);
      const { text } = await world.open(link, newMailbox(), browser);
      const [first, second] = [...text.matchAll(/<form[^>]*action="\/connect\/review"[^>]*>/g)];
      t.false(first![0].includes('id="decline"'));
      t.true(second![0].includes('id="decline"'));
      t.regex(text, /<button type="submit" form="decline" name="decision" value="deny">Decline<\/button>/);
      const declined = await browser.post('/connect/review', { decision: 'deny' });
      t.is(heading(declined), TURNED_AWAY);
      t.is(await stateOf(agent), 'rejected');
    });

    test('what cannot be undone is off until the human turns it on', async (t) => {
      const scopes = {
        read: { description: 'Look' },
        write: { description: 'Change' },
        wipe: { description: 'Delete for good', destructive: true },
      };
      const other = await withConfigFile({ scopes }, (CONFIG) => openAgentWorld(engine, { env: { CONFIG } }));
      t.teardown(() => other.stop());
      const { reply } = await other.client.connect(other.client.newHost(), {
        capabilities: ['read', 'wipe'],
      });
      const page = await other.open(fine(reply).approval.verification_uri_complete, newMailbox());
      t.deepEqual(boxesOn(page), { 'allow:read': true, 'allow:wipe': false });
      t.regex(page.text, /Delete for good[\s\S]*Destructive[\s\S]*Off unless you turn it on\./);
    });

    test('yes to more than was asked gives no more than was asked', async (t) => {
      const { client, on } = world;
      const { agent, link } = await waiting(['read']);
      const browser = openBrowser(on);
      t.is(heading(await world.open(link, newMailbox(), browser)), ASKED);
      const all = { 'allow:read': 'on', 'allow:write': 'on', 'allow:whoami': 'on', 'allow:admin': 'on' };
      t.is(heading(await browser.post('/connect/review', { ...all, decision: 'approve' })), IN);
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active' });
    });

    test('is taken once, whatever it is and whatever follows', async (t) => {
      const { client, on } = world;
      for (const first of ['approve', 'deny'] as const) {
        const mailbox = newMailbox();
        const { agent, link } = await waiting(['read']);
        const browser = openBrowser(on);
        await world.open(link, mailbox, browser);
        const form = browser.form('/connect/review');
        const cookies = new Map(browser.cookies);
        const send = (decision: string) =>
          browser.send('/connect/review', { ...form, decision, 'allow:read': 'on' });
        t.is(heading(await send(first)), first === 'approve' ? IN : TURNED_AWAY);
        const after = fine(await client.status(agent));
        for (const second of ['approve', 'deny']) {
          // The second tab still has its cookie.
          browser.cookies.set('vouchsafe_connect', cookies.get('vouchsafe_connect')!);
          const late = await send(second);
          t.true(late.status >= 400 && late.status < 500, late.text);
          t.deepEqual(fine(await client.status(agent)), after);
        }
        t.is(heading(await browser.get(link)), DECIDED);
      }
    });

    test('comes too late when the question is over, by link, by code and by a page that was open', async (t) => {
      const { on } = world;
      const { agent, link, code } = await waiting();
      const browser = openBrowser(on);
      const page = await world.open(link, newMailbox(), browser);
      on.clock.advance(599);
      t.is(heading(await browser.get('/connect/review')), ASKED);
      on.clock.advance(1);
      const late = await world.decide(browser, page, 'approve');
      t.true(late.status >= 400 && late.status < 500, late.text);
      t.is(heading(await browser.get(link)), OVER);
      await browser.get('/connect');
      t.is((await browser.post('/connect', { code })).status, 400);
      t.is(await stateOf(agent), 'pending');
      t.is(await world.count('approvals WHERE agent_id = ? AND decided_at IS NOT NULL', [agent.id]), 0);
    });

    test('is asked of nobody who has not typed a mailed code within a quarter of an hour', async (t) => {
      const { on } = world;
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      on.clock.advance(899);
      const early = await waiting();
      t.is(heading(await browser.get(early.link)), ASKED);
      const form = browser.form('/connect/review');
      on.clock.advance(1);
      const { agent, link } = await waiting();

      // Neither by looking, nor by sending what was looked at before.
      const again = await browser.get(link);
      t.deepEqual([again.path, heading(again)], ['/sign-in/again?next=/connect/review', 'Confirm it’s you']);
      for (const decision of ['approve', 'deny']) {
        const sent = await browser.send('/connect/review', { ...form, decision, 'allow:read': 'on' });
        t.is(sent.path, '/sign-in/again?next=/connect/review');
      }
      t.is(await stateOf(early.agent), 'pending');
      t.is(await stateOf(agent), 'pending');

      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await browser.get(link);
      await browser.post('/sign-in/again');
      const page = await browser.post('/sign-in/code', {
        code: await on.signInCodeFor(mailbox, earlier + 1),
      });
      t.is(heading(page), ASKED);
      t.is(heading(await world.decide(browser, page, 'approve')), IN);
      t.is(await stateOf(agent), 'active');
    });

    test('needs a page of ours that asked for it in this very browser', async (t) => {
      const { on } = world;
      const { agent, link } = await waiting();
      const other = await waiting();
      const browser = openBrowser(on);
      await world.open(link, newMailbox(), browser);
      const form = browser.form('/connect/review');
      const yes = { ...form, decision: 'approve', 'allow:read': 'on' };
      const otherId = new URL(other.link).searchParams.get('t')!.split('.')[0]!;
      const refused: [fields: Record<string, string | undefined>, headers?: Record<string, string>][] = [
        [{ ...yes, csrf: undefined }],
        [{ ...yes, csrf: `${form.csrf}x` }],
        [yes, { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }],
        [{ ...yes, approval: otherId }],
        [{ ...yes, approval: 'apr_none' }],
        [{ ...yes, decision: 'maybe' }],
      ];
      for (const [fields, headers] of refused) {
        const page = await browser.send('/connect/review', fields, headers);
        t.true(page.status >= 400 && page.status < 500, `${page.status} ${JSON.stringify(fields)}`);
      }
      const cookie = browser.cookies.get('vouchsafe_connect')!;
      browser.cookies.delete('vouchsafe_connect');
      t.is((await browser.send('/connect/review', yes)).status, 404);
      browser.cookies.set('vouchsafe_connect', `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`);
      t.is((await browser.send('/connect/review', yes)).status, 404);
      t.is(await stateOf(agent), 'pending');
      t.is(await stateOf(other.agent), 'pending');
    });

    test('a link that nobody of ours made leads nowhere', async (t) => {
      const { on } = world;
      const { link } = await waiting();
      const browser = openBrowser(on);
      const id = new URL(link).searchParams.get('t')!.split('.')[0]!;
      for (const token of [
        '',
        'x',
        id,
        `${id}.`,
        `${id}.x`,
        link.split('t=')[1]!.slice(0, -1),
        `apr_none.${link.split('.').at(-1)}`,
      ]) {
        t.is((await browser.get(`/connect?t=${token}`)).status, 404, token);
      }
    });
  });

  test.describe('whose decision it is', (test) => {
    test('of an agent that mailed somebody, theirs alone', async (t) => {
      const { client, on } = world;
      const [mailbox, stranger] = [newMailbox(), newMailbox()];
      const { agent, reply } = await client.connect(client.newHost(), {
        capabilities: ['read'],
        preferred_method: 'ciba',
        login_hint: ` ${mailbox.toUpperCase()} `,
      });
      t.is(fine(reply).approval.method, 'ciba');
      const { pageUrl } = await world.approvalMailTo(mailbox);
      const browser = openBrowser(on);
      const page = await world.open(pageUrl, stranger, browser);
      t.is(page.status, 403);
      for (const word of ['ci-box', mailbox]) t.false(page.text.includes(word), page.text);
      const id = new URL(pageUrl).searchParams.get('t')!.split('.')[0]!;
      await browser.get('/connect');
      const { csrf } = browser.form('/connect');
      const forced = await browser.send('/connect/review', { csrf, approval: id, decision: 'deny' });
      t.is(forced.status, 403);
      t.is(await stateOf(agent), 'pending');
      await world.answer(pageUrl, mailbox);
      t.is(await stateOf(agent), 'active');
    });

    test('of a host that is linked, its owner’s alone: nobody else gets an agent by it', async (t) => {
      const { client, on } = world;
      const owner = newMailbox();
      const host = client.newHost();
      const own = await world.letIn(owner, {}, undefined, host);
      const { agent, link, code } = await waiting(['write'], host);
      const stranger = openBrowser(on);
      const page = await world.open(link, newMailbox(), stranger);
      t.is(page.status, 403);
      await stranger.get('/connect');
      t.is((await stranger.post('/connect', { code })).status, 403);
      const id = new URL(link).searchParams.get('t')!.split('.')[0]!;
      await stranger.get('/connect');
      const { csrf } = stranger.form('/connect');
      for (const decision of ['approve', 'deny']) {
        const fields = { csrf, approval: id, decision, 'allow:write': 'on' };
        t.is((await stranger.send('/connect/review', fields)).status, 403);
      }
      t.is(await stateOf(agent), 'pending');
      const more = await client.request(own, { capabilities: ['whoami'] });
      t.is(said(more), '409 already_granted');
    });

    test('whoever signs in as somebody else on the way decides as that one', async (t) => {
      const { client, on } = world;
      const [first, second] = [newMailbox(), newMailbox()];
      const { agent, link } = await waiting(['read']);
      const browser = openBrowser(on);
      await world.open(link, first, browser);
      const form = browser.form('/connect/review');
      await browser.get('/account');
      await browser.post('/sign-out');
      await signIn(on, second, { browser });
      // The form was another session's.
      const stale = await browser.send('/connect/review', { ...form, decision: 'approve' });
      t.is(stale.status, 403);
      const page = await browser.get(link);
      await world.decide(browser, page, 'approve');
      const row = await on.service.deps.db.get<{ mailbox: string }>(
        'SELECT mailbox FROM accounts WHERE id = ?',
        [fine(await client.status(agent)).user_id],
      );
      t.is(row!.mailbox, second);
    });
  });

  test.describe('a mailed question', (test) => {
    test('is asked in the same words whether the mailbox has an account or not', async (t) => {
      const { client } = world;
      const known = newMailbox();
      await world.letIn(known);
      const bodies = [];
      for (const login_hint of [known, newMailbox()]) {
        const { reply } = await client.connect(client.newHost(), {
          capabilities: ['read'],
          preferred_method: 'ciba',
          login_hint,
        });
        const { agent_id, host_id, request_id, ...rest } = fine(reply);
        t.truthy(agent_id && host_id);
        bodies.push([rest, [...reply.headers.keys()].sort()]);
        await world.approvalMailTo(login_hint);
      }
      t.deepEqual(bodies[0], bodies[1]);
    });

    test('needs a mailbox: what is none leads to the page', async (t) => {
      const { client } = world;
      const before = await world.count('outbox');
      for (const login_hint of [undefined, '', 'ada', 'ada@localhost', 'a b@example.com', '+491701234567']) {
        const { reply } = await client.connect(
          client.newHost(),
          { capabilities: ['read'], preferred_method: 'ciba' },
          { body: { login_hint } },
        );
        t.is(fine(reply).approval.method, 'device_authorization', String(login_hint));
        t.truthy(reply.body.approval.user_code);
      }
      const { reply } = await client.connect(client.newHost(), {
        capabilities: ['read'],
        preferred_method: 'carrier_pigeon',
        login_hint: newMailbox(),
      });
      t.is(fine(reply).approval.method, 'device_authorization');
      t.is(await world.count('outbox'), before);
    });

    test('asks the owner of a host about more, and nobody whom the agent names beside', async (t) => {
      const { client } = world;
      const [mailbox, other] = [newMailbox(), newMailbox()];
      const agent = await world.letIn(mailbox, { capabilities: ['read'] });
      const reply = await client.request(agent, {
        capabilities: ['write'],
        preferred_method: 'ciba',
        login_hint: other,
      });
      fine(reply);
      const { pageUrl } = await world.approvalMailTo(other);
      const page = await world.open(pageUrl, other);
      t.is(page.status, 403);
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active', write: 'pending' });
    });

    test('floods nobody: it spends the budget of the mailbox, and then it is 429', async (t) => {
      const other = await openAgentWorld(engine, { limits: { codesPerMailboxHour: 2 } });
      t.teardown(() => other.stop());
      const { client } = other;
      const mailbox = newMailbox();
      const ask = { capabilities: ['read'], preferred_method: 'ciba', login_hint: mailbox };
      for (let times = 0; times < 2; times += 1) fine((await client.connect(client.newHost(), ask)).reply);
      const before = await other.count('hosted_agents');
      const { reply } = await client.connect(client.newHost(), ask);
      t.is(said(reply), '429 rate_limited');
      t.true(Number(reply.headers.get('retry-after')) > 0);
      t.is(await other.count('hosted_agents'), before);
      t.is(await other.count('outbox WHERE mailbox = ?', [mailbox]), 2);
    });

    test('codes cannot be tried without end', async (t) => {
      const other = await openAgentWorld(engine, { limits: { wrongPerIpHour: 3 } });
      t.teardown(() => other.stop());
      const { reply } = await other.client.connect(other.client.newHost(), { capabilities: ['read'] });
      const browser = openBrowser(other.on);
      await browser.get('/connect');
      const form = browser.form('/connect');
      for (const code of ['AAAA-AAAA', 'BBBB-BBBB', 'CCCC-CCCC']) {
        t.is((await browser.send('/connect', { ...form, code })).status, 400);
      }
      const right = fine(reply).approval.user_code;
      t.is((await browser.send('/connect', { ...form, code: right })).status, 429);
    });
  });

  test('a client of another service cannot have its humans approve here', async (t) => {
    const { on, client } = world;
    const other = openAgentClient(on, 'https://id.other.example');
    const { reply } = await other.connect(client.newHost(), { capabilities: ['read'] });
    t.is(said(reply), '401 invalid_jwt');
  });
});
