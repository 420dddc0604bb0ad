import { type Api, addApi } from '../helpers/api.ts';
import { type App, askFor, getCode, newHuman } from '../helpers/app-client.ts';
import { type ClientHost, startClientHost } from '../helpers/client-host.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/**
 * Clients as they are out there: what each of them sends to register, or publishes, and at which redirect it wants its
 * code. Each gets through the whole flow.
 */

interface KnownClient {
  /** How it becomes known: it registers, or publishes a document. */
  by: 'registration' | 'document';
  metadata: Record<string, unknown>;
  /** Where it wants its code; a port of its own on this computer counts. */
  redirects: readonly string[];
}

const CODE_AND_REFRESH = ['authorization_code', 'refresh_token'];
const PUBLIC = {
  token_endpoint_auth_method: 'none',
  response_types: ['code'],
  grant_types: CODE_AND_REFRESH,
};

const CLIENTS: Record<string, KnownClient> = {
  'Claude on the web': {
    by: 'registration',
    metadata: {
      client_name: 'Claude',
      redirect_uris: ['https://claude.ai/api/mcp/auth_callback', 'https://claude.com/api/mcp/auth_callback'],
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: CODE_AND_REFRESH,
      response_types: ['code'],
      scope: 'read write claudeai',
      client_uri: null,
      logo_uri: null,
      contacts: null,
    },
    redirects: ['https://claude.ai/api/mcp/auth_callback', 'https://claude.com/api/mcp/auth_callback'],
  },
  'Claude Code, which publishes': {
    by: 'document',
    metadata: {
      client_name: 'Claude Code',
      redirect_uris: ['http://localhost/callback', 'http://127.0.0.1/callback'],
      ...PUBLIC,
    },
    redirects: ['http://localhost:3118/callback', 'http://127.0.0.1:51234/callback'],
  },
  'Claude Code, which registers': {
    by: 'registration',
    metadata: {
      client_name: 'Claude Code (api)',
      redirect_uris: ['http://localhost:55731/callback'],
      ...PUBLIC,
    },
    redirects: ['http://localhost:55731/callback'],
  },
  ChatGPT: {
    by: 'registration',
    metadata: {
      client_name: 'ChatGPT',
      redirect_uris: ['https://chatgpt.com/connector_platform_oauth_redirect'],
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: CODE_AND_REFRESH,
      response_types: ['code'],
      policy_uri: '',
      tos_uri: '',
    },
    redirects: ['https://chatgpt.com/connector_platform_oauth_redirect'],
  },
  'VS Code': {
    by: 'registration',
    metadata: {
      client_name: 'Visual Studio Code',
      client_uri: 'https://code.visualstudio.com',
      redirect_uris: [
        'https://insiders.vscode.dev/redirect',
        'https://vscode.dev/redirect',
        'http://127.0.0.1/',
        'http://127.0.0.1:33418/',
      ],
      token_endpoint_auth_method: 'none',
      response_types: ['code'],
      grant_types: [...CODE_AND_REFRESH, 'urn:ietf:params:oauth:grant-type:device_code'],
      application_type: 'native',
    },
    redirects: ['https://vscode.dev/redirect', 'http://127.0.0.1:33418/', 'http://127.0.0.1:60123/'],
  },
  Cursor: {
    by: 'registration',
    metadata: {
      client_name: 'Cursor',
      redirect_uris: ['cursor://anysphere.cursor-retrieval/oauth/user-abc/callback'],
      ...PUBLIC,
    },
    redirects: ['cursor://anysphere.cursor-retrieval/oauth/user-abc/callback'],
  },
  'MCP Inspector': {
    by: 'registration',
    metadata: {
      client_name: 'MCP Inspector',
      client_uri: 'https://github.com/modelcontextprotocol/inspector',
      redirect_uris: ['http://localhost:6274/oauth/callback', 'http://localhost:6274/oauth/callback/debug'],
      scope: 'read',
      ...PUBLIC,
    },
    redirects: ['http://localhost:6274/oauth/callback', 'http://localhost:6274/oauth/callback/debug'],
  },
  'mcp-remote': {
    by: 'registration',
    metadata: {
      client_name: 'MCP CLI Proxy',
      client_uri: 'https://github.com/modelcontextprotocol/mcp-cli',
      redirect_uris: ['http://localhost:3335/oauth/callback'],
      software_id: '2e6dc280-f3c3-4e01-99a7-8181dbd1d23d',
      software_version: '0.15.1',
      ...PUBLIC,
    },
    redirects: ['http://localhost:3335/oauth/callback', 'http://localhost:49150/oauth/callback'],
  },
  'the Python SDK': {
    by: 'registration',
    metadata: {
      client_name: 'Python client',
      redirect_uris: ['http://localhost:3030/callback'],
      grant_types: [...CODE_AND_REFRESH, 'client_credentials'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      scope: null,
      jwks: null,
      jwks_uri: null,
    },
    redirects: ['http://localhost:3030/callback'],
  },
  opencode: {
    by: 'document',
    metadata: {
      client_name: 'opencode',
      application_type: 'native',
      redirect_uris: ['http://127.0.0.1:19876/mcp/oauth/callback'],
      ...PUBLIC,
    },
    redirects: ['http://127.0.0.1:19876/mcp/oauth/callback', 'http://127.0.0.1:20000/mcp/oauth/callback'],
  },
  'one that says as little as it may': {
    by: 'registration',
    metadata: { redirect_uris: ['https://app.example/cb'] },
    redirects: ['https://app.example/cb'],
  },
  'one that says web and means this computer': {
    by: 'document',
    metadata: {
      application_type: 'web',
      redirect_uris: ['http://[::1]/cb', 'com.example.app:/cb'],
      ...PUBLIC,
    },
    redirects: ['http://[::1]:9999/cb', 'com.example.app:/cb'],
  },
};

onEveryEngine('known clients', (engine, test) => {
  let on: TestService;
  let api: Api;
  let host: ClientHost;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
    host = await startClientHost();
    host.connect(on);
  });
  test.after(async () => {
    host.stop();
    await on.stop();
  });

  async function makeKnown(name: string, { by, metadata }: KnownClient): Promise<App> {
    if (by === 'document') {
      const path = `/${encodeURIComponent(name)}.json`;
      const clientId = host.publish(path, { client_id: host.urlOf(path), ...metadata });
      return { clientId, secret: undefined, registered: {} };
    }
    const { body } = await on.post('/oauth2/register', metadata);
    return { clientId: body.client_id, secret: body.client_secret, registered: body };
  }

  for (const [name, client] of Object.entries(CLIENTS)) {
    test(`${name}: by ${client.by}, with consent, tokens, refresh and its own redirects`, async (t) => {
      const app = await makeKnown(name, client);
      if (client.by === 'registration') {
        const { registered } = app;
        t.true(Number.isInteger(registered.client_id_issued_at), JSON.stringify(registered));
        t.is(registered.client_secret_expires_at, app.secret === undefined ? undefined : 0);
        t.deepEqual(registered.redirect_uris, client.metadata.redirect_uris);
        t.false(Object.values(registered).some((value) => value === null || value === ''));
        t.regex(registered.client_id, /^[A-Za-z0-9_-]+$/);
        t.regex(registered.client_secret ?? 'none', /^[A-Za-z0-9_-]+$/);
      }
      const { browser } = await newHuman(on);
      for (const redirect_uri of client.redirects) {
        const query = { scope: 'read', resource: api.resource, redirect_uri };
        const got = await getCode(on, app, { query, browser });
        const isBasic = app.registered.token_endpoint_auth_method === 'client_secret_basic';
        const secret: Record<string, string> =
          app.secret === undefined || isBasic ? {} : { client_secret: app.secret };
        const headers = isBasic ? basic(app.clientId, app.secret!) : {};
        const form = (more: Record<string, string>) =>
          on.form(
            '/oauth2/token',
            { ...(isBasic ? {} : { client_id: app.clientId }), ...secret, ...more },
            headers,
          );
        const reply = await form({
          grant_type: 'authorization_code',
          code: got.code,
          redirect_uri,
          code_verifier: got.asked.verifier,
          resource: api.resource,
        });
        t.is(reply.status, 200, `${redirect_uri}: ${reply.text}`);
        t.true(await api.isActive(reply.body.access_token), redirect_uri);
        const next = await form({ grant_type: 'refresh_token', refresh_token: reply.body.refresh_token });
        t.is(next.status, 200, next.text);
      }
      const credentials = { grant_type: 'client_credentials', client_id: app.clientId };
      const alone = await on.form('/oauth2/token', { ...credentials, client_secret: app.secret ?? '' });
      t.true([400, 401].includes(alone.status), alone.text);
      t.is(
        (await browser.get(askFor(app, { scope: 'read', redirect_uri: 'https://evil.example/' }).path))
          .status,
        400,
      );
    });
  }

  const REFUSED = [
    'http://app.example/cb',
    'http://10.0.0.1/cb',
    'http://localhost.evil.example/cb',
    'http://127.0.0.1.evil.example/cb',
    'https://app.example/cb#',
    'https://app.example/cb#x',
    'http://localhost/cb#x',
    'https://user:x@app.example/cb',
    'https://app.example/../cb',
    'https://app.example/a/..;/cb',
    'https://app.example/%2E%2e/cb',
    'https://app.example\\.evil.example/cb',
    'https://app.example/c b',
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'data:text/html,<script>',
    'DATA:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://app.example/x',
    'about:blank',
    '//app.example/cb',
    '/cb',
    'cb',
  ];
  for (const by of ['registration', 'document'] as const) {
    test(`no redirect leads astray, by ${by}: not beside a right one either`, async (t) => {
      const { browser } = await newHuman(on);
      for (const [index, uri] of REFUSED.entries()) {
        for (const redirect_uris of [[uri], ['https://app.example/cb', uri]]) {
          const metadata = { redirect_uris, token_endpoint_auth_method: 'none' };
          if (by === 'registration') {
            const { status, body } = await on.post('/oauth2/register', metadata);
            t.deepEqual([status, body.error], [400, 'invalid_redirect_uri'], uri);
            continue;
          }
          const app = await makeKnown(`wrong ${index} ${redirect_uris.length}`, {
            by,
            metadata,
            redirects: [],
          });
          const redirect_uri = redirect_uris[0]!;
          const page = await browser.get(askFor(app, { scope: 'read', redirect_uri }).path);
          t.is(page.status, 400, uri);
          t.true(page.path.startsWith('/oauth2/authorize?'), uri);
        }
      }
    });
  }
});
