import { Client, CrossAppAccessProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import * as oauth from 'oauth4webapi';
import { createClient } from '../../src/domain/apps/create-client.ts';
import { localOrigin } from '../../src/work.ts';
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

  test('the SDK 2.x calls a tool as the user for whom the provider speaks', async (t) => {
    const client = await create();
    const email = newMailbox();
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
    const result: Any = await mcp.callTool({ name: 'list_apps', arguments: {} });
    await mcp.close();
    t.true(Array.isArray(JSON.parse(result.content[0].text)));
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
});
