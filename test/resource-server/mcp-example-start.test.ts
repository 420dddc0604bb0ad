import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { addResourceServer, listResourceServers } from '../../src/domain/audiences/resource-servers.ts';
import { until } from '../helpers/api.ts';
import { asker } from '../helpers/api-keys.ts';
import { BARE_ENVIRONMENT } from '../helpers/bare-environment.ts';
import { freePort } from '../helpers/free-port.ts';
import { startTestService, TEST_SECRET } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** `npm run example:mcp`, as the documents have it. */
onEveryEngine('the example of an MCP server, started beside the service', (engine, test) => {
  test('makes itself known as one that understands workspaces, also where it was known before', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const port = await freePort();
    const resource = `http://localhost:${port}/mcp`;
    // Of a version that knew no workspaces.
    const input = { url: resource, name: 'Example MCP server', scopes: undefined };
    const { server } = await addResourceServer(on.service.deps, asker, input);
    for (let round = 0; round < 2; round += 1) {
      const child = spawn(
        process.execPath,
        ['--conditions=vouchsafe-source', 'examples/mcp-server/server.ts'],
        {
          cwd: ROOT,
          env: {
            ...BARE_ENVIRONMENT,
            DATABASE_URL: on.database.url,
            SECRET: TEST_SECRET,
            ISSUER: on.url,
            PORT: String(port),
          },
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      const ended = once(child, 'exit');
      const ask = () => fetch(resource, { method: 'POST', headers: { Connection: 'close' } });
      await until(() =>
        ask().then(
          ({ status }) => status === 401,
          () => child.exitCode !== null,
        ),
      );
      t.is(child.exitCode, null);
      child.kill();
      await ended;
    }
    const known = await listResourceServers(on.service.deps);
    t.deepEqual(
      known.map(({ id, understandsWorkspaces }) => [id, understandsWorkspaces]),
      [[server.id, true]],
    );
  });
});
