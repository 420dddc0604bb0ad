import type { IncomingMessage } from 'node:http';
import { type Address, isAddress, parseAddress } from '../../lib/address.ts';

/**
 * Determines the client address of a request (S-105): the address of the socket or, behind trusted proxies, the n-th
 * entry from the right of X-Forwarded-For or Forwarded. A client can forge all entries to the left of it.
 *
 * If that entry is unreadable, or the two headers contradict each other, the address of the socket counts. One bucket
 * for all unreadable addresses would let one client exhaust the limits of the others.
 *
 * @param trustedProxies TRUST_PROXY: how many proxies of the operator are in front of the service
 */
export function clientAddress(
  request: Pick<IncomingMessage, 'headersDistinct' | 'socket'>,
  trustedProxies: number,
): Address {
  const socketAddress = request.socket.remoteAddress;
  if (trustedProxies === 0) return parseAddress(socketAddress);
  const { 'x-forwarded-for': forwardedFor, forwarded } = request.headersDistinct;
  const found = [
    ...(forwardedFor === undefined
      ? []
      : [readAddress(splitList(forwardedFor.join(',')).at(-trustedProxies))]),
    ...(forwarded === undefined ? [] : [readAddress(forNodes(forwarded.join(','))?.at(-trustedProxies))]),
  ];
  const [first] = found;
  return parseAddress(found.every((each) => each === first) ? (first ?? socketAddress) : socketAddress);
}

/** Splits a list into its non-empty elements (RFC 9110 section 5.6.1). */
function splitList(text: string): string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
// RFC 7239 section 4 wants a token or a quoted string; unquoted values with colons and brackets are accepted too.
const PAIR = `(${TOKEN})=("(?:[^"\\\\]|\\\\.)*"|[^\\s;,"]+)`;
const ELEMENT = new RegExp(`^[\\t ]*(?:${PAIR})?(?:[\\t ]*;[\\t ]*(?:${PAIR})?)*[\\t ]*(?:,|$)`);

/**
 * Reads the `for` parameter of each element of a Forwarded header (RFC 7239 section 4); `unknown` for an element
 * without one.
 *
 * @returns undefined when the header is malformed
 */
function forNodes(text: string): string[] | undefined {
  const nodes: string[] = [];
  for (let rest = text; rest !== ''; ) {
    const element = ELEMENT.exec(rest)?.[0];
    if (element === undefined || element === '') return undefined;
    rest = rest.slice(element.length);
    const pairs = [...element.matchAll(new RegExp(PAIR, 'g'))];
    const node = pairs.find(([, name]) => name!.toLowerCase() === 'for')?.[2];
    if (pairs.length > 0) nodes.push(node ?? 'unknown');
  }
  return nodes;
}

/**
 * Reads the address of a node identifier: plain, with a port, in brackets or in quotes (RFC 7239 section 6).
 *
 * @returns undefined for an obfuscated (`_gazonk`) or `unknown` identifier, and for any other text that is no address
 */
function readAddress(node: string | undefined): string | undefined {
  const bare = node?.replace(/^"(.*)"$/, (_, quoted: string) => quoted.replace(/\\(.)/g, '$1')).trim();
  if (bare === undefined || bare.length > 64) return undefined;
  const bracketed = /^\[([^\]]+)\](?::(?:[0-9]{1,5}|_[\w.-]+))?$/.exec(bare)?.[1];
  const withPort = /^([0-9.]+):(?:[0-9]{1,5}|_[\w.-]+)$/.exec(bare)?.[1];
  const text = (bracketed ?? withPort ?? bare).replace(/%[\w.-]+$/, ''); // the zone of a link-local address
  return isAddress(text) ? parseAddress(text).text : undefined;
}
