import { listPersonalKeys, revokePersonalKey } from '../../src/domain/credentials/personal-keys.ts';
import { endKeyInWorkspace, listWorkspaceKeys } from '../../src/domain/credentials/workspace-keys.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { leaveWorkspace } from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace, requireMember } from '../../src/domain/workspaces/workspaces.ts';
import { asker, type Server } from '../helpers/api-keys.ts';
import { makeAppKey } from '../helpers/app-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { bearer } from '../helpers/common.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces, outcome } from '../helpers/workspaces.ts';

const API = 'https://apps.example.com';

onEveryEngine('keys of things', (engine, test) => {
  let on: TestService;
  let api: Server & { url: string };
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine);
    api = await places.server(API);
  });
  test.after(() => on.stop());

  const told = async (credential: string) => (await api.ask(credential)).body;
  const answersFor = async (id: string) =>
    (await on.service.deps.db.get<{ accountId: string }>(
      'SELECT account_id AS "accountId" FROM credentials WHERE id = ?',
      [id],
    ))!.accountId;
  async function appOf(...roles: ('owner' | 'admin' | 'member' | 'viewer')[]) {
    const people = await Promise.all(roles.map(() => places.person()));
    const members = people.map((id, at) => [id, roles[at]!] as [string, (typeof roles)[number]]);
    const wsp = await places.workspace(...members);
    return { people, wsp, app: await places.node(API, wsp, 'app_shop', 'app') };
  }

  test('one is told as that of its app: the workspace acts, nobody owns it, it looks and nothing else', async (t) => {
    const { people, wsp, app } = await appOf('owner');
    const { key, credential } = await makeAppKey(on, people[0]!, wsp, app, 7);
    t.regex(credential, /^ak_[0-9A-Za-z]{49}$/);
    t.is(key.prefix, credential.slice(0, 7));
    const { iat, exp, ...rest } = await told(credential);
    t.deepEqual(rest, {
      active: true,
      sub: wsp,
      client_id: key.id,
      scope: 'read',
      aud: API,
      iss: on.url,
      token_type: 'Bearer',
      jti: key.id,
      credential_kind: 'app_key',
      credential_form: 'key',
      workspace: wsp,
      authorization_details: [
        { type: 'workspace', locations: [API], identifier: wsp, node: 'app_shop', actions: ['read'] },
      ],
    });
    t.true(exp > iat);
    const other = await places.server('https://other-apps.example.com');
    t.is((await other.ask(credential)).text, '{"active":false}');
  });

  test('owners and admins make them, of things of the kinds that the configuration names', async (t) => {
    const { people, wsp, app } = await appOf('owner', 'admin', 'member', 'viewer');
    const stranger = await places.person();
    const folder = await places.node(API, wsp, 'fld_1', 'folder');
    const other = await appOf('owner');
    const make = (who: string, node: string) => outcome(makeAppKey(on, who, wsp, node));
    t.deepEqual(await Promise.all([...people, stranger].map((who) => make(who, app))), [
      'done',
      'done',
      'forbidden',
      'forbidden',
      'notFound',
    ]);
    t.is(await make(people[0]!, folder), 'notFound');
    t.is(await make(people[0]!, other.app), 'notFound');
    t.is(await make(people[0]!, 'nod_0'), 'notFound');
  });

  test('it outlives the membership and the account of its maker, and an owner answers for it then', async (t) => {
    const { people, wsp, app } = await appOf('owner', 'admin', 'admin');
    const [ann, bob, eve] = people as [string, string, string];
    const byBob = await makeAppKey(on, bob, wsp, app);
    const byEve = await makeAppKey(on, eve, wsp, app);
    await leaveWorkspace(on.service.deps, asker, bob, wsp);
    t.true((await told(byBob.credential)).active);
    t.is(await answersFor(byBob.key.id), bob);
    await deleteAccount(on.service.deps, asker, bob);
    await deleteAccount(on.service.deps, asker, eve);
    for (const { key, credential } of [byBob, byEve]) {
      t.true((await told(credential)).active);
      t.is(await answersFor(key.id), ann);
    }
    await deleteAccount(on.service.deps, asker, ann);
    for (const { credential } of [byBob, byEve]) t.false((await told(credential)).active);
  });

  test('it ends with its thing, with the workspace, at its time, and when an owner or admin ends it', async (t) => {
    const { deps } = on.service;
    const first = await appOf('owner', 'admin', 'member');
    const [ann, bob, eve] = first.people as [string, string, string];
    const byNode = await makeAppKey(on, ann, first.wsp, first.app);
    const tell = { ...basic(api.id, api.secret), 'Content-Type': 'application/json' };
    const body = JSON.stringify({ workspace: first.wsp, delete: ['app_shop'] });
    t.is((await on.request('PUT', '/resource/nodes', { headers: tell, body })).status, 200);
    t.false((await told(byNode.credential)).active);

    const app = await places.node(API, first.wsp, 'app_new', 'app');
    const ended = await makeAppKey(on, ann, first.wsp, app);
    t.is(await outcome(endKeyInWorkspace(deps, asker, eve, first.wsp, ended.key.id)), 'notFound');
    await endKeyInWorkspace(deps, asker, bob, first.wsp, ended.key.id);
    t.false((await told(ended.credential)).active);

    const timed = await makeAppKey(on, ann, first.wsp, app, 7);
    const last = await makeAppKey(on, ann, first.wsp, app);
    on.clock.advance(7 * 86_400);
    t.false((await told(timed.credential)).active);
    t.true((await told(last.credential)).active);
    await deleteWorkspace(deps, asker, ann, first.wsp);
    t.false((await told(last.credential)).active);
    const keys = [byNode, ended, last].map(({ key }) => key.id);
    const revoked = await Promise.all(
      keys.map((id) => countOf(on, 'credentials WHERE id = ? AND revoked_at IS NOT NULL', [id])),
    );
    t.deepEqual(revoked, [1, 1, 1]);
  });

  test('it is none of the keys of its maker, who reaches nothing of their own with it', async (t) => {
    const { people, wsp, app } = await appOf('owner');
    const { key, credential } = await makeAppKey(on, people[0]!, wsp, app);
    t.deepEqual(
      (await listPersonalKeys(on.service.deps, people[0]!)).items.map(({ id }) => id),
      [],
    );
    t.is(await outcome(revokePersonalKey(on.service.deps, asker, people[0]!, key.id)), 'notFound');
    const me = await on.request('GET', '/api/me', { headers: bearer(credential) });
    t.is(me.status, 403);
    t.regex(me.text, /insufficient_scope/);
    t.is((await on.form('/oauth2/revoke', { token: credential })).status, 200);
    t.false((await told(credential)).active);
  });

  test('making it is in the audit of its workspace, and its place is given by nobody in person', async (t) => {
    const { people, wsp, app } = await appOf('owner');
    const { key } = await makeAppKey(on, people[0]!, wsp, app);
    t.is(
      await countOf(
        on,
        `events WHERE kind = 'app_key.made' AND subject = ? AND workspace_id = ? AND account_id = ?`,
        [key.id, wsp, people[0]!],
      ),
      1,
    );
    t.is(
      await countOf(on, `events WHERE kind = 'place.given' AND subject = ? AND account_id IS NULL`, [key.id]),
      1,
    );
  });

  test('a workspace lists all its keys for owners and admins, for others those that they made, and ended ones with the rest', async (t) => {
    const { deps } = on.service;
    const { people, wsp, app } = await appOf('owner', 'admin', 'viewer');
    const [ann, bob, eve] = people as [string, string, string];
    const other = await places.workspace([bob, 'owner']);
    const ofApp = await makeAppKey(on, ann, wsp, app);
    const both = await places.key(bob, [
      { workspaceId: wsp, nodeId: app, actions: ['read'] },
      { workspaceId: other, actions: ['read', 'write'] },
    ]);
    const list = async (who: string) => {
      const { items } = await listWorkspaceKeys(deps, await requireMember(deps.db, wsp, who));
      return items.map(({ id, scopes, isAppKey, maker, endedAt, places: where }) => ({
        id,
        scopes,
        isAppKey,
        isMine: maker.isYou,
        hasEnded: endedAt !== undefined,
        where: where.map(({ nodeName }) => nodeName),
      }));
    };
    const common = { scopes: ['read'], hasEnded: false, where: ['app_shop'] };
    const [bobs, apps] = [
      { ...common, id: both.key.id, isAppKey: false },
      { ...common, id: ofApp.key.id, isAppKey: true },
    ];
    t.deepEqual(await list(ann), [
      { ...bobs, isMine: false },
      { ...apps, isMine: true },
    ]);
    t.deepEqual(await list(eve), []);
    await endKeyInWorkspace(deps, asker, ann, wsp, both.key.id);
    t.deepEqual((await told(both.credential)).authorization_details.length, 1);
    await endKeyInWorkspace(deps, asker, ann, wsp, ofApp.key.id);
    t.deepEqual(
      (await list(bob)).map(({ hasEnded }) => hasEnded),
      [true, true],
    );
    await places.setRole(wsp, bob, 'viewer');
    t.deepEqual(
      (await list(bob)).map(({ id }) => id),
      [both.key.id],
    );
  });
});
