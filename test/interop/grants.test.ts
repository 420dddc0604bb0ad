import {
  Client as Client2,
  ClientCredentialsProvider as Credentials2,
  PrivateKeyJwtProvider as PrivateKey2,
  StreamableHTTPClientTransport as Transport2,
} from '@modelcontextprotocol/client';
import {
  ClientCredentialsProvider as Credentials1,
  PrivateKeyJwtProvider as PrivateKey1,
} from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import * as oauth from 'oauth4webapi';
import { createClient, type NewClient } from '../../src/domain/apps/create-client.ts';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { localOrigin } from '../../src/work.ts';
import { REDIRECT } from '../helpers/app-client.ts';
import { basic } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { approve, openWorld, type World } from './world.ts';

/** Grants and extensions beyond the code, by clients of others. */

const LOCAL = { [oauth.allowInsecureRequests]: true } as const;

// biome-ignore lint/suspicious/noExplicitAny: the shapes of two SDKs
type Any = any;

const SDKS = {
  '1.x': { Client: Client1, Transport: Transport1, Credentials: Credentials1, PrivateKey: PrivateKey1 },
  '2.x': { Client: Client2, Transport: Transport2, Credentials: Credentials2, PrivateKey: PrivateKey2 },
} as unknown as Record<string, Record<'Client' | 'Transport' | 'Credentials' | 'PrivateKey', Any>>;

