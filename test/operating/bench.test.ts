import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { here, withBench } from '../../bench/bench.ts';
import { test } from '../helpers/suite.ts';

async function assertGone(
  t: ExecutionContext,
  { pid, port, folder }: { pid: number; port: number; folder: string },
) {
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'its server has ended');
  await t.throwsAsync(fetch(`http://127.0.0.1:${port}/`), undefined, 'nobody listens at its port');
  t.false(existsSync(folder), 'its files are gone');
}

test('a measurement that fails in the middle leaves no process, no port and no file behind, and the next one runs', async (t) => {
  for (let run = 0; run < 2; run += 1) {
    let left: { pid: number; port: number; folder: string } | undefined;
    const failing = withBench(async (bench) => {
      const { process: child, port } = await bench.start([here('baseline.ts')], {}, '/');
      left = { pid: child.pid!, port, folder: bench.folder };
      await bench.load(`http://127.0.0.1:${port}/`, 'post', 1, { connections: 2 });
      throw new Error('in the middle');
    });
    await t.throwsAsync(failing, { message: /in the middle/ });
    await assertGone(t, left!);
  }
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`a measurement that ${signal} interrupts leaves nothing behind`, async (t) => {
    const script = fileURLToPath(new URL('../helpers/endless-bench.ts', import.meta.url));
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [printed] = (await once(child.stdout, 'data')) as [Buffer];
    child.kill(signal);
    const [code] = await once(child, 'close');
    t.is(code, 1);
    await assertGone(t, JSON.parse(printed.toString()));
  });
}

test('an answer that is no 2xx ends the measurement with its body', async (t) => {
  let count = 0;
  const refusing = createServer((request, response) => {
    request.resume();
    count += 1;
    response.writeHead(count > 20 ? 503 : 200).end(count > 20 ? 'no more for now' : 'yes');
  }).listen(0, '127.0.0.1');
  await once(refusing, 'listening');
  const { port } = refusing.address() as AddressInfo;
  try {
    const measured = withBench((bench) =>
      bench.load(`http://127.0.0.1:${port}/`, 'post', 20, { connections: 2 }).then(() => undefined),
    );
    await t.throwsAsync(measured, { message: /answered 503: no more for now/ });
  } finally {
    refusing.close();
    refusing.closeAllConnections();
  }
});

test('a server that ends before it answers ends the measurement with what it said', async (t) => {
  const started = withBench(async (bench) => {
    const script = join(bench.folder, 'broken.mjs');
    writeFileSync(script, `console.error('the port is taken'); process.exit(70);`);
    await bench.start([script], {}, '/');
  });
  await t.throwsAsync(started, { message: /did not start:\nthe port is taken/ });
});
