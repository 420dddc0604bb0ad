import { createRender } from '../../src/mail/render.ts';
import { newKey, openAgentClient } from '../helpers/agent-client.ts';
import {
  type AgentWorld,
  ASKED,
  boxesOn,
  fine,
  grantsIn,
  IN,
  openAgentWorld,
  said,
} from '../helpers/agent-world.ts';
import { openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { basic } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The Agent Auth Protocol, told as its CLI and its humans live it. What is refused is in the two tests beside this one. */

onEveryEngine('the Agent Auth Protocol', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
    fine(await world.client.discover());
  });
  test.after(() => world.stop());

  test.describe('what a client finds', (test) => {
    test('the discovery document has what clients need, and its issuer and endpoints are ours to the letter', async (t) => {
      const { on, client } = world;
      const reply = await client.discover();
      t.regex(reply.headers.get('content-type')!, /^application\/json/);
      t.regex(reply.headers.get('cache-control')!, /^public, max-age=\d+/);
      const { description, provider_name, endpoints, ...rest } = fine(reply);
      t.regex(provider_name, /^[a-z0-9_]+$/);
      t.true(description.length > 10);
      t.deepEqual(rest, {
        version: '1.0-draft',
        issuer: on.url,
        default_location: `${on.url}/capability/execute`,
        algorithms: ['Ed25519'],
        modes: ['delegated', 'autonomous'],
        approval_methods: ['device_authorization', 'ciba'],
      });
      t.deepEqual(Object.keys(endpoints).sort(), [
        'capabilities',
        'describe_capability',
        'execute',
        'introspect',
        'reactivate',
        'register',
        'request_capability',
        'revoke',
        'revoke_host',
        'rotate_host_key',
        'rotate_key',
        'status',
      ]);
      for (const path of Object.values<string>(endpoints)) {
        const { status } = await on.request('OPTIONS', path);
        t.is(status, 405, path);
      }
    });

    test('anybody may list capabilities; an agent is told which of them it has', async (t) => {
      const { client } = world;
      const open = await client.list(undefined);
      const names = (body: { capabilities: { name: string }[] }) => body.capabilities.map(({ name }) => name);
      t.deepEqual(names(fine(open)), ['whoami', 'read', 'write']);
      t.is(open.headers.get('cache-control'), 'public, max-age=300');
      for (const each of open.body.capabilities) {
        t.deepEqual(Object.keys(each), ['name', 'description']);
        t.true(each.description.length > 10);
      }
      const host = client.newHost();
      const agent = await world.autonomous(host);
      const asHost = await client.list(host);
      t.deepEqual(names(fine(asHost)), ['whoami', 'read', 'write']);
      t.is(asHost.headers.get('cache-control'), 'private, max-age=300');
      const asAgent = fine(await client.listAsAgent(agent)).capabilities;
      t.deepEqual(
        asAgent.map((each: { name: string; grant_status: string }) => [each.name, each.grant_status]),
        [
          ['whoami', 'granted'],
          ['read', 'granted'],
          ['write', 'not_granted'],
        ],
      );
    });

    test('a host that nobody knows here lists as anybody does', async (t) => {
      const { client } = world;
      const reply = await client.list(client.newHost());
      t.deepEqual(fine(reply), fine(await client.list(undefined)));
      t.is(reply.headers.get('cache-control'), 'public, max-age=300');
    });

    test('a list can be searched, and read in pages', async (t) => {
      const { client } = world;
      const found = async (query: string) =>
        fine(await client.list(undefined, query)).capabilities.map(({ name }: { name: string }) => name);
      t.deepEqual(await found('?query=WRITE'), ['write']);
      t.deepEqual(await found('?query=token%20scope'), ['read', 'write']);
      t.deepEqual(await found('?query=nothing-like-it'), []);
      const seen: string[] = [];
      for (let query = '?limit=1'; ; ) {
        const { capabilities, has_more, next_cursor } = fine(await client.list(undefined, query));
        t.is(capabilities.length, 1);
        seen.push(capabilities[0].name);
        t.is(has_more, next_cursor !== undefined);
        if (!has_more) break;
        query = `?limit=1&cursor=${next_cursor}`;
      }
      t.deepEqual(seen, ['whoami', 'read', 'write']);
    });

    test('one capability is described with its schemas; one that is not there is 404, none is 400', async (t) => {
      const { client } = world;
      const read = fine(await client.describe('read'));
      t.is(read.name, 'read');
      t.is(read.input.type, 'object');
      t.deepEqual(Object.keys(read.input.properties), ['resource', 'seconds']);
      t.truthy(read.output.required.includes('access_token'));
      t.is(read.grant_status, undefined);
      const agent = await world.autonomous();
      t.is(fine(await client.describe('read', agent)).grant_status, 'granted');
      t.is(fine(await client.describe('write', agent)).grant_status, 'not_granted');
      t.is(said(await client.describe('fly')), '404 capability_not_found');
      t.is(said(await client.get('/capability/describe', undefined)), '400 invalid_request');
    });
  });

  test.describe('an agent that works alone', (test) => {
    test('is active at once, with what anybody may; what needs a human is denied and says so', async (t) => {
      const { client, on } = world;
      const host = client.newHost('ci-box');
      const { agent, reply } = await client.connect(host, {
        mode: 'autonomous',
        name: 'bot',
        capabilities: ['whoami', 'read', 'write'],
        reason: 'why',
      });
      const body = fine(reply);
      t.regex(body.agent_id, /^agt_[0-9A-Za-z]+$/);
      t.regex(body.host_id, /^hst_[0-9A-Za-z]+$/);
      t.deepEqual(
        [body.name, body.mode, body.status, body.user_id, body.approval],
        ['bot', 'autonomous', 'active', undefined, undefined],
      );
      t.deepEqual(grantsIn(reply), { read: 'active', whoami: 'active', write: 'denied' });
      const write = body.agent_capability_grants.find(
        (each: { capability: string }) => each.capability === 'write',
      );
      t.regex(write.reason, /human/);
      const read = body.agent_capability_grants.find(
        (each: { capability: string }) => each.capability === 'read',
      );
      t.truthy(read.description && read.input && read.output);
      t.is(reply.headers.get('cache-control'), 'no-store');

      const status = await client.status(agent);
      t.deepEqual(grantsIn(status), { read: 'active', whoami: 'active', write: 'denied' });
      const iso = new Date(on.clock()).toISOString();
      t.is(fine(status).created_at, iso);
      t.is(status.body.activated_at, iso);
      t.is(status.body.expires_at, new Date(on.clock() + 3_600_000).toISOString());
    });

    test('gets what anybody may where it names nothing', async (t) => {
      const agent = await world.autonomous();
      t.deepEqual(grantsIn(await world.client.status(agent)), { read: 'active', whoami: 'active' });
    });

    test('uses what it has: whoami, and a short token to read that an API takes', async (t) => {
      const { client, introspectBearer, on } = world;
      const host = client.newHost();
      const agent = await world.autonomous(host, {
        name: 'reader',
        capabilities: ['whoami', 'read', 'write'],
      });
      const { data } = fine(await client.execute(agent, 'whoami'));
      t.regex(data.user_id, /^usr_/);
      t.deepEqual(
        { ...data, user_id: '', host_id: '' },
        {
          agent_id: agent.id,
          agent_name: 'reader',
          mode: 'autonomous',
          host_id: '',
          user_id: '',
          owner: null,
          grants: ['read', 'whoami'],
        },
      );
      const token = fine(await client.execute(agent, 'read', { seconds: 60 })).data;
      t.deepEqual(
        { ...token, access_token: '' },
        { access_token: '', token_type: 'Bearer', expires_in: 60, scope: 'read', resource: on.url },
      );
      // It is for the default resource, which is the service itself here.
      t.is(fine(await on.get('/api/me', token.access_token)).data.agent_id, agent.id);
      t.deepEqual(await introspectBearer(token.access_token), { active: false });
      const forApi = fine(await client.execute(agent, 'read', { resource: world.api.resource })).data;
      const heard = await introspectBearer(forApi.access_token);
      t.deepEqual(
        [heard.active, heard.scope, heard.aud, heard.sub, heard.client_id],
        [true, 'read', world.api.resource, data.user_id, agent.id],
      );
      t.is(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      on.clock.advance(60);
      t.is((await on.get('/api/me', token.access_token)).status, 401);
    });

    test('asks for more in vain: there is nobody to allow it', async (t) => {
      const { client } = world;
      const agent = await world.autonomous();
      const reply = await client.request(agent, { capabilities: ['write'], reason: 'more' });
      t.is(fine(reply).status, 'active');
      t.is(reply.body.approval, undefined);
      t.deepEqual(grantsIn(reply), { write: 'denied' });
      t.is(said(await client.request(agent, { capabilities: ['read'] })), '409 already_granted');
    });
  });

  test.describe('an agent that works for a human', (test) => {
    test('waits for them; they open its link, sign in with a mailed code, leave a box off, and it is in', async (t) => {
      const { client, on } = world;
      const mailbox = newMailbox();
      const host = client.newHost('ci-box');
      const { agent, reply } = await client.connect(host, {
        name: 'helper',
        mode: 'delegated',
        capabilities: ['whoami', 'read', { name: 'write', constraints: { seconds: { max: 120 } } }],
        reason: 'ship it',
        login_hint: mailbox,
      });
      const body = fine(reply);
      t.is(body.status, 'pending');
      t.deepEqual(grantsIn(reply), { read: 'pending', whoami: 'pending', write: 'pending' });
      const { verification_uri_complete: link, ...approval } = body.approval;
      t.regex(approval.user_code, /^[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}$/);
      t.deepEqual(
        { ...approval, user_code: '' },
        {
          method: 'device_authorization',
          expires_in: 600,
          interval: 5,
          verification_uri: `${on.url}/connect`,
          user_code: '',
        },
      );

      // Meanwhile it polls, and can do nothing else.
      t.is(fine(await client.status(agent)).status, 'pending');
      t.is(said(await client.execute(agent, 'whoami')), '403 agent_pending');
      t.is(said(await client.request(agent, { capabilities: ['read'] })), '403 agent_pending');

      const browser = openBrowser(on);
      const signInPage = await browser.get(link);
      t.is(heading(signInPage), 'Sign in');
      t.notRegex(signInPage.path, /[?&]t=/);
      t.false(signInPage.text.includes('ship it'));
      const page = await world.signInHere(browser, mailbox);
      t.is(page.path, '/connect/review');
      t.is(heading(page), ASKED);
      for (const shown of ['helper', 'ci-box', 'ship it', 'not verified', 'seconds at most 120']) {
        t.true(page.text.includes(shown), `${shown} is not on the page: ${page.text}`);
      }
      t.deepEqual(boxesOn(page), { 'allow:read': true, 'allow:whoami': true, 'allow:write': true });
      const done = await world.decide(browser, page, 'approve', ['read', 'whoami']);
      t.is(heading(done), IN);

      const status = await client.status(agent);
      t.is(fine(status).status, 'active');
      t.is(status.body.approval, undefined);
      t.deepEqual(grantsIn(status), { read: 'active', whoami: 'active', write: 'denied' });
      const owner = await on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM accounts WHERE mailbox = ?',
        [mailbox],
      );
      t.is(status.body.user_id, owner!.id);
      for (const grant of status.body.agent_capability_grants) {
        t.is(grant.granted_by, grant.status === 'active' ? owner!.id : undefined);
      }
      const { data } = fine(await client.execute(agent, 'whoami'));
      t.deepEqual([data.user_id, data.owner, data.mode], [owner!.id, owner!.id, 'delegated']);
      t.is(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      const mail = await on.noticeTo(mailbox);
      t.regex(createRender(on.service.deps.config)(mail).text, /You approved helper/);
    });

    test('is found by the code that it shows, however that is typed', async (t) => {
      const { client, on } = world;
      const mailbox = newMailbox();
      const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
      const code: string = fine(reply).approval.user_code;
      const browser = openBrowser(on);
      const empty = await browser.get('/connect');
      t.is(heading(empty), 'Enter the code your agent or device shows you');
      const wrong = await browser.post('/connect', { code: 'AAAA-AAAA' });
      t.is(wrong.status, 400);
      t.regex(wrong.text, /No agent or device is waiting with this code/);
      const typed = ` ${code.toLowerCase().replace('-', ' ')} `;
      t.is(heading(await browser.post('/connect', { code: typed })), 'Sign in');
      const page = await world.signInHere(browser, mailbox);
      t.is(heading(await world.decide(browser, page, 'approve')), IN);
      t.is(fine(await client.status(agent)).status, 'active');
    });

    test('that names the mailbox and asks for ciba has its human mailed, and shows no link itself', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const { agent, reply } = await client.connect(client.newHost(), {
        name: 'ciba bot',
        capabilities: ['read', 'write'],
        preferred_method: 'ciba',
        login_hint: mailbox,
        binding_message: 'blue whale',
      });
      const { approval } = fine(reply);
      t.deepEqual(approval, {
        method: 'ciba',
        expires_in: 600,
        interval: 5,
        binding_message: 'blue whale',
      });
      const mail = await world.approvalMailTo(mailbox);
      t.deepEqual([mail.agentName, mail.bindingMessage], ['ciba bot', 'blue whale']);
      const browser = openBrowser(world.on);
      const page = await world.open(mail.pageUrl, mailbox, browser);
      t.regex(page.text, /blue whale/);
      t.is(heading(await world.decide(browser, page, 'approve')), IN);
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active', write: 'active' });
    });

    test('gets tokens to read and to write, each for one API and one scope, in the account of its human', async (t) => {
      const { client, introspectBearer, api } = world;
      const agent = await world.letIn(newMailbox());
      for (const scope of ['read', 'write']) {
        const reply = await client.execute(agent, scope, { resource: api.resource, seconds: 900 });
        const { access_token, expires_in } = fine(reply).data;
        t.is(reply.headers.get('cache-control'), 'no-store');
        t.is(expires_in, 900);
        const heard = await introspectBearer(access_token);
        t.deepEqual([heard.scope, heard.sub, heard.client_id], [scope, agent.userId, agent.id]);
      }
      t.is(fine(await client.execute(agent, 'read')).data.expires_in, 300);
    });

    test('asks for more, and has it once its human has said yes', async (t) => {
      const { client } = world;
      const agent = await world.letIn(newMailbox(), { capabilities: ['whoami', 'read'] });
      const reply = await client.request(agent, {
        capabilities: [{ name: 'write', constraints: { seconds: { max: 300 } } }],
        reason: 'to ship',
        binding_message: 'red fox',
      });
      const { agent_id, status, approval } = fine(reply);
      t.deepEqual([agent_id, status, approval.method], [agent.id, 'pending', 'device_authorization']);
      t.deepEqual(grantsIn(reply), { write: 'pending' });

      // What it has goes on meanwhile.
      t.is(said(await client.execute(agent, 'whoami')), '200');
      t.is(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      t.is(fine(await client.status(agent)).status, 'active');

      const page = await agent.browser.get(approval.verification_uri_complete);
      t.is(heading(page), ASKED);
      for (const shown of ['to ship', 'red fox']) t.true(page.text.includes(shown), page.text);
      t.deepEqual(boxesOn(page), { 'allow:write': true });
      t.false(page.text.includes('approved the environment it runs in before'));
      t.is(heading(await world.decide(agent.browser, page, 'approve')), IN);
      t.deepEqual(grantsIn(await client.status(agent)), {
        read: 'active',
        whoami: 'active',
        write: 'active',
      });
      t.is(said(await client.execute(agent, 'write', { seconds: 300 })), '200');
      t.is(said(await client.execute(agent, 'write', { seconds: 301 })), '403 constraint_violated');
    });

    test('keeps what it has where its human says no to more', async (t) => {
      const { client, answer } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox, { capabilities: ['read'] });
      const reply = await client.request(agent, { capabilities: ['write'] });
      await answer(fine(reply).approval.verification_uri_complete, mailbox, 'deny', [], agent.browser);
      const status = await client.status(agent);
      t.deepEqual(grantsIn(status), { read: 'active', write: 'denied' });
      t.is(status.body.status, 'active');
      t.is(said(await client.execute(agent, 'read')), '200');
    });
  });

  test.describe('other keys', (test) => {
    test("an agent's key is replaced by its host: the old one is refused at once, what it has stays", async (t) => {
      const { client } = world;
      const agent = await world.letIn(newMailbox());
      const next = newKey();
      t.deepEqual(fine(await client.rotateAgentKey(agent, next)), {
        agent_id: agent.id,
        status: 'active',
      });
      t.is(said(await client.execute(agent, 'whoami')), '401 invalid_jwt');
      t.is(said(await client.execute({ ...agent, key: next }, 'whoami')), '200');
      t.is(said(await client.execute({ ...agent, key: next }, 'write')), '200');
    });

    test('an agent that rotates its own key, as the CLI tries to, is told why not in words', async (t) => {
      const { client } = world;
      const agent = await world.autonomous();
      const next = newKey();
      const reply = await client.rotateAgentKeyAsCli(agent, next);
      t.true(reply.status === 400 || reply.status === 401, reply.text);
      t.is(typeof reply.body.message, 'string');
      const named = await client.rotateAgentKeyAsCli(agent, next, { body: { agent_id: agent.id } });
      t.is(said(named), '401 invalid_jwt');
      t.is(said(await client.execute(agent, 'whoami')), '200');
    });

    test('a host’s key is replaced: its id, its owner and its agents stay, the old key is refused at once', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const agent = await world.letIn(mailbox, {}, undefined, host);
      const { host_id } = fine(await client.status(agent));
      const next = newKey();
      t.deepEqual(fine(await client.rotateHostKey(host, next)), { host_id, status: 'active' });
      t.is(said(await client.status(agent)), '401 invalid_jwt');
      const rekeyed = { ...host, key: next };
      const status = await client.status(agent, {}, rekeyed);
      t.deepEqual([fine(status).host_id, status.body.user_id], [host_id, agent.userId]);
      t.is(said(await client.execute(agent, 'write')), '200');
      const second = await client.connect(rekeyed, { capabilities: ['read'] });
      t.is(fine(second.reply).status, 'active');
      t.is(second.reply.body.host_id, host_id);
    });
  });

  test('an agent that has expired begins anew at its host’s word, with what anybody may', async (t) => {
    const { client, on } = world;
    const agent = await world.letIn(newMailbox());
    on.clock.advance(3600);
    t.is(said(await client.execute(agent, 'whoami')), '403 agent_expired');
    t.is(fine(await client.status(agent)).status, 'expired');
    const reply = await client.reactivate(agent);
    t.is(fine(reply).status, 'active');
    t.is(reply.body.activated_at, new Date(on.clock()).toISOString());
    t.is(reply.body.expires_at, new Date(on.clock() + 3_600_000).toISOString());
    t.deepEqual(grantsIn(reply), { read: 'active', whoami: 'active' });
    t.is(said(await client.execute(agent, 'read')), '200');
    t.is(said(await client.execute(agent, 'write')), '403 capability_not_granted');
    t.is(fine(await client.reactivate(agent)).status, 'active', 'once more does nothing');
  });

  test.describe('a host that a human lets in', (test) => {
    test('what its agents did alone becomes theirs: they end as claimed, their tokens die, whoever follows is told', async (t) => {
      const { client, introspectBearer, api, on } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const first = await world.autonomous(host, { name: 'first' });
      const second = await world.autonomous(host, { name: 'second' });
      const idle = await world.autonomous(host, { name: 'idle' });
      on.clock.advance(3600);
      await client.reactivate(first);
      await client.reactivate(second);
      t.is(fine(await client.status(idle)).status, 'expired');
      const { user_id: account } = fine(await client.execute(first, 'whoami')).data;
      const bearer = await world.bearerOf(first, 'read', { resource: api.resource });
      t.is((await introspectBearer(bearer)).sub, account);
      const follow = (after: string) =>
        on.request('GET', `/resource/events${after}`, { headers: basic(api.clientId, api.clientSecret) });
      const { last } = fine(await follow(''));

      const successor = await world.letIn(mailbox, { name: 'successor' }, undefined, host);
      for (const agent of [first, second, idle]) {
        const status = fine(await client.status(agent));
        t.deepEqual([status.status, status.agent_capability_grants], ['claimed', []]);
        t.is(said(await client.execute(agent, 'whoami')), '403 agent_claimed');
        t.is(said(await client.reactivate(agent)), '403 agent_claimed');
      }
      t.false((await introspectBearer(bearer)).active);
      t.is(fine(await client.execute(successor, 'whoami')).data.user_id, successor.userId);
      const row = await on.service.deps.db.get('SELECT merged_into AS "into" FROM accounts WHERE id = ?', [
        account,
      ]);
      t.deepEqual({ ...(row as object) }, { into: successor.userId });

      const { events } = fine(await follow(`?after=${last}`)) as {
        events: { type: string; user_id?: string; merged_from?: string }[];
      };
      const merges = events.filter(({ type }) => type === 'account_merged');
      t.deepEqual(
        merges.map(({ user_id, merged_from }) => [merged_from, user_id]),
        [[account, successor.userId]],
      );
      t.true(events.some(({ type }) => type === 'revoked'));
      // The page of their agents knows where those came from, and that they ended.
      t.is(await world.eventsOf('agent.claimed', first.id), 1);
    });

    test('has no more agents that work alone; one for its human that asks for little is in at once, for more it asks', async (t) => {
      const { client } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const { browser, userId } = await world.letIn(mailbox, {}, undefined, host);
      const alone = await client.connect(host, { mode: 'autonomous' });
      t.is(said(alone.reply), '400 unsupported_mode');
      for (const capabilities of [['read'], ['whoami', 'read'], undefined]) {
        const { agent, reply } = await client.connect(host, { ...(capabilities && { capabilities }) });
        t.is(fine(reply).status, 'active');
        t.is(reply.body.user_id, userId);
        t.is(reply.body.approval, undefined);
        t.is(fine(await client.execute(agent, 'read')).data.scope, 'read');
      }
      const { agent, reply } = await client.connect(host, { capabilities: ['read', 'write'] });
      t.is(fine(reply).status, 'pending');
      t.deepEqual(grantsIn(reply), { read: 'pending', write: 'pending' });
      await world.answer(
        reply.body.approval.verification_uri_complete,
        mailbox,
        'approve',
        undefined,
        browser,
      );
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active', write: 'active' });
    });
  });

  test('another client, with `iss` and without `kid`, `sub` and what else nobody needs, is as welcome (6.7)', async (t) => {
    const { on, client } = world;
    const plain = openAgentClient(on);
    const host = client.newHost();
    const { kid: _, ...jwk } = host.key.jwk;
    const key = newKey();
    const { kid: __, ...agentJwk } = key.jwk;
    const bare = { header: { kid: undefined }, claims: { sub: undefined, host_public_key: jwk } };
    const reply = await plain.register(
      host,
      key,
      { mode: 'autonomous' },
      {
        ...bare,
        claims: { ...bare.claims, agent_public_key: agentJwk, host_name: undefined },
        body: { host_name: undefined },
      },
    );
    const agent = { id: fine(reply).agent_id, key, host };
    // A host that is known need not show its key again.
    const status = await plain.status(agent, {
      ...bare,
      claims: { sub: undefined, host_public_key: undefined },
    });
    t.is(fine(status).status, 'active');
    const executed = await plain.execute(
      agent,
      'whoami',
      {},
      {
        header: { kid: undefined },
        claims: { iss: host.key.thumbprint, capabilities: undefined },
      },
    );
    t.is(fine(executed).data.agent_id, agent.id);
  });
});