onEveryEngine('grants and extensions', (engine, test) => {
  let world: World;
  let as: oauth.AuthorizationServer;
  test.before(async () => {
    world = await openWorld(engine);
    const issuer = new URL(world.on.url);
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...LOCAL });
    as = await oauth.processDiscoveryResponse(issuer, found);
  });
  test.after(() => world.stop());

  /** A client of the operator. */
  async function create(input: Partial<NewClient>) {
    const all: NewClient = {
      name: 'Nightly job',
      redirectUris: [],
      authMethod: 'client_secret_basic',
      grantTypes: ['client_credentials'],
      scopes: undefined,
      ...input,
    };
    const { client, secret } = await createClient(world.on.service.deps, localOrigin('test'), all);
    return { client_id: client.id, secret: secret ?? '' };
  }

  for (const [version, { Client, Transport, Credentials, PrivateKey }] of Object.entries(SDKS)) {
    async function callTool(authProvider: object) {
      const client = new Client({ name: 'job', version: '1' });
      await client.connect(new Transport(new URL(world.mcpUrl), { authProvider }));
      const result = await client.callTool({ name: 'list_my_apps', arguments: {} });
      await client.close();
      return JSON.parse(result.content[0].text) as unknown;
    }

    test(`the SDK ${version} works without people, by a secret`, async (t) => {
      const { client_id: clientId, secret: clientSecret } = await create({});
      t.true(
        Array.isArray(
          await callTool(new Credentials({ clientId, clientSecret, expectedIssuer: world.on.url })),
        ),
      );
    });

    test(`the SDK ${version} works without people, by a key`, async (t) => {
      const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
      const jwks = { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] };
      const { client_id: clientId } = await create({ authMethod: 'private_key_jwt', jwks });
      const own = {
        clientId,
        privateKey: await exportPKCS8(privateKey),
        algorithm: 'ES256',
        expectedIssuer: world.on.url,
      };
      t.true(Array.isArray(await callTool(new PrivateKey(own))));
    });
  }

  test('oauth4webapi gets a token by client credentials', async (t) => {
    const client = await create({});
    const answer = await oauth.clientCredentialsGrantRequest(
      as,
      client,
      oauth.ClientSecretBasic(client.secret),
      { scope: 'read', resource: world.mcpUrl },
      LOCAL,
    );
    const tokens = await oauth.processClientCredentialsResponse(as, client, answer);
    t.true(await world.api.isActive(tokens.access_token));
  });

  test('oauth4webapi pushes its request, binds the token to a key by DPoP, and renews it', async (t) => {
    const registered = await oauth.processDynamicClientRegistrationResponse(
      await oauth.dynamicClientRegistrationRequest(
        as,
        { redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' },
        LOCAL,
      ),
    );
    const client: oauth.Client = { client_id: registered.client_id };
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
    const verifier = oauth.generateRandomCodeVerifier();
    const pushed = await oauth.pushedAuthorizationRequest(
      as,
      client,
      oauth.None(),
      {
        response_type: 'code',
        redirect_uri: REDIRECT,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        scope: 'read',
        resource: world.mcpUrl,
      },
      LOCAL,
    );
    const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, pushed);
    const url = new URL(as.authorization_endpoint!);
    url.search = String(new URLSearchParams({ client_id: client.client_id, request_uri }));
    const back = oauth.validateAuthResponse(as, client, await approve(world.human, url), oauth.expectNoState);

    /** A server may want a nonce first (RFC 9449 section 8). */
    const withNonce = async <Tokens>(
      send: () => Promise<Response>,
      process: (answer: Response) => Promise<Tokens>,
    ) => {
      try {
        return await process(await send());
      } catch (error) {
        if (!oauth.isDPoPNonceError(error)) throw error;
        return process(await send());
      }
    };
    const tokens = await withNonce(
      () =>
        oauth.authorizationCodeGrantRequest(as, client, oauth.None(), back, REDIRECT, verifier, {
          DPoP,
          ...LOCAL,
        }),
      (answer) => oauth.processAuthorizationCodeResponse(as, client, answer),
    );
    t.is(tokens.token_type, 'dpop');
    const renewed = await withNonce(
      () =>
        oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token!, { DPoP, ...LOCAL }),
      (answer) => oauth.processRefreshTokenResponse(as, client, answer),
    );
    t.is(renewed.token_type, 'dpop');
    const { clientId, clientSecret } = world.api;
    const api = basic(clientId, clientSecret);
    const { body } = await world.on.form('/oauth2/introspect', { token: renewed.access_token }, api);
    t.like(body, { active: true, cnf: { jkt: await DPoP.calculateThumbprint() } });
    // A thief who has the refresh token alone gets nowhere.
    const bare = await oauth.refreshTokenGrantRequest(
      as,
      client,
      oauth.None(),
      renewed.refresh_token!,
      LOCAL,
    );
    await t.throwsAsync(oauth.processRefreshTokenResponse(as, client, bare));
  });

  test('oauth4webapi connects a device: it shows a code, the human types it, and it gets a token', async (t) => {
    const { client_id } = await create({ authMethod: 'none', grantTypes: [DEVICE_GRANT, 'refresh_token'] });
    const client: oauth.Client = { client_id };
    const params = { scope: 'read', resource: world.mcpUrl };
    const asked = await oauth.processDeviceAuthorizationResponse(
      as,
      client,
      await oauth.deviceAuthorizationRequest(as, client, oauth.None(), params, LOCAL),
    );
    const poll = async () =>
      oauth.processDeviceCodeResponse(
        as,
        client,
        await oauth.deviceCodeGrantRequest(as, client, oauth.None(), asked.device_code, LOCAL),
      );
    const early = await t.throwsAsync(poll(), { instanceOf: oauth.ResponseBodyError });
    t.is(early?.error, 'authorization_pending');
    const page = new URL(asked.verification_uri).pathname;
    await world.human.get(page);
    await world.human.post(page, { code: asked.user_code });
    const review = '/connect/device';
    const decision = { 'scope:read': 'on', decision: 'approve' };
    await world.human.post(review, { ...world.human.form(review), ...decision });
    world.on.clock.advance(asked.interval!);
    const tokens = await poll();
    t.is(tokens.scope, 'read');
    t.true(await world.api.isActive(tokens.access_token));
    const renewed = await oauth.refreshTokenGrantRequest(
      as,
      client,
      oauth.None(),
      tokens.refresh_token!,
      LOCAL,
    );
    t.truthy((await oauth.processRefreshTokenResponse(as, client, renewed)).access_token);
  });

  test('oauth4webapi has an introspection signed, and checks the signature', async (t) => {
    const client = await create({});
    const auth = oauth.ClientSecretBasic(client.secret);
    const answer = await oauth.clientCredentialsGrantRequest(
      as,
      client,
      auth,
      { resource: world.mcpUrl },
      LOCAL,
    );
    const { access_token } = await oauth.processClientCredentialsResponse(as, client, answer);
    const api: oauth.Client = {
      client_id: world.api.clientId,
      introspection_signed_response_alg: 'ES256',
    };
    const secret = oauth.ClientSecretBasic(world.api.clientSecret);
    const told = await oauth.introspectionRequest(as, api, secret, access_token, {
      requestJwtResponse: true,
      ...LOCAL,
    });
    t.like(await oauth.processIntrospectionResponse(as, api, told), {
      active: true,
      client_id: client.client_id,
    });
    await oauth.validateApplicationLevelSignature(as, told, LOCAL);
  });
});
