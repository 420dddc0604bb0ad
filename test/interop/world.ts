import { startMcpServer } from '../../examples/mcp-server/server.ts';
import { endClient } from '../../src/domain/apps/clients.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { newHuman } from '../helpers/app-client.ts';
import type { Browser } from '../helpers/browser.ts';
import { startWith } from '../helpers/configured-service.ts';
import { ensure } from '../helpers/ensure.ts';
import { freePort } from '../helpers/free-port.ts';
import type { Engine, TestService } from '../helpers/service.ts';

/** The service, the example of an MCP server beside it, and a human who approves. */
export interface World {
  on: TestService;
  /** The MCP server, as the service knows it. */
  api: Api;
  /** The URL that a person adds to their MCP client. */
  mcpUrl: string;
  /** Signed in. */
  human: Browser;
  /** Ends a client, as the service ends those that nobody uses. */
  forget(clientId: string): Promise<void>;
  stop(): Promise<void>;
}

/** An API that wants signed tokens. */
export const SIGNED_API = 'https://signed.example.com';

/** Starts all of it. @param file members of the configuration file */
export async function openWorld(engine: Engine, file: object = {}): Promise<World> {
  const resources = [{ url: SIGNED_API, name: 'Signed', tokens: 'jwt' }];
  const on = await startWith({ resources, ...file }, {}, engine);
  const port = await freePort();
  const mcpUrl = `http://localhost:${port}/mcp`;
  const api = await addApi(on, mcpUrl, undefined, true);
  const { clientId, clientSecret, resource } = api;
  const { stop } = await startMcpServer({ issuer: on.url, resource, clientId, clientSecret, port });
  const { browser: human } = await newHuman(on);
  return {
    on,
    api,
    mcpUrl,
    human,
    forget: (clientId) =>
      useCase(on.service.deps, localOrigin('test'), {}, (work) => endClient(work, clientId)),
    async stop() {
      await stop();
      await on.stop();
    },
  };
}

/**
 * Opens an authorization URL as a human would, and approves.
 *
 * @param boxes those that the human ticks; default: all on the page
 * @returns the URL of the app to which this leads
 */
export async function approve(
  human: Browser,
  authorizationUrl: URL | string,
  boxes?: readonly string[],
): Promise<URL> {
  const page = await human.get(String(authorizationUrl));
  if (!page.path.startsWith('/authorize/')) {
    ensure(page.status === 303, page.text);
    return new URL(page.path);
  }
  const all = [...page.text.matchAll(/<input type="checkbox" name="([^"]+)"/g)].map(([, name]) => name!);
  const ticked = Object.fromEntries((boxes ?? all).map((name) => [name, 'on']));
  const back = await human.post(page.path, { ...ticked, decision: 'approve' });
  ensure(back.status === 303, back.text);
  return new URL(back.path);
}
