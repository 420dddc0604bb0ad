import { openKeepAlive } from '../helpers/keep-alive-client.ts';
import { serve } from '../helpers/served.ts';
import { createTestDatabase } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';

test('a database that does not answer any more does not hold up the end', async (t) => {
  const database = await createTestDatabase('postgres');
  t.teardown(() => database.drop());
  const url = new URL(database.url);
  const wire = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  t.teardown(() => wire.close());
  url.port = String(wire.port);
  const server = await serve(t, { DATABASE_URL: url.href });
  const client = await openKeepAlive(t, server.port);
  const registered = await client.ask('POST', '/agent/auth', { type: 'anonymous' });
  t.is(registered.status, 200, registered.text);
  wire.freeze();
  const startedAt = performance.now();
  server.child.kill('SIGTERM');
  t.deepEqual(await server.ended, [0, null]);
  t.true(performance.now() - startedAt < 20_000, `${performance.now() - startedAt} ms`);
});
