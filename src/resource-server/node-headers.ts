import type { IncomingMessage } from 'node:http';
import type { Guard } from './guard.ts';

/**
 * Returns the function by which a guard reads the headers of a Node request. It reads Authorization from `rawHeaders`: `headers`
 * keeps only the first of two, and `headersDistinct` builds an object of all headers.
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
