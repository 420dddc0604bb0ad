import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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
import { basic, onEveryEngine } from '../helpers/service.ts';

/** The Agent Auth Protocol, told as its CLI and its humans live it. What is refused is in the two tests beside this one. */

onEveryEngine('the Agent Auth Protocol', (engine) => {
  let world: AgentWorld;
  before(async () => {
    world = await openAgentWorld(engine);
    fine(await world.client.discover());
  });
  after(() => world.stop());

  describe('what a client finds', () => {
    test('the discovery document has what clients need, and its issuer and endpoints are ours to the letter', async () => {
      const { on, client } = world;
      const reply = await client.discover();
      assert.match(reply.headers.get('content-type')!, /^application\/json/);
      assert.match(reply.headers.get('cache-control')!, /^public, max-age=\d+/);
      const { description, provider_name, endpoints, ...rest } = fine(reply);
      assert.match(provider_name, /^[a-z0-9_]+$/);
      assert.ok(description.length > 10);
      assert.deepEqual(rest, {
        version: '1.0-draft',
        issuer: on.url,
        default_location: `${on.url}/capability/execute`,
        algorithms: ['Ed25519'],
        modes: ['delegated', 'autonomous'],
        approval_methods: ['device_authorization', 'ciba'],
      });
      assert.deepEqual(Object.keys(endpoints).sort(), [
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
        assert.equal(status, 405, path);
      }
    });

    test('anybody may list capabilities; an agent is told which of them it has', async () => {
      const { client } = world;
      const open = await client.list(undefined);
      const names = (body: { capabilities: { name: string }[] }) => body.capabilities.map(({ name }) => name);
      assert.deepEqual(names(fine(open)), ['whoami', 'read', 'write']);
      assert.equal(open.headers.get('cache-control'), 'public, max-age=300');
      for (const each of open.body.capabilities) {
        assert.deepEqual(Object.keys(each), ['name', 'description']);
        assert.ok(each.description.length > 10);
      }
      const host = client.newHost();
      const agent = await world.autonomous(host);
      const asHost = await client.list(host);
      assert.deepEqual(names(fine(asHost)), ['whoami', 'read', 'write']);
      assert.equal(asHost.headers.get('cache-control'), 'private, max-age=300');
      const asAgent = fine(await client.listAsAgent(agent)).capabilities;
      assert.deepEqual(
        asAgent.map((each: { name: string; grant_status: string }) => [each.name, each.grant_status]),
        [
          ['whoami', 'granted'],
          ['read', 'granted'],
          ['write', 'not_granted'],
        ],
      );
    });

    test('a host that nobody knows here lists as anybody does', async () => {
      const { client } = world;
      const reply = await client.list(client.newHost());
      assert.deepEqual(fine(reply), fine(await client.list(undefined)));
      assert.equal(reply.headers.get('cache-control'), 'public, max-age=300');
    });

    test('a list can be searched, and read in pages', async () => {
      const { client } = world;
      const found = async (query: string) =>
        fine(await client.list(undefined, query)).capabilities.map(({ name }: { name: string }) => name);
      assert.deepEqual(await found('?query=WRITE'), ['write']);
      assert.deepEqual(await found('?query=token%20scope'), ['read', 'write']);
      assert.deepEqual(await found('?query=nothing-like-it'), []);
      const seen: string[] = [];
      for (let query = '?limit=1'; ; ) {
        const { capabilities, has_more, next_cursor } = fine(await client.list(undefined, query));
        assert.equal(capabilities.length, 1);
        seen.push(capabilities[0].name);
        assert.equal(has_more, next_cursor !== undefined);
        if (!has_more) break;
        query = `?limit=1&cursor=${next_cursor}`;
      }
      assert.deepEqual(seen, ['whoami', 'read', 'write']);
    });

    test('one capability is described with its schemas; one that is not there is 404, none is 400', async () => {
      const { client } = world;
      const read = fine(await client.describe('read'));
      assert.equal(read.name, 'read');
      assert.equal(read.input.type, 'object');
      assert.deepEqual(Object.keys(read.input.properties), ['resource', 'seconds']);
      assert.ok(read.output.required.includes('access_token'));
      assert.equal(read.grant_status, undefined);
      const agent = await world.autonomous();
      assert.equal(fine(await client.describe('read', agent)).grant_status, 'granted');
      assert.equal(fine(await client.describe('write', agent)).grant_status, 'not_granted');
      assert.equal(said(await client.describe('fly')), '404 capability_not_found');
      assert.equal(said(await client.get('/capability/describe', undefined)), '400 invalid_request');
    });
  });

  describe('an agent that works alone', () => {
    test('is active at once, with what anybody may; what needs a human is denied and says so', async () => {
      const { client, on } = world;
      const host = client.newHost('ci-box');
      const { agent, reply } = await client.connect(host, {
        mode: 'autonomous',
        name: 'bot',
        capabilities: ['whoami', 'read', 'write'],
        reason: 'why',
      });
      const body = fine(reply);
      assert.match(body.agent_id, /^agt_[0-9A-Za-z]+$/);
      assert.match(body.host_id, /^hst_[0-9A-Za-z]+$/);
      assert.deepEqual(
        [body.name, body.mode, body.status, body.user_id, body.approval],
        ['bot', 'autonomous', 'active', undefined, undefined],
      );
      assert.deepEqual(grantsIn(reply), { read: 'active', whoami: 'active', write: 'denied' });
      const write = body.agent_capability_grants.find(
        (each: { capability: string }) => each.capability === 'write',
      );
      assert.match(write.reason, /human/);
      const read = body.agent_capability_grants.find(
        (each: { capability: string }) => each.capability === 'read',
      );
      assert.ok(read.description && read.input && read.output);
      assert.equal(reply.headers.get('cache-control'), 'no-store');

      const status = await client.status(agent);
      assert.deepEqual(grantsIn(status), { read: 'active', whoami: 'active', write: 'denied' });
      const iso = new Date(on.clock()).toISOString();
      assert.equal(fine(status).created_at, iso);
      assert.equal(status.body.activated_at, iso);
      assert.equal(status.body.expires_at, new Date(on.clock() + 3_600_000).toISOString());
    });

    test('gets what anybody may where it names nothing', async () => {
      const agent = await world.autonomous();
      assert.deepEqual(grantsIn(await world.client.status(agent)), { read: 'active', whoami: 'active' });
    });

    test('uses what it has: whoami, and a short token to read that an API takes', async () => {
      const { client, introspectBearer, on } = world;
      const host = client.newHost();
      const agent = await world.autonomous(host, {
        name: 'reader',
        capabilities: ['whoami', 'read', 'write'],
      });
      const { data } = fine(await client.execute(agent, 'whoami'));
      assert.match(data.user_id, /^usr_/);
      assert.deepEqual(
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
      assert.deepEqual(
        { ...token, access_token: '' },
        { access_token: '', token_type: 'Bearer', expires_in: 60, scope: 'read', resource: on.url },
      );
      // It is for the default resource, which is the service itself here.
      assert.equal(fine(await on.get('/api/me', token.access_token)).data.agent_id, agent.id);
      assert.deepEqual(await introspectBearer(token.access_token), { active: false });
      const forApi = fine(await client.execute(agent, 'read', { resource: world.api.resource })).data;
      const heard = await introspectBearer(forApi.access_token);
      assert.deepEqual(
        [heard.active, heard.scope, heard.aud, heard.sub, heard.client_id],
        [true, 'read', world.api.resource, data.user_id, agent.id],
      );
      assert.equal(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      on.clock.advance(60);
      assert.equal((await on.get('/api/me', token.access_token)).status, 401);
    });

    test('asks for more in vain: there is nobody to allow it', async () => {
      const { client } = world;
      const agent = await world.autonomous();
      const reply = await client.request(agent, { capabilities: ['write'], reason: 'more' });
      assert.equal(fine(reply).status, 'active');
      assert.equal(reply.body.approval, undefined);
      assert.deepEqual(grantsIn(reply), { write: 'denied' });
      assert.equal(said(await client.request(agent, { capabilities: ['read'] })), '409 already_granted');
    });
  });

  describe('an agent that works for a human', () => {
    test('waits for them; they open its link, sign in with a mailed code, leave a box off, and it is in', async () => {
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
      assert.equal(body.status, 'pending');
      assert.deepEqual(grantsIn(reply), { read: 'pending', whoami: 'pending', write: 'pending' });
      const { verification_uri_complete: link, ...approval } = body.approval;
      assert.match(approval.user_code, /^[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}$/);
      assert.deepEqual(
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
      assert.equal(fine(await client.status(agent)).status, 'pending');
      assert.equal(said(await client.execute(agent, 'whoami')), '403 agent_pending');
      assert.equal(said(await client.request(agent, { capabilities: ['read'] })), '403 agent_pending');

      const browser = openBrowser(on);
      const signInPage = await browser.get(link);
      assert.equal(heading(signInPage), 'Sign in');
      assert.doesNotMatch(signInPage.path, /[?&]t=/);
      assert.ok(!signInPage.text.includes('ship it'));
      const page = await world.signInHere(browser, mailbox);
      assert.equal(page.path, '/connect/review');
      assert.equal(heading(page), ASKED);
      for (const shown of ['helper', 'ci-box', 'ship it', 'not verified', 'seconds at most 120']) {
        assert.ok(page.text.includes(shown), `${shown} is not on the page: ${page.text}`);
      }
      assert.deepEqual(boxesOn(page), { 'allow:read': true, 'allow:whoami': true, 'allow:write': true });
      const done = await world.decide(browser, page, 'approve', ['read', 'whoami']);
      assert.equal(heading(done), IN);

      const status = await client.status(agent);
      assert.equal(fine(status).status, 'active');
      assert.equal(status.body.approval, undefined);
      assert.deepEqual(grantsIn(status), { read: 'active', whoami: 'active', write: 'denied' });
      const owner = await on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM accounts WHERE mailbox = ?',
        [mailbox],
      );
      assert.equal(status.body.user_id, owner!.id);
      for (const grant of status.body.agent_capability_grants) {
        assert.equal(grant.granted_by, grant.status === 'active' ? owner!.id : undefined);
      }
      const { data } = fine(await client.execute(agent, 'whoami'));
      assert.deepEqual([data.user_id, data.owner, data.mode], [owner!.id, owner!.id, 'delegated']);
      assert.equal(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      const mail = await on.noticeTo(mailbox);
      assert.ok(JSON.stringify(mail).includes('let an agent work for you'));
    });

    test('is found by the code that it shows, however that is typed', async () => {
      const { client, on } = world;
      const mailbox = newMailbox();
      const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
      const code: string = fine(reply).approval.user_code;
      const browser = openBrowser(on);
      const empty = await browser.get('/connect');
      assert.equal(heading(empty), 'Let an agent in');
      const wrong = await browser.post('/connect', { code: 'AAAA-AAAA' });
      assert.equal(wrong.status, 400);
      assert.match(wrong.text, /No agent waits with this code/);
      const typed = ` ${code.toLowerCase().replace('-', ' ')} `;
      assert.equal(heading(await browser.post('/connect', { code: typed })), 'Sign in');
      const page = await world.signInHere(browser, mailbox);
      assert.equal(heading(await world.decide(browser, page, 'approve')), IN);
      assert.equal(fine(await client.status(agent)).status, 'active');
    });

    test('that names the mailbox and asks for ciba has its human mailed, and shows no link itself', async () => {
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
      assert.deepEqual(approval, {
        method: 'ciba',
        expires_in: 600,
        interval: 5,
        binding_message: 'blue whale',
      });
      const mail = await world.approvalMailTo(mailbox);
      assert.deepEqual([mail.agentName, mail.bindingMessage], ['ciba bot', 'blue whale']);
      const browser = openBrowser(world.on);
      const page = await world.open(mail.pageUrl, mailbox, browser);
      assert.match(page.text, /blue whale/);
      assert.equal(heading(await world.decide(browser, page, 'approve')), IN);
      assert.deepEqual(grantsIn(await client.status(agent)), { read: 'active', write: 'active' });
    });

    test('gets tokens to read and to write, each for one API and one scope, in the account of its human', async () => {
      const { client, introspectBearer, api } = world;
      const agent = await world.letIn(newMailbox());
      for (const scope of ['read', 'write']) {
        const reply = await client.execute(agent, scope, { resource: api.resource, seconds: 900 });
        const { access_token, expires_in } = fine(reply).data;
        assert.equal(reply.headers.get('cache-control'), 'no-store');
        assert.equal(expires_in, 900);
        const heard = await introspectBearer(access_token);
        assert.deepEqual([heard.scope, heard.sub, heard.client_id], [scope, agent.userId, agent.id]);
      }
      assert.equal(fine(await client.execute(agent, 'read')).data.expires_in, 300);
    });

    test('asks for more, and has it once its human has said yes', async () => {
      const { client } = world;
      const agent = await world.letIn(newMailbox(), { capabilities: ['whoami', 'read'] });
      const reply = await client.request(agent, {
        capabilities: [{ name: 'write', constraints: { seconds: { max: 300 } } }],
        reason: 'to ship',
        binding_message: 'red fox',
      });
      const { agent_id, status, approval } = fine(reply);
      assert.deepEqual([agent_id, status, approval.method], [agent.id, 'pending', 'device_authorization']);
      assert.deepEqual(grantsIn(reply), { write: 'pending' });

      // What it has goes on meanwhile.
      assert.equal(said(await client.execute(agent, 'whoami')), '200');
      assert.equal(said(await client.execute(agent, 'write')), '403 capability_not_granted');
      assert.equal(fine(await client.status(agent)).status, 'active');

      const page = await agent.browser.get(approval.verification_uri_complete);
      assert.equal(heading(page), ASKED);
      for (const shown of ['to ship', 'red fox']) assert.ok(page.text.includes(shown), page.text);
      assert.deepEqual(boxesOn(page), { 'allow:write': true });
      assert.ok(!page.text.includes('have not let in before'));
      assert.equal(heading(await world.decide(agent.browser, page, 'approve')), IN);
      assert.deepEqual(grantsIn(await client.status(agent)), {
        read: 'active',
        whoami: 'active',
        write: 'active',
      });
      assert.equal(said(await client.execute(agent, 'write', { seconds: 300 })), '200');
      assert.equal(said(await client.execute(agent, 'write', { seconds: 301 })), '403 constraint_violated');
    });

    test('keeps what it has where its human says no to more', async () => {
      const { client, answer } = world;
      const mailbox = newMailbox();
      const agent = await world.letIn(mailbox, { capabilities: ['read'] });
      const reply = await client.request(agent, { capabilities: ['write'] });
      await answer(fine(reply).approval.verification_uri_complete, mailbox, 'deny', [], agent.browser);
      const status = await client.status(agent);
      assert.deepEqual(grantsIn(status), { read: 'active', write: 'denied' });
      assert.equal(status.body.status, 'active');
      assert.equal(said(await client.execute(agent, 'read')), '200');
    });
  });

  describe('other keys', () => {
    test("an agent's key is replaced by its host: the old one is refused at once, what it has stays", async () => {
      const { client } = world;
      const agent = await world.letIn(newMailbox());
      const next = newKey();
      assert.deepEqual(fine(await client.rotateAgentKey(agent, next)), {
        agent_id: agent.id,
        status: 'active',
      });
      assert.equal(said(await client.execute(agent, 'whoami')), '401 invalid_jwt');
      assert.equal(said(await client.execute({ ...agent, key: next }, 'whoami')), '200');
      assert.equal(said(await client.execute({ ...agent, key: next }, 'write')), '200');
    });

    test('an agent that rotates its own key, as the CLI tries to, is told why not in words', async () => {
      const { client } = world;
      const agent = await world.autonomous();
      const next = newKey();
      const reply = await client.rotateAgentKeyAsCli(agent, next);
      assert.ok(reply.status === 400 || reply.status === 401, reply.text);
      assert.equal(typeof reply.body.message, 'string');
      const named = await client.rotateAgentKeyAsCli(agent, next, { body: { agent_id: agent.id } });
      assert.equal(said(named), '401 invalid_jwt');
      assert.equal(said(await client.execute(agent, 'whoami')), '200');
    });

    test('a host’s key is replaced: its id, its owner and its agents stay, the old key is refused at once', async () => {
      const { client } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const agent = await world.letIn(mailbox, {}, undefined, host);
      const { host_id } = fine(await client.status(agent));
      const next = newKey();
      assert.deepEqual(fine(await client.rotateHostKey(host, next)), { host_id, status: 'active' });
      assert.equal(said(await client.status(agent)), '401 invalid_jwt');
      const rekeyed = { ...host, key: next };
      const status = await client.status(agent, {}, rekeyed);
      assert.deepEqual([fine(status).host_id, status.body.user_id], [host_id, agent.userId]);
      assert.equal(said(await client.execute(agent, 'write')), '200');
      const second = await client.connect(rekeyed, { capabilities: ['read'] });
      assert.equal(fine(second.reply).status, 'active');
      assert.equal(second.reply.body.host_id, host_id);
    });
  });

  test('an agent that has expired begins anew at its host’s word, with what anybody may', async () => {
    const { client, on } = world;
    const agent = await world.letIn(newMailbox());
    on.clock.advance(3600);
    assert.equal(said(await client.execute(agent, 'whoami')), '403 agent_expired');
    assert.equal(fine(await client.status(agent)).status, 'expired');
    const reply = await client.reactivate(agent);
    assert.equal(fine(reply).status, 'active');
    assert.equal(reply.body.activated_at, new Date(on.clock()).toISOString());
    assert.equal(reply.body.expires_at, new Date(on.clock() + 3_600_000).toISOString());
    assert.deepEqual(grantsIn(reply), { read: 'active', whoami: 'active' });
    assert.equal(said(await client.execute(agent, 'read')), '200');
    assert.equal(said(await client.execute(agent, 'write')), '403 capability_not_granted');
    assert.equal(fine(await client.reactivate(agent)).status, 'active', 'once more does nothing');
  });

  describe('a host that a human lets in', () => {
    test('what its agents did alone becomes theirs: they end as claimed, their tokens die, whoever follows is told', async () => {
      const { client, introspectBearer, api, on } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const first = await world.autonomous(host, { name: 'first' });
      const second = await world.autonomous(host, { name: 'second' });
      const idle = await world.autonomous(host, { name: 'idle' });
      on.clock.advance(3600);
      await client.reactivate(first);
      await client.reactivate(second);
      assert.equal(fine(await client.status(idle)).status, 'expired');
      const { user_id: account } = fine(await client.execute(first, 'whoami')).data;
      const bearer = await world.bearerOf(first, 'read', { resource: api.resource });
      assert.equal((await introspectBearer(bearer)).sub, account);
      const follow = (after: string) =>
        on.request('GET', `/resource/events${after}`, { headers: basic(api.clientId, api.clientSecret) });
      const { last } = fine(await follow(''));

      const successor = await world.letIn(mailbox, { name: 'successor' }, undefined, host);
      for (const agent of [first, second, idle]) {
        const status = fine(await client.status(agent));
        assert.deepEqual([status.status, status.agent_capability_grants], ['claimed', []]);
        assert.equal(said(await client.execute(agent, 'whoami')), '403 agent_claimed');
        assert.equal(said(await client.reactivate(agent)), '403 agent_claimed');
      }
      assert.equal((await introspectBearer(bearer)).active, false);
      assert.equal(fine(await client.execute(successor, 'whoami')).data.user_id, successor.userId);
      const row = await on.service.deps.db.get('SELECT merged_into AS "into" FROM accounts WHERE id = ?', [
        account,
      ]);
      assert.deepEqual({ ...(row as object) }, { into: successor.userId });

      const { events } = fine(await follow(`?after=${last}`)) as {
        events: { type: string; user_id?: string; merged_from?: string }[];
      };
      const merges = events.filter(({ type }) => type === 'account_merged');
      assert.deepEqual(
        merges.map(({ user_id, merged_from }) => [merged_from, user_id]),
        [[account, successor.userId]],
      );
      assert.ok(events.some(({ type }) => type === 'revoked'));
      // The page of their agents knows where those came from, and that they ended.
      assert.equal(await world.eventsOf('agent.claimed', first.id), 1);
    });

    test('has no more agents that work alone; one for its human that asks for little is in at once, for more it asks', async () => {
      const { client } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const { browser, userId } = await world.letIn(mailbox, {}, undefined, host);
      const alone = await client.connect(host, { mode: 'autonomous' });
      assert.equal(said(alone.reply), '400 unsupported_mode');
      for (const capabilities of [['read'], ['whoami', 'read'], undefined]) {
        const { agent, reply } = await client.connect(host, { ...(capabilities && { capabilities }) });
        assert.equal(fine(reply).status, 'active');
        assert.equal(reply.body.user_id, userId);
        assert.equal(reply.body.approval, undefined);
        assert.equal(fine(await client.execute(agent, 'read')).data.scope, 'read');
      }
      const { agent, reply } = await client.connect(host, { capabilities: ['read', 'write'] });
      assert.equal(fine(reply).status, 'pending');
      assert.deepEqual(grantsIn(reply), { read: 'pending', write: 'pending' });
      await world.answer(
        reply.body.approval.verification_uri_complete,
        mailbox,
        'approve',
        undefined,
        browser,
      );
      assert.deepEqual(grantsIn(await client.status(agent)), { read: 'active', write: 'active' });
    });
  });

  test('another client, with `iss` and without `kid`, `sub` and what else nobody needs, is as welcome (6.7)', async () => {
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
    assert.equal(fine(status).status, 'active');
    const executed = await plain.execute(
      agent,
      'whoami',
      {},
      {
        header: { kid: undefined },
        claims: { iss: host.key.thumbprint, capabilities: undefined },
      },
    );
    assert.equal(fine(executed).data.agent_id, agent.id);
  });
});
