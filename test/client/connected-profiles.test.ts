import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import {
  ConnectedProfile,
  createRequest,
  newSessionKey,
  type PermissionEntry,
  type PermissionRequest,
  parseCap,
  readDenial,
  readGrant,
  registerAgent,
} from '../../src/client/index.ts';
import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import { denyPermissions } from '../../src/domain/permissions/decide-request.ts';
import { grantPermissions } from '../../src/domain/permissions/grant.ts';
import { asker } from '../helpers/api-keys.ts';
import { codeOf } from '../helpers/code-of.ts';
import { newMailbox } from '../helpers/common.ts';
import { allOf, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

onEveryEngine('a profile and its service', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { clock: REAL_CLOCK, limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.url);
  });
  test.after(() => on.stop());

  async function open(t: ExecutionContext) {
    const home = mkdtempSync(join(tmpdir(), 'vouchsafe-home-'));
    t.teardown(() => rmSync(home, { recursive: true, force: true }));
    const connected = await ConnectedProfile.open({ home, service: on.url, create: true });
    return { home, connected, profile: connected.profile, folder: join(home, 'profiles/default') };
  }
  async function ask(connected: ConnectedProfile, permissions: PermissionEntry[] = [READ_DOCUMENTS]) {
    const key = connected.profile.key().privateJwk;
    const request = await createRequest({ service: on.url, key, permissions });
    await connected.profile.artifacts.saveRequest(request, 'made');
    const state = await connected.sendRequest(request);
    return { request, state };
  }
  const person = async () => (await places.act((work) => findOrCreateAccount(work, newMailbox()))).id;
  const grant = async (request: PermissionRequest) => {
    const by = await person();
    await grantPermissions(
      on.service.deps,
      asker,
      request.id,
      { accountId: by },
      { permissions: allOf(request) },
    );
    return by;
  };

  test('a request is sent, granted, taken in, and used by a token in its places', async (t) => {
    const { connected, profile } = await open(t);
    const { request, state } = await ask(connected);
    t.like(state, { id: request.id, state: 'pending' });
    t.is(profile.artifacts.request(request.id).sent?.user_code, state.user_code);
    t.is(await codeOf(() => connected.token()), 'PERMISSIONS_MISSING');
    const by = await grant(request);
    const told = await connected.readRequestState(request.id);
    t.is(told.state, 'granted');
    const granted = readGrant(told.grant);
    await connected.verify(granted);
    await profile.artifacts.saveGrant(granted);
    t.deepEqual(profile.artifacts.missing(request.permissions!), []);
    t.is(profile.artifacts.request(request.id).decision, 'granted');
    t.deepEqual(
      (await connected.listLiveGrants()).map(({ id }) => id),
      [granted.id],
    );
    const token = await connected.token({ caps: [parseCap('api:default:documents/plan.md:read')] });
    const introspected = (await api.ask(token.access_token)).body;
    t.like(introspected, { active: true, workspace: by });
    t.is(introspected.authorization_details[0].path, 'documents/plan.md');
    t.is(
      await codeOf(() => connected.token({ caps: [parseCap('api:default:other/:read')] })),
      'PERMISSIONS_MISSING',
    );
    await connected.endGrant(granted.id);
    t.is(await codeOf(() => connected.token()), 'PERMISSIONS_MISSING');
  });

  test('an agent’s key beside its request binds the session key to the agent', async (t) => {
    const { connected, profile } = await open(t);
    const agent = await registerAgent({ service: on.url });
    await profile.saveCredential({ credential: agent.credential!, agent_id: agent.id! });
    t.is(await codeOf(() => connected.refresh()), 'SESSION_KEY_ENDED');
    const { state } = await ask(connected);
    t.is(state.agent_id, agent.id);
    t.like(await connected.refresh(), { kind: 'agent', agent_id: agent.id });
    t.like(profile.info(), { kind: 'agent', agent_id: agent.id, account: agent.account });
  });

  test('a denial is verified, and another profile’s grant is refused', async (t) => {
    const [one, other] = [await open(t), await open(t)];
    const { request } = await ask(one.connected);
    await denyPermissions(on.service.deps, asker, request.id, await person());
    const denial = readDenial((await one.connected.readRequestState(request.id)).denial);
    await one.connected.verify(denial);
    await one.profile.artifacts.saveDenial(denial);
    t.is(one.profile.artifacts.request(request.id).decision, 'denied');
    t.is(await codeOf(() => other.connected.verify(denial)), 'WRONG_AUDIENCE');
    const tampered = { ...denial, request_id: `prq_${'A'.repeat(32)}` };
    t.is(await codeOf(() => one.connected.verify(tampered)), 'SIGNATURE_INVALID');
    t.is(await codeOf(() => other.connected.readRequestState(request.id)), 'SESSION_KEY_ENDED');
  });

  test('a rotated key keeps what was granted, and takes grants for the one before', async (t) => {
    const { connected, profile } = await open(t);
    const { request } = await ask(connected);
    await grant(request);
    const granted = readGrant((await connected.readRequestState(request.id)).grant);
    const old = profile.key();
    const rotated = await connected.rotateKey();
    t.like(rotated, { old_thumbprint: old.thumbprint, thumbprint: profile.key().thumbprint });
    t.not(profile.key().thumbprint, old.thumbprint);
    t.is(profile.nextKey(), undefined);
    await connected.verify(granted);
    t.truthy((await connected.token()).access_token);
    t.deepEqual(profile.info().former, [old.thumbprint]);
  });

  test('a rotation that was cut off before, during or after the call goes on', async (t) => {
    const { connected, profile, folder } = await open(t);
    const { request } = await ask(connected);
    await grant(request);
    // Before: the service knows the old key alone.
    const first = profile.key();
    writeNext(folder);
    t.truthy((await connected.token()).access_token);
    t.is(profile.key().thumbprint, first.thumbprint);
    t.is(profile.nextKey(), undefined);
    // After: it knows both, and the answer was lost.
    const lost = connected.profile.rotateKey(async (old, next) => {
      const { rotateKey } = await import('../../src/client/permission-calls.ts');
      await rotateKey(connected.client, old, next);
      throw new Error('killed');
    });
    await t.throwsAsync(lost, { message: 'killed' });
    const next = profile.nextKey()!;
    t.truthy((await connected.token()).access_token);
    t.is(profile.key().thumbprint, next.thumbprint);
    t.true(profile.thumbprints().includes(first.thumbprint));
  });

  test('of sixteen rotations at once each leaves a key that works', async (t) => {
    const { connected, profile } = await open(t);
    const { request } = await ask(connected);
    await grant(request);
    const codes = await Promise.all(Array.from({ length: 16 }, () => codeOf(() => connected.rotateKey())));
    t.true(codes.includes(undefined));
    t.deepEqual(
      codes.filter((code) => code !== undefined && code !== 'STORE_BUSY'),
      [],
    );
    t.truthy((await connected.token()).access_token);
    t.is(profile.nextKey(), undefined);
  });

  test('signing out ends the key, forgets secrets, and keeps requests', async (t) => {
    const { connected, profile } = await open(t);
    const { request } = await ask(connected);
    const key = profile.key();
    t.true(await connected.forget());
    t.is(await codeOf(async () => profile.key()), 'NO_KEY');
    t.is(profile.artifacts.requests().length, 1);
    const { listGrants } = await import('../../src/client/permission-calls.ts');
    t.is(await codeOf(() => listGrants(connected.client, key)), 'SESSION_KEY_ENDED');
    t.is(request.id, profile.artifacts.lastRequest().request.id);
  });
});

/** What a rotation leaves that was killed before it called. */
function writeNext(folder: string): void {
  const { privateJwk } = newSessionKey();
  writeFileSync(join(folder, 'key.next.json'), JSON.stringify(privateJwk), { mode: 0o600 });
}
