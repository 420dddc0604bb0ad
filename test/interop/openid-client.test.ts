import * as openid from 'openid-client';
import { onEveryEngine } from '../helpers/suite.ts';
import { approve, openWorld, type World } from './world.ts';

/** openid-client, with which web applications sign people in. */

const REDIRECT = 'https://app.example/callback';

onEveryEngine('openid-client', (engine, test) => {
  let world: World;
  let config: openid.Configuration;
  test.before(async () => {
    world = await openWorld(engine);
    config = await openid.dynamicClientRegistration(
      new URL(world.on.url),
      { client_name: 'Web application', redirect_uris: [REDIRECT] },
      undefined,
      { execute: [openid.allowInsecureRequests] },
    );
  });
  test.after(() => world.stop());

  async function signIn(query: Record<string, string>) {
    const [pkceCodeVerifier, expectedState, expectedNonce] = [
      openid.randomPKCECodeVerifier(),
      openid.randomState(),
      openid.randomNonce(),
    ];
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: REDIRECT,
      code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: expectedState,
      nonce: expectedNonce,
      ...query,
    });
    const back = await approve(world.human, url);
    return openid.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce });
  }

  test('finds the service, registers with a secret, and signs a human in', async (t) => {
    const tokens = await signIn({ scope: 'openid email' });
    const { sub } = tokens.claims()!;
    const info = await openid.fetchUserInfo(config, tokens.access_token, sub);
    t.is(info.sub, sub);
    t.true(info.email_verified);
  });

  test('renews and revokes a token for an API', async (t) => {
    const tokens = await signIn({ scope: 'openid read', resource: world.mcpUrl });
    const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token!);
    t.true(await world.api.isActive(renewed.access_token));
    await openid.tokenRevocation(config, renewed.refresh_token!);
    t.false(await world.api.isActive(renewed.access_token));
    const error = await t.throwsAsync(openid.refreshTokenGrant(config, renewed.refresh_token!), {
      instanceOf: openid.ResponseBodyError,
    });
    t.is(error?.error, 'invalid_grant');
  });
});
