import { here, withBench } from '../../bench/bench.ts';

/** A measurement that never ends: prints where its server and its files are, as JSON. */
await withBench(async (bench) => {
  const server = await bench.start([here('baseline.ts')], {}, '/');
  console.log(JSON.stringify({ pid: server.process.pid, port: server.port, folder: bench.folder }));
  await new Promise(() => {});
});
