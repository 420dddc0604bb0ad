import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { answerOf, askFor, decide, errorOf, redeem } from '../helpers/app-client.ts';
import { heading } from '../helpers/claim-page.ts';
import {
  detailsOf,
  openPlacedApps,
  type PlacedApps,
  placeBoxes,
  tickedPlaces,
} from '../helpers/placed-apps.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Authorization details (RFC 9396): an app says where it wants to work. */

/** What is refused, by what is wrong with it; `WSP` is a workspace. */
const REFUSED: Readonly<Record<string, string>> = {
  'not JSON': '[{',
  'no array': '{"type":"workspace","identifier":"WSP"}',
  'no objects': '["workspace"]',
  'no type': '[{"identifier":"WSP"}]',
  'unknown type': '[{"type":"payment","identifier":"WSP"}]',
  'unknown member': '[{"type":"workspace","identifier":"WSP","until":"2030"}]',
  'no identifier': '[{"type":"workspace","actions":["read"]}]',
  'identifier of another kind': '[{"type":"workspace","identifier":"../etc"}]',
  'both node and path': '[{"type":"workspace","identifier":"WSP","node":"a","path":"b/"}]',
  'node with a slash': '[{"type":"workspace","identifier":"WSP","node":"a/b"}]',
  'path that leads out': '[{"type":"workspace","identifier":"WSP","path":"a/../b"}]',
  'no actions': '[{"type":"workspace","identifier":"WSP","actions":[]}]',
  'unknown action': '[{"type":"workspace","identifier":"WSP","actions":["fly"]}]',
  'actions as text': '[{"type":"workspace","identifier":"WSP","actions":"read"}]',
  'unknown datatype': '[{"type":"workspace","identifier":"WSP","datatypes":["song"]}]',
  'unknown privilege': '[{"type":"workspace","identifier":"WSP","privileges":["root"]}]',
  'another location': '[{"type":"workspace","identifier":"WSP","locations":["https://evil.example"]}]',
  'one that is wrong among others':
    '[{"type":"workspace","identifier":"WSP"},{"type":"workspace","identifier":"WSP","x":1}]',
};

