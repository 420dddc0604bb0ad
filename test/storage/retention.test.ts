import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { confirm, newUser, openAuthMd, SIGNED_API, says, succeeded } from '../helpers/auth-md.ts';
import { newMailbox } from '../helpers/common.ts';
import { violations } from '../helpers/oracle.ts';
import { createTestClock, startTestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, insertShared, makePlacedKey, openPlaces } from '../helpers/workspaces.ts';

onEveryEngine('retention', (engine, test) => {
  test('unclaimed registrations go with all that hangs on them, the claimed stay, and a sweep that is cut short goes on at the next', async (t) => {
    const clock = createTestClock();
    const on = await startTestService(engine, { clock });
    t.teardown(() => on.stop());
    const { deps } = on.service;
    const day = 86_400;
    const rows = async () => {
      const counts: Record<string, number> = {};
      const tables =
        'accounts agents registrations claims claim_attempts credentials refresh_tokens outbox counters idempotency';
      for (const table of tables.split(' ')) {
        const row = await deps.db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`);
        counts[table] = row!.n;
      }
      return counts;
    };

    const merged = await on.claimed('merged@example.com');
    const linked = await on.claimed('linked@example.com', true);
    await Promise.all(['merged@example.com', 'linked@example.com'].map((mailbox) => on.noticeTo(mailbox)));
    clock.advance(5 * day);
    await deleteExpiredRows(deps);
    const baseline = await rows();
    t.is(baseline.agents, 2);
    t.is(baseline.counters, 0);
    t.is(baseline.outbox, 0);

    const agents: Awaited<ReturnType<typeof on.register>>[] = [];
    while (agents.length < 450) {
      agents.push(...(await Promise.all(Array.from({ length: 50 }, () => on.register()))));
    }
    for (const [index, { claim_token }] of agents.slice(0, 20).entries()) {
      await on.post('/agent/auth/claim', { claim_token, email: `pending${index}@example.com` });
    }
    const assertions = [{ type: 'verified_email', email: 'asserted@example.com' }];
    await on.post('/agent/auth', { type: 'identity_assertion', assertions }, { 'Idempotency-Key': 'one' });
    await on.codeFor('asserted@example.com');
    await Promise.all(Array.from({ length: 20 }, (_, index) => on.codeFor(`pending${index}@example.com`)));
    t.is((await rows()).registrations, 453);

    clock.advance(30 * day);
    const { credential } = agents[0]!;
    t.is((await on.get('/api/me', credential)).status, 401, 'expired, though nothing was swept');
    await deleteExpiredRows(deps);
    t.is((await rows()).agents, 452, 'what has just expired stays a day');
    t.is((await on.get('/api/me', credential)).status, 401);

    clock.advance(day);
    let turns = 0;
    const removed = await deleteExpiredRows(deps, () => {
      turns += 1;
      return turns < 6; // idempotency, counters, mail, attempts, and one batch of registrations
    });
    t.is(removed.registrations, 16, 'a batch');
    t.is((await rows()).agents, 436);
    t.deepEqual(await violations(deps.db, 'swept'), []);
    await deleteExpiredRows(deps);
    t.deepEqual(await rows(), baseline);
    t.deepEqual(await violations(deps.db, 'swept'), []);

    t.is((await on.get('/api/me', credential)).status, 401);
    for (const { credential: key } of [merged, linked]) t.is((await on.get('/api/me', key)).status, 200);
    t.deepEqual(await deleteExpiredRows(deps), {
      idempotency: 0,
      counters: 0,
      mail: 0,
      attempts: 0,
      registrations: 0,
      oauthStates: 0,
      unusedClients: 0,
      idleClients: 0,
      excessClients: 0,
      linkRequests: 0,
      approvals: 0,
      invitations: 0,
      nodes: 0,
      sessionKeys: 0,
      terminals: 0,
      permissionRequests: 0,
      permissionGrants: 0,
      forgottenAgents: 0,
      principals: 0,
      refusals: 0,
      signIns: 0,
      sessions: 0,
      tokens: 0,
      refreshTokens: 0,
      spentTokens: 0,
      events: 0,
    });
  });

  test('identities, tokens and what providers said go when they are over, and no answer is another for it', async (t) => {
    const world = await openAuthMd(engine);
    const { on, clock } = world;
    t.teardown(() => Promise.all([on.stop(), world.provider.stop(), world.otherProvider.stop()]));
    const { deps } = on.service;
    const { accessTokenTtlSeconds, refreshTtlSeconds, unclaimedTtlSeconds } = deps.config.limits;
    const day = 86_400;
    const user = newUser();
    const known = succeeded(await world.present(world.idJag(user)));
    const second = { ...newUser(), email: user.email };
    t.is(says(await world.present(world.idJag(second))), '401 interaction_required');
    const agent = succeeded(await world.identity({ type: 'anonymous' }));
    const token = await world.tokenFor(agent.identity_assertion);
    await world.tokenFor(known.identity_assertion, { resource: SIGNED_API });
    const renewed = succeeded(await world.refresh(agent.identity.refresh_token.value)).identity;
    succeeded(await world.identity({ type: 'service_auth', login_hint: newMailbox() }));
    t.deepEqual(await violations(deps.db), []);

    clock.advance(accessTokenTtlSeconds + 600);
    t.is(await world.scopeOf(token), 'dead');
    const early = await deleteExpiredRows(deps);
    t.deepEqual(
      [early.tokens, early.refreshTokens, early.spentTokens, early.registrations],
      [2, 0, 2, 0],
      'tokens soon, the renewal not yet',
    );
    t.deepEqual(await violations(deps.db, 'swept'), []);
    t.is(await world.scopeOf(token), 'dead');
    const again = succeeded(await world.refresh(renewed.refresh_token.value)).identity;
    t.is(await world.scopeOf(await world.tokenFor(again.assertion)), 'read');

    clock.advance(Math.max(refreshTtlSeconds, unclaimedTtlSeconds) + day);
    t.is(says(await world.refresh(again.refresh_token.value)), '400 invalid_refresh_token');
    const late = await deleteExpiredRows(deps);
    t.is(
      late.registrations,
      3,
      'the anonymous one, the hinted one and the one that its owner never confirmed',
    );
    t.deepEqual(await violations(deps.db, 'swept'), []);
    const left = async (table: string) =>
      (await deps.db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`))!.n;
    t.is(await left('registrations'), 1);
    t.is(await left('agents'), 1);
    for (const table of ['refresh_tokens', 'spent_tokens', 'credentials', 'claim_attempts']) {
      t.is(await left(table), 0, table);
    }
    for (const { value } of [agent.identity.refresh_token, renewed.refresh_token, again.refresh_token]) {
      t.is(says(await world.refresh(value)), '400 invalid_refresh_token');
    }

    const back = succeeded(await world.present(world.idJag(user)));
    t.is(back.registration_id, known.registration_id, 'who was let in is known for good');
    const anew = await world.present(world.idJag(second));
    t.is(says(anew), '401 interaction_required');
    const human = await world.visit(anew.body.claim.attempt.verification_uri, user.email);
    const done = { claim_token: anew.body.claim_token, user_code: await confirm(human) };
    succeeded(await world.complete(done));
    succeeded(await world.present(world.idJag(second)));
    t.deepEqual(await violations(deps.db, 'swept'), []);
  });

  test('what an API told of an agent goes with it when nobody claims it; nodes that ended go, but those that a key was for', async (t) => {
    const clock = createTestClock();
    const on = await startTestService(engine, { clock });
    t.teardown(() => on.stop());
    const { deps } = on.service;
    const api = await addTreeApi(on);
    const agent = await on.register();
    const upsert = ['a', 'b'].map((id) => ({ id, kind: 'folder', name: id }));
    t.is((await api.send({ workspace: agent.user_id, upsert })).status, 200);
    const owner = (await on.claimed(newMailbox())).user_id;
    const workspace = await insertShared(on, { [owner]: 'owner' });
    t.is((await api.send({ workspace, upsert })).status, 200);
    const nodeId = await openPlaces(() => on).findNode(workspace, 'b');
    await makePlacedKey(on, owner, [{ workspaceId: workspace, nodeId, actions: ['read'] }]);
    t.is((await api.send({ workspace, delete: ['a', 'b'] })).status, 200);
    const left = (table: string) => deps.db.all<{ id: string }>(`SELECT workspace_id AS id FROM ${table}`);
    clock.advance(86_400 - 1);
    t.is((await deleteExpiredRows(deps)).nodes, 0, 'what has just ended stays a day');
    clock.advance(1);
    t.is((await deleteExpiredRows(deps)).nodes, 1);
    t.is((await left('nodes')).length, 3);
    clock.advance(60 * 86_400);
    t.is((await deleteExpiredRows(deps)).nodes, 0);
    for (const table of ['trees', 'nodes']) t.deepEqual(await left(table), [{ id: workspace }], table);
    t.deepEqual(await violations(deps.db, 'swept'), []);
  });
});
