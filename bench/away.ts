import { connect, createServer, type Socket } from 'node:net';

/** Puts a port of this machine some way off: what comes at PORT reaches the port TO so many ms later, and the answers, too. */
const { PORT = '', TO = '', DELAY_MS = '' } = process.env;

function pass(from: Socket, to: Socket): void {
  from.on('data', (chunk) => setTimeout(() => to.writable && to.write(chunk), Number(DELAY_MS)));
  from.on('close', () => setTimeout(() => to.end(), Number(DELAY_MS)));
  from.on('error', () => to.destroy());
}

createServer({ noDelay: true }, (near) => {
  const far = connect({ host: '127.0.0.1', port: Number(TO), noDelay: true });
  pass(near, far);
  pass(far, near);
}).listen(Number(PORT), '127.0.0.1');
