import { connect } from 'node:net';

/**
 * Opens connections that send many requests ahead and read nothing, in a process of its own: `attacker.ts PORT CONNECTIONS REQUESTS`.
 * Says by a message when all is sent that is taken, and holds the connections until it is disconnected.
 */
const [port, connections, requests] = process.argv.slice(2).map(Number) as [number, number, number];
const ahead = 'GET /auth.md HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(requests);
await Promise.all(
  Array.from({ length: connections }, async () => {
    const socket = connect(port, '127.0.0.1');
    socket.pause();
    socket.on('error', () => {});
    await new Promise<void>((resolve) => {
      socket.once('connect', () => {
        socket.write(ahead);
        resolve();
      });
      socket.once('close', () => resolve());
    });
  }),
);
process.on('disconnect', () => process.exit());
process.send!({ sent: true });
