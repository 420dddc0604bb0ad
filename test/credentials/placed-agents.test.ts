import { issueAccessToken, tokenExpiry } from '../../src/domain/credentials/access-tokens.ts';
import {
  narrowAgent,
  revokeOwnedAgent,
  undoMerge,
  unlinkAgent,
} from '../../src/domain/owner/manage-agents.ts';
import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { Failure } from '../../src/errors.ts';
import { addServer, asker, makeKey, type Server } from '../helpers/api-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { bearer, newMailbox } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

onEveryEngine('agents on places', (engine, test) => {
  let on: TestService;
  let api: Server & { url: string };
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine);
    api = await places.server('https://docs.example.com');
  });
  test.after(() => on.stop());

  /** A claimed agent with write in a workspace of its owner. */
  async function placed(link = false) {
    const mailbox = newMailbox();
    const { user_id: owner } = await on.claimed(mailbox);
    const agent = await on.claimed(mailbox, link);
    const wsp = await places.workspace([owner, 'owner']);
    await placeAgent(on.service.deps, asker, owner, agent.agent_id, [
      { workspaceId: wsp, actions: ['write'] },
    ]);
    return { owner, agent, wsp };
  }
  const told = async (credential: string, at: Server = api) => (await at.ask(credential)).body;

  test('the key that came by claim reaches them beside its account, and other APIs learn nothing of it', async (t) => {
    const { owner, agent, wsp } = await placed();
    const { scope, authorization_details, workspace, sub } = await told(agent.credential);
    t.is(scope, 'read write');
    t.is(sub, owner);
    t.is(workspace, undefined);
    t.deepEqual(
      authorization_details.map(({ identifier, actions }: Record<string, unknown>) => [identifier, actions]),
      [
        [owner, ['read', 'write']],
        [wsp, ['write']],
      ],
    );
    const old = await addServer(
      on,
      `https://old-${agent.agent_id.toLowerCase().replaceAll('_', '-')}.example.com`,
    );
    const plain = await told(agent.credential, old);
    t.is(plain.scope, 'read write');
    t.is(plain.authorization_details, undefined);
  });

  test('keys that it makes, and keys from before its claim, reach none; tokens issued later do', async (t) => {
    const { owner, agent } = await placed();
    const before = await makeKey(on, agent.credential, { name: 'helper', scope: 'read' });
    t.is((await told(before.credential)).authorization_details, undefined);
    t.is((await told(agent.old)).authorization_details, undefined);
    const token = await places.act(async (work) => {
      const audience = { url: api.url, tokens: 'opaque' as const };
      return issueAccessToken(work, {
        agentId: agent.agent_id,
        accountId: owner,
        scopes: ['read'],
        audience,
        issuedAt: work.now,
        expiresAt: tokenExpiry(on.service.deps, audience, work.now, Infinity),
      });
    });
    t.is((await told(token.value)).authorization_details.length, 2);
    t.is((await told(token.value)).scope, 'read write');
  });

  test('narrowing, unlinking, undoing and revoking end them; so does choosing none', async (t) => {
    const { deps } = on.service;
    for (const [link, end] of [
      [false, (owner: string, id: string) => narrowAgent(deps, asker, owner, id, ['read'])],
      [true, (owner: string, id: string) => unlinkAgent(deps, asker, owner, id)],
      [false, (owner: string, id: string) => undoMerge(deps, asker, owner, id)],
      [false, (owner: string, id: string) => revokeOwnedAgent(deps, asker, owner, id)],
      [false, (owner: string, id: string) => placeAgent(deps, asker, owner, id, [])],
    ] as const) {
      const { owner, agent } = await placed(link);
      await end(owner, agent.agent_id);
      t.is((await told(agent.credential)).authorization_details, undefined);
      t.is(await countOf(on, 'places WHERE holder = ? AND ended_at IS NULL', [agent.agent_id]), 0);
      t.is(await countOf(on, 'agents WHERE id = ? AND placed <> 0', [agent.agent_id]), 0);
      t.is(await countOf(on, 'credentials WHERE agent_id = ? AND placed <> 0', [agent.agent_id]), 0);
    }
  });

  test('only its owner gives them, where the owner may issue keys', async (t) => {
    const { owner, agent, wsp } = await placed();
    const stranger = await places.person();
    const theirs = await places.workspace([stranger, 'owner'], [owner, 'member']);
    const give = (who: string, workspaceId: string) =>
      placeAgent(on.service.deps, asker, who, agent.agent_id, [{ workspaceId, actions: ['read'] }]);
    for (const [kind, act] of [
      ['notFound', () => give(stranger, theirs)],
      ['forbidden', () => give(owner, theirs)],
      ['notFound', () => give(stranger, wsp)],
    ] as const) {
      const error = await t.throwsAsync(act, { instanceOf: Failure });
      t.is(error!.kind, kind);
    }
    t.is((await told(agent.credential)).authorization_details.length, 2, 'and what it had stays');
  });

  test('it asks where it works, and a key on places does too', async (t) => {
    const { owner, agent, wsp } = await placed();
    const { data } = (await on.get('/api/me', agent.credential)).body;
    t.deepEqual(data.workspaces, [{ id: wsp, name: 'Launch team', role: 'owner', actions: ['write'] }]);
    const key = await places.key(owner, [{ workspaceId: wsp, actions: ['read'] }]);
    const me = (await on.get('/api/me', key.credential)).body.data;
    t.deepEqual(me.workspaces, [{ id: wsp, name: 'Launch team', role: 'owner', actions: ['read'] }]);
    t.deepEqual(me.resources, []);
    const plain = await on.register();
    t.is((await on.get('/api/me', plain.credential)).body.data.workspaces, undefined);
  });

  test('no bearer makes, widens or ends what is given in a shared workspace, whatever its scopes', async (t) => {
    const { owner, agent, wsp } = await placed();
    const key = await places.key(owner, [{ workspaceId: wsp, actions: ['read', 'write'] }]);
    const live = () => countOf(on, 'places WHERE workspace_id = ? AND ended_at IS NULL', [wsp]);
    const had = await live();
    const asks = { name: 'wide', scope: 'read write', places: [wsp], authorization_details: [wsp] };
    t.is((await on.post('/api/tokens', asks, bearer(key.credential))).status, 403);
    t.is((await on.get('/api/tokens', key.credential)).status, 403);
    t.is((await on.del(`/api/tokens/${key.key.id}`, key.credential)).status, 403);
    const restricted = await on.post('/api/tokens', { ...asks, workspace: wsp }, bearer(agent.credential));
    t.is(restricted.status, 400, 'nobody believes in a restriction that is not there');
    const made = await makeKey(on, agent.credential, asks);
    t.is((await told(made.credential)).authorization_details, undefined);
    t.is((await on.del(`/api/tokens/${key.key.id}`, agent.credential)).status, 404);
    t.is(await live(), had);
    await on.form('/oauth2/revoke', { token: key.credential });
    t.is((await told(key.credential)).active, false, 'whoever holds a key may end it');
  });
});
