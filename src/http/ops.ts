import { createServer, type Server } from 'node:http';
import type { Deps } from '../deps.ts';
import { canOpenAllSecretMarks, UNREADABLE_SECRET_MESSAGE } from '../domain/codes/secret-marks.ts';
import { hasDiskSpace, takesWrites } from '../domain/jobs/readiness.ts';
import { countOutboxBacklog } from '../domain/mail/deliver.ts';
import { type Connections, serializeRequests, TIMEOUTS } from './server/connections.ts';
import { readRequestTarget } from './server/request-target.ts';

/**
 * The operator's listener, apart from the public one: /metrics (Prometheus), /livez (the process runs), /readyz (it can serve:
 * the database takes writes, its disk has room, it reads what its siblings write, and it is not shutting down).
 */
export function createOpsServer(
  deps: Deps,
  isDraining: () => boolean,
): { server: Server; connections: Connections } {
  const server = createServer(TIMEOUTS);
  const connections = serializeRequests(server, async (request, response) => {
    const { status, type, text } = await answer(readRequestTarget(request.url ?? '/').path);
    response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(text);
  });
  return { server, connections };

  async function answer(path: string): Promise<{ status: number; type: string; text: string }> {
    const plain = 'text/plain; charset=utf-8';
    switch (path) {
      case '/livez':
        return { status: 200, type: plain, text: 'ok\n' };
      case '/readyz': {
        if (isDraining()) return { status: 503, type: plain, text: 'shutting down\n' };
        if (!hasDiskSpace(deps)) {
          const text = 'the disk of the database is almost full (DISK_FREE_MIN), or its folder is gone\n';
          return { status: 503, type: plain, text };
        }
        if (!(await hasSecrets(deps)))
          return { status: 503, type: plain, text: `${UNREADABLE_SECRET_MESSAGE}\n` };
        return (await takesWrites(deps))
          ? { status: 200, type: plain, text: 'ok\n' }
          : { status: 503, type: plain, text: 'the database takes no writes\n' };
      }
      case '/metrics': {
        const waiting = await countOutboxBacklog(deps).catch(() => undefined);
        if (waiting !== undefined) deps.metrics.mailsWaiting.set(waiting.waiting);
        const { registry } = deps.metrics;
        return { status: 200, type: registry.contentType, text: await registry.metrics() };
      }
      default:
        return { status: 404, type: plain, text: 'There are /metrics, /livez and /readyz here.\n' };
    }
  }
}

/** A database that is away is told of as such. */
async function hasSecrets({ keyring, db, clock }: Deps): Promise<boolean> {
  return canOpenAllSecretMarks(keyring, db, clock()).catch(() => true);
}
