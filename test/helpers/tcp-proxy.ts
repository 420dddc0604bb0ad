import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A wire to a server that can be cut, or go dead without anybody being told. */
export interface TcpProxy {
  port: number;
  /** Refuses new connections and cuts those there are. */
  cut(): Promise<void>;
  /** Carries nothing more in either direction, but closes nothing. */
  freeze(): void;
  /** Carries again: after `cut` on the same port, after `freeze` what has piled up. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

export async function startTcpProxy(to: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  let isFrozen = false;

  function carry(near: Socket): void {
    const far = connect(to);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('data', (chunk) => other.write(chunk));
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      if (isFrozen) one.pause();
    }
  }

  async function open(): Promise<void> {
    server = createServer(carry).listen(port, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  }

  async function cut(): Promise<void> {
    const closing = server;
    if (closing === undefined) return;
    server = undefined;
    const closed = once(closing, 'close');
    closing.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  await open();
  return {
    port,
    cut,
    freeze() {
      isFrozen = true;
      for (const socket of sockets) socket.pause();
    },
    async mend() {
      isFrozen = false;
      for (const socket of sockets) socket.resume();
      if (server === undefined) await open();
    },
    close: cut,
  };
}
