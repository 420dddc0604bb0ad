import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/lib/log.ts';
import { startService } from '../../src/main.ts';

/**
 * A service in a process of its own, whose memory can be measured: asked by a message, it collects garbage and answers with the
 * bytes that it holds, and those that the system has given it. Run with --expose-gc.
 */
const log = createLog('silent');
const service = await startService(loadConfig(process.env), { log });
process.on('message', async () => {
  // What is closed lets go of its memory a moment after it was collected.
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc!();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  const sockets = process.getActiveResourcesInfo().filter((each) => each === 'TCPSocketWrap').length;
  process.send!({ rss, held: heapUsed + external, connections: sockets });
});
process.on('disconnect', () => void service.stop());
process.send!({ port: service.port });
