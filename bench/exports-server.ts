import { createServer } from 'node:http';
import { loadConfig } from '../src/config/load.ts';
import { createLog } from '../src/lib/log.ts';
import { startService } from '../src/main.ts';

/** Serves, and tells on METER_PORT how much memory it holds after a collection, in bytes as JSON. Run with --expose-gc. */
await startService(loadConfig(process.env), { log: createLog('fatal') });
createServer((_, response) => {
  globalThis.gc!();
  const { heapUsed, external } = process.memoryUsage();
  response.end(JSON.stringify({ held: heapUsed + external }));
}).listen(Number(process.env.METER_PORT), '127.0.0.1');
