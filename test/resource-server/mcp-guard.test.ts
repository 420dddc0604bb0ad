import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createPolicy } from '../../src/resource-server/index.ts';
import { createMcpGuard, createSessionOwners, type McpGuardOptions } from '../../src/resource-server/mcp.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

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

onEveryEngine('the guard of an MCP server', (engine) => {
  let on: TestService;
  let api: Api;
  let reader: string;
  let writer: string;
  before(async () => {
    on = await startTestService(engine);
    api = await addApi(on, RESOURCE);
    reader = (await on.register()).credential;
    writer = (await on.claimed('mcp@example.com')).credential;
  });
  after(() => on.stop());

  /** Asks with a key and further headers. */
  function asking(options: Partial<McpGuardOptions> = {}) {
    const guard = createMcpGuard({ verifier: api.verifier(), policy, ...options });
    return (key: string | undefined, body?: unknown, headers: Record<string, string> = {}) => {
      const all: Record<string, string> = { ...headers, ...(key && { authorization: `Bearer ${key}` }) };
      return guard((name) => all[name], body);
    };
  }
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  const refused = (decision: any) => {
    assert.ok(!('token' in decision), 'it was let in');
    return {
      status: decision.status,
      error: decision.body.error,
      id: decision.body.id,
      headers: decision.headers,
    };
  };

  test('without a key it is 401 with -32001 and the challenge, whatever was asked', async () => {
    const ask = asking();
    for (const body of [rpc('tools/list'), call('change'), undefined, 'nonsense']) {
      const { status, error, headers } = refused(await ask(undefined, body));
      assert.deepEqual([status, error.code, error.message], [401, -32001, 'credentials required']);
      assert.match(error.data.message, /^A key is required: .+ as \S+\/auth\.md describes\.$/);
      assert.match(headers['WWW-Authenticate'], new RegExp(`^Bearer resource_metadata="${METADATA}"`));
    }
    const { status, error } = refused(await ask('sk_nobody', rpc('tools/list', 3)));
    assert.deepEqual([status, error.code, error.data], [401, -32001, { error: 'invalid_token' }]);
  });

  test('a tool whose scope is missing is 403 with a challenge that names the scope, before it runs', async () => {
    const ask = asking();
    for (const body of [call('change'), call('records', { action: 'insert' })]) {
      const { status, error, id, headers } = refused(await ask(reader, body));
      assert.deepEqual([status, error.code, id], [403, -32003, 7]);
      assert.deepEqual(error.data, { error: 'forbidden', reason: 'missing_scope', scope: 'write' });
      assert.match(headers['WWW-Authenticate'], /error="insufficient_scope".*scope="write"$/);
    }
    assert.ok('token' in (await ask(reader, call('look'))));
    assert.ok('token' in (await ask(reader, call('records', { action: 'query' }))));
    assert.ok('token' in (await ask(writer, call('change'))));
  });

  test('what no scope would change is an answer with the reason, in JSON-RPC', async () => {
    const { status, error } = refused(await asking()(writer, call('gone')));
    assert.deepEqual([status, error.code, error.data.reason], [200, -32003, 'endpoint_forbidden']);
  });

  test('in a batch one refused call refuses all', async () => {
    const { error, id } = refused(await asking()(reader, [call('look', {}, 1), call('change', {}, 2)]));
    assert.deepEqual([error.data.reason, id], ['missing_scope', 2]);
  });

  test('what is no JSON-RPC is 400 with -32600, and never an exception', async () => {
    const ask = asking();
    for (const body of ['x', 7, null, [], {}, { method: 'tools/list' }, [rpc('a'), 1], call(7), call({})]) {
      const { status, error } = refused(await ask(reader, body));
      assert.deepEqual([status, error.code], [400, -32600], JSON.stringify(body));
    }
    assert.ok(
      'token' in (await ask(reader, { jsonrpc: '2.0', id: 1, result: {} })),
      'an answer of the client',
    );
    assert.ok('token' in (await ask(reader, { ...call('look'), params: { name: 'look', arguments: null } })));
  });

  test('where switched on, the protocol version is required after initialization', async () => {
    const ask = asking({ requireProtocolVersion: true });
    assert.deepEqual(refused(await ask(reader, rpc('tools/list'))).error.code, -32600);
    assert.ok('token' in (await ask(reader, rpc('initialize'))));
    assert.ok('token' in (await ask(reader, rpc('tools/list'), { 'mcp-protocol-version': '2025-11-25' })));
  });

  test('a session belongs to who opened it: for others it is not there, and what needs one is refused', async () => {
    const sessions = createSessionOwners();
    const ask = asking({ sessions });
    const opened = await ask(writer, rpc('initialize'));
    assert.ok('token' in opened);
    sessions.opened('s-1', opened.token);
    const mine = { 'mcp-session-id': 's-1' };
    const [own, foreign] = [
      await ask(writer, rpc('tools/list'), mine),
      await ask(reader, rpc('tools/list'), mine),
    ];
    assert.ok('token' in own && own.sessionId === 's-1');
    assert.ok('token' in foreign && foreign.sessionId === undefined);
    for (const method of ['resources/subscribe', 'resources/unsubscribe', 'tasks/get']) {
      assert.ok('token' in (await ask(writer, rpc(method), mine)), method);
      const { status, error } = refused(await ask(reader, rpc(method), mine));
      assert.deepEqual([status, error.code], [400, -32600], method);
      assert.match(error.message, /^Mcp-Session-Id required/);
    }
    sessions.closed('s-1');
    assert.equal(refused(await ask(writer, rpc('resources/subscribe'), mine)).status, 400);
  });

  test('while nobody can say it is 503 with Retry-After', async () => {
    const ask = asking({ verifier: api.verifier({ issuer: 'http://localhost:1' }) });
    const { status, error, headers } = refused(await ask(writer, rpc('tools/list')));
    assert.deepEqual([status, error.code, headers['Retry-After']], [503, -32603, '1']);
  });
});
