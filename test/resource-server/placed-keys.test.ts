import type { ExecutionContext } from 'ava';
import { changeRole, removeMember } from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import {
  createGuard,
  createPolicy,
  createVerifier,
  may,
  type Verifier,
} from '../../src/resource-server/index.ts';
import { until } from '../helpers/api.ts';
import { asker, type Server } from '../helpers/api-keys.ts';
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

  function newVerifier(follow = false): Verifier {
    const verifier = createVerifier({
      issuer: on.url,
      resource: API,
      clientId: api.id,
      clientSecret: api.secret,
      follow,
      onWorkspaceDeleted: ({ workspace }) => void deleted.push(workspace),
    });
    verifiers.push(verifier);
    return verifier;
  }
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
    t.log(`${what}: ${Date.now() - began} ms`);
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
});
