import type { IncomingMessage } from 'node:http';
import type { Guard } from './guard.ts';

/**
 * The headers of a Node request, as a guard asks for them. Authorization is read from the raw ones: Node keeps only the first of
 * two, and makes an object of all of them for whoever asks for one.
 */
export function headersOf(request: IncomingMessage): Parameters<Guard>[0] {
  return (name) => (name === 'authorization' ? authorizationOf(request.rawHeaders) : request.headers[name]);
}

function authorizationOf(rawHeaders: readonly string[]): string | readonly string[] | undefined {
  let first: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue;
    if (first !== undefined) return [first, rawHeaders[index + 1]!];
    first = rawHeaders[index + 1];
  }
  return first;
}
