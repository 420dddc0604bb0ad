import { readClientBound } from '../../src/domain/apps/client-bounds.ts';
import { createClient, type NewClient } from '../../src/domain/apps/create-client.ts';
import { changeClient } from '../../src/domain/apps/manage-clients.ts';
import { leaveWorkspace } from '../../src/domain/workspaces/members.ts';
import { asker } from '../helpers/api-keys.ts';
import { type App, decide, errorOf, PUBLIC_CLIENT, REDIRECT } from '../helpers/app-client.ts';
import { type Member, openPlacedApps, type PlacedApps, placeBoxes } from '../helpers/placed-apps.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Where a client that somebody registered may work at most (W-25). */

onEveryEngine('where a client may work at most', (engine, test) => {
  let at: PlacedApps;
  test.before(async () => {
    at = await openPlacedApps(engine);
  });
  test.after(() => at.on.stop());

  const CLIENT: NewClient = { ...PUBLIC_CLIENT, scopes: ['read', 'write'] };

  async function owner() {
    const member = await at.person();
    return { ...member, wsp: await at.places.workspace([member.id, 'owner']) };
  }

  async function register(by: Member, places: NewClient['places'], more: Partial<NewClient> = {}) {
    const input = { ...CLIENT, ...more, places };
    const { client, secret } = await createClient(at.on.service.deps, asker, input, { owner: by.id });
    return { clientId: client.id, secret, registered: undefined } satisfies App;
  }

  test('bounds what people choose, and gives nothing by itself (P-1)', async (t) => {
    const [ann, bob] = [await owner(), await owner()];
    const more = await at.places.workspace([ann.id, 'owner']);
    const app = await register(ann, [{ workspaceId: ann.wsp, actions: ['read'] }]);
    const { page } = await at.open(app, ann, { scope: 'read write' });
    t.deepEqual(placeBoxes(page), [ann.wsp]);
    const tokens = await at.approve(app, ann, ['scope:read', 'scope:write', `place:${ann.wsp}`], {
      scope: 'read write',
    });
    t.deepEqual(await at.reach(tokens.access), [`${ann.wsp} read`]);
    const { page: again } = await at.open(app, ann);
    const wider = ['scope:read', `place:${ann.wsp}`, `place:${more}`, 'place:own'];
    const back = await decide(ann.browser, again, 'approve', wider);
    t.true(back.path.includes('code='));
    t.deepEqual(await at.reach(tokens.access), undefined, 'it can write nowhere now');
    const { page: ofBob } = await at.open(app, bob);
    t.deepEqual(placeBoxes(ofBob), [], 'its places are nothing to somebody else');
    const refused = await decide(bob.browser, ofBob, 'approve', ['scope:read', `place:${bob.wsp}`]);
    t.is(refused.status, 400);
  });

  test('“own things” are those of whoever lets it in', async (t) => {
    const [ann, bob] = [await owner(), await owner()];
    const app = await register(ann, [{ workspaceId: ann.id, actions: ['read', 'write', 'delete'] }]);
    const { page } = await at.open(app, bob);
    t.deepEqual(placeBoxes(page), [], 'there is nothing to choose');
    const tokens = await at.approve(app, bob, ['scope:read']);
    t.is((await at.told(tokens.access)).sub, bob.id);
  });

  test('is narrowed to things, with all that is in them', async (t) => {
    const ann = await owner();
    const node = await at.places.node(at.api.url, ann.wsp, 'prj_launch');
    const app = await register(ann, [{ workspaceId: ann.wsp, nodeId: node, actions: ['read'] }]);
    const { page } = await at.open(app, ann);
    t.deepEqual(placeBoxes(page), [node]);
    const tokens = await at.approve(app, ann, ['scope:read', `place:${node}`]);
    t.deepEqual(await at.reach(tokens.access), [`${ann.wsp} prj_launch read`]);
  });

  test('that is narrowed later ends what people let it do elsewhere, and nothing else', async (t) => {
    const ann = await owner();
    const more = await at.places.workspace([ann.id, 'owner']);
    const app = await register(ann, undefined);
    const here = await at.approve(app, ann, ['scope:read', `place:${ann.wsp}`]);
    const change = (wsp: string) =>
      changeClient(
        at.on.service.deps,
        asker,
        app.clientId,
        { ...CLIENT, places: [{ workspaceId: wsp, actions: ['read'] }] },
        { owner: ann.id },
      );
    await change(ann.wsp);
    t.deepEqual(await at.reach(here.access), [`${ann.wsp} read`]);
    await change(more);
    t.is(await at.reach(here.access), undefined);
    t.is(errorOf(await at.renew(app, here)), '400 invalid_grant');
  });

  test('stays a bound when its places have ended: then it works nowhere', async (t) => {
    const [ann, boss] = [await at.person(), await at.person()];
    const wsp = await at.places.workspace([boss.id, 'owner'], [ann.id, 'admin']);
    const app = await register(ann, [{ workspaceId: wsp, actions: ['read'] }]);
    await leaveWorkspace(at.on.service.deps, asker, ann.id, wsp);
    const { page } = await at.open(app, ann);
    t.deepEqual(placeBoxes(page), []);
    t.is((await decide(ann.browser, page, 'approve', ['scope:read', 'place:own'])).status, 400);
  });

  test('keeps a client that acts by itself out of the account that it was not registered for (O-8)', async (t) => {
    const ann = await owner();
    const grants = { authMethod: 'client_secret_post', grantTypes: ['client_credentials'], redirectUris: [] };
    const ask = async (places: NewClient['places']) => {
      const app = await register(ann, places, grants as Partial<NewClient>);
      return at.on.form('/oauth2/token', {
        grant_type: 'client_credentials',
        client_id: app.clientId,
        client_secret: app.secret!,
        scope: 'read',
        resource: at.api.url,
      });
    };
    const free = await ask(undefined);
    t.is(free.status, 200, free.text);
    t.like(await at.told(free.body.access_token), { active: true, sub: ann.id });
    t.is(errorOf(await ask([{ workspaceId: ann.wsp, actions: ['read'] }])), '400 invalid_scope');
    t.is((await ask([{ workspaceId: ann.id, actions: ['read'] }])).status, 200);
  });

  test('is chosen at the form, shown, kept by a change of the name, and nobody names foreign places', async (t) => {
    const [ann, bob] = [await owner(), await owner()];
    const FORM = { name: 'Reports', redirects: REDIRECT, 'use:people': 'on', 'scope:read': 'on' };
    await ann.browser.get('/apps/clients/new');
    const wrong = await ann.browser.post('/apps/clients/new', { ...FORM, [`place:${bob.wsp}`]: 'on' });
    t.is(wrong.status, 400);
    t.regex(wrong.text, /id="where-error"/);
    const made = await ann.browser.post('/apps/clients/new', { ...FORM, [`place:${ann.wsp}`]: 'on' });
    const id = /<code id="(?:client-)?id">(cli_\w+)</.exec(made.text)![1]!;
    t.true((await ann.browser.get(`/apps/clients/${id}`)).text.includes('Launch team'));
    const edit = await ann.browser.get(`/apps/clients/${id}/edit`);
    t.true(edit.text.includes(`name="place:${ann.wsp}" value="on" checked`));
    const app = { clientId: id, secret: undefined, registered: undefined };
    t.deepEqual(placeBoxes((await at.open(app, ann)).page), [ann.wsp]);
  });

  test('has permissions of its own in each place, which the form keeps', async (t) => {
    const ann = await owner();
    const node = await at.places.node(at.api.url, ann.wsp, 'prj_launch');
    const FORM = { name: 'Grid', redirects: REDIRECT, 'use:people': 'on', 'scope:read': 'on', bound: 'each' };
    await ann.browser.get('/apps/clients/new');
    const chosen = { ...FORM, 'place:own': 'on', [`place:${node}`]: 'on' };
    const asked = await ann.browser.post('/apps/clients/new', chosen);
    t.is(asked.status, 400);
    t.regex(asked.text, /Choose what it may do in each place\./);
    const grid = { 'may:own:read': 'on', [`may:${node}:write`]: 'on' };
    const wider = await ann.browser.post('/apps/clients/new', { ...chosen, ...grid });
    t.regex(wider.text, /has a permission that the client doesn’t have/);
    const made = await ann.browser.post('/apps/clients/new', { ...chosen, ...grid, 'scope:write': 'on' });
    const id = /<code id="(?:client-)?id">(cli_\w+)</.exec(made.text)![1]!;
    const bound = async () =>
      (await readClientBound(at.on.service.deps.db, id))?.map(({ nodeId, actions }) => [nodeId, actions]);
    t.deepEqual(await bound(), [
      [null, 'read'],
      [node, 'write'],
    ]);
    const path = `/apps/clients/${id}/edit`;
    const shown = (await ann.browser.get(path)).text;
    const ticked = [...shown.matchAll(/name="([^"]+)" value="([^"]+)" checked/g)].map(([, name, value]) => [
      name,
      value,
    ]);
    const whole = Object.fromEntries(ticked) as Record<string, string>;
    t.is(whole.bound, 'each');
    t.like(whole, grid);
    await ann.browser.post(path, { ...whole, name: 'Grid 2' });
    t.deepEqual(await bound(), [
      [null, 'read'],
      [node, 'write'],
    ]);
  });

  test('is removed only by choosing so: a form with nothing ticked is asked again, one that says nothing changes nothing', async (t) => {
    const ann = await owner();
    const app = await register(ann, [{ workspaceId: ann.wsp, actions: ['read'] }]);
    const path = `/apps/clients/${app.clientId}/edit`;
    const bound = () => readClientBound(at.on.service.deps.db, app.clientId);
    const FORM = { name: 'Reports', redirects: REDIRECT, 'scope:read': 'on' };
    await ann.browser.get(path);
    const empty = await ann.browser.post(path, { ...FORM, bound: 'alike' });
    t.is(empty.status, 400);
    t.regex(empty.text, /Choose at least one place, or “Anywhere”\./);
    const both = await ann.browser.post(path, { ...FORM, bound: 'anywhere', [`place:${ann.wsp}`]: 'on' });
    t.regex(both.text, /You chose places, and that they don’t matter\./);
    await ann.browser.get(path);
    t.regex((await ann.browser.post(path, FORM)).text, /Client saved\./);
    t.is((await bound())?.length, 1);
    await ann.browser.get(path);
    await ann.browser.post(path, { ...FORM, bound: 'anywhere' });
    t.is(await bound(), undefined);
  });

  test('whose places have ended is shown as nowhere, stays so while the name changes, and ends with a new choice', async (t) => {
    const [ann, boss] = [await owner(), await at.person()];
    const wsp = await at.places.workspace([boss.id, 'owner'], [ann.id, 'admin']);
    const app = await register(ann, [{ workspaceId: wsp, actions: ['read'] }]);
    await leaveWorkspace(at.on.service.deps, asker, ann.id, wsp);
    const bound = () => readClientBound(at.on.service.deps.db, app.clientId);
    t.deepEqual(await bound(), []);
    t.regex(
      (await ann.browser.get(`/apps/clients/${app.clientId}`)).text,
      /Nowhere: its places have ended\./,
    );
    const path = `/apps/clients/${app.clientId}/edit`;
    t.regex((await ann.browser.get(path)).text, /name="bound" value="keep" checked/);
    const whole = { name: 'Renamed', 'scope:read': 'on', bound: 'keep' };
    t.regex((await ann.browser.post(path, whole)).text, /Client saved\./);
    t.deepEqual(await bound(), []);
    await ann.browser.get(path);
    await ann.browser.post(path, { ...whole, bound: 'anywhere' });
    t.is(await bound(), undefined);
  });
});
