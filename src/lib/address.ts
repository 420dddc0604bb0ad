import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';

/** A client address in the one form that limits, logs and mails use. */
export interface Address {
  /** IPv4 as it is, also where it is mapped or translated (::ffff:1.2.3.4, 64:ff9b::102:304); IPv6 in its shortest form. */
  text: string;
  /** What limits count by: the IPv4 address that is or is in it, or the IPv6 /64 that one host commands as a whole. */
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

/** Whether a text is an address: IPv4 in four decimal parts, or IPv6. */
export function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

function parse(text: string): Address {
  if (!isAddress(text)) return NOWHERE;
  const address = ipaddr.process(text);
  if (address instanceof ipaddr.IPv4) return ofIpv4(address);
  return ofIpv6(address as ipaddr.IPv6);
}

function ofIpv4(address: ipaddr.IPv4): Address {
  const dotted = address.toString();
  const [first, second] = address.octets;
  return { text: dotted, limitKey: dotted, coarse: `${first}.${second}.x.x` };
}

function ofIpv6(address: ipaddr.IPv6): Address {
  const text = address.toString();
  const groups = address.parts.map((part) => part.toString(16));
  const [a, b, c, d] = groups;
  const coarse = `${a}:${b}::/32`;
  switch (address.range()) {
    case 'rfc6145': // ::ffff:0:0:0/96, translated
    case 'rfc6052': // 64:ff9b::/96, NAT64: the network is that of the translator, the client is the IPv4 address
      return ofIpv4(ipv4Of(address, 6));
    // Whoever has the IPv4 address has 65,536 networks of 6to4 (RFC 3056 section 2).
    case '6to4':
      return { text, limitKey: ipv4Of(address, 1).toString(), coarse };
    // All clients of one server share their network; their IPv4 address stands inverted at the end (RFC 4380 section 4).
    case 'teredo':
      return { text, limitKey: ipv4Of(address, 6, 0xffff).toString(), coarse };
    default:
      // NAT64 of local use (RFC 8215): where the IPv4 address stands in it is the operator's own matter.
      if (a === '64' && b === 'ff9b' && c === '1') return { text, limitKey: text, coarse };
      return { text, limitKey: `${a}:${b}:${c}:${d}::/64`, coarse };
  }
}

/** The IPv4 address in two groups of an IPv6 address. @param mask what the bits are inverted by */
function ipv4Of({ parts }: ipaddr.IPv6, at: number, mask = 0): ipaddr.IPv4 {
  const [high, low] = [parts[at]! ^ mask, parts[at + 1]! ^ mask];
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
}
