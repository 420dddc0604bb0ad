import { once } from 'node:events';
import type { Server } from 'node:http';
import { ConfigError } from '../../errors.ts';

/** Ports that are listened at. */

/** @throws ConfigError naming `PORT` or `HOST`, with their prefix, where that is what keeps it from listening */
export async function listen(server: Server, port: number, host: string, prefix: '' | 'OPS_'): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening'); // rejects with what is emitted as 'error'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const [portName, hostName] = [`${prefix}PORT`, `${prefix}HOST`];
    const sentences: Record<string, string> = {
      EADDRINUSE: `${portName}: another process listens at port ${port} of ${host} already.`,
      EACCES: `${portName}: this user may not listen at port ${port} of ${host}. Ports from 1024 are for everybody.`,
      EADDRNOTAVAIL: `${hostName}: ${host} is no address of this machine.`,
      ENOTFOUND: `${hostName}: ${host} is not known. Name an address of this machine.`,
      EAI_AGAIN: `${hostName}: ${host} cannot be looked up. Name an address of this machine.`,
    };
    const sentence =
      sentences[code ?? ''] ??
      `${hostName}, ${portName}: cannot listen at port ${port} of ${host} (${code}).`;
    throw new ConfigError(sentence, { cause: error });
  }
}
