import { decodeJwt } from 'jose';
import { createClient } from '../../src/domain/apps/create-client.ts';
import { createGuard } from '../../src/resource-server/index.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { getCode, REDIRECT, registerApp } from '../helpers/app-client.ts';
import { type ClientKey, newClientKey, proveKey } from '../helpers/client-proofs.ts';
import { atOnce, tallyBy } from '../helpers/common.ts';
import { startWith } from '../helpers/configured-service.ts';
import { basic, type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

const errorOf = ({ status, body }: Reply) =>
  body?.error === undefined ? String(status) : `${status} ${body.error}`;

onEveryEngine('tokens that are bound to a key (DPoP, RFC 9449)', (engine, test) => {
  let on: TestService;
  let api: Api;
  let key: ClientKey;
  let thief: ClientKey;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
    [key, thief] = [await newClientKey(), await newClientKey()];
  });
  test.after(() => on.stop());

  const tokenUrl = () => `${on.url}/oauth2/token`;
  const proof = async (by = key, claims = {}) => ({
    DPoP: await proveKey(by, { method: 'POST', url: tokenUrl() }, claims),
  });

  async function connect(headers?: Record<string, string>) {
    const app = await registerApp(on);
    const { code, asked } = await getCode(on, app, { query: { scope: 'read', resource: api.resource } });
    const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, client_id: app.clientId };
    const verified = { ...form, code_verifier: asked.verifier };
    const reply = await on.form('/oauth2/token', verified, headers ?? (await proof()));
    return { app, reply, token: reply.body.access_token as string };
  }

  const refresh = (clientId: string, refreshToken: string, headers = {}) =>
    on.form(
      '/oauth2/token',
      { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId },
      headers,
    );

  test('introspection says the key, and the kit takes them with a proof alone', async (t) => {
    const { reply, token } = await connect();
    t.is(reply.status, 200, reply.text);
    t.is(reply.body.token_type, 'DPoP');
    const told = await on.form('/oauth2/introspect', { token }, basic(api.clientId, api.clientSecret));
    t.like(told.body, { active: true, token_type: 'DPoP', cnf: { jkt: key.thumbprint } });

    const verifier = api.verifier();
    await t.throwsAsync(verifier.verify(token), { message: /not valid/ });
    const guard = createGuard({ verifier, scopes: ['read'] });
    const url = `${api.resource}/things?page=2`;
    const request = { method: 'GET', url: '/things?page=2' };
    const present = (dpop: string | readonly string[] | undefined, authorization = `DPoP ${token}`) =>
      guard((name) => ({ authorization, dpop })[name], request);
    const good = () => proveKey(key, { method: 'GET', url, token });
    t.like(await present(await good()), { token: { kind: 'app', keyThumbprint: key.thumbprint } });

    const once = await good();
    t.true('token' in (await present(once)));
    const wrong: [string, string | readonly string[] | undefined, string][] = [
      ['a second time', once, 'invalid_dpop_proof'],
      ['no proof', undefined, 'invalid_dpop_proof'],
      ['two proofs', [await good(), await good()], 'invalid_dpop_proof'],
      ['another method', await proveKey(key, { method: 'POST', url, token }), 'invalid_dpop_proof'],
      [
        'another path',
        await proveKey(key, { method: 'GET', url: api.resource, token }),
        'invalid_dpop_proof',
      ],
      [
        'another origin',
        await proveKey(key, { method: 'GET', url: 'https://x.example/things', token }),
        'invalid_dpop_proof',
      ],
      ['no token', await proveKey(key, { method: 'GET', url }), 'invalid_dpop_proof'],
      ['another token', await proveKey(key, { method: 'GET', url, token: 'at_' }), 'invalid_dpop_proof'],
      ['old', await proveKey(key, { method: 'GET', url, token }, { iat: 1 }), 'invalid_dpop_proof'],
      [
        'no time',
        await proveKey(key, { method: 'GET', url, token }, { iat: undefined }),
        'invalid_dpop_proof',
      ],
      ['no id', await proveKey(key, { method: 'GET', url, token }, { jti: undefined }), 'invalid_dpop_proof'],
      ['no JWT', 'x', 'invalid_dpop_proof'],
      ['another key', await proveKey(thief, { method: 'GET', url, token }), 'invalid_token'],
    ];
    for (const [title, dpop, error] of wrong) {
      const refused = await present(dpop);
      t.like(refused, { status: 401, body: { error } }, title);
      t.regex(
        (refused as { headers: Record<string, string> }).headers['WWW-Authenticate']!,
        /^DPoP .*algs="/,
      );
    }
    t.like(await present(await good(), `Bearer ${token}`), { status: 401, body: { error: 'invalid_token' } });
  });

  test('a bearer token is not taken with a proof', async (t) => {
    const { token } = await connect({});
    const guard = createGuard({ verifier: api.verifier() });
    const dpop = await proveKey(key, { method: 'GET', url: api.resource, token });
    const headers: Record<string, string> = { authorization: `DPoP ${token}`, dpop };
    const refused = await guard((name) => headers[name], { method: 'GET', url: '/' });
    t.like(refused, { status: 401, body: { error: 'invalid_token' } });
  });

  test('an API may demand a nonce of its own, which the client gets with the first refusal', async (t) => {
    const { token } = await connect();
    const guard = createGuard({ verifier: api.verifier({ proofNonceSecret: 's'.repeat(32) }) });
    const present = async (claims: Record<string, unknown>) => {
      const dpop = await proveKey(key, { method: 'GET', url: `${api.resource}/`, token }, claims);
      const headers: Record<string, string> = { authorization: `DPoP ${token}`, dpop };
      return guard((name) => headers[name], { method: 'GET', url: '/' });
    };
    for (const claims of [{}, { nonce: 'invented' }]) {
      const refused = await present(claims);
      t.like(refused, { status: 401, body: { error: 'use_dpop_nonce' } });
      const nonce = (refused as { headers: Record<string, string> }).headers['DPoP-Nonce'];
      t.true('token' in (await present({ nonce })));
    }
    t.throws(() => api.verifier({ proofNonceSecret: 'short' }));
  });

  test('a proof is used once at the token endpoint, is for it alone, and one out of time gets a nonce', async (t) => {
    const { app, reply } = await connect();
    const used = await proof();
    t.is((await refresh(app.clientId, reply.body.refresh_token, used)).status, 200);
    const { client, secret } = await createClient(on.service.deps, localOrigin('test'), {
      name: 'Job',
      redirectUris: [],
      authMethod: 'client_secret_basic',
      grantTypes: ['client_credentials'],
      scopes: undefined,
    });
    const get = (headers: Record<string, string>) =>
      on.form(
        '/oauth2/token',
        { grant_type: 'client_credentials', resource: api.resource },
        { ...basic(client.id, secret!), ...headers },
      );
    const once = await proof();
    const replies = await atOnce(10, () => get(once));
    t.is(tallyBy(replies, errorOf)['200'], 1);
    t.is(replies.find(({ status }) => status === 200)!.body.token_type, 'DPoP');
    t.is(errorOf(await get(once)), '400 invalid_grant');
    t.is(errorOf(await get(await proof(key, { htu: api.resource }))), '400 invalid_dpop_proof');
    const late = await get(await proof(key, { iat: 1 }));
    t.is(errorOf(late), '400 use_dpop_nonce');
    const nonce = late.headers.get('dpop-nonce')!;
    t.regex(late.headers.get('access-control-expose-headers')!, /DPoP-Nonce/);
    t.is((await get(await proof(key, { iat: 1, nonce }))).status, 200);
  });

  test('refresh tokens of a public client are bound, too, also while they are repeated', async (t) => {
    const { app, reply } = await connect();
    const first = reply.body.refresh_token;
    t.is(errorOf(await refresh(app.clientId, first)), '400 invalid_grant');
    t.is(errorOf(await refresh(app.clientId, first, await proof(thief))), '400 invalid_grant');
    const next = await refresh(app.clientId, first, await proof());
    t.is(next.status, 200, next.text);
    t.is(next.body.token_type, 'DPoP');
    t.is(errorOf(await refresh(app.clientId, first, await proof(thief))), '400 invalid_grant');
    t.is(errorOf(await refresh(app.clientId, first)), '400 invalid_grant');
    const again = await refresh(app.clientId, first, await proof());
    t.is(again.body.refresh_token, next.body.refresh_token);
  });

  test('a client that demands it gets no bearer token', async (t) => {
    const app = await registerApp(on, { dpop_bound_access_tokens: true });
    const { code, asked } = await getCode(on, app, { query: { scope: 'read' } });
    const reply = await on.form('/oauth2/token', {
      grant_type: 'authorization_code',
      code,
      redirect_uri: REDIRECT,
      client_id: app.clientId,
      code_verifier: asked.verifier,
    });
    t.is(errorOf(reply), '400 invalid_grant');
  });

  test('userinfo takes them with a proof alone', async (t) => {
    const app = await registerApp(on);
    const { code, asked } = await getCode(on, app, { query: { scope: 'openid' }, boxes: [] });
    const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, client_id: app.clientId };
    const { body } = await on.form(
      '/oauth2/token',
      { ...form, code_verifier: asked.verifier },
      await proof(),
    );
    const token: string = body.access_token;
    const url = `${on.url}/oauth2/userinfo`;
    const ask = (headers: Record<string, string>) => on.request('GET', '/oauth2/userinfo', { headers });
    const dpop = () => proveKey(key, { method: 'GET', url, token });
    t.is((await ask({ Authorization: `Bearer ${token}` })).status, 401);
    t.is((await ask({ Authorization: `DPoP ${token}` })).status, 400);
    t.is((await ask({ Authorization: `DPoP ${token}`, DPoP: await dpop() })).status, 200);
  });
});

test('signed tokens carry the thumbprint of the key', async (t) => {
  const url = 'https://api.example.com/mcp';
  const on = await startWith({ resources: [{ url, name: 'MCP', tokens: 'jwt' }] });
  t.teardown(() => on.stop());
  const key = await newClientKey();
  const { client, secret } = await createClient(on.service.deps, localOrigin('test'), {
    name: 'Job',
    redirectUris: [],
    authMethod: 'client_secret_basic',
    grantTypes: ['client_credentials'],
    scopes: ['read'],
  });
  const DPoP = await proveKey(key, { method: 'POST', url: `${on.url}/oauth2/token` });
  const form = { grant_type: 'client_credentials', resource: url };
  const reply = await on.form('/oauth2/token', form, { ...basic(client.id, secret!), DPoP });
  t.is(reply.status, 200, reply.text);
  t.like(decodeJwt(reply.body.access_token), {
    cnf: { jkt: key.thumbprint },
    client_id: client.id,
    sub: client.accountId,
    scope: 'read',
  });
});
