import { createLocalJWKSet, flattenedVerify } from 'jose';
import { rotateSigningKeys } from '../../src/domain/credentials/signing-keys.ts';
import { connectTerminal } from '../../src/domain/permissions/terminals.ts';
import { canonicalJson } from '../../src/lib/artifacts/canonical-json.ts';
import { asker } from '../helpers/api-keys.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { allOf, givenBy, keyClient, newPerson, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces } from '../helpers/workspaces.ts';

onEveryEngine('what is signed of permissions', (engine, test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    const file = { workspaces: { grantByTerminal: true } };
    on = await withConfigFile(file, (CONFIG) =>
      startTestService(engine, { env: { CONFIG }, limits: { permissionsPerIp: '100000/h' } }),
    );
    await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => on.stop());

  test('a grant is verified by the published keys alone, also after they were rotated, as long as it lives', async (t) => {
    const agent = keyClient(on);
    const request = await agent.request({ lifetimeSeconds: 86_400 });
    await agent.post(request);
    await givenBy(on, request, (await newPerson(places)).id);
    const { grant } = (await agent.show(request.id)).body.data;
    const { proof, ...signed } = grant;
    const [head, , signature] = proof.split('.');
    const isVerified = async () => {
      const keys = createLocalJWKSet((await on.get('/.well-known/jwks.json')).body);
      const payload = Buffer.from(canonicalJson(signed)).toString('base64url');
      return flattenedVerify({ protected: head, payload, signature }, keys).then(
        () => true,
        () => false,
      );
    };
    t.true(await isVerified());
    await rotateSigningKeys(on.service.deps, asker, false);
    on.clock.advance(7200);
    await rotateSigningKeys(on.service.deps, asker, false);
    on.clock.advance(7200);
    t.true(await isVerified());
    on.clock.advance(86_400);
    t.false(await isVerified());
  });

  test('where the operator allows it, a terminal grants in a shared workspace, within the role of its human', async (t) => {
    const owner = (await newPerson(places)).id;
    const viewer = (await newPerson(places)).id;
    const last = (await newPerson(places)).id;
    const workspace = await places.workspace([last, 'owner'], [owner, 'owner'], [viewer, 'viewer']);
    const terminal = keyClient(on);
    const login = await terminal.request({ permissions: undefined });
    await terminal.post(login);
    await connectTerminal(on.service.deps, asker, login.id, owner, {
      bound: { scopes: ['read'], workspaces: [workspace] },
      lifetimeSeconds: 43_200,
    });
    const agent = keyClient(on);
    const request = await agent.request({ permissions: [{ ...READ_DOCUMENTS, space: workspace }] });
    await agent.post(request);
    const given = await terminal.grant(request.id, { permissions: allOf(request) });
    t.is(given.body.data?.state, 'granted', given.text);
    t.is(given.body.data.grant.permissions[0].space, workspace);
    const other = keyClient(on);
    const bySomebody = await other.request({ permissions: undefined });
    await other.post(bySomebody);
    await t.throwsAsync(
      connectTerminal(on.service.deps, asker, bySomebody.id, viewer, {
        bound: { scopes: ['read'], workspaces: [workspace] },
        lifetimeSeconds: 43_200,
      }),
      { message: /Choose what/ },
    );
    await places.setRole(workspace, owner, 'viewer');
    const second = await agent.request({
      permissions: [{ ...READ_DOCUMENTS, space: workspace, path: 'b/' }],
    });
    await agent.post(second);
    const refused = await terminal.grant(second.id, { permissions: allOf(second) });
    t.is(refused.status, 403, refused.text);
  });
});
