import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';

/** A client address in the one form that limits, logs and mails use. */
export interface Address {
  /** IPv4 as it is (also when written as ::ffff:1.2.3.4); IPv6 in its shortest form. */
  text: string;
  /** What limits count by: the IPv4 address, or the IPv6 /64 that one host commands as a whole. */
  limitKey: string;
  /** What a mail may tell of where a request came from: IPv4 /16, IPv6 /32. */
  coarse: string;
}

const NOWHERE: Address = { text: 'unknown', limitKey: 'unknown', coarse: 'an unknown network' };

const recent = new LRUCache<string, Address>({ max: 1000 });

/** @param text an IP address as the socket or a trusted proxy wrote it; anything else is "unknown" */
export function parseAddress(text: string | undefined): Address {
  if (text === undefined || text.length > 64) return NOWHERE;
  const known = recent.get(text);
  if (known !== undefined) return known;
  const address = parse(text);
  recent.set(text, address);
  return address;
}

function parse(text: string): Address {
  if (!ipaddr.isValid(text)) return NOWHERE;
  const address = ipaddr.process(text);
  if (address instanceof ipaddr.IPv4) {
    const dotted = address.toString();
    const [first, second] = address.octets;
    return { text: dotted, limitKey: dotted, coarse: `${first}.${second}.x.x` };
  }
  const [a, b, c, d] = (address as ipaddr.IPv6).parts.map((part) => part.toString(16));
  return { text: address.toString(), limitKey: `${a}:${b}:${c}:${d}::/64`, coarse: `${a}:${b}::/32` };
}
