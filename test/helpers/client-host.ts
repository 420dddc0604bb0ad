import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSafeFetch } from '../../src/lib/safe-fetch.ts';
import { createStrangerFetch } from '../../src/lib/stranger-fetch.ts';
import { selfSignedCertificate } from './certificate.ts';
import type { TestService } from './service.ts';

/** A host in the internet where clients publish their documents. */
export interface ClientHost {
  /** The URL of a document. */
  urlOf(path: string): string;
  /** What a path answers from now on. */
  publish(path: string, document: unknown, headers?: Record<string, string>, status?: number): string;
  /** Makes a path answer only once the returned function is called. */
  hold(path: string): () => void;
  /** The paths that were asked for. */
  asked: string[];
  /** Lets a service reach it: by the real fetch, but for the name and the last step to the network. */
  connect(on: TestService, failureMs?: number): void;
  stop(): void;
}

const NAME = 'client.example';
const HERE = { address: '127.0.0.1', family: 4 };

/** Starts one. Any other name leads into a private network. */
export async function startClientHost(): Promise<ClientHost> {
  const { key, cert } = selfSignedCertificate(NAME);
  const answers = new Map<string, { text: string; headers: Record<string, string>; status: number }>();
  const held = new Map<string, Promise<void>>();
  const asked: string[] = [];
  const server = https.createServer({ key, cert }, async (request, response) => {
    const path = request.url!;
    asked.push(path);
    await held.get(path);
    const { text, headers, status } = answers.get(path) ?? { text: '{}', headers: {}, status: 404 };
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const urlOf = (path: string) => `https://${NAME}${path}`;
  const safeFetch = createSafeFetch({
    resolve: async (name) => [name === NAME ? { address: '93.184.216.34', family: 4 } : HERE],
    request: (url, options) =>
      https.request(url, {
        ...options,
        ca: cert,
        port,
        lookup: (_host, { all }, done) => (all ? done(null, [HERE]) : done(null, HERE.address, 4)),
      }),
  });
  return {
    urlOf,
    asked,
    publish(path, document, headers = {}, status = 200) {
      const text = typeof document === 'string' ? document : JSON.stringify(document);
      answers.set(path, { text, headers, status });
      return urlOf(path);
    },
    hold(path) {
      const { promise, resolve } = Promise.withResolvers<void>();
      held.set(path, promise);
      return resolve;
    },
    connect(on, failureMs = 20) {
      on.service.deps.fetchFromStranger = createStrangerFetch(safeFetch, { failureMs });
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
