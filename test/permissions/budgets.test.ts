import { countOf } from '../helpers/ceremony.ts';
import { keyClient, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('budgets of permission requests', (engine, test) => {
  const started: TestService[] = [];
  async function start(limits: Record<string, string | number>): Promise<TestService> {
    const on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h', ...limits } });
    started.push(on);
    return on;
  }
  test.after(() => Promise.all(started.map((on) => on.stop())));
  const place = (path: string) => ({ permissions: [{ ...READ_DOCUMENTS, path }] });

  test('one address asks so often; what was asked already costs nothing', async (t) => {
    const on = await start({ permissionsPerIp: '2/h' });
    const agent = keyClient(on);
    const first = await agent.request(place('a/'));
    for (let count = 0; count < 5; count += 1) t.is((await agent.post(first)).status, 200);
    t.is((await agent.ask(place('b/'))).status, 200);
    const refused = await agent.ask(place('c/'));
    t.deepEqual([refused.status, refused.body.error.code], [429, 'rate_limited']);
    on.clock.advance(3601);
    t.is((await agent.ask(place('c/'))).status, 200);
  });

  test('an agent waits for so many decisions at once', async (t) => {
    const on = await start({ openPermissionRequests: 2 });
    const agent = keyClient(on);
    await agent.ask(place('a/'));
    await agent.ask(place('b/'));
    const refused = await agent.ask(place('c/'));
    t.deepEqual([refused.status, refused.body.error.code], [429, 'too_many_open']);
    t.is(await countOf(on, 'permission_requests'), 2);
  });

  test('keys that nobody knows register agents within the budget of registrations; terminals register none', async (t) => {
    const on = await start({ registerPerIp: '1/h' });
    t.is((await keyClient(on).ask()).status, 200);
    const refused = await keyClient(on).ask();
    t.deepEqual([refused.status, refused.body.error.code], [429, 'rate_limited']);
    t.is((await keyClient(on).ask({ permissions: undefined })).status, 200);
    t.is(await countOf(on, 'agents'), 1);
    t.is(await countOf(on, 'permission_requests'), 2);
  });

  test('of sixteen posts of one request at once, by a key that nobody knows, one registers an agent', async (t) => {
    const on = await start({});
    const agent = keyClient(on);
    const request = await agent.request();
    const replies = await Promise.all(Array.from({ length: 16 }, () => agent.post(request)));
    t.true(
      replies.every(({ status }) => status === 200),
      replies.map(({ status }) => status).join(),
    );
    t.is(new Set(replies.map(({ body }) => body.data.agent_id)).size, 1);
    t.is(await countOf(on, 'agents'), 1);
    t.is(await countOf(on, 'permission_requests'), 1);
  });
});
