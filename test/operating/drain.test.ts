import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { Failure } from '../../src/errors.ts';
import { localOrigin } from '../../src/work.ts';
import { createRevocationFeedHub } from '../../src/workers/revocation-feed-hub.ts';
import { type KeepAliveClient, openKeepAlive } from '../helpers/keep-alive-client.ts';
import { type Served, serve, spawnServe } from '../helpers/served.ts';
import { basic, createTestDatabase, type Engine, startTestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

const REGISTRATION = { type: 'anonymous' };

async function served(
  t: ExecutionContext,
  engine: Engine,
  env: Record<string, string> = {},
): Promise<Served> {
  const database = await createTestDatabase(engine);
  t.teardown(() => database.drop());
  return serve(t, { DATABASE_URL: database.url, ...env });
}

async function terminate(server: Served): Promise<void> {
  server.child.kill('SIGTERM');
  await server.says(/"signal":"SIGTERM"/);
}

async function readiness(server: Served): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${server.opsPort}/readyz`);
  await response.text();
  return response.status;
}

/** Asks again and again on one connection, until an answer says that it was the last. */
async function askUntilClosed(
  t: ExecutionContext,
  client: KeepAliveClient,
  method: string,
  path: string,
  body?: object,
  onAnswer: () => void = () => {},
): Promise<void> {
  for (;;) {
    const reply = await client.ask(method, path, body);
    t.is(reply.status, 200, reply.text);
    onAnswer();
    if (reply.headers.get('connection') === 'close') return client.closed;
  }
}

/** Whether a new connection is taken. */
async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

onEveryEngine('a drain', (engine, test) => {
  test('clients that post on kept connections without a pause lose no request: each gets a last answer that says close', async (t) => {
    const server = await served(t, engine);
    const clients = await Promise.all(Array.from({ length: 24 }, () => openKeepAlive(t, server.port)));
    let answered = 0;
    const onAnswer = () => {
      answered += 1;
      if (answered === 100) server.child.kill('SIGTERM');
    };
    await Promise.all(
      clients.map((client) => askUntilClosed(t, client, 'POST', '/agent/auth', REGISTRATION, onAnswer)),
    );
    t.deepEqual(await server.ended, [0, null]);
  });

  test('connections that the system had taken before the signal are served, however many wait', async (t) => {
    const server = await served(t, engine);
    const clients = await Promise.all(Array.from({ length: 150 }, () => openKeepAlive(t, server.port)));
    server.child.kill('SIGTERM');
    await Promise.all(clients.map((client) => askUntilClosed(t, client, 'GET', '/llms.txt')));
    t.deepEqual(await server.ended, [0, null]);
  });

  test('a connection that is idle when the signal comes is answered one more request, and then closed', async (t) => {
    const server = await served(t, engine);
    const clients = await Promise.all(Array.from({ length: 16 }, () => openKeepAlive(t, server.port)));
    for (const client of clients) t.is((await client.ask('GET', '/llms.txt')).status, 200);
    await terminate(server);
    t.is(await readiness(server), 503);
    const deadline = performance.now() + 30_000;
    while (await isOpen(server.port)) t.true(performance.now() < deadline, 'the port stays open');
    await Promise.all(
      clients.map(async (client, index) => {
        await sleep(index * 80);
        const reply = await client.ask('POST', '/agent/auth', REGISTRATION);
        t.is(reply.status, 200, reply.text);
        t.is(reply.headers.get('connection'), 'close');
        await client.closed;
      }),
    );
    t.deepEqual(await server.ended, [0, null]);
  });

  test('a connection on which a request has begun to arrive is idle no longer, and is answered', async (t) => {
    const server = await served(t, engine);
    const client = await openKeepAlive(t, server.port);
    t.is((await client.ask('GET', '/llms.txt')).status, 200);
    const idle = await openKeepAlive(t, server.port);
    await terminate(server);
    client.socket.write('GET /llms.txt HTTP/1.1\r\nHost: loc');
    await idle.closed; // what is idle has had its time
    let received = '';
    client.socket.on('data', (chunk) => {
      received += chunk;
    });
    client.socket.write('alhost\r\n\r\n');
    await client.closed;
    t.regex(received, /^HTTP\/1\.1 200 /);
    t.regex(received, /^connection: close\r$/im);
    t.deepEqual(await server.ended, [0, null]);
  });

  test('connections that ask nothing, also such as never did, hold the end up for three seconds at most', async (t) => {
    const server = await served(t, engine);
    const used = await openKeepAlive(t, server.port);
    t.is((await used.ask('GET', '/llms.txt')).status, 200);
    const unused = await openKeepAlive(t, server.port);
    await terminate(server);
    const startedAt = performance.now();
    await Promise.all([used.closed, unused.closed]);
    t.deepEqual(await server.ended, [0, null]);
    t.true(performance.now() - startedAt < 4000, `${performance.now() - startedAt} ms`);
  });

  test('for DRAIN_DELAY seconds it serves everybody while it says that it is not ready; then the port closes', async (t) => {
    const server = await served(t, engine, { DRAIN_DELAY: '2' });
    const kept = await openKeepAlive(t, server.port);
    t.is((await kept.ask('GET', '/llms.txt')).status, 200);
    const startedAt = performance.now();
    await terminate(server);
    let taken = 0;
    while (performance.now() - startedAt < 1700) {
      t.is(await readiness(server), 503);
      const reply = await (await openKeepAlive(t, server.port)).ask('POST', '/agent/auth', REGISTRATION);
      t.is(reply.status, 200, reply.text);
      t.is(reply.headers.get('connection'), 'close', 'the next one goes elsewhere');
      taken += 1;
      await sleep(100);
    }
    t.true(taken > 3, String(taken));
    t.is((await kept.ask('POST', '/agent/auth', REGISTRATION)).status, 200);
    t.deepEqual(await server.ended, [0, null]);
    t.true(performance.now() - startedAt >= 2000);
  });

  test('a resource server that follows is let go, and told at once to come back elsewhere', async (t) => {
    const on = await startTestService(engine);
    const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'API',
      scopes: undefined,
    });
    const controller = new AbortController();
    t.teardown(() => controller.abort());
    const response = await fetch(`${on.url}/resource/events`, {
      headers: { ...basic(server.id, secret), Accept: 'text/event-stream' },
      signal: controller.signal,
    });
    const reader = response.body!.getReader();
    let told = Buffer.from((await reader.read()).value ?? '').toString();
    const stopped = on.stop();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      told += Buffer.from(read.value).toString();
    }
    await stopped;
    t.regex(told, /^retry: 1000$/m);
  });

  test('no resource server begins to follow once the service is about to end', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const { server } = await addResourceServer(on.service.deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'API',
      scopes: undefined,
    });
    const hub = createRevocationFeedHub(on.service.deps);
    hub.stop();
    const refused = await t.throwsAsync<Failure>(hub.follow(server, undefined, { notify() {}, end() {} }), {
      instanceOf: Failure,
    });
    t.is(refused.kind, 'unavailable');
  });
});

test('a signal before it serves ends the start at once, also where no default action would', async (t) => {
  const database = await createTestDatabase('sqlite');
  t.teardown(() => database.drop());
  // A database server that takes the connection and says nothing: the start waits.
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as { port: number };
  const child = spawnServe({ DATABASE_URL: `postgres://x:y@127.0.0.1:${port}/z`, PORT: '0' });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const [held] = (await once(silent, 'connection')) as [Socket];
  held.on('error', () => {});
  child.kill('SIGTERM');
  // As a code and not as a signal: a first process of a container has no default action for signals.
  t.deepEqual(await ended, [143, null]);
});
