import { Client, CrossAppAccessProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import * as oauth from 'oauth4webapi';
import { createClient } from '../../src/domain/apps/create-client.ts';
import { localOrigin } from '../../src/work.ts';
import { newHuman } from '../helpers/app-client.ts';
import { newMailbox } from '../helpers/common.ts';
import { type FakeIssuer, startFakeIssuer } from '../helpers/issuer.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorld, type World } from './world.ts';

/** Enterprise-managed authorization of MCP: the identity provider of an organization decides, and nobody is asked. */

const LOCAL = { [oauth.allowInsecureRequests]: true } as const;
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

// biome-ignore lint/suspicious/noExplicitAny: its types are stricter than what it sends
type Any = any;

onEveryEngine('cross app access', (engine, test) => {
  let provider: FakeIssuer;
  let world: World;
  test.before(async () => {
    provider = await startFakeIssuer({ clock: Date.now });
    world = await openWorld(engine, { trustedIssuers: [provider.entry()] });
  });
  test.after(async () => {
    await world.stop();
    await provider.stop();
  });

  async function create() {
    const { client, secret } = await createClient(world.on.service.deps, localOrigin('test'), {
      name: 'Wiki',
      redirectUris: [],
      authMethod: 'client_secret_basic',
      grantTypes: [JWT_BEARER],
      scopes: undefined,
    });
    return { clientId: client.id, clientSecret: secret! };
  }

  /** Connects as the user with a mailbox, and lists the apps of the example. */
  async function listApps(client: Awaited<ReturnType<typeof create>>, email: string): Promise<Any> {
    const authProvider = new CrossAppAccessProvider({
      ...client,
      expectedIssuer: world.on.url,
      assertion: async ({ authorizationServerUrl, resourceUrl, scope }: Any) =>
        provider.idJag({
          claims: {
            sub: email,
            email,
            aud: authorizationServerUrl,
            client_id: client.clientId,
            resource: resourceUrl,
            scope,
          },
        }),
    } as Any);
    const mcp = new Client({ name: 'wiki', version: '1' });
    await mcp.connect(new StreamableHTTPClientTransport(new URL(world.mcpUrl), { authProvider }));
    const result: Any = await mcp.callTool({ name: 'list_my_apps', arguments: {} });
    await mcp.close();
    return JSON.parse(result.content[0].text);
  }

  test('the SDK 2.x calls a tool as the user for whom the provider speaks', async (t) => {
    t.true(Array.isArray(await listApps(await create(), newMailbox())));
  });

  test('the SDK 2.x says where somebody who has an account lets the provider in, and then it goes on', async (t) => {
    const client = await create();
    const { browser, mailbox } = await newHuman(world.on);
    const error: Any = await t.throwsAsync(listApps(client, mailbox));
    t.is(error.code, 'interaction_required');
    const path = new URL(error.errorUri).pathname;
    t.true((await browser.get(path)).text.includes('Let Fake Provider connect apps?'));
    await browser.post(path, { decision: 'allow' });
    t.true(Array.isArray(await listApps(client, mailbox)));
  });

  test('oauth4webapi sees the profile in the metadata, and exchanges an assertion', async (t) => {
    const { clientId, clientSecret } = await create();
    const issuer = new URL(world.on.url);
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...LOCAL });
    const as = await oauth.processDiscoveryResponse(issuer, found);
    t.deepEqual(as.authorization_grant_profiles_supported, ['urn:ietf:params:oauth:grant-profile:id-jag']);
    const email = newMailbox();
    const claims = { sub: email, email, aud: world.on.url, client_id: clientId };
    const client: oauth.Client = { client_id: clientId };
    const answer = await oauth.genericTokenEndpointRequest(
      as,
      client,
      oauth.ClientSecretBasic(clientSecret),
      JWT_BEARER,
      { assertion: provider.idJag({ claims }), resource: world.mcpUrl, scope: 'read' },
      LOCAL,
    );
    const tokens = await oauth.processGenericTokenEndpointResponse(as, client, answer);
    t.is(tokens.refresh_token, undefined);
    t.true(await world.api.isActive(tokens.access_token));
  });

  test('oauth4webapi exchanges an assertion that is bound to its key, and gets a token that is bound, too', async (t) => {
    const { clientId, clientSecret } = await create();
    const issuer = new URL(world.on.url);
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...LOCAL });
    const as = await oauth.processDiscoveryResponse(issuer, found);
    const client: oauth.Client = { client_id: clientId };
    const proof = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
    const email = newMailbox();
    const cnf = { jkt: await proof.calculateThumbprint() };
    const claims = { sub: email, email, aud: world.on.url, client_id: clientId, cnf };
    const exchange = (options: object) =>
      oauth.genericTokenEndpointRequest(
        as,
        client,
        oauth.ClientSecretBasic(clientSecret),
        JWT_BEARER,
        { assertion: provider.idJag({ claims }), resource: world.mcpUrl },
        { ...LOCAL, ...options },
      );
    const unproven = await oauth
      .processGenericTokenEndpointResponse(as, client, await exchange({}))
      .catch((e) => e);
    t.is(unproven.error, 'invalid_grant');
    const tokens = await oauth.processGenericTokenEndpointResponse(
      as,
      client,
      await exchange({ DPoP: proof }),
    );
    t.is(tokens.token_type, 'dpop');
  });
});
