import type { IncomingMessage } from 'node:http';
import { type Address, isAddress, parseAddress } from '../../lib/address.ts';

/**
 * The address that a request is counted by: that of the socket or, behind proxies of the operator's own, the n-th that they
 * wrote, counted from the right. What stands left of it is hearsay. Where that one cannot be read, or the two headers contradict
 * each other, it is the socket's: a bucket for all that is unreadable would let one client shut out all others in it.
 *
 * @param trustedProxies TRUST_PROXY: how many proxies of the operator's stand in front
 */
export function clientAddress(
  request: Pick<IncomingMessage, 'headersDistinct' | 'socket'>,
  trustedProxies: number,
): Address {
  const socketAddress = request.socket.remoteAddress;
  if (trustedProxies === 0) return parseAddress(socketAddress);
  const { 'x-forwarded-for': listed, forwarded } = request.headersDistinct;
  const found = [
    ...(listed === undefined ? [] : [readAddress(splitList(listed.join(',')).at(-trustedProxies))]),
    ...(forwarded === undefined ? [] : [readAddress(forNodes(forwarded.join(','))?.at(-trustedProxies))]),
  ];
  const [first] = found;
  return parseAddress(found.every((each) => each === first) ? (first ?? socketAddress) : socketAddress);
}

/** The members of a list, without the empty ones (RFC 9110 section 5.6.1). */
function splitList(text: string): string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
// A value is a token or quoted; unquoted ones with colons and brackets are read, too.
const PAIR = `(${TOKEN})=("(?:[^"\\\\]|\\\\.)*"|[^\\s;,"]+)`;
const ELEMENT = new RegExp(`^[\\t ]*(?:${PAIR})?(?:[\\t ]*;[\\t ]*(?:${PAIR})?)*[\\t ]*(?:,|$)`);

/**
 * The `for` of each element of a Forwarded header (RFC 7239 section 4); `unknown` where an element has none.
 *
 * @returns undefined for what is no such header
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
 * The address in what a proxy wrote: plain, with a port, in brackets, in quotes (RFC 7239 section 6).
 *
 * @returns undefined for a hidden (`_gazonk`) or unknown one, and for whatever else is no address
 */
function readAddress(node: string | undefined): string | undefined {
  const bare = node?.replace(/^"(.*)"$/, (_, quoted: string) => quoted.replace(/\\(.)/g, '$1')).trim();
  if (bare === undefined || bare.length > 64) return undefined;
  const bracketed = /^\[([^\]]+)\](?::(?:[0-9]{1,5}|_[\w.-]+))?$/.exec(bare)?.[1];
  const withPort = /^([0-9.]+):(?:[0-9]{1,5}|_[\w.-]+)$/.exec(bare)?.[1];
  const text = (bracketed ?? withPort ?? bare).replace(/%[\w.-]+$/, ''); // the zone of a link-local address
  return isAddress(text) ? parseAddress(text).text : undefined;
}
