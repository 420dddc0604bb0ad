import { listResourceServers } from '../../src/domain/audiences/resource-servers.ts';
import { readRevocationFeed } from '../../src/domain/audiences/revocation-feed.ts';
import { changeRole, removeMember } from '../../src/domain/workspaces/members.ts';
import { addApi } from '../helpers/api.ts';
import { asker } from '../helpers/api-keys.ts';
import { decide, errorOf } from '../helpers/app-client.ts';
import { heading } from '../helpers/claim-page.ts';
import { openPlacedApps, type PlacedApps, placeBoxes, send, tickedPlaces } from '../helpers/placed-apps.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('where an app works', (engine, test) => {
  let at: PlacedApps;
  test.before(async () => {
    at = await openPlacedApps(engine);
  });
  test.after(() => at.on.stop());

  /** Somebody who owns a workspace. */
  async function owner() {
    const member = await at.person();
    return { ...member, wsp: await at.places.workspace([member.id, 'owner']) };
  }

  test('is chosen by each human for themselves: what one gives a client reaches nothing of another (P-1)', async (t) => {
    const [ann, bob] = [await owner(), await owner()];
    const app = await at.app();
    const ofAnn = await at.approve(app, ann, ['scope:read', `place:${ann.wsp}`]);
    const ofBob = await at.approve(app, bob, ['scope:read', `place:${bob.wsp}`]);
    t.deepEqual(await at.reach(ofAnn.access), [`${ann.wsp} read`]);
    t.deepEqual(await at.reach(ofBob.access), [`${bob.wsp} read`]);
    const renewed = await at.renew(app, ofAnn);
    t.deepEqual(await at.reach(renewed.body.access_token), [`${ann.wsp} read`]);
    // Not even where both are in both workspaces: each let it in one of them.
    await at.places.act(({ tx }) =>
      tx.run('INSERT INTO members (workspace_id, account_id, role, joined_at) VALUES (?, ?, ?, 1)', [
        bob.wsp,
        ann.id,
        'owner',
      ]),
    );
    t.deepEqual(await at.reach(ofAnn.access), [`${ann.wsp} read`]);
  });

  test('is told at introspection, with the human, the client and the form of the token', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const { access } = await at.approve(app, ann, ['scope:read', 'scope:write', `place:${ann.wsp}`], {
      scope: 'read write',
    });
    const body = await at.told(access);
    t.like(body, {
      active: true,
      sub: ann.id,
      client_id: app.clientId,
      scope: 'read write',
      aud: at.api.url,
      credential_kind: 'app',
      credential_form: 'token',
      owner: ann.id,
      workspace: ann.wsp,
    });
    t.is(body.agent_id, undefined);
    t.deepEqual(body.authorization_details, [
      {
        type: 'workspace',
        locations: [at.api.url],
        identifier: ann.wsp,
        actions: ['read', 'write'],
        privileges: ['manage'],
      },
    ]);
  });

  test('is asked where the API understands workspaces and the human’s role may let apps in (P-3)', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const { page } = await at.open(app, ann);
    t.deepEqual(placeBoxes(page), ['own', ann.wsp]);
    t.deepEqual(tickedPlaces(page), ['own'], 'a shared workspace is never ticked beforehand');
    t.true(page.text.includes('Shared workspace. You’re an owner.'));
    const other = await addApi(at.on, 'https://plain.example.com');
    t.deepEqual(placeBoxes((await at.open(app, ann, { resource: other.resource })).page), []);
    for (const [role, sees] of [
      ['admin', true],
      ['member', false],
      ['viewer', false],
    ] as const) {
      const member = await at.person();
      const wsp = await at.places.workspace([ann.id, 'owner'], [member.id, role]);
      const shown = (await at.open(app, member)).page;
      t.deepEqual(placeBoxes(shown), sees ? ['own', wsp] : [], role);
      if (sees) continue;
      // The box that was not there is sent all the same.
      const back = await decide(member.browser, shown, 'approve', ['scope:read', `place:${wsp}`]);
      t.true(back.path.includes('code='), role);
      t.is(
        await at.places.act(({ tx }) => tx.get('SELECT id FROM places WHERE workspace_id = ?', [wsp])),
        undefined,
      );
    }
  });

  test('has to be chosen, and may be one’s own things alone: such a token is as ever', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const { page } = await at.open(app, ann);
    const refused = await decide(ann.browser, page, 'approve', ['scope:read']);
    t.is(refused.status, 400);
    t.true(refused.text.includes('Choose where it works, or decline.'));
    t.deepEqual(tickedPlaces(refused), []);
    const { access } = await at.approve(app, ann, ['scope:read', 'place:own']);
    const body = await at.told(access);
    t.like(body, { active: true, sub: ann.id, scope: 'read' });
    t.is(body.authorization_details, undefined);
  });

  test('is nothing of one’s own where that was not chosen, and is told to no API that would not understand', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const { access } = await at.approve(app, ann, ['scope:read', `place:${ann.wsp}`]);
    t.deepEqual(await at.reach(access), [`${ann.wsp} read`]);
    const plain = await addApi(at.on, 'https://unaware.example.com');
    t.false(await plain.isActive(access));
    t.is((await at.on.get('/oauth2/userinfo', access)).status, 403);
    const both = await at.approve(app, ann, ['scope:read', 'place:own', `place:${ann.wsp}`]);
    t.deepEqual((await at.reach(both.access))!.toSorted(), [`${ann.id} read`, `${ann.wsp} read`].toSorted());
    t.is((await at.told(both.access)).workspace, undefined, 'two workspaces');
  });

  test('a role that shrinks narrows it at the next question', async (t) => {
    const [ann, boss] = [await at.person(), await at.person()];
    const wsp = await at.places.workspace([boss.id, 'owner'], [ann.id, 'admin']);
    const app = await at.app();
    const { access } = await at.approve(app, ann, ['scope:read', 'scope:write', `place:${wsp}`], {
      scope: 'read write',
    });
    t.deepEqual(await at.reach(access), [`${wsp} read+write`]);
    await changeRole(at.on.service.deps, asker, boss.id, wsp, {
      memberId: ann.id,
      role: 'viewer',
      endsKeys: false,
    });
    t.deepEqual(await at.reach(access), [`${wsp} read`]);
  });

  test('ends with the membership: the last place takes the app with it, which gets invalid_grant (P-3)', async (t) => {
    const [ann, boss] = [await at.person(), await at.person()];
    const wsp = await at.places.workspace([boss.id, 'owner'], [ann.id, 'admin']);
    const app = await at.app();
    const tokens = await at.approve(app, ann, ['scope:read', `place:${wsp}`]);
    const [server] = (await listResourceServers(at.on.service.deps)).filter(({ url }) => url === at.api.url);
    const { last } = await readRevocationFeed(at.on.service.deps, server!, undefined);
    await removeMember(at.on.service.deps, asker, boss.id, wsp, ann.id);
    t.is(await at.reach(tokens.access), undefined);
    t.is(errorOf(await at.renew(app, tokens)), '400 invalid_grant');
    t.false((await ann.browser.get('/apps')).text.includes('Marlin Editor'));
    const { events } = await readRevocationFeed(at.on.service.deps, server!, last);
    const ofToken = events.filter(({ keys }) => keys.length > 0).map(({ type }) => type);
    t.true(ofToken.includes('revoked'), 'the API is told to forget the token');
    t.true(events.some(({ workspace }) => workspace?.id === wsp));
  });

  test('goes on in the places that are left', async (t) => {
    const [ann, boss] = [await owner(), await at.person()];
    const wsp = await at.places.workspace([boss.id, 'owner'], [ann.id, 'admin']);
    const app = await at.app();
    const tokens = await at.approve(app, ann, ['scope:read', `place:${wsp}`, `place:${ann.wsp}`]);
    await removeMember(at.on.service.deps, asker, boss.id, wsp, ann.id);
    t.deepEqual(await at.reach(tokens.access), [`${ann.wsp} read`]);
    t.is((await at.renew(app, tokens)).status, 200);
  });

  test('a second consent shows what it has; less ends the tokens so far, more does not widen them (O-10, S-83)', async (t) => {
    const ann = await owner();
    const second = await at.places.workspace([ann.id, 'owner']);
    const app = await at.app();
    const first = await at.approve(app, ann, ['scope:read', 'place:own', `place:${ann.wsp}`]);
    at.on.clock.advance(5);
    const { page } = await at.open(app, ann);
    t.deepEqual(tickedPlaces(page).toSorted(), ['own', ann.wsp].toSorted());
    t.is(page.text.match(/Has now/g)?.length, 3, 'a scope and two places');
    const wider = await at.approve(app, ann, [
      'scope:read',
      'place:own',
      `place:${ann.wsp}`,
      `place:${second}`,
    ]);
    t.is((await at.reach(wider.access))!.length, 3);
    t.deepEqual(
      (await at.reach(first.access))!.toSorted(),
      [`${ann.id} read`, `${ann.wsp} read`].toSorted(),
      'what it had stays as it was',
    );
    at.on.clock.advance(5);
    const less = await at.approve(app, ann, ['scope:read', `place:${second}`]);
    t.is(await at.reach(first.access), undefined);
    t.is(await at.reach(wider.access), undefined);
    t.deepEqual(await at.reach(less.access), [`${second} read`]);
    at.on.clock.advance(5);
    const own = await at.approve(app, ann, ['scope:read', 'place:own']);
    t.is(await at.reach(less.access), undefined);
    t.deepEqual(await at.reach(own.access), []);
    t.is((await at.told(own.access)).sub, ann.id);
  });

  test('where something destructive is asked, no shared workspace is ticked, not even one that it has', async (t) => {
    const ann = await owner();
    const app = await at.app();
    await at.approve(app, ann, ['scope:read', 'place:own', `place:${ann.wsp}`]);
    const { page } = await at.open(app, ann, { scope: 'read delete' });
    t.deepEqual(tickedPlaces(page), ['own']);
    t.true(page.text.includes('Approving takes it away unless you turn it on.'));
  });

  test('a shared workspace wants a fresh sign-in, with the choice kept meanwhile (O-11)', async (t) => {
    const ann = await owner();
    const app = await at.app();
    at.on.clock.advance(1200);
    const { page } = await at.open(app, ann);
    const again = await decide(ann.browser, page, 'approve', ['scope:read', `place:${ann.wsp}`]);
    t.not(heading(again), heading(page));
    t.is(
      await at.places.act(({ tx }) => tx.get('SELECT id FROM places WHERE workspace_id = ?', [ann.wsp])),
      undefined,
      'nothing is given before',
    );
    t.deepEqual(tickedPlaces(await ann.browser.get(page.path)), [ann.wsp]);
  });

  test('is shown among connected apps, and ended there by itself', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const tokens = await at.approve(app, ann, ['scope:read', 'place:own', `place:${ann.wsp}`]);
    const list = await ann.browser.get('/apps');
    t.true(list.text.includes('Launch team'));
    const id = await at.consentId(ann);
    const page = await ann.browser.get(`/apps/${id}/revoke`);
    t.true(page.text.includes('Launch team'));
    const bob = await at.person();
    t.is((await send(bob, `/apps/${id}/workspaces/${ann.wsp}/end`, {})).status, 404);
    await ann.browser.get(`/apps/${id}/revoke`);
    const done = await ann.browser.post(`/apps/${id}/workspaces/${ann.wsp}/end`, {});
    t.is(done.path, '/apps');
    t.deepEqual(await at.reach(tokens.access), [`${ann.id} read`]);
  });

  test('owners and admins see every app of their workspace, and end what it may do there (P-3)', async (t) => {
    const [ann, boss, viewer] = [await at.person(), await at.person(), await at.person()];
    const wsp = await at.places.workspace([boss.id, 'owner'], [ann.id, 'admin'], [viewer.id, 'viewer']);
    const app = await at.app({ client_name: 'Reporter' });
    const tokens = await at.approve(app, ann, ['scope:read', `place:${wsp}`]);
    const id = await at.consentId(ann);
    t.true((await boss.browser.get(`/workspaces/${wsp}`)).text.includes('Reporter'));
    t.false((await viewer.browser.get(`/workspaces/${wsp}`)).text.includes('Reporter'));
    t.is((await send(viewer, `/workspaces/${wsp}/connected-apps/${id}/end`, {})).status, 403);
    const stranger = await at.person();
    t.is((await send(stranger, `/workspaces/${wsp}/connected-apps/${id}/end`, {})).status, 404);
    t.deepEqual(await at.reach(tokens.access), [`${wsp} read`]);
    await boss.browser.get(`/workspaces/${wsp}`);
    await boss.browser.post(`/workspaces/${wsp}/connected-apps/${id}/end`, {});
    t.is(await at.reach(tokens.access), undefined);
    t.is(errorOf(await at.renew(app, tokens)), '400 invalid_grant');
    t.is((await send(boss, `/workspaces/${wsp}/connected-apps/${id}/end`, {})).status, 404);
  });

  test('revoking the app ends its places', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const tokens = await at.approve(app, ann, ['scope:read', `place:${ann.wsp}`]);
    const id = await at.consentId(ann);
    await ann.browser.get(`/apps/${id}/revoke`);
    await ann.browser.post(`/apps/${id}/revoke`);
    t.is(await at.reach(tokens.access), undefined);
    const row = await at.places.act(({ tx }) =>
      tx.get<{ reason: string }>('SELECT end_reason AS reason FROM places WHERE holder = ?', [id]),
    );
    t.is(row!.reason, 'revoked');
  });
});
