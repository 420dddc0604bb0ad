import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { here, withBench } from '../../bench/bench.ts';

async function assertGone({ pid, port, folder }: { pid: number; port: number; folder: string }) {
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'its server has ended');
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'nobody listens at its port');
  assert.equal(existsSync(folder), false, 'its files are gone');
}

test('a measurement that fails in the middle leaves no process, no port and no file behind, and the next one runs', async () => {
  for (let run = 0; run < 2; run += 1) {
    let left: { pid: number; port: number; folder: string } | undefined;
    const failing = withBench(async (bench) => {
      const { process: child, port } = await bench.start([here('baseline.ts')], {}, '/');
      left = { pid: child.pid!, port, folder: bench.folder };
      await bench.load(`http://127.0.0.1:${port}/`, 'post', 1, { connections: 2 });
      throw new Error('in the middle');
    });
    await assert.rejects(failing, /in the middle/);
    await assertGone(left!);
  }
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`a measurement that ${signal} interrupts leaves nothing behind`, async () => {
    const script = fileURLToPath(new URL('../helpers/endless-bench.ts', import.meta.url));
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [printed] = (await once(child.stdout, 'data')) as [Buffer];
    child.kill(signal);
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    await assertGone(JSON.parse(printed.toString()));
  });
}

test('an answer that is no 2xx ends the measurement with its body', async () => {
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
    await assert.rejects(measured, /answered 503: no more for now/);
  } finally {
    refusing.close();
    refusing.closeAllConnections();
  }
});

test('a server that ends before it answers ends the measurement with what it said', async () => {
  const started = withBench(async (bench) => {
    const script = join(bench.folder, 'broken.mjs');
    writeFileSync(script, `console.error('the port is taken'); process.exit(70);`);
    await bench.start([script], {}, '/');
  });
  await assert.rejects(started, /did not start:\nthe port is taken/);
});
