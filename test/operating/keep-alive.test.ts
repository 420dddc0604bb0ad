import { loadConfig } from '../../src/config/load.ts';
import { openKeepAlive } from '../helpers/keep-alive-client.ts';
import { startTestService, TEST_SECRET } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const PUBLIC = { PUBLIC_URL: 'https://id.example.com', SMTP_URL: 'smtp://mail.example.com' };
const load = (env: Record<string, string> = {}) => loadConfig({ SECRET: TEST_SECRET, ...env });

test.describe('connections that are kept', (test) => {
  test('without a proxy one is kept for five seconds, behind one longer than any balancer keeps its own', async (t) => {
    for (const [env, seconds] of [
      [{}, 5],
      [{ TRUST_PROXY: '1' }, 620],
      [{ TRUST_PROXY: '2', KEEP_ALIVE_TIMEOUT: '75' }, 75],
    ] as const) {
      const on = await startTestService('sqlite', { env });
      t.teardown(() => on.stop());
      const client = await openKeepAlive(t, Number(new URL(on.url).port));
      const { headers } = await client.ask('GET', '/llms.txt');
      t.is(headers.get('keep-alive'), `timeout=${seconds}`, JSON.stringify(env));
    }
  });

  test('KEEP_ALIVE_TIMEOUT says after how many seconds an idle one ends; what came before it ended is answered', async (t) => {
    const on = await startTestService('sqlite', { env: { TRUST_PROXY: '1', KEEP_ALIVE_TIMEOUT: '1' } });
    t.teardown(() => on.stop());
    const client = await openKeepAlive(t, Number(new URL(on.url).port));
    for (let times = 0; times < 3; times += 1) {
      t.is((await client.ask('GET', '/llms.txt')).status, 200);
    }
    const idleSince = performance.now();
    await client.closed;
    const idleMs = performance.now() - idleSince;
    t.true(idleMs > 950 && idleMs < 4000, `${idleMs} ms`);
  });

  test('settings that are wrong are named', (t) => {
    for (const [name, max, wrong] of [
      ['KEEP_ALIVE_TIMEOUT', '1 to 3900', ['0', '-1', '1.5', '65s', '3901', 'off']],
      ['DRAIN_DELAY', '0 to 300', ['-1', '0.5', '5s', '301', 'none']],
    ] as const) {
      for (const value of wrong) {
        t.throws(() => load({ [name]: value }), {
          message: `${name} must be a whole number from ${max}.`,
        });
      }
    }
  });

  test('a service that is to stop serves on for five seconds where balancers look at it, and not on this machine', (t) => {
    t.is(load().drainDelayMs, 0);
    t.is(load(PUBLIC).drainDelayMs, 5000);
    t.is(load({ ...PUBLIC, DRAIN_DELAY: '0' }).drainDelayMs, 0);
    t.is(load({ DRAIN_DELAY: '12' }).drainDelayMs, 12_000);
  });
});
