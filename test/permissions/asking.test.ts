import { denyPermissions } from '../../src/domain/permissions/decide-request.ts';
import { asker, makeKey } from '../helpers/api-keys.ts';
import { newMailbox } from '../helpers/common.ts';
import { givenBy, keyClient, newPerson, newSessionKey, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

onEveryEngine('permission requests', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => on.stop());

  const person = async () => (await newPerson(places)).id;

  test('a key that nobody knows registers an agent; the same request again answers the same', async (t) => {
    const agent = keyClient(on);
    const request = await agent.request({ name: 'CI bot' });
    const first = await agent.post(request);
    t.is(first.status, 200, first.text);
    const { id, state, agent_id, verification_uri, user_code, interval } = first.body.data;
    t.deepEqual([id, state, interval], [request.id, 'pending', 5]);
    t.regex(agent_id, /^agt_/);
    t.regex(user_code, /^[A-Z2-9]{4}-[A-Z2-9]{4}$/);
    t.regex(verification_uri, /\/permissions\?t=prq_/);
    const again = await agent.post(request);
    t.deepEqual(again.body.data, first.body.data);
  });

  test('a granted request gives a token that introspects in its places, and a revoked one none', async (t) => {
    const by = await person();
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request);
    const before = await agent.token();
    t.deepEqual([before.status, before.body.error], [400, 'invalid_grant']);
    const { grantId } = await givenBy(on, request, by);
    const shown = await agent.show(request.id);
    t.is(shown.body.data?.state, 'granted', shown.text);
    t.is(shown.body.data.grant.id, grantId);
    t.like(shown.body.data.grant.permissions[0], { space: by, path: 'documents/', actions: ['read'] });
    const token = await agent.token();
    t.is(token.status, 200, token.text);
    t.is(token.body.authorization_details[0].path, 'documents/');
    const told = (await api.ask(token.body.access_token)).body;
    t.like(told, { active: true, scope: 'read', credential_form: 'token', workspace: by });
    t.is(told.authorization_details[0].path, 'documents/');
    const held = await agent.held();
    t.like(held.body.data.grants[0], { id: grantId, granted_by: by, once: false });
    t.is((await agent.revoke(grantId)).status, 200);
    t.false((await api.ask(token.body.access_token)).body.active);
    t.is((await agent.show(request.id)).body.data.state, 'revoked');
    t.is((await agent.token()).body.error, 'invalid_grant');
  });

  test('a denied request says so, by our signature', async (t) => {
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request);
    await denyPermissions(on.service.deps, asker, request.id, await person());
    const { state, denial } = (await agent.show(request.id)).body.data;
    t.is(state, 'denied');
    t.like(denial, { kind: 'vouchsafe.auth.denial', request_id: request.id });
  });

  test('only the key that an agent got by registering binds a session key, once and for good', async (t) => {
    const registered = await on.register();
    const agent = keyClient(on);
    const bound = await agent.ask({}, registered.credential);
    t.is(bound.body.data?.agent_id, registered.agent_id, bound.text);
    const { credential } = await on.claimed(newMailbox());
    const helper = await makeKey(on, credential, { name: 'helper', scope: 'read' });
    const refused = await keyClient(on).ask({}, helper.credential);
    t.deepEqual([refused.status, refused.body.error.code], [403, 'forbidden']);
    const other = await agent.ask({ permissions: [{ ...READ_DOCUMENTS, path: 'b/' }] }, credential);
    t.deepEqual([other.status, other.body.error.code], [403, 'forbidden']);
  });

  test('a tampered request is refused before anything is looked up, and nothing is stored', async (t) => {
    const agent = keyClient(on);
    const request = await agent.request();
    const wrong: [object, number, string][] = [
      [{ ...request, lifetime_seconds: 60 }, 400, 'invalid_signature'],
      [{ ...request, id: `prq_${'A'.repeat(32)}` }, 400, 'invalid_signature'],
      [{ ...request, version: 2 }, 400, 'unsupported_version'],
      [{ ...request, command: ['rm'] }, 400, 'invalid_request'],
      [await agent.request({ service: 'https://other.example.com' }), 400, 'wrong_service'],
      [
        await agent.request({ permissions: [{ ...READ_DOCUMENTS, service: 'vouchsafe.nothing' }] }),
        400,
        'unknown_service',
      ],
      [
        await agent.request({ permissions: [{ ...READ_DOCUMENTS, actions: ['fly'] }] }),
        400,
        'unknown_action',
      ],
      [await agent.request({ now: on.clock() + 61_000 }), 400, 'invalid_request'],
      [await agent.request({ now: on.clock() - 8 * 86_400_000 }), 410, 'request_expired'],
    ];
    for (const [artifact, status, code] of wrong) {
      const reply = await agent.post(artifact);
      t.deepEqual([reply.status, reply.body.error.code], [status, code], JSON.stringify(artifact));
    }
    t.is((await agent.show(request.id)).status, 401);
  });

  test('a token of a session key is for one URL, once, and others do not look at its request', async (t) => {
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request);
    t.is((await agent.show(request.id)).status, 200);
    t.is((await agent.show(request.id)).body.error.code, 'slow_down');
    const other = keyClient(on);
    await other.ask();
    t.is((await other.show(request.id)).status, 404);
    t.is((await keyClient(on, newSessionKey()).show(request.id)).status, 401);
  });
});
