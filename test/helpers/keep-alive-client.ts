import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Reply } from './service.ts';
import { parseRaw } from './wire.ts';

/** One connection that is kept, on which requests follow each other; it never opens another. */
export interface KeepAliveClient {
  socket: Socket;
  /** Sends a request and reads its answer. Rejects where the connection ends without one: then the request is lost. */
  ask(method: string, path: string, body?: object): Promise<Reply>;
  /** When the server has closed the connection. */
  closed: Promise<void>;
}

export async function openKeepAlive(t: ExecutionContext, port: number): Promise<KeepAliveClient> {
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  let received = '';
  let onBytes: () => void = () => {};
  let failure: Error | undefined;
  socket.setEncoding('latin1').on('data', (chunk) => {
    received += chunk;
    onBytes();
  });
  socket.on('error', (error) => {
    failure = error;
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.once('close', () => onBytes());
  await once(socket, 'connect');

  return {
    socket,
    closed,
    ask(method, path, body) {
      const text = body === undefined ? '' : JSON.stringify(body);
      const type = body === undefined ? '' : 'Content-Type: application/json\r\n';
      received = '';
      return new Promise((resolve, reject) => {
        onBytes = () => {
          const end = received.indexOf('\r\n\r\n');
          const length = Number(/^content-length: (\d+)$/im.exec(received.slice(0, end))?.[1]);
          if (end !== -1 && received.length >= end + 4 + length) resolve(parseRaw(received));
          else if (socket.destroyed || socket.readableEnded) {
            reject(failure ?? new Error(`the connection ended without an answer: ${received}`));
          }
        };
        if (socket.destroyed || socket.readableEnded) return onBytes();
        socket.write(
          `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${type}Content-Length: ${text.length}\r\n\r\n${text}`,
        );
      });
    },
  };
}
