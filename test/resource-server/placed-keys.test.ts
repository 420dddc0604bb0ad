import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import Koa from 'koa';
import { LRUCache } from 'lru-cache';
import { recordEvent } from '../../src/domain/audit/audit-log.ts';
import { narrowAgent } from '../../src/domain/owner/manage-agents.ts';
import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { changeRole, removeMember } from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import {
  createGuard,
  createPolicy,
  createVerifier,
  may,
  type Verifier,
  type VerifierOptions,
} from '../../src/resource-server/index.ts';
import { protect } from '../../src/resource-server/koa.ts';
import { updateMemberRole } from '../../src/store/members.ts';
import { until } from '../helpers/api.ts';
import { asker, type Server } from '../helpers/api-keys.ts';
import { newMailbox } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

/** Keys that hold in places, at an API behind the kit. */

const API = 'https://docs.example.com';

onEveryEngine('keys on places, behind the kit', (engine, test) => {
  let on: TestService;
  let api: Server & { url: string };
  const places = openPlaces(() => on);
  const deleted: string[] = [];
  const verifiers: Verifier[] = [];
  test.before(async () => {
    on = await startTestService(engine);
    api = await places.server(API);
  });
  test.after(async () => {
    for (const verifier of verifiers) verifier.close();
    await on.stop();
  });

  function newVerifier(follow = false, more: Partial<VerifierOptions> = {}): Verifier {
    const verifier = createVerifier({
      issuer: on.url,
      resource: API,
      clientId: api.id,
      clientSecret: api.secret,
      follow,
      onWorkspaceDeleted: ({ workspace }) => void deleted.push(workspace),
      ...more,
    });
    verifiers.push(verifier);
    return verifier;
  }
  const verifierAsked = () =>
    on.logged.filter((line) => line.includes('"route":"POST /oauth2/introspect"')).length;
  const status = async (
    guard: ReturnType<typeof createGuard>,
    credential: string,
    place?: Parameters<typeof guard>[2],
  ) => {
    const decision = await guard(
      (name) => (name === 'authorization' ? `Bearer ${credential}` : undefined),
      undefined,
      place,
    );
    return 'token' in decision ? 200 : decision.status;
  };

  test('say where they may do what', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const folder = await places.node(API, wsp, 'fld_specs', 'folder');
    const { credential } = await places.key(ann, [{ workspaceId: wsp, nodeId: folder, actions: ['read'] }]);
    const token = await newVerifier().verify(credential);
    t.like(token, { subject: ann, kind: 'personal', form: 'key', workspace: wsp });
    t.deepEqual(token.access, [{ workspace: wsp, node: 'fld_specs', actions: ['read'], manages: true }]);
    t.true(may(token, 'read', { workspace: wsp, within: ['prj', 'fld_specs', 'doc'] }));
    t.false(may(token, 'write', { workspace: wsp, within: ['fld_specs'] }));
    t.false(may(token, 'read', { workspace: wsp }));
    t.false(may(token, 'read', { workspace: ann }));
  });

  test('are let in where the route says what it is about, and nowhere else', async (t) => {
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const { credential } = await places.key(ann, [{ workspaceId: wsp, path: 'specs/', actions: ['read'] }]);
    const guard = createGuard({ verifier: newVerifier(), scopes: ['read'] });
    t.is(await status(guard, credential), 403, 'a route that names no place is about the account itself');
    t.is(await status(guard, credential, { workspace: wsp, path: 'specs/a' }), 200);
    t.is(await status(guard, credential, { workspace: wsp, path: 'drafts/a' }), 403);
    t.is(await status(guard, credential, { workspace: 'wsp_other', path: 'specs/a' }), 403);
    const open = createGuard({ verifier: newVerifier() });
    t.is(await status(open, credential), 200, 'a route that needs no scope');
    const plain = await on.claimed('plain@example.com', true);
    t.is(await status(guard, plain.credential), 200);
    t.is(await status(guard, plain.credential, { workspace: plain.user_id }), 200);
    t.is(await status(guard, plain.credential, { workspace: wsp, path: 'specs/a' }), 403);
  });

  test('an agent with read of its own and write in one folder, and a key on that folder, reach no route that names no place (P-2)', async (t) => {
    const mailbox = newMailbox();
    const { user_id: ann } = await on.claimed(mailbox);
    const wsp = await places.workspace([ann, 'owner']);
    const folder = await places.node(API, wsp, 'fld_specs', 'folder');
    const write = [{ workspaceId: wsp, nodeId: folder, actions: ['write'] }];
    const writer = await on.claimed(newMailbox(), true);
    const { credential: placed } = await places.key(ann, write);
    const reader = await on.claimed(mailbox, true);
    await narrowAgent(on.service.deps, asker, ann, reader.agent_id, ['read']);
    await placeAgent(on.service.deps, asker, ann, reader.agent_id, write);
    let handled = 0;
    const app = new Koa();
    const verifier = newVerifier();
    app.use((ctx, next) =>
      protect({
        verifier,
        scopes: ['write'],
        ...(ctx.path === '/' ? {} : { place: () => ({ workspace: wsp, within: [ctx.path.slice(1)] }) }),
      })(ctx, next),
    );
    app.use((ctx) => {
      handled += 1;
      ctx.body = {};
    });
    const server = app.listen(0);
    await once(server, 'listening');
    t.teardown(() => {
      server.close();
      server.closeAllConnections();
    });
    const ask = async (path: string, key: string) => {
      const headers = { Authorization: `Bearer ${key}` };
      const { port } = server.address() as AddressInfo;
      return (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).status;
    };
    for (const key of [reader.credential, placed]) {
      t.true((await verifier.verify(key)).scopes.includes('write'), 'somewhere');
      t.is(await ask('/', key), 403);
      t.is(await ask('/fld_other', key), 403);
      t.is(handled, 0);
      t.is(await ask('/fld_specs', key), 200);
      t.is(handled, 1);
      handled = 0;
    }
    t.is(await ask('/', writer.credential), 200, 'write of its own');
  });

  test('reach the objects of a policy as their places say, with the reason where not', async (t) => {
    const [ann, ben] = [await places.person(), await places.person()];
    const wsp = await places.workspace([ann, 'owner'], [ben, 'admin']);
    const both = await places.key(ben, [{ workspaceId: wsp, path: 'app/', actions: ['read', 'write'] }]);
    const policy = createPolicy({
      scopes: { read: {}, write: { implies: ['read'] }, purge: {} },
      tools: { show: 'read', change: 'write', purge: 'purge' },
      resolveResource: (_tool, { app }) => ({ workspace: wsp, path: `${String(app)}/x` }),
    });
    /** @param scopes of the union of its places, as far as they matter here */
    const reasonOf = async (tool: string, app: string, scopes = ['read', 'write', 'purge']) => {
      const token = await newVerifier().verify(both.credential);
      const verdict = await policy.decide({ ...token, scopes }, tool, { app });
      return verdict.allowed ? 'allowed' : verdict.reason;
    };
    t.is(await reasonOf('show', 'app'), 'allowed');
    t.is(await reasonOf('change', 'app'), 'allowed');
    t.is(await reasonOf('show', 'other'), 'resource_scope');
    t.is(await reasonOf('purge', 'app'), 'missing_scope');
    await places.setRole(wsp, ben, 'viewer');
    t.is(await reasonOf('show', 'app', ['read', 'write']), 'allowed');
    t.is(await reasonOf('change', 'app', ['read', 'write']), 'endpoint_forbidden');
  });

  const soon = async (t: ExecutionContext, what: string, isSo: () => Promise<boolean>) => {
    const began = Date.now();
    await until(isSo);
    const took = Date.now() - began;
    t.true(took < 1000, `${what}: ${took} ms`);
  };

  test('shrink with the role of who made them, and end with the membership and the workspace, without being asked for', async (t) => {
    const [ann, ben, cid] = [await places.person(), await places.person(), await places.person()];
    const wsp = await places.workspace([ann, 'owner'], [ben, 'admin'], [cid, 'admin']);
    const all = { workspaceId: wsp, actions: ['read', 'write'] };
    const bens = await places.key(ben, [all]);
    const cids = await places.key(cid, [all]);
    const verifier = newVerifier(true);
    const mayWrite = async (credential: string) => {
      const token = await verifier.verify(credential).catch(() => undefined);
      return token !== undefined && may(token, 'write', { workspace: wsp });
    };
    const works = (credential: string) =>
      verifier.verify(credential).then(
        () => true,
        () => false,
      );
    t.true(await mayWrite(bens.credential));
    t.true(await mayWrite(cids.credential));
    const { deps } = on.service;
    await changeRole(deps, asker, ann, wsp, { memberId: ben, role: 'viewer', endsKeys: false });
    await soon(t, 'demoted', async () => !(await mayWrite(bens.credential)));
    t.true(await works(bens.credential), 'it may look still');
    await removeMember(deps, asker, ann, wsp, ben);
    await soon(t, 'removed', async () => !(await works(bens.credential)));
    t.true(await mayWrite(cids.credential));
    await deleteWorkspace(deps, asker, ann, wsp);
    await soon(t, 'deleted', async () => !(await works(cids.credential)));
    await until(() => deleted.includes(wsp));
  });

  /** Counts how often a cache is walked over. */
  function countWalks(t: ExecutionContext): () => number {
    let walks = 0;
    const { entries } = LRUCache.prototype;
    LRUCache.prototype.entries = function* counted(this: LRUCache<object, object>) {
      walks += 1;
      yield* entries.call(this);
    } as typeof entries;
    t.teardown(() => {
      LRUCache.prototype.entries = entries;
    });
    return () => walks;
  }

  test('thirty workspaces that change at once: all their answers are dropped within a second, by one walk in 100 ms (W-37)', async (t) => {
    const ann = await places.person();
    const boss = await places.person();
    for (const each of verifiers.splice(0)) each.close(); // only one cache is walked over
    const verifier = newVerifier(true);
    const all: { wsp: string; credential: string }[] = [];
    for (let made = 0; made < 30; made += 1) {
      const wsp = await places.workspace([boss, 'owner'], [ann, 'admin']);
      const { credential } = await places.key(ann, [{ workspaceId: wsp, actions: ['read', 'write'] }]);
      all.push({ wsp, credential });
    }
    const scopes = async () =>
      Promise.all(all.map(async ({ credential }) => (await verifier.verify(credential)).scopes.join(' ')));
    // Until what made them is not told any more: then the answers stay.
    await until(async () => {
      const before = verifierAsked();
      await scopes();
      return verifierAsked() === before;
    });
    const walks = countWalks(t);
    const began = performance.now();
    await places.act(async (work) => {
      for (const { wsp } of all) {
        await updateMemberRole(work.tx, { workspaceId: wsp, accountId: ann, role: 'viewer' });
        await recordEvent(work, { kind: 'member.role_changed', accountId: ann, workspaceId: wsp });
      }
    });
    await until(async () => (await scopes()).every((each) => each === 'read'));
    const took = performance.now() - began;
    t.true(took < 1000, `${took} ms`);
    t.true(walks() >= 1);
    t.true(walks() <= 1 + Math.ceil(took / 100), `${walks()} walks in ${took} ms`);
  });

  test('a handler of deleted workspaces that fails is asked again, also after a restart with the cursor', async (t) => {
    const { deps } = on.service;
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const { credential } = await places.key(ann, [{ workspaceId: wsp, actions: ['read'] }]);
    let saved: string | undefined;
    const cursor = {
      load: () => saved,
      save(id: string) {
        saved = id;
      },
    };
    let failures = 0;
    const first = newVerifier(true, {
      cursor,
      onWorkspaceDeleted({ workspace }) {
        if (workspace !== wsp) return;
        failures += 1;
        throw new Error('not now');
      },
    });
    await first.verify(credential);
    // Until the stream stands: then something is told, and its position kept.
    await until(async () => {
      await places.act((work) =>
        recordEvent(work, { kind: 'member.role_changed', accountId: ann, workspaceId: wsp }),
      );
      return saved !== undefined;
    });
    await deleteWorkspace(deps, asker, ann, wsp);
    await until(() => failures >= 2);
    first.close();
    const heard: string[] = [];
    const second = newVerifier(true, {
      cursor,
      onWorkspaceDeleted: ({ workspace }) => void (workspace === wsp && heard.push(workspace)),
    });
    await until(() => heard.length > 0);
    second.close();
    t.deepEqual(heard, [wsp]);
  });
});
