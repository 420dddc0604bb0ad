import { endClient } from '../../src/domain/apps/clients.ts';
import { createClient, type NewClient } from '../../src/domain/apps/create-client.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { newHuman } from '../helpers/app-client.ts';
import { startClientHost } from '../helpers/client-host.ts';
import { assertClient, newClientKey } from '../helpers/client-proofs.ts';
import { atOnce, bearer, tallyBy } from '../helpers/common.ts';
import { basic, type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const errorOf = ({ status, body }: Reply) =>
  body?.error === undefined ? String(status) : `${status} ${body.error}`;

onEveryEngine('client credentials', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const create = async (input: Partial<NewClient> = {}, by?: Parameters<typeof createClient>[3]) => {
    const all: NewClient = {
      name: 'Nightly job',
      redirectUris: [],
      authMethod: 'client_secret_basic',
      grantTypes: ['client_credentials'],
      scopes: undefined,
      ...input,
    };
    const { client, secret } = await createClient(on.service.deps, localOrigin('test'), all, by);
    return { clientId: client.id, secret: secret!, accountId: client.accountId! };
  };

  const getToken = (form: Record<string, string>, headers = {}) =>
    on.form('/oauth2/token', { grant_type: 'client_credentials', ...form }, headers);

  const ask = async (token: string) =>
    (await on.form('/oauth2/introspect', { token }, basic(api.clientId, api.clientSecret))).body;

  test('of the operator: a token of an account of its own, without owner and without refresh token', async (t) => {
    const app = await create();
    const reply = await getToken({ resource: api.resource, scope: 'read' }, basic(app.clientId, app.secret));
    t.is(reply.status, 200, reply.text);
    t.like(reply.body, { token_type: 'Bearer', scope: 'read', expires_in: 600 });
    t.regex(reply.body.access_token, /^at_/);
    t.is(reply.body.refresh_token, undefined);
    const told = await ask(reply.body.access_token);
    t.like(told, { active: true, client_id: app.clientId, sub: app.accountId, credential_kind: 'app' });
    t.is(told.owner, undefined);
    t.is(told.agent_id, undefined);
    const kit = await api.verifier().verify(reply.body.access_token);
    t.like(kit, { kind: 'app', subject: app.accountId });
    const info = await on.request('GET', '/oauth2/userinfo', { headers: bearer(reply.body.access_token) });
    t.is(info.status, 401);
  });

  test('of a human: as the human, within its scope, until the account is deleted', async (t) => {
    const { mailbox } = await newHuman(on);
    const sql = 'SELECT id FROM accounts WHERE mailbox = ?';
    const { id } = (await on.service.deps.db.get<{ id: string }>(sql, [mailbox]))!;
    const app = await create({ authMethod: 'client_secret_post', scopes: ['read'] }, { owner: id });
    const secret = { client_id: app.clientId, client_secret: app.secret };
    const reply = await getToken({ ...secret, resource: api.resource, scope: 'read write' });
    t.is(reply.body.scope, 'read');
    t.like(await ask(reply.body.access_token), { sub: id, owner: id, scope: 'read' });
    t.is((await getToken({ ...secret, resource: api.resource })).body.scope, 'read');
    t.is(errorOf(await getToken({ ...secret, scope: 'write' })), '400 invalid_scope');
    t.is(errorOf(await getToken({ ...secret, scope: 'openid' })), '400 invalid_scope');
    t.is(errorOf(await getToken({ ...secret, resource: 'https://other.example' })), '400 invalid_target');
    await deleteAccount(on.service.deps, localOrigin('test'), id);
    t.not((await getToken({ ...secret, resource: api.resource })).status, 200);
  });

  test('only clients with the grant chosen get them, and only by their authentication', async (t) => {
    const web = await create({
      grantTypes: ['authorization_code'],
      redirectUris: ['https://app.example/cb'],
    });
    t.is(errorOf(await getToken({}, basic(web.clientId, web.secret))), '400 unauthorized_client');
    const app = await create();
    t.is(errorOf(await getToken({ client_id: app.clientId })), '401 invalid_client');
    t.is(errorOf(await getToken({}, basic(app.clientId, `${app.secret}0`))), '401 invalid_client');
    const twice = { client_id: app.clientId, client_secret: app.secret };
    t.is(errorOf(await getToken(twice, basic(app.clientId, app.secret))), '400 invalid_request');
    const encoded = Buffer.from(
      `${app.clientId.replace('_', '%5F')}:${app.secret.replace('_', '%5F')}`,
    ).toString('base64');
    t.is((await getToken({}, { Authorization: `Basic ${encoded}` })).status, 200);
  });

  test('when the client ends, its tokens end, which its APIs are told of', async (t) => {
    const app = await create();
    const { body } = await getToken({ resource: api.resource }, basic(app.clientId, app.secret));
    t.true((await ask(body.access_token)).active);
    const headers = basic(api.clientId, api.clientSecret);
    const { last } = (await on.request('GET', '/resource/events', { headers })).body;
    await useCase(on.service.deps, localOrigin('test'), {}, (work) => endClient(work, app.clientId));
    t.deepEqual(await ask(body.access_token), { active: false });
    const { events } = (await on.request('GET', `/resource/events?after=${last}`, { headers })).body;
    t.like(events, [{ type: 'revoked' }]);
    t.is(events[0].token_hashes.length, 1);
    t.is(errorOf(await getToken({}, basic(app.clientId, app.secret))), '401 invalid_client');
  });

  test('keys at jwks_uri are fetched, once while they are fresh, and no other key signs', async (t) => {
    const host = await startClientHost();
    t.teardown(() => host.stop());
    host.connect(on);
    const [first, second] = [await newClientKey(), await newClientKey()];
    const publish = (path: string, key: typeof first, maxAge: number) =>
      host.publish(path, { keys: [key.publicJwk] }, { 'Cache-Control': `max-age=${maxAge}` });
    const at = (jwksUri: string) => create({ authMethod: 'private_key_jwt', jwksUri });
    const sign = async (app: Awaited<ReturnType<typeof at>>, key: typeof first) =>
      errorOf(await getToken(await assertClient(on, app, key)));
    const fresh = await at(publish('/fresh', first, 600));
    t.deepEqual([await sign(fresh, first), await sign(fresh, first)], ['200', '200']);
    t.is(await sign(fresh, second), '401 invalid_client');
    t.is(host.asked.length, 1);
    // Who asks first later gets the keys of then.
    const later = await at(publish('/fresh', second, 600));
    t.deepEqual([await sign(later, second), await sign(later, first)], ['200', '401 invalid_client']);
  });

  test('a signed assertion is for this service alone, and used once', async (t) => {
    const key = await newClientKey();
    const app = await create({ authMethod: 'private_key_jwt', jwks: { keys: [key.publicJwk] } });
    for (const aud of [on.url, `${on.url}/oauth2/token`]) {
      t.is((await getToken(await assertClient(on, app, key, { aud }))).status, 200);
    }
    const wrong: Record<string, unknown>[] = [
      { aud: [on.url] },
      { aud: 'https://other.example' },
      { aud: undefined },
      { exp: undefined },
      { exp: 1 },
      { exp: Math.floor(Date.now() / 1000) + 7200 },
      { jti: undefined },
      { iss: 'cli_other' },
    ];
    for (const claims of wrong) {
      const reply = await getToken(await assertClient(on, app, key, claims));
      t.is(errorOf(reply), '401 invalid_client', JSON.stringify(claims));
    }
    t.is(errorOf(await getToken(await assertClient(on, app, await newClientKey()))), '401 invalid_client');
    const once = await assertClient(on, app, key);
    const replies = await atOnce(10, () => getToken(once));
    t.is(tallyBy(replies, errorOf)['200'], 1);
    t.is(errorOf(await getToken(once)), '401 invalid_client');
  });

  test('a key that was taken from jwks_uri signs nothing more once its set is stale, a new one does', async (t) => {
    const host = await startClientHost();
    t.teardown(() => host.stop());
    host.connect(on);
    const [first, second] = [await newClientKey(), await newClientKey()];
    const publish = (key: typeof first, maxAge: number) =>
      host.publish('/keys', { keys: [key.publicJwk] }, { 'Cache-Control': `max-age=${maxAge}` });
    // Its set may be kept for a day; it is kept for an hour.
    const app = await create({ authMethod: 'private_key_jwt', jwksUri: publish(first, 86_400) });
    const sign = async (key: typeof first) => errorOf(await getToken(await assertClient(on, app, key)));
    t.is(await sign(first), '200');
    publish(second, 0);
    t.is(await sign(first), '200');
    const { now } = Date;
    t.teardown(() => Object.assign(Date, { now }));
    let passed = 0;
    const later = (seconds: number) => {
      passed += seconds * 1000;
      Date.now = () => now() + passed; // oidc-provider keeps keys by the clock of the process
      on.clock.advance(seconds);
    };
    later(3601);
    t.deepEqual([await sign(first), await sign(second)], ['401 invalid_client', '200']);
    // While the set cannot be had, no key counts: not the last one either.
    host.publish('/keys', {}, {}, 500);
    later(61);
    t.is(await sign(second), '401 invalid_client');
  });
});

onEveryEngine('the limit of client credentials', (engine, test) => {
  test('60 tokens a minute for one client, whatever the others get', async (t) => {
    const on = await startTestService(engine, { env: { LIMITS: '{"tokensPerClient":"2/m"}' } });
    t.teardown(() => on.stop());
    const create = async () => {
      const input = {
        name: 'Job',
        redirectUris: [],
        authMethod: 'client_secret_basic',
        grantTypes: ['client_credentials'],
        scopes: undefined,
      } as const;
      const { client, secret } = await createClient(on.service.deps, localOrigin('test'), input);
      return basic(client.id, secret!);
    };
    const [one, two] = [await create(), await create()];
    const get = (headers: Record<string, string>) =>
      on.form('/oauth2/token', { grant_type: 'client_credentials' }, headers);
    t.is((await get(one)).status, 200);
    t.is((await get(one)).status, 200);
    const limited = await get(one);
    t.is(limited.status, 429);
    t.truthy(limited.headers.get('retry-after'));
    t.is((await get(two)).status, 200);
  });
});
