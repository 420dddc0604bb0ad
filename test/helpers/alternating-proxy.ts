import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A load balancer: each request goes to the next of its services. */
export interface AlternatingProxy {
  url: string;
  /** How many requests each service got. */
  counts(): number[];
  close(): void;
}

/** Starts one. @param services where they listen; asked for each request, since they start after it */
export async function startAlternatingProxy(services: () => readonly string[]): Promise<AlternatingProxy> {
  const counts: number[] = [];
  let turn = 0;
  const server = createServer((incoming, outgoing) => {
    const targets = services();
    const index = turn % targets.length;
    turn += 1;
    counts[index] = (counts[index] ?? 0) + 1;
    const { hostname, port } = new URL(targets[index]!);
    const { method, url: path, rawHeaders: headers } = incoming;
    const forwarded = httpRequest({ hostname, port, method, path, headers, setHost: false }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    counts: () => counts,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
