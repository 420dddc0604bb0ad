import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';

/** A client's IP address in the forms that limits, logs and mails use. */
export interface Address {
  /** Dotted IPv4, also if it arrives mapped or translated (::ffff:1.2.3.4, 64:ff9b::102:304); IPv6 in its shortest form. */
  text: string;
  /** What limits count by: the IPv4 address, also one embedded in IPv6; else the IPv6 /64, which one host controls entirely. */
  limitKey: string;
  /** The IPv6 /48, of which one customer of a provider may have all; undefined where it would be another network. */
  site?: string;
  /** The network that a mail names as the origin of a request: IPv4 /16, IPv6 /32. */
  coarse: string;
}

const UNKNOWN_ADDRESS: Address = { text: 'unknown', limitKey: 'unknown', coarse: 'an unknown network' };

const recentAddresses = new LRUCache<string, Address>({ max: 1000 });

/**
 * Parses a client's IP address.
 *
 * @param text as the socket or a trusted proxy wrote it
 * @returns for anything but an IP address, one whose `text` is "unknown"
 */
export function parseAddress(text: string | undefined): Address {
  if (text === undefined || text.length > 64) return UNKNOWN_ADDRESS;
  const cached = recentAddresses.get(text);
  if (cached !== undefined) return cached;
  const address = parse(text);
  recentAddresses.set(text, address);
  return address;
}

/** Reports whether a text is an IP address: IPv4 in four decimal parts, or IPv6. */
export function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

function parse(text: string): Address {
  if (!isAddress(text)) return UNKNOWN_ADDRESS;
  const address = ipaddr.process(text);
  if (address instanceof ipaddr.IPv4) return fromIpv4(address);
  return fromIpv6(address as ipaddr.IPv6);
}

function fromIpv4(address: ipaddr.IPv4): Address {
  const dotted = address.toString();
  const [first, second] = address.octets;
  return { text: dotted, limitKey: dotted, coarse: `${first}.${second}.x.x` };
}

function fromIpv6(address: ipaddr.IPv6): Address {
  const text = address.toString();
  const groups = address.parts.map((part) => part.toString(16));
  const [a, b, c, d] = groups;
  const coarse = `${a}:${b}::/32`;
  switch (address.range()) {
    case 'rfc6145': // ::ffff:0:0:0/96, IPv4-translated
    case 'rfc6052': // 64:ff9b::/96, NAT64: the network is the translator's, the IPv4 address is the client's
      return fromIpv4(embeddedIpv4(address, 6));
    // The holder of the IPv4 address controls 65,536 /64 networks of 6to4 (RFC 3056 section 2).
    case '6to4':
      return { text, limitKey: embeddedIpv4(address, 1).toString(), coarse };
    // All clients of a Teredo server share its /64; the last 32 bits are the inverted client IPv4 address (RFC 4380 section 4).
    case 'teredo':
      return { text, limitKey: embeddedIpv4(address, 6, 0xffff).toString(), coarse };
    default:
      // Local-use NAT64 (RFC 8215): each operator chooses where the IPv4 address is embedded.
      if (a === '64' && b === 'ff9b' && c === '1') return { text, limitKey: text, coarse };
      return { text, limitKey: `${a}:${b}:${c}:${d}::/64`, site: `${a}:${b}:${c}::/48`, coarse };
  }
}

/** Reads the IPv4 address from two groups of an IPv6 address. @param mask is XORed with each group */
function embeddedIpv4({ parts }: ipaddr.IPv6, index: number, mask = 0): ipaddr.IPv4 {
  const [high, low] = [parts[index]! ^ mask, parts[index + 1]! ^ mask];
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
}