onEveryEngine('authorization details', (engine, test) => {
  let at: PlacedApps;
  test.before(async () => {
    at = await openPlacedApps(engine);
  });
  test.after(() => at.on.stop());

  async function owner() {
    const member = await at.person();
    return { ...member, wsp: await at.places.workspace([member.id, 'owner']) };
  }

  const INVALID = 'invalid_authorization_details';

  test('that are not understood are refused wherever they are sent (RFC 9396 section 5)', async (t) => {
    const ann = await owner();
    const app = await at.app({ grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT] });
    for (const [what, text] of Object.entries(REFUSED)) {
      const authorization_details = text.replaceAll('WSP', ann.wsp);
      const query = { scope: 'read', resource: at.api.url, authorization_details };
      const { path } = askFor(app, query);
      t.like(
        answerOf(await ann.browser.get(path)),
        { error: INVALID, state: 'st', iss: at.on.url },
        `authorize: ${what}`,
      );
      const form = Object.fromEntries(new URL(path, at.on.url).searchParams);
      t.is(errorOf(await at.on.form('/oauth2/par', form)), `400 ${INVALID}`, `par: ${what}`);
      const device = { client_id: app.clientId, ...query };
      t.is(
        errorOf(await at.on.form('/oauth2/device_authorization', device)),
        `400 ${INVALID}`,
        `device: ${what}`,
      );
    }
  });

  test('are checked at the token endpoint: what is not understood or was not consented to is refused', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const asks = { authorization_details: detailsOf({ identifier: ann.wsp, actions: ['read'] }) };
    const boxes = ['scope:read', `place:${ann.wsp}`];
    const exchange = async (authorization_details: string) => {
      const { page, asked } = await at.open(app, ann, asks);
      const back = await decide(ann.browser, page, 'approve', boxes);
      return redeem(
        at.on,
        app,
        { code: answerOf(back).code!, asked },
        {
          authorization_details,
          resource: at.api.url,
        },
      );
    };
    for (const [what, text] of Object.entries(REFUSED)) {
      t.is(errorOf(await exchange(text.replaceAll('WSP', ann.wsp))), `400 ${INVALID}`, what);
    }
    const other = detailsOf({ identifier: ann.id, actions: ['read'] });
    t.is(errorOf(await exchange(other)), `400 ${INVALID}`, 'what was not consented to');
    const same = await exchange(asks.authorization_details);
    t.is(same.status, 200, same.text);
    const agents = await at.on.form('/oauth2/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: 'x',
      authorization_details: asks.authorization_details,
    });
    t.is(errorOf(agents), `400 ${INVALID}`, 'and never left out in silence');
  });

  test('name what the page offers, and the token gets what the human chose of it', async (t) => {
    const ann = await owner();
    const second = await at.places.workspace([ann.id, 'owner']);
    const node = await at.places.node(at.api.url, ann.wsp, 'fld_specs', 'folder');
    const app = await at.app();
    const asks = {
      scope: 'read write',
      authorization_details: detailsOf(
        { identifier: ann.wsp, node: 'fld_specs', actions: ['read'] },
        { identifier: second, path: 'drafts/' },
      ),
    };
    const { page } = await at.open(app, ann, asks);
    t.deepEqual(placeBoxes(page).toSorted(), [node, `${second}/drafts/`].toSorted());
    t.deepEqual(tickedPlaces(page), []);
    const boxes = ['scope:read', 'scope:write', `place:${node}`, `place:${second}/drafts/`];
    const tokens = await at.approve(app, ann, boxes, asks);
    const { authorization_details: told } = await at.told(tokens.access);
    t.deepEqual(tokens.body.authorization_details, told, 'the response says the same');
    const facts = told.map(({ identifier, node: thing, path, actions }: Record<string, unknown>) => [
      identifier,
      thing ?? path,
      actions,
    ]);
    t.deepEqual(facts, [
      [ann.wsp, 'fld_specs', ['read']],
      [second, 'drafts/', ['read', 'write']],
    ]);
    const renewed = await at.renew(app, tokens);
    t.deepEqual(renewed.body.authorization_details, told);
    await at.places.endNode(node);
    t.is((await at.told(tokens.access)).authorization_details.length, 1);
  });

  test('offer nothing of workspaces that are somebody else’s, unknown or closed to the role, all alike', async (t) => {
    const [ann, bob] = [await owner(), await owner()];
    const viewed = await at.places.workspace([bob.id, 'owner'], [ann.id, 'viewer']);
    const app = await at.app();
    for (const identifier of [bob.wsp, 'wsp_0000000000000000', viewed, bob.id]) {
      const { page } = await at.open(app, ann, { authorization_details: detailsOf({ identifier }) });
      t.deepEqual(placeBoxes(page), [], identifier);
      t.true(page.text.includes('There is no place here in which you can let this app work.'));
      const back = await decide(ann.browser, page, 'approve', ['scope:read', `place:${identifier}`]);
      t.is(back.status, 400, identifier);
    }
  });

  test('that are exactly what the human gave before need no question; others do (O-9)', async (t) => {
    const ann = await owner();
    const app = await at.app();
    const details = detailsOf({ identifier: ann.wsp });
    await at.approve(app, ann, ['scope:read', `place:${ann.wsp}`], { authorization_details: details });
    const ask = (authorization_details: string) =>
      ann.browser.get(askFor(app, { scope: 'read', resource: at.api.url, authorization_details }).path);
    t.truthy(answerOf(await ask(details)).code);
    for (const other of [
      detailsOf({ identifier: ann.wsp, path: 'drafts/' }),
      detailsOf({ identifier: ann.wsp }, { identifier: ann.id }),
      detailsOf({ identifier: ann.id }),
    ]) {
      t.is(heading(await ask(other)), 'Approve this app?', other);
    }
    const plain = await ann.browser.get(askFor(app, { scope: 'read', resource: at.api.url }).path);
    t.truthy(answerOf(plain).code, 'an app that names none has what it was given');
  });

  test('of a shared workspace are no matter for a device, whose page gives one’s own things alone (O-6)', async (t) => {
    const ann = await owner();
    const app = await at.app({ grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT] });
    const ask = (more: Record<string, string> = {}) =>
      at.on.form('/oauth2/device_authorization', {
        client_id: app.clientId,
        scope: 'read',
        resource: at.api.url,
        ...more,
      });
    const shared = detailsOf({ identifier: ann.wsp });
    t.is(errorOf(await ask({ authorization_details: shared })), `400 ${INVALID}`);
    const first = await at.approve(app, ann, ['scope:read', `place:${ann.wsp}`]);
    at.on.clock.advance(5);
    const { body } = await ask();
    await ann.browser.get('/connect');
    const page = await ann.browser.post('/connect', { code: body.user_code });
    t.deepEqual(placeBoxes(page), []);
    t.true(page.text.includes('Shared workspaces can’t be chosen for a device'));
    await ann.browser.post('/connect/device', {
      ...ann.browser.form('/connect/device'),
      decision: 'approve',
      'scope:read': 'on',
      [`place:${ann.wsp}`]: 'on',
    });
    at.on.clock.advance(6);
    const got = await at.on.form('/oauth2/token', {
      grant_type: DEVICE_GRANT,
      device_code: body.device_code,
      client_id: app.clientId,
    });
    t.is(got.status, 200, got.text);
    t.deepEqual(await at.reach(first.access), [`${ann.wsp} read`], 'what the app has stays');
    const places = (await at.reach(got.body.access_token))!;
    t.deepEqual(places.toSorted(), [`${ann.id} read`, `${ann.wsp} read`].toSorted());
  });

  test('are announced, and every client may send them', async (t) => {
    for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
      t.deepEqual((await at.on.get(path)).body.authorization_details_types_supported, ['workspace']);
    }
  });
});
