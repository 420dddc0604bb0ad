import { once } from 'node:events';
import type { Server } from 'node:http';
import { ConfigError } from '../../errors.ts';

/**
 * Listens on a port, and resolves once the socket is bound.
 *
 * @param prefix the prefix of the settings that a failure names
 * @throws ConfigError naming `PORT` or `HOST`, with the prefix
 */
export async function listen(server: Server, port: number, host: string, prefix: '' | 'OPS_'): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening'); // rejects with the error of an 'error' event
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const [portName, hostName] = [`${prefix}PORT`, `${prefix}HOST`];
    const messages: Record<string, string> = {
      EADDRINUSE: `${portName}: another process listens at port ${port} of ${host} already.`,
      EACCES: `${portName}: this user may not listen at port ${port} of ${host}. Ports from 1024 are for everybody.`,
      EADDRNOTAVAIL: `${hostName}: ${host} is no address of this machine.`,
      ENOTFOUND: `${hostName}: ${host} is not known. Name an address of this machine.`,
      EAI_AGAIN: `${hostName}: ${host} cannot be looked up. Name an address of this machine.`,
    };
    const message =
      messages[code ?? ''] ?? `${hostName}, ${portName}: cannot listen at port ${port} of ${host} (${code}).`;
    throw new ConfigError(message, { cause: error });
  }
}
