import { changeRole } from '../../src/domain/workspaces/members.ts';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { addApi } from '../helpers/api.ts';
import { asker } from '../helpers/api-keys.ts';
import { type App, answerOf, decide, errorOf, redeem, refresh } from '../helpers/app-client.ts';
import { detailsOf, openPlacedApps, type PlacedApps } from '../helpers/placed-apps.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Tokens for fewer places than the human consented to: an app names them at the token endpoint (RFC 9396 section 6). */

const INVALID = '400 invalid_authorization_details';

onEveryEngine('a token for fewer places than were consented to', (engine, test) => {
  let at: PlacedApps;
  let app: App;
  test.before(async () => {
    at = await openPlacedApps(engine);
    app = await at.app({ grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT] });
  });
  test.after(() => at.on.stop());

  /** Somebody with two workspaces and a folder, who let the app read and write in both, and in the own account. */
  async function consented() {
    const ann = await at.person();
    const [one, two] = [
      await at.places.workspace([ann.id, 'owner']),
      await at.places.workspace([ann.id, 'owner']),
    ];
    const node = await at.places.node(at.api.url, two, 'fld_specs', 'folder');
    const boxes = ['scope:read', 'scope:write', 'place:own', `place:${one}`, `place:${two}`];
    const tokens = await at.approve(app, ann, boxes, { scope: 'read write' });
    let current = tokens.refresh;
    /** Refreshes, as later as a lost answer is given again. */
    const renew = async (more: Record<string, string> = {}): Promise<Reply> => {
      at.on.clock.advance(11);
      const reply = await refresh(at.on, app, current, { resource: at.api.url, ...more });
      current = reply.body.refresh_token ?? current;
      return reply;
    };
    const named = (...places: Record<string, unknown>[]) =>
      renew({ authorization_details: detailsOf(...places) });
    return { ann, one, two, node, tokens, renew, named };
  }
  const facts = (details: Record<string, unknown>[]) =>
    details.map(({ identifier, node, path, actions, datatypes }) => [
      identifier,
      node ?? path,
      (actions as string[]).join(' '),
      datatypes,
    ]);
  const told = async (reply: Reply) => facts((await at.told(reply.body.access_token)).authorization_details);

  test('reaches those alone, and its answer says so; the next one reaches all again', async (t) => {
    const { ann, one, two, renew, named } = await consented();
    const narrowed = await named({ identifier: one, actions: ['read'] });
    t.is(narrowed.status, 200, narrowed.text);
    t.is(narrowed.body.scope, 'read');
    t.deepEqual(facts(narrowed.body.authorization_details), [[one, undefined, 'read', undefined]]);
    const body = await at.told(narrowed.body.access_token);
    t.like(body, { active: true, sub: ann.id, scope: 'read', workspace: one, credential_kind: 'app' });
    t.deepEqual(body.authorization_details, narrowed.body.authorization_details);
    const all = await renew();
    t.is((await told(all)).length, 3);
    t.is(all.body.scope, 'read write');
    t.deepEqual(
      await told(narrowed),
      [[one, undefined, 'read', undefined]],
      'and the one before stays as it was',
    );
    t.deepEqual(new Set((await told(all)).map(([id]) => id)), new Set([ann.id, one, two]));
  });

  test('may be for a thing, a path, some actions or some types within; without actions it has what was given', async (t) => {
    const { ann, one, two, named } = await consented();
    for (const [place, expected] of [
      [{ identifier: two, node: 'fld_specs' }, [two, 'fld_specs', 'read write', undefined]],
      [{ identifier: one, path: 'drafts/', actions: ['write'] }, [one, 'drafts/', 'write', undefined]],
      [{ identifier: one, datatypes: ['diagram'], actions: ['read'] }, [one, undefined, 'read', ['diagram']]],
      [{ identifier: ann.id, path: 'notes/a' }, [ann.id, 'notes/a', 'read write', undefined]],
      [
        { identifier: one, locations: [at.api.url], privileges: ['manage'] },
        [one, undefined, 'read write', undefined],
      ],
    ] as const) {
      const reply = await named(place);
      t.is(reply.status, 200, `${JSON.stringify(place)} ${reply.text}`);
      t.deepEqual(await told(reply), [[...expected]], JSON.stringify(place));
    }
    const several = await named({ identifier: one, path: 'a' }, { identifier: two, actions: ['read'] });
    t.deepEqual(await told(several), [
      [one, 'a', 'read write', undefined],
      [two, undefined, 'read', undefined],
    ]);
  });

  test('is refused for anything more, and nothing is lost: the same refresh token works afterwards', async (t) => {
    const { one, named, renew } = await consented();
    const other = await at.places.workspace([(await at.person()).id, 'owner']);
    const narrow = await at.person();
    const wsp = await at.places.workspace([narrow.id, 'owner']);
    const folder = await at.places.node(at.api.url, wsp, 'fld', 'folder');
    const inFolder = await at.approve(app, narrow, ['scope:read', `place:${folder}`], {
      authorization_details: detailsOf({ identifier: wsp, node: 'fld' }),
    });
    for (const places of [
      [{ identifier: other }],
      [{ identifier: 'wsp_0' }],
      [{ identifier: one, actions: ['read', 'delete'] }],
      [{ identifier: one }, { identifier: other }],
      [{ identifier: one, locations: ['https://other.example.com'] }],
    ]) {
      t.is(errorOf(await named(...places)), INVALID, JSON.stringify(places));
    }
    for (const place of [
      { identifier: wsp },
      { identifier: wsp, node: 'other' },
      { identifier: wsp, path: 'fld/' },
      { identifier: narrow.id },
      { identifier: wsp, node: 'fld', actions: ['write'] },
    ]) {
      const authorization_details = detailsOf(place);
      const reply = await refresh(at.on, app, inFolder.refresh, {
        resource: at.api.url,
        authorization_details,
      });
      t.is(errorOf(reply), INVALID, JSON.stringify(place));
    }
    t.is((await renew()).status, 200);
    t.is((await refresh(at.on, app, inFolder.refresh)).status, 200);
    // A code is not lost either.
    const { page, asked } = await at.open(app, narrow, {
      authorization_details: detailsOf({ identifier: wsp, node: 'fld' }),
    });
    const back = await decide(narrow.browser, page, 'approve', ['scope:read', `place:${folder}`]);
    const code = { code: answerOf(back).code!, asked };
    const exchange = (place: object) =>
      redeem(at.on, app, code, { resource: at.api.url, authorization_details: detailsOf({ ...place }) });
    t.is(errorOf(await exchange({ identifier: wsp })), INVALID);
    const got = await exchange({ identifier: wsp, node: 'fld' });
    t.deepEqual(await told(got), [[wsp, 'fld', 'read', undefined]]);
    t.is(errorOf(await exchange({ identifier: wsp, node: 'fld' })), '400 invalid_grant', 'used');
  });

  test('may have fewer scopes as well, and its places allow no more than those', async (t) => {
    const { one, renew } = await consented();
    const more = { scope: 'read', authorization_details: detailsOf({ identifier: one, path: 'a/' }) };
    t.deepEqual(await told(await renew(more)), [[one, 'a/', 'read', undefined]]);
    const beyond = detailsOf({ identifier: one, actions: ['write'] });
    t.is(errorOf(await renew({ scope: 'read', authorization_details: beyond })), INVALID);
  });

  test('follows role and consent as every token: it shrinks, and ends with its place', async (t) => {
    const [ann, boss] = [await at.person(), await at.person()];
    const wsp = await at.places.workspace([boss.id, 'owner'], [ann.id, 'admin']);
    const boxes = ['scope:read', 'scope:write', 'place:own', `place:${wsp}`];
    const tokens = await at.approve(app, ann, boxes, { scope: 'read write' });
    const { body } = await refresh(at.on, app, tokens.refresh, {
      resource: at.api.url,
      authorization_details: detailsOf({ identifier: wsp, path: 'a/' }),
    });
    t.deepEqual(await at.reach(body.access_token), [`${wsp} read+write`]);
    const { deps } = at.on.service;
    const role = { memberId: ann.id, role: 'viewer', endsKeys: false } as const;
    await changeRole(deps, asker, boss.id, wsp, role);
    t.deepEqual(await at.reach(body.access_token), [`${wsp} read`]);
    await changeRole(deps, asker, boss.id, wsp, { ...role, role: 'member', endsKeys: true });
    t.is(await at.reach(body.access_token), undefined, 'its place has ended, and the account was not named');
    t.deepEqual(await at.reach(tokens.access), [`${ann.id} read+write`]);
  });

  test('of one’s own things alone may be for a part of them; an API that is told of no places gets all or nothing', async (t) => {
    const ann = await at.person();
    const own = await at.approve(app, ann, ['scope:read', 'scope:write'], { scope: 'read write' });
    const part = detailsOf({ identifier: ann.id, path: 'notes/', actions: ['read'] });
    const { body } = await refresh(at.on, app, own.refresh, {
      resource: at.api.url,
      authorization_details: part,
    });
    const answer = await at.told(body.access_token);
    t.like(answer, { active: true, sub: ann.id, scope: 'read', workspace: ann.id });
    t.deepEqual(facts(answer.authorization_details), [[ann.id, 'notes/', 'read', undefined]]);
    t.is((await at.on.get('/oauth2/userinfo', body.access_token)).status, 403);
    await at.on.form('/oauth2/revoke', { token: body.access_token, client_id: app.clientId });
    t.false((await at.told(body.access_token)).active);

    const plain = await addApi(at.on, `https://plain-${ann.id.toLowerCase().replace('_', '-')}.example.com`);
    const unaware = await at.approve(app, ann, ['scope:read'], { scope: 'read', resource: plain.resource });
    const { resource } = plain;
    const refused = await refresh(at.on, app, unaware.refresh, { resource, authorization_details: part });
    t.is(errorOf(refused), INVALID);
    const whole = detailsOf({ identifier: ann.id });
    const same = await refresh(at.on, app, unaware.refresh, { resource, authorization_details: whole });
    t.is(same.status, 200, same.text);
    t.true(await plain.isActive(same.body.access_token));
  });
});
