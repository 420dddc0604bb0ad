import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Classifies IP addresses, in the form that a resolver returns. */

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Reports whether an address is a unicast address of the public internet. Excludes the special-purpose ranges of RFC 6890: this
 * machine, its local network, the cloud's metadata service. Also excludes IPv6 addresses that embed IPv4 (IPv4-mapped, 6to4,
 * NAT64, Teredo): a translator decides where those lead (S-86).
 */
export function isGlobalAddress(text: string): boolean {
  const address = parse(text);
  if (address?.range() !== 'unicast') return false;
  // range() knows only the special ranges. In IPv6, unallocated space and `::7f00:1` are not among them.
  return address instanceof ipaddr.IPv4 || (address as ipaddr.IPv6).match(GLOBAL_UNICAST);
}

/** Reports whether an address is this machine: 127.0.0.0/8 or ::1. */
export function isLoopbackAddress(text: string): boolean {
  return parse(text)?.range() === 'loopback';
}

function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  return isIP(text) === 0 || text.includes('%') ? undefined : ipaddr.parse(text);
}
