import { generateKeyPairSync } from 'node:crypto';
import { createClient, type NewClient } from '../../src/domain/apps/create-client.ts';
import { Failure } from '../../src/errors.ts';
import { localOrigin } from '../../src/work.ts';
import { type App, askFor, getCode, newHuman, REDIRECT, redeem, registerApp } from '../helpers/app-client.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const WEB: NewClient = {
  name: 'Reports',
  redirectUris: [REDIRECT],
  authMethod: 'client_secret_basic',
  grantTypes: ['authorization_code', 'refresh_token'],
  scopes: undefined,
};

onEveryEngine('clients that a human or the operator registers', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const create = (input: Partial<NewClient> = {}) =>
    createClient(on.service.deps, localOrigin('test'), { ...WEB, ...input });

  test('have a secret that is shown once and hashed, and authenticate with it alone', async (t) => {
    const { client, secret } = await create();
    t.regex(secret!, /^cs_/);
    const app: App = { clientId: client.id, secret, registered: undefined };
    const got = await getCode(on, app, { query: { scope: 'read' } });
    const form = { grant_type: 'authorization_code', code: got.code, redirect_uri: REDIRECT };
    const verified = { ...form, code_verifier: got.asked.verifier };
    t.is((await redeem(on, app, got)).status, 401);
    t.is((await on.form('/oauth2/token', verified, basic(client.id, `${secret}x`))).status, 401);
    t.is((await on.form('/oauth2/token', verified, basic(client.id, secret!))).status, 200);
    const rows = await on.service.deps.db.all('SELECT * FROM oauth_clients WHERE id = ?', [client.id]);
    t.false(JSON.stringify(rows).includes(secret!));
  });

  test('those of the operator have an account of their own, those of a human act as the human', async (t) => {
    const own = await create({
      authMethod: 'client_secret_post',
      grantTypes: ['client_credentials'],
      redirectUris: [],
    });
    t.like(own.client, { origin: 'operator', owner: null });
    t.regex(own.client.accountId!, /^usr_/);
    const { mailbox } = await newHuman(on);
    const { id } = (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM accounts WHERE mailbox = ?',
      [mailbox],
    ))!;
    const persons = await createClient(on.service.deps, localOrigin('test'), WEB, { owner: id });
    t.like(persons.client, { origin: 'person', owner: id, accountId: id });
  });

  test('the consent says who registered an app that is published nowhere', async (t) => {
    const { browser, mailbox } = await newHuman(on);
    const { id: owner } = (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM accounts WHERE mailbox = ?',
      [mailbox],
    ))!;
    const persons = await createClient(on.service.deps, localOrigin('test'), WEB, { owner });
    const cases: [string, string][] = [
      [(await create()).client.id, 'Nowhere: the operator of Vouchsafe registered it'],
      [persons.client.id, 'Nowhere: someone with an account here registered it'],
      [(await registerApp(on)).clientId, 'Nowhere: it registered itself'],
    ];
    for (const [clientId, words] of cases) {
      const page = await browser.get(
        askFor({ clientId, secret: undefined, registered: undefined }, { scope: 'read' }).path,
      );
      t.true(page.text.includes(`<dd>${words}</dd>`), page.text);
    }
  });

  test('what is wrong is told by its field', async (t) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const publicJwk = publicKey.export({ format: 'jwk' });
    const byKey = { authMethod: 'private_key_jwt', jwks: { keys: [publicJwk] } } as const;
    await t.notThrowsAsync(create(byKey));
    await t.notThrowsAsync(create({ authMethod: 'private_key_jwt', jwksUri: 'https://app.example/jwks' }));
    await t.notThrowsAsync(create({ redirectUris: ['http://127.0.0.1/cb', 'com.example.app:/cb'] }));
    const wrong: [string, Partial<NewClient>][] = [
      ['name', { name: ' ' }],
      ['name', { name: 'x'.repeat(81) }],
      ['grant_types', { grantTypes: [], redirectUris: [] }],
      ['grant_types', { grantTypes: ['refresh_token', 'client_credentials'], redirectUris: [] }],
      [
        'token_endpoint_auth_method',
        { authMethod: 'none', grantTypes: ['client_credentials'], redirectUris: [] },
      ],
      ['redirect_uris', { redirectUris: [] }],
      ['redirect_uris', { redirectUris: Array(11).fill(REDIRECT) }],
      ['redirect_uris', { grantTypes: ['client_credentials'] }],
      ['redirect_uris', { redirectUris: ['http://app.example/cb'] }],
      ['redirect_uris', { redirectUris: ['javascript:alert(1)'] }],
      ['redirect_uris', { redirectUris: ['https://app.example/cb#x'] }],
      ['scope', { scopes: ['no-such'] }],
      ['scope', { scopes: [] }],
      ['jwks', { authMethod: 'private_key_jwt' }],
      ['jwks', { authMethod: 'private_key_jwt', jwks: { keys: [privateKey.export({ format: 'jwk' })] } }],
      ['jwks', { authMethod: 'private_key_jwt', jwks: { keys: [{ kty: 'oct', k: 'AA' }] } }],
      ['jwks', { ...byKey, jwksUri: 'https://app.example/jwks' }],
      ['jwks', { jwks: { keys: [publicJwk] } }],
      ['jwks_uri', { authMethod: 'private_key_jwt', jwksUri: 'http://app.example/jwks' }],
    ];
    for (const [field, input] of wrong) {
      const failure = await t.throwsAsync<Failure>(create(input), { instanceOf: Failure });
      t.like(failure, { kind: 'badRequest', details: { field } }, JSON.stringify(input));
    }
  });
});
