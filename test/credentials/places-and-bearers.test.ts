import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { PATHS } from '../../src/http/server/paths.ts';
import { asker, makeKey } from '../helpers/api-keys.ts';
import { makeAppKey } from '../helpers/app-keys.ts';
import { routesOf } from '../helpers/bad-input.ts';
import { bearer, newMailbox } from '../helpers/common.ts';
import { ensure } from '../helpers/ensure.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { concrete, encode } from '../helpers/valid-bodies.ts';
import { openPlaces } from '../helpers/workspaces.ts';

/**
 * No key, whatever its scopes, makes or ends places: only people do, on pages. Every route that takes a bearer is asked by every
 * kind of credential that has places, or whose owner could give some.
 */

const API = 'https://docs.example.com';
const ALL = ['read', 'write'];

onEveryEngine('places and bearers', (engine, test) => {
  let on: TestService;
  let wsp: string;
  let owner: string;
  let app: string;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { limits: { keysPerAccount: 1000 } });
    await places.server(API);
    owner = await places.person();
    wsp = await places.workspace([owner, 'owner']);
    app = await places.node(API, wsp, 'app_shop', 'app');
  });
  test.after(() => on.stop());

  async function placedAgent(): Promise<string> {
    const { user_id, agent_id, credential } = await on.claimed(newMailbox());
    const theirs = await places.workspace([user_id, 'owner']);
    await placeAgent(on.service.deps, asker, user_id, agent_id, [{ workspaceId: theirs, actions: ALL }]);
    return credential;
  }
  const CREDENTIALS: Record<string, () => Promise<string>> = {
    'key on a workspace': async () =>
      (await places.key(owner, [{ workspaceId: wsp, actions: ALL }])).credential,
    'key on a node and in the account of its maker': async () => {
      const requests = [
        { workspaceId: wsp, nodeId: app, actions: ALL },
        { workspaceId: owner, actions: ALL },
      ];
      return (await places.key(owner, requests)).credential;
    },
    'key of a thing': async () => (await makeAppKey(on, owner, wsp, app)).credential,
    'key of an agent on places': placedAgent,
    'key that an agent on places made': async () =>
      (await makeKey(on, await placedAgent(), { name: 'helper', scope: ALL.join(' ') })).credential,
    'key of a claimed agent': async () => (await on.claimed(newMailbox())).credential,
    'key of an unclaimed agent': async () => (await on.register()).credential,
    'access token': async () => {
      const { body } = await on.post('/agent/identity', { type: 'anonymous' });
      const form = { grant_type: JWT_BEARER, assertion: body.identity_assertion };
      return (await on.form(PATHS.token, form)).body.access_token;
    },
  };

  /** The requests that each row takes from a bearer. What they could ask for beyond it names the workspace. */
  function requests() {
    const { closed, rows } = routesOf(on);
    const takesBearer = closed.filter(({ caller }) => caller === 'agent' || caller === 'agentIfAny');
    ensure(takesBearer.length > 5, 'rows that take a bearer');
    return takesBearer.flatMap((route) => {
      const line = `${route.method} ${route.path}`;
      const bodies = rows.filter((row) => row.line === line || row.line.startsWith(`${line} `));
      const asked = { line, method: route.method, path: concrete(route.path), init: {} as RequestInit };
      if (route.body === undefined) return [asked];
      ensure(bodies.length > 0, line);
      return bodies.map((row) => ({
        ...asked,
        init: { body: encode(row), headers: { 'Content-Type': row.type } },
      }));
    });
  }
  const allPlaces = () =>
    on.service.deps.db.all(
      'SELECT id, holder, actions, granted_by, ended_at, end_reason FROM places ORDER BY id',
    );

  for (const [kind, make] of Object.entries(CREDENTIALS)) {
    test(`a ${kind} makes no place and ends none, at every row that takes a bearer`, async (t) => {
      for (const { line, method, path, init } of requests()) {
        const credential = await make();
        const before = await allPlaces();
        const headers = { ...(init.headers as Record<string, string>), ...bearer(credential) };
        const reply = await on.request(method, path, { ...init, headers });
        t.true(reply.status < 500, `${line}: ${reply.text}`);
        t.deepEqual(await allPlaces(), before, `${line}: ${reply.status} ${reply.text}`);
      }
    });

    test(`a ${kind} ends no other key on places by its id, and makes none`, async (t) => {
      const victims = [
        await places.key(owner, [{ workspaceId: wsp, actions: ['read'] }]),
        await makeAppKey(on, owner, wsp, app),
      ];
      const credential = await make();
      const before = await allPlaces();
      for (const { key } of victims) {
        const ended = await on.del(`/api/tokens/${key.id}`, credential);
        t.true([403, 404].includes(ended.status), ended.text);
      }
      const wide = { name: 'wide', scope: ALL.join(' '), places: [wsp], authorization_details: [wsp] };
      const made = await on.post('/api/tokens', wide, bearer(credential));
      if (made.status < 300) {
        const row = await on.service.deps.db.get<{ placed: number }>(
          'SELECT placed FROM credentials WHERE id = ?',
          [made.body.data.id],
        );
        t.is(row?.placed, 0);
      }
      t.deepEqual(await allPlaces(), before);
      for (const { key } of victims) {
        const row = await on.service.deps.db.get<{ revokedAt: number | null }>(
          'SELECT revoked_at AS "revokedAt" FROM credentials WHERE id = ?',
          [key.id],
        );
        t.is(row?.revokedAt, null);
      }
    });
  }
});
