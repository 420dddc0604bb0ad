import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** What kind of network an IP address, in the form that resolvers give, lies in. */

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Whether an address is one of the internet's own: none that RFC 6890 sets apart, so neither this machine, nor the network it
 * stands in, nor the cloud's metadata. What carries an IPv4 address inside (v4-mapped, 6to4, NAT64, Teredo) is none either:
 * where it leads is decided by whoever unpacks it (S-86).
 */
export function isGlobalAddress(text: string): boolean {
  const address = parse(text);
  if (address?.range() !== 'unicast') return false;
  // The ranges are a list of exceptions. In IPv6 what is not yet given out is no exception, and `::7f00:1` is not either.
  return address instanceof ipaddr.IPv4 || (address as ipaddr.IPv6).match(GLOBAL_UNICAST);
}

/** Whether an address is this machine: 127.0.0.0/8 or ::1. */
export function isLoopbackAddress(text: string): boolean {
  return parse(text)?.range() === 'loopback';
}

function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  return isIP(text) === 0 || text.includes('%') ? undefined : ipaddr.parse(text);
}
