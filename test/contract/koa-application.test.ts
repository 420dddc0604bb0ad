import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import Koa from 'koa';
import { createApp } from '../../src/app.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the Koa application', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  test('it mounts into another Koa application, beside routes of its own', async (t) => {
    const vouchsafe = createApp(on.service.deps, {
      devMailbox: undefined,
      follow: async () => () => {},
      isDraining: () => false,
    }).callback();
    const host = new Koa();
    host.use((ctx) => {
      if (ctx.path === '/mine') {
        ctx.body = 'mine';
        return;
      }
      ctx.respond = false;
      return vouchsafe(ctx.req, ctx.res);
    });
    const server = createServer(host.callback()).listen(0, '127.0.0.1');
    t.teardown(() => server.close());
    await once(server, 'listening');
    const url = `http://localhost:${(server.address() as AddressInfo).port}`;
    const headers = { 'Content-Type': 'application/json' };

    t.is(await (await fetch(`${url}/mine`)).text(), 'mine');
    const registered = await fetch(`${url}/agent/auth`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ type: 'anonymous' }),
    });
    t.is(registered.status, 200);
    const { credential } = ((await registered.json()) as { data: { credential: string } }).data;
    const me = await fetch(`${url}/api/me`, { headers: { Authorization: `Bearer ${credential}` } });
    t.is(me.status, 200);
    const wrong = await fetch(`${url}/agent/auth`, { method: 'POST', headers, body: '{' });
    t.deepEqual(
      [wrong.status, ((await wrong.json()) as { error: { code: string } }).error.code],
      [400, 'invalid_json'],
    );
    t.is((await fetch(`${url}/nothing`)).status, 404);
  });

  test('a hundred clients that hang up in the middle leave no line of an error in the log', async (t) => {
    const before = on.logged.length;
    const port = Number(new URL(on.url).port);
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const socket = connect(port, 'localhost');
        await once(socket, 'connect');
        const body = index % 2 === 0 ? '{"type":' : '{"type":"anonymous"}';
        socket.write(
          `POST /agent/auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n${body}`,
        );
        socket.resetAndDestroy();
        await once(socket, 'close');
      }),
    );
    t.is((await on.get('/auth.md')).status, 200);
    const errors = on.logged.slice(before).filter((line) => JSON.parse(line).level >= 50);
    t.deepEqual(errors, []);
  });

  test('the parts of a path are taken as they are written: an encoded NUL finds nothing, and no error', async (t) => {
    const { credential } = await on.claimed('paths@example.com');
    for (const id of ['%00', 'key_%00', '%2e%2e', 'key_0%2Fx', '%E0%A4%A']) {
      t.is((await on.del(`/api/tokens/${id}`, credential)).status, 404, id);
    }
  });
});
