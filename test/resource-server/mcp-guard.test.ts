import type { ExecutionContext } from 'ava';
import { createPolicy } from '../../src/resource-server/index.ts';
import { createMcpGuard, createSessionOwners, type McpGuardOptions } from '../../src/resource-server/mcp.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const RESOURCE = 'https://mcp.example.com/mcp';
const METADATA = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp';

const policy = createPolicy({
  scopes: { read: {}, write: { implies: ['read'] } },
  tools: {
    look: 'read',
    change: 'write',
    records: { argument: 'action', scopes: { query: 'read', insert: 'write' } },
  },
  kinds: { anonymous: ['look', 'change', 'records'], personal: ['look'] },
  deny: ['gone'],
});
const call = (name: unknown, args: object = {}, id: string | number = 7) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});
const rpc = (method: string, id = 1) => ({ jsonrpc: '2.0', id, method });

onEveryEngine('the guard of an MCP server', (engine, test) => {
  let on: TestService;
  let api: Api;
  let reader: string;
  let writer: string;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on, RESOURCE);
    reader = (await on.register()).credential;
    writer = (await on.claimed('mcp@example.com')).credential;
  });
  test.after(() => on.stop());

  /** Asks with a key and further headers. */
  function asking(options: Partial<McpGuardOptions> = {}) {
    const guard = createMcpGuard({ verifier: api.verifier(), policy, ...options });
    return (key: string | undefined, body?: unknown, headers: Record<string, string> = {}) => {
      const all: Record<string, string> = { ...headers, ...(key && { authorization: `Bearer ${key}` }) };
      return guard((name) => all[name], body);
    };
  }
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  const refused = (t: ExecutionContext, decision: any) => {
    t.false('token' in decision, 'it was let in');
    return {
      status: decision.status,
      error: decision.body.error,
      id: decision.body.id,
      headers: decision.headers,
    };
  };

  test('without a key it is 401 with -32001 and the challenge, whatever was asked', async (t) => {
    const ask = asking();
    for (const body of [rpc('tools/list'), call('change'), undefined, 'nonsense']) {
      const { status, error, headers } = refused(t, await ask(undefined, body));
      t.deepEqual([status, error.code, error.message], [401, -32001, 'credentials required']);
      t.regex(error.data.message, /^A key is required: .+ as \S+\/auth\.md describes\.$/);
      t.regex(headers['WWW-Authenticate'], new RegExp(`^Bearer resource_metadata="${METADATA}"`));
    }
    const { status, error } = refused(t, await ask('sk_nobody', rpc('tools/list', 3)));
    t.deepEqual([status, error.code, error.data], [401, -32001, { error: 'invalid_token' }]);
  });

  test('a header that contradicts the message is 400 with -32020: what stands between may have judged by it', async (t) => {
    const ask = asking();
    const version = '2026-07-28';
    const modern = (
      name: string,
      _meta: unknown = { 'io.modelcontextprotocol/protocolVersion': version },
    ) => ({
      ...call(name),
      params: { name, arguments: {}, _meta },
    });
    const right = { 'mcp-protocol-version': version, 'mcp-method': 'tools/call', 'mcp-name': 'look' };
    const wrong: [Record<string, string>, unknown][] = [
      [{ ...right, 'mcp-protocol-version': '2025-11-25' }, modern('look')],
      [{ 'mcp-method': 'tools/call' }, modern('look')],
      [{ ...right, 'mcp-method': 'tools/list' }, modern('look')],
      [right, modern('change')],
      [{ ...right, 'mcp-name': '=?base64?Y2hhbmdl?=' }, modern('look')],
      [right, modern('look', { 'io.modelcontextprotocol/protocolVersion': 7 })],
      [right, [modern('look'), modern('change')]],
    ];
    for (const [headers, body] of wrong) {
      const { status, error, id } = refused(t, await ask(writer, body, headers));
      t.deepEqual([status, error.code, id], [400, -32020, 7], JSON.stringify(headers));
    }
    const fine: [Record<string, string>, unknown][] = [
      [right, modern('look')],
      [{ ...right, 'mcp-name': '=?base64?bG9vaw==?=' }, modern('look')],
      [{ 'mcp-protocol-version': version }, modern('look')],
      // Clients of earlier revisions say nothing twice.
      [{ 'mcp-protocol-version': '2025-11-25' }, call('look')],
      ...[null, 'text', {}].map((meta): [Record<string, string>, unknown] => [right, modern('look', meta)]),
    ];
    for (const [headers, body] of fine)
      t.true('token' in (await ask(writer, body, headers)), JSON.stringify(body));
  });

  test('a tool whose scope is missing is 403 with a challenge that names the scope, before it runs', async (t) => {
    const ask = asking();
    for (const body of [call('change'), call('records', { action: 'insert' })]) {
      const { status, error, id, headers } = refused(t, await ask(reader, body));
      t.deepEqual([status, error.code, id], [403, -32003, 7]);
      t.deepEqual(error.data, { error: 'forbidden', reason: 'missing_scope', scope: 'write' });
      t.regex(headers['WWW-Authenticate'], /error="insufficient_scope".*scope="write"$/);
    }
    t.true('token' in (await ask(reader, call('look'))));
    t.true('token' in (await ask(reader, call('records', { action: 'query' }))));
    t.true('token' in (await ask(writer, call('change'))));
  });

  test('who has no key is told what to ask for in one consent; what is needed to get in stays less', async (t) => {
    const ask = asking({ scopes: ['read'], challengeScopes: ['read', 'write'] });
    for (const key of [undefined, 'sk_nobody']) {
      t.regex(refused(t, await ask(key)).headers['WWW-Authenticate'], /scope="read write"$/);
    }
    t.true('token' in (await ask(reader, call('look'))));
  });

  test('a web page calls from the origin of the server, or one that was named; programs send none', async (t) => {
    const ask = asking({ allowedOrigins: ['https://app.example'] });
    for (const origin of ['https://mcp.example.com', 'https://app.example']) {
      t.true('token' in (await ask(reader, call('look'), { origin })), origin);
    }
    for (const origin of ['https://evil.example', 'http://mcp.example.com', 'null']) {
      const { status, error } = refused(t, await ask(reader, call('look'), { origin }));
      t.deepEqual([status, error.code], [403, -32003], origin);
      t.is(refused(t, await ask(undefined, call('look'), { origin })).status, 403);
    }
  });

  test('what no scope would change is an answer with the reason, in JSON-RPC', async (t) => {
    const { status, error } = refused(t, await asking()(writer, call('gone')));
    t.deepEqual([status, error.code, error.data.reason], [200, -32003, 'endpoint_forbidden']);
  });

  test('in a batch one refused call refuses all', async (t) => {
    const { error, id } = refused(t, await asking()(reader, [call('look', {}, 1), call('change', {}, 2)]));
    t.deepEqual([error.data.reason, id], ['missing_scope', 2]);
  });

  test('what is no JSON-RPC is 400 with -32600, and never an exception', async (t) => {
    const ask = asking();
    for (const body of ['x', 7, null, [], {}, { method: 'tools/list' }, [rpc('a'), 1], call(7), call({})]) {
      const { status, error } = refused(t, await ask(reader, body));
      t.deepEqual([status, error.code], [400, -32600], JSON.stringify(body));
    }
    t.true('token' in (await ask(reader, { jsonrpc: '2.0', id: 1, result: {} })), 'an answer of the client');
    t.true('token' in (await ask(reader, { ...call('look'), params: { name: 'look', arguments: null } })));
  });

  test('where switched on, the protocol version is required after initialization', async (t) => {
    const ask = asking({ requireProtocolVersion: true });
    t.deepEqual(refused(t, await ask(reader, rpc('tools/list'))).error.code, -32600);
    t.true('token' in (await ask(reader, rpc('initialize'))));
    t.true('token' in (await ask(reader, rpc('tools/list'), { 'mcp-protocol-version': '2025-11-25' })));
  });

  test('a session belongs to who opened it: for others it is not there, and what needs one is refused', async (t) => {
    const sessions = createSessionOwners();
    const ask = asking({ sessions });
    const opened = await ask(writer, rpc('initialize'));
    if (!('token' in opened)) return t.fail('it was let in');
    sessions.opened('s-1', opened.token);
    const mine = { 'mcp-session-id': 's-1' };
    const [own, foreign] = [
      await ask(writer, rpc('tools/list'), mine),
      await ask(reader, rpc('tools/list'), mine),
    ];
    t.true('token' in own && own.sessionId === 's-1');
    t.true('token' in foreign && foreign.sessionId === undefined);
    for (const method of ['resources/subscribe', 'resources/unsubscribe', 'tasks/get']) {
      t.true('token' in (await ask(writer, rpc(method), mine)), method);
      const { status, error } = refused(t, await ask(reader, rpc(method), mine));
      t.deepEqual([status, error.code], [400, -32600], method);
      t.regex(error.message, /^Mcp-Session-Id required/);
    }
    sessions.closed('s-1');
    t.is(refused(t, await ask(writer, rpc('resources/subscribe'), mine)).status, 400);
  });

  test('while nobody can say it is 503 with Retry-After', async (t) => {
    const ask = asking({ verifier: api.verifier({ issuer: 'http://localhost:1' }) });
    const { status, error, headers } = refused(t, await ask(writer, rpc('tools/list')));
    t.deepEqual([status, error.code, headers['Retry-After']], [503, -32603, '1']);
  });
});
