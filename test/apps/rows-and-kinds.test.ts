import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { PATHS } from '../../src/http/server/paths.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { getCode, newHuman, redeem, registerApp } from '../helpers/app-client.ts';
import { makeAppKey } from '../helpers/app-keys.ts';
import { routesOf } from '../helpers/bad-input.ts';
import { bearer, newMailbox } from '../helpers/common.ts';
import { ensure } from '../helpers/ensure.ts';
import { credentialIn, fill } from '../helpers/key-pages.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { concrete, encode } from '../helpers/valid-bodies.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

/** What each kind of credential reaches at this service itself, row by row (O-20). */

type Kind =
  | 'anonymous key'
  | 'anonymous token'
  | 'claimed key'
  | 'personal key'
  | 'key of a thing'
  | 'app token'
  | 'signed app token';

const TREE = 'https://tree.example.com';
const SIGNED = 'https://signed.example.com';
/** Of kinds that reach nothing here. */
const isApp = (kind: Kind) => kind.endsWith('app token') || kind === 'key of a thing';

onEveryEngine('rows and kinds', (engine, test) => {
  let on: TestService;
  let api: Api;
  let tree: TreeApi;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-kinds-'));
    const CONFIG = join(folder, 'config.json');
    const resources = [
      { url: 'https://api.example.com', name: 'API' },
      { url: SIGNED, name: 'Signed', tokens: 'jwt' },
    ];
    writeFileSync(CONFIG, JSON.stringify({ resources }));
    on = await startTestService(engine, { env: { CONFIG } });
    api = await addApi(on, 'https://other.example.com');
    tree = await addTreeApi(on, TREE);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  async function appToken(resource: string): Promise<string> {
    const app = await registerApp(on);
    const query = { scope: 'openid email read', resource };
    const got = await getCode(on, app, { query, boxes: ['scope:read', 'openid:email'] });
    const reply = await redeem(on, app, got);
    ensure(reply.status === 200, reply.text);
    return reply.body.access_token;
  }
  async function anonymousToken(): Promise<string> {
    const { body } = await on.post('/agent/identity', { type: 'anonymous' });
    const form = { grant_type: JWT_BEARER, assertion: body.identity_assertion };
    return (await on.form('/oauth2/token', form)).body.access_token;
  }
  async function keyOfThing(): Promise<string> {
    const places = openPlaces(() => on);
    const owner = await places.person();
    const workspace = await places.workspace([owner, 'owner']);
    const node = await places.node(TREE, workspace, 'app_shop', 'app');
    return (await makeAppKey(on, owner, workspace, node)).credential;
  }
  const CREDENTIALS: Record<Kind, () => Promise<string>> = {
    'anonymous key': async () => (await on.register()).credential,
    'anonymous token': anonymousToken,
    'claimed key': async () => (await on.claimed(newMailbox())).credential,
    'personal key': async () => credentialIn(await fill((await newHuman(on)).browser)),
    'key of a thing': keyOfThing,
    'app token': () => appToken(api.resource),
    'signed app token': () => appToken(SIGNED),
  };

  /** The requests that each row takes from a bearer. */
  function requests() {
    const { closed, rows } = routesOf(on);
    const takesBearer = closed.filter(({ caller }) => caller === 'agent' || caller === 'agentIfAny');
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

  for (const [kind, make] of Object.entries(CREDENTIALS) as [Kind, () => Promise<string>][]) {
    test(`a row that takes a bearer ${isApp(kind) ? 'refuses' : 'knows'} the ${kind}`, async (t) => {
      const first = await make();
      for (const { line, method, path, init } of requests()) {
        // A request that is taken may end what it came with.
        const credential = isApp(kind) ? first : await make();
        const headers = { ...(init.headers as Record<string, string>), ...bearer(credential) };
        const reply = await on.request(method, path, { ...init, headers });
        const challenge = reply.headers.get('www-authenticate') ?? '';
        if (!isApp(kind)) {
          t.false(challenge.includes('invalid_token'), `${line}: ${reply.text}`);
          continue;
        }
        t.is(reply.status, 403, `${line}: ${reply.text}`);
        t.true(reply.text.includes('"insufficient_scope"'), line);
        t.notRegex(challenge, /(?:^|[ ,])scope=/, line);
      }
    });
  }

  test('userinfo knows tokens of apps for it alone, and no other kind', async (t) => {
    for (const [kind, make] of Object.entries(CREDENTIALS)) {
      const reply = await on.request('GET', PATHS.userinfo, { headers: bearer(await make()) });
      t.true([401, 403].includes(reply.status), `${kind}: ${reply.status} ${reply.text}`);
    }
  });

  test('every kind is revoked by whoever holds it, an app’s token and a key of a thing too', async (t) => {
    for (const [kind, make] of Object.entries(CREDENTIALS)) {
      const credential = await make();
      t.is((await on.form(PATHS.revoke, { token: credential })).status, 200, kind);
      if (kind === 'key of a thing') t.false((await tree.ask(credential)).body.active, kind);
      else t.false(await api.isActive(credential), kind);
    }
  });

  test('rows for programs that sign or have a secret take no bearer, an app’s neither', async (t) => {
    const token = await CREDENTIALS['app token']();
    const others = [
      'resourceServer',
      'agentHost',
      'hostOrNewHost',
      'hostedAgent',
      'executingAgent',
      'hostOrAgentIfAny',
    ];
    const { closed, rows } = routesOf(on);
    for (const route of closed.filter(({ caller }) => others.includes(caller))) {
      const line = `${route.method} ${route.path}`;
      const row = rows.find((each) => each.line === line || each.line.startsWith(`${line} `));
      const headers = { ...(row && { 'Content-Type': row.type }), ...bearer(token) };
      const init = { headers, ...(row && { body: encode(row) }) };
      const reply = await on.request(route.method, concrete(route.path), init);
      t.is(reply.status, 401, `${line}: ${reply.text}`);
    }
  });
});
