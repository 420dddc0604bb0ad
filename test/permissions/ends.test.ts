import { createHash } from 'node:crypto';
import { repeatRevocations, revokeShortLivedCredentials } from '../../src/domain/jobs/after-restore.ts';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { revokeOwnedAgent } from '../../src/domain/owner/manage-agents.ts';
import { createVerifier } from '../../src/resource-server/index.ts';
import { asker } from '../helpers/api-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { givenBy, keyClient, newPerson, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

onEveryEngine('the ends of permissions', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => on.stop());

  /** An agent with a token of what a person granted it, in a workspace of theirs or their own things. */
  async function granted(space?: string, by?: string) {
    const agent = keyClient(on);
    const person = by ?? (await newPerson(places)).id;
    const request = await agent.request({ permissions: [{ ...READ_DOCUMENTS, space: space ?? 'default' }] });
    await agent.post(request);
    const { grantId } = await givenBy(on, request, person);
    const token = (await agent.token()).body.access_token as string;
    return { agent, person, request, grantId, token };
  }
  const isActive = async (token: string) => (await api.ask(token)).body.active as boolean;

  test('an API that follows events learns of an ended grant, and so does the kit within a second', async (t) => {
    const { agent, grantId, token } = await granted();
    const verifier = createVerifier({
      issuer: on.service.deps.config.publicUrl,
      resource: api.url,
      clientId: api.id,
      clientSecret: api.secret,
    });
    const verified = await verifier.verify(token);
    t.is(verified.access?.[0]?.path, 'documents/');
    t.is((await agent.revoke(grantId)).status, 200);
    const began = performance.now();
    const isRefused = () =>
      verifier.verify(token).then(
        () => false,
        () => true,
      );
    while (!(await isRefused()) && performance.now() - began < 5000) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.true(performance.now() - began < 1000);
    await verifier.close();
  });

  test('a granter who leaves the workspace, loses the role or deletes the account takes it away', async (t) => {
    const owner = await newPerson(places);
    const left = await newPerson(places);
    const workspace = await places.workspace([owner.id, 'owner'], [left.id, 'admin']);
    const one = await granted(workspace, left.id);
    t.true(await isActive(one.token));
    await places.setRole(workspace, left.id, 'viewer');
    t.is((await api.ask(one.token)).body.scope, 'read');
    await places.leave(workspace, left.id);
    t.false(await isActive(one.token));
    const other = await granted();
    await deleteAccount(on.service.deps, asker, other.person);
    t.false(await isActive(other.token));
    t.is((await other.agent.show(other.request.id)).body.data.state, 'revoked');
  });

  test('owners and admins see what was granted in their workspace, and end it; others do not', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const row = await on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [
      mailbox,
    ]);
    const granter = await newPerson(places);
    const workspace = await places.workspace([row!.id, 'owner'], [granter.id, 'admin']);
    const { grantId, token } = await granted(workspace, granter.id);
    const path = `/workspaces/${workspace}`;
    t.true((await browser.get(path)).text.includes(`${path}/grants/${grantId}/end`));
    const stranger = await signIn(on, newMailbox());
    await stranger.get('/account');
    const csrf = stranger.form('/account/language').csrf!;
    t.is((await stranger.send(`${path}/grants/${grantId}/end`, { csrf })).status, 404);
    t.true(await isActive(token));
    await browser.get(path);
    await browser.post(`${path}/grants/${grantId}/end`, {});
    t.false(await isActive(token));
  });

  test('a revoked agent loses its keys, its requests and what it was granted', async (t) => {
    const mailbox = newMailbox();
    const { credential, agent_id, user_id } = await on.claimed(mailbox);
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request, credential);
    await givenBy(on, request, user_id);
    const token = (await agent.token()).body.access_token;
    await agent.ask({ permissions: [{ ...READ_DOCUMENTS, path: 'b/' }] });
    await revokeOwnedAgent(on.service.deps, asker, user_id, agent_id);
    t.is((await agent.held()).status, 401);
    t.false(await isActive(token));
    t.is(await countOf(on, 'permission_requests WHERE agent_id = ? AND decided_at IS NULL', [agent_id]), 0);
    t.is(await countOf(on, 'permission_grants WHERE agent_id = ? AND revoked_at IS NULL', [agent_id]), 0);
  });

  test('the owner is mailed what an agent of theirs asks for, once, in its very words', async (t) => {
    const mailbox = newMailbox();
    const { credential } = await on.claimed(mailbox);
    const agent = keyClient(on);
    const request = await agent.request({ action: 'Pay invoice 4711', once: true });
    await Promise.all(Array.from({ length: 16 }, () => agent.post(request, credential)));
    t.is(await countOf(on, `events WHERE kind = 'permission.asked' AND subject = ?`, [request.id]), 1);
    t.is(await countOf(on, 'permission_requests WHERE id = ?', [request.id]), 1);
    const events = await on.service.deps.db.all<{ details: string }>(
      `SELECT details FROM events WHERE kind = 'permission.asked' AND subject = ?`,
      [request.id],
    );
    t.is(JSON.parse(events[0]!.details).action, 'Pay invoice 4711');
  });

  test('a token for one action says which, and is asked about anew each time', async (t) => {
    const agent = keyClient(on);
    const request = await agent.request({ action: 'Pay invoice 4711', once: true });
    await agent.post(request);
    await givenBy(on, request, (await newPerson(places)).id);
    const { access_token } = (await agent.token()).body;
    const hash = createHash('sha256').update('Pay invoice 4711').digest('base64url');
    t.is((await api.ask(access_token)).body.action_hash, hash);
    t.is((await agent.token()).body.error, 'invalid_grant');
    t.is((await agent.held()).body.data.grants.length, 0);
  });

  test('a token is narrowed by resource, scope and places, and never widened', async (t) => {
    const agent = keyClient(on);
    const person = (await newPerson(places)).id;
    const request = await agent.request({
      permissions: [{ ...READ_DOCUMENTS, actions: ['read', 'write'] }],
    });
    await agent.post(request);
    await givenBy(on, request, person);
    const detail = { type: 'workspace', identifier: person, path: 'documents/2026/', actions: ['read'] };
    const narrowed = await agent.token({ authorization_details: JSON.stringify([detail]), scope: 'read' });
    t.is(narrowed.status, 200, narrowed.text);
    const told = (await api.ask(narrowed.body.access_token)).body;
    t.deepEqual([told.scope, told.authorization_details[0].path], ['read', 'documents/2026/']);
    for (const wrong of [
      { ...detail, path: 'other/' },
      { ...detail, identifier: 'usr_other' },
      { ...detail, path: undefined },
    ]) {
      const reply = await agent.token({ authorization_details: JSON.stringify([wrong]) });
      t.is(reply.body.error, 'invalid_authorization_details', JSON.stringify(wrong));
    }
    t.is((await agent.token({ scope: 'delete' })).body.error, 'invalid_scope');
    t.is((await agent.token({ resource: 'https://nowhere.example' })).body.error, 'invalid_target');
    const atApi = await agent.token({ resource: api.url });
    t.true(await isActive(atApi.body.access_token));
    const later = await agent.request({ permissions: [{ ...READ_DOCUMENTS, path: 'later/' }] });
    await agent.post(later);
    await givenBy(on, later, person);
    t.is((await api.ask(atApi.body.access_token)).body.authorization_details.length, 1);
    t.is((await api.ask((await agent.token()).body.access_token)).body.authorization_details.length, 2);
  });

  test('what is over is swept a day later, with the agent that nobody claimed', async (t) => {
    const own = await startTestService(engine, {
      limits: { permissionsPerIp: '100000/h', unclaimedTtlSeconds: 86_400 },
    });
    const agent = keyClient(own);
    const request = await agent.request();
    await agent.post(request);
    const mailbox = newMailbox();
    const { user_id } = await own.claimed(mailbox);
    await givenBy(own, request, user_id);
    t.is((await agent.token()).status, 200);
    own.clock.advance(86_401);
    t.is((await agent.held()).status, 401);
    own.clock.advance(86_401);
    await deleteExpiredRows(own.service.deps);
    for (const table of ['session_keys', 'permission_requests', 'permission_grants', 'places']) {
      t.is(await countOf(own, table), 0, table);
    }
    await own.stop();
  });

  test('a restored database ends again what ended since', async (t) => {
    const { agent, grantId, token } = await granted();
    const other = await granted();
    await revokeShortLivedCredentials(on.service.deps, asker, {});
    t.false(await isActive(token));
    const line = (kind: string, subject: string) => ({
      id: `evt_${subject}`,
      at: new Date().toISOString(),
      kind,
      subject,
    });
    await repeatRevocations(on.service.deps, asker, [
      line('grant.revoked', grantId),
      line('session_key.ended', other.agent.key.thumbprint),
    ] as never);
    t.is((await agent.held()).body.data?.grants.length ?? 0, 0);
    t.is((await other.agent.held()).status, 401);
  });

  test('the export of an account has what it granted', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const row = await on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [
      mailbox,
    ]);
    const { grantId } = await granted(undefined, row!.id);
    const exported = JSON.parse((await browser.get('/account/export')).text);
    t.is(exported.permissions.grants[0].id, grantId);
  });
});
