import { newKey } from '../helpers/agent-client.ts';
import { type AgentWorld, ASKED, fine, openAgentWorld, said } from '../helpers/agent-world.ts';
import { addApi } from '../helpers/api.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { basic } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The Agent Auth Protocol, told as its CLI and its humans live it. What is refused is in the two tests beside this one. */

onEveryEngine('the Agent Auth Protocol: what an API is shown, and the end', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
    fine(await world.client.discover());
  });
  test.after(() => world.stop());

  test.describe('an API that is shown a token that an agent signed', (test) => {
    test('hears once what the agent may do, by a token for the service or for itself, and never of one for another', async (t) => {
      const { client, introspect, api, on } = world;
      const other = await addApi(on, 'https://other.example.com');
      const agent = await world.letIn(newMailbox(), {
        capabilities: ['read', { name: 'write', constraints: { seconds: { max: 60 } } }],
      });
      for (const audience of [on.url, api.resource]) {
        const token = client.agentToken(agent, audience);
        const heard = fine(await introspect(token));
        t.deepEqual(heard, {
          active: true,
          agent_id: agent.id,
          host_id: heard.host_id,
          user_id: agent.userId,
          mode: 'delegated',
          agent_capability_grants: [
            { capability: 'read', status: 'active' },
            { capability: 'write', status: 'active', constraints: { seconds: { max: 60 } } },
          ],
          expires_at: new Date(on.clock() + 3_600_000).toISOString(),
          aud: audience,
          iss: on.url,
          exp: Math.floor(on.clock() / 1000) + 60,
        });
        t.deepEqual(fine(await introspect(token)), { active: false }, 'a second time');
      }
      t.deepEqual(fine(await introspect(client.agentToken(agent, other.resource))), { active: false });
      const own = client.agentToken(agent, other.resource);
      t.true(fine(await introspect(own, other)).active);
      // A token for this one capability is for no other.
      const narrow = client.agentToken(agent, api.resource, { claims: { capabilities: ['read', 'fly'] } });
      t.deepEqual(fine(await introspect(narrow)).agent_capability_grants, [
        { capability: 'read', status: 'active' },
      ]);
    });

    test('hears the same at /oauth2/introspect in the words of RFC 7662, and it is one and the same token', async (t) => {
      const { client, introspect, introspectBearer, api, on } = world;
      const other = await addApi(on, 'https://beside.example.com');
      const agent = await world.letIn(newMailbox());
      const claims = { jti: 'one-of-a-kind' };
      const token = client.agentToken(agent, api.resource, { claims });
      t.deepEqual(await introspectBearer(token, other), { active: false });
      const iat = Math.floor(on.clock() / 1000);
      t.deepEqual(await introspectBearer(token), {
        active: true,
        sub: agent.userId,
        client_id: agent.id,
        scope: 'read write',
        aud: api.resource,
        iss: on.url,
        iat,
        exp: iat + 60,
        token_type: 'Bearer',
        jti: 'one-of-a-kind',
        credential_kind: 'claimed',
        credential_form: 'token',
        agent_id: agent.id,
        owner: agent.userId,
      });
      t.deepEqual(await introspectBearer(token), { active: false }, 'a second time');
      t.deepEqual(fine(await introspect(token)), { active: false }, 'at the other place');
      const second = client.agentToken(agent, api.resource);
      t.true(fine(await introspect(second)).active);
      t.deepEqual(await introspectBearer(second), { active: false });
      const nothing = client.agentToken(agent, api.resource, { claims: { capabilities: ['whoami'] } });
      t.deepEqual(await introspectBearer(nothing), { active: false }, 'one without any scope');
      for (const wrong of [
        client.agentToken(agent, api.resource, { signer: newKey() }),
        client.agentToken(agent, api.resource, { claims: { iat: iat - 90, exp: iat - 30 } }),
        client.hostToken(agent.host, { claims: { aud: api.resource } }),
      ]) {
        t.deepEqual(await introspectBearer(wrong), { active: false });
      }
    });

    test('that was used for anything else is inactive, and so is everything that is no such token', async (t) => {
      const { client, introspect, api, on } = world;
      const host = client.newHost();
      const agent = await world.autonomous(host);
      const used = client.agentToken(agent, on.url);
      fine(await client.get('/capability/list', used));
      const spent = client.agentToken(agent, client.executeAt());
      fine(await client.post('/capability/execute', spent, { capability: 'whoami' }));
      const waiting = await client.connect(client.newHost());
      const bearer = await world.bearerOf(agent, 'read', { resource: api.resource });
      const inactive = {
        'one that was spent on a list': used,
        'one that was spent on an execution': spent,
        'one of a host': client.hostToken(host),
        'one of an agent that waits': client.agentToken(waiting.agent, on.url),
        'one that another key signed': client.agentToken(agent, on.url, { signer: newKey() }),
        'one that is too old': client.agentToken(agent, on.url, { claims: { iat: 1, exp: 61 } }),
        rubbish: 'rubbish',
        'a bearer of ours': bearer,
      };
      for (const [about, token] of Object.entries(inactive)) {
        t.deepEqual(fine(await introspect(token)), { active: false }, about);
      }
      t.is(said(await introspect('')), '400 invalid_request');
    });

    test('must say who it is', async (t) => {
      const { client, on, api } = world;
      const agent = await world.autonomous();
      const token = client.agentToken(agent, on.url);
      const strangers: Record<string, string>[] = [
        {},
        basic(api.clientId, 'rss_wrong'),
        basic('rs_nobody', api.clientSecret),
        { Authorization: `Bearer ${client.hostToken(agent.host)}` },
      ];
      for (const headers of strangers) {
        const reply = await on.post('/agent/introspect', { token }, headers);
        t.is(reply.status, 401, JSON.stringify(headers));
      }
      const inBody = { client_id: api.clientId, client_secret: api.clientSecret };
      t.true(fine(await on.post('/agent/introspect', { token, ...inBody })).active);
    });
  });

  test.describe('the end of an agent', (test) => {
    test('its host revokes it: it and its tokens are dead from that moment, and it stays so', async (t) => {
      const { client, introspectBearer, introspect, api, on } = world;
      const agent = await world.letIn(newMailbox());
      const bearer = await world.bearerOf(agent, 'write', { resource: api.resource });
      const held = client.agentToken(agent, on.url);
      t.true((await introspectBearer(bearer)).active);
      t.deepEqual(fine(await client.disconnect(agent)), { agent_id: agent.id, status: 'revoked' });
      t.false((await introspectBearer(bearer)).active);
      t.deepEqual(fine(await introspect(held)), { active: false });
      t.is(said(await client.execute(agent, 'whoami')), '403 agent_revoked');
      t.is(fine(await client.status(agent)).status, 'revoked');
      t.deepEqual(fine(await client.disconnect(agent)), { agent_id: agent.id, status: 'revoked' });
      t.is(said(await client.reactivate(agent)), '403 agent_revoked');
    });

    test('a host that is revoked takes all of its agents along, whatever they were at', async (t) => {
      const { client, introspectBearer, api } = world;
      const mailbox = newMailbox();
      const host = client.newHost();
      const working = await world.letIn(mailbox, {}, undefined, host);
      const bearer = await world.bearerOf(working, 'read', { resource: api.resource });
      const { agent: waiting, reply } = await client.connect(host, { capabilities: ['write'] });
      const link = fine(reply).approval.verification_uri_complete;
      const gone = await world.letIn(mailbox, {}, undefined, host);
      await client.disconnect(gone);
      const answer = fine(await client.revokeHost(host));
      t.deepEqual(answer, { host_id: answer.host_id, status: 'revoked', agents_revoked: 2 });
      t.false((await introspectBearer(bearer)).active);
      for (const agent of [working, waiting, gone]) {
        t.is(said(await client.execute(agent, 'whoami')), '403 host_revoked');
      }
      t.is(said(await client.status(working)), '403 host_revoked');
      t.is(said((await client.connect(host)).reply), '403 host_revoked');
      t.is(said(await client.revokeHost(host)), '403 host_revoked');
      const late = await world.open(link, mailbox);
      t.not(heading(late), ASKED);
    });

    test('a host can be revoked without a body', async (t) => {
      const { client, on } = world;
      const agent = await world.autonomous();
      const Authorization = `Bearer ${client.hostToken(agent.host)}`;
      const reply = await on.request('POST', '/host/revoke', { headers: { Authorization } });
      t.is(fine(reply).status, 'revoked');
    });
  });
});
