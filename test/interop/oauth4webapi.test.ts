import * as oauth from 'oauth4webapi';
import { onEveryEngine } from '../helpers/suite.ts';
import { approve, openWorld, SIGNED_API, type World } from './world.ts';

/** oauth4webapi, which checks every answer to the letter. */

const REDIRECT = 'https://app.example/callback';
/** The service of a test is on this machine. */
const LOCAL = { [oauth.allowInsecureRequests]: true } as const;

onEveryEngine('oauth4webapi', (engine, test) => {
  let world: World;
  let issuer: URL;
  let as: oauth.AuthorizationServer;
  test.before(async () => {
    world = await openWorld(engine);
    issuer = new URL(world.on.url);
    as = await discover('oauth2');
  });
  test.after(() => world.stop());

  const discover = async (algorithm: 'oauth2' | 'oidc') =>
    oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...LOCAL }));

  async function register(
    metadata: Partial<oauth.Client> = {},
  ): Promise<oauth.OmitSymbolProperties<oauth.Client>> {
    const wanted = { redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none', ...metadata };
    const answer = await oauth.dynamicClientRegistrationRequest(as, wanted, LOCAL);
    return oauth.processDynamicClientRegistrationResponse(answer);
  }

  /** Asks the human. @returns how to redeem what came back */
  async function authorize(client: oauth.Client, query: { scope: string; resource?: string }) {
    const verifier = oauth.generateRandomCodeVerifier();
    const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
    const url = new URL(as.authorization_endpoint!);
    url.search = new URLSearchParams({
      client_id: client.client_id,
      redirect_uri: REDIRECT,
      response_type: 'code',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      ...(query.scope.startsWith('openid') && { nonce }),
      ...query,
    }).toString();
    const params = oauth.validateAuthResponse(as, client, await approve(world.human, url), state);
    return { params, verifier, nonce };
  }

  type Asked = Awaited<ReturnType<typeof authorize>>;

  const redeem = (
    client: oauth.Client,
    auth: oauth.ClientAuth,
    { params, verifier }: Asked,
    resource?: string,
  ) =>
    oauth.authorizationCodeGrantRequest(as, client, auth, params, REDIRECT, verifier, {
      ...LOCAL,
      ...(resource !== undefined && { additionalParameters: { resource } }),
    });

  test('finds the service both ways, with the same endpoints', async (t) => {
    const openid = await discover('oidc');
    for (const [name, value] of Object.entries(as)) t.deepEqual(openid[name], value, name);
    t.is(as.authorization_response_iss_parameter_supported, true);
    t.deepEqual(as.code_challenge_methods_supported, ['S256']);
  });

  test('finds the service from the metadata of the MCP server', async (t) => {
    const url = new URL(world.mcpUrl);
    const answer = await oauth.resourceDiscoveryRequest(url, LOCAL);
    const metadata = await oauth.processResourceDiscoveryResponse(url, answer);
    t.deepEqual(metadata.authorization_servers, [world.on.url]);
  });

  test('a code with PKCE and a nonce gets a token and an ID token whose signature it checks', async (t) => {
    const client = await register();
    const asked = await authorize(client, { scope: 'openid email read', resource: world.mcpUrl });
    const answer = await redeem(client, oauth.None(), asked, world.mcpUrl);
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, {
      expectedNonce: asked.nonce,
      requireIdToken: true,
    });
    await oauth.validateApplicationLevelSignature(as, answer, LOCAL);
    t.is(oauth.getValidatedIdTokenClaims(tokens)!.aud, client.client_id);
    t.true(await world.api.isActive(tokens.access_token));
  });

  test('userinfo says who it is to a token of OpenID scopes', async (t) => {
    const client = await register();
    const asked = await authorize(client, { scope: 'openid email' });
    const answer = await redeem(client, oauth.None(), asked);
    const options = { expectedNonce: asked.nonce, requireIdToken: true };
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, options);
    const { sub } = oauth.getValidatedIdTokenClaims(tokens)!;
    const info = await oauth.userInfoRequest(as, client, tokens.access_token, LOCAL);
    t.like(await oauth.processUserInfoResponse(as, client, sub, info), { sub, email_verified: true });
  });

  test('refreshes, has the token introspected and revokes it', async (t) => {
    const client = await register();
    const asked = await authorize(client, { scope: 'read', resource: world.mcpUrl });
    const first = await oauth.processAuthorizationCodeResponse(
      as,
      client,
      await redeem(client, oauth.None(), asked, world.mcpUrl),
    );
    const tokens = await oauth.processRefreshTokenResponse(
      as,
      client,
      await oauth.refreshTokenGrantRequest(as, client, oauth.None(), first.refresh_token!, LOCAL),
    );
    t.not(tokens.refresh_token, first.refresh_token);
    const { clientId, clientSecret } = world.api;
    const api = { client_id: clientId };
    const introspect = async () => {
      const auth = oauth.ClientSecretBasic(clientSecret);
      const answer = await oauth.introspectionRequest(as, api, auth, tokens.access_token, LOCAL);
      return oauth.processIntrospectionResponse(as, api, answer);
    };
    t.like(await introspect(), { active: true, client_id: client.client_id, aud: world.mcpUrl });
    const gone = await oauth.revocationRequest(as, client, oauth.None(), tokens.refresh_token!, LOCAL);
    t.is(await oauth.processRevocationResponse(gone), undefined);
    t.deepEqual(await introspect(), { active: false });
  });

  for (const [method, authenticate] of Object.entries({
    client_secret_basic: oauth.ClientSecretBasic,
    client_secret_post: oauth.ClientSecretPost,
  })) {
    test(`a client with a secret authenticates by ${method}`, async (t) => {
      const client = await register({ token_endpoint_auth_method: method });
      const asked = await authorize(client, { scope: 'read', resource: world.mcpUrl });
      const answer = await redeem(client, authenticate(String(client.client_secret)), asked);
      const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer);
      t.is(tokens.scope, 'read');
    });
  }

  test('an API that wants signed tokens gets one by RFC 9068', async (t) => {
    const client = await register();
    const asked = await authorize(client, { scope: 'read', resource: SIGNED_API });
    const answer = await redeem(client, oauth.None(), asked, SIGNED_API);
    const { access_token } = await oauth.processAuthorizationCodeResponse(as, client, answer);
    const request = new Request(SIGNED_API, { headers: { Authorization: `Bearer ${access_token}` } });
    const claims = await oauth.validateJwtAccessToken(as, request, SIGNED_API, LOCAL);
    t.like(claims, { client_id: client.client_id, scope: 'read' });
  });

  test('what the human declines comes back as an error of the service, by its name', async (t) => {
    const client = await register();
    const url = new URL(as.authorization_endpoint!);
    url.search = new URLSearchParams({
      client_id: client.client_id,
      redirect_uri: REDIRECT,
      response_type: 'code',
      code_challenge: await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier()),
      code_challenge_method: 'S256',
      scope: 'read',
    }).toString();
    const page = await world.human.get(url.href);
    const back = await world.human.post(page.path, { decision: 'deny' });
    const error = t.throws(
      () => oauth.validateAuthResponse(as, client, new URL(back.path), oauth.expectNoState),
      {
        instanceOf: oauth.AuthorizationResponseError,
      },
    );
    t.is(error?.error, 'access_denied');
  });
});
