import { promises as dns, type LookupAddress } from 'node:dns';
import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { isGlobalAddress, isLoopbackAddress } from './network-ranges.ts';

/**
 * Who chose the URL. A third party's ('stranger') may only lead to port 443 of the public internet. An operator's may have a
 * port, and may be on this machine if the service is. A set of keys may be larger than other documents of strangers.
 */
export type FetchRules =
  | { namedBy: 'stranger'; holdsKeys?: boolean }
  | { namedBy: 'operator'; mayBeLocal: boolean };

/** A document, and how long its server allows to cache it: 0 for not at all, undefined if it does not say. */
export interface Fetched {
  text: string;
  maxAgeSeconds: number | undefined;
}

/**
 * Fetches a small JSON document from a URL that we do not control.
 *
 * @throws Error with one message for all faults, so that it reveals nothing about our internal network (S-86). Its `cause`
 * tells the fault, for the log.
 */
export type SafeFetch = (url: string, rules: FetchRules) => Promise<Fetched>;

/** What tests replace. */
export interface SafeFetchOptions {
  /** For name resolution, connection and response together. */
  timeoutMs?: number;
  /** Resolves a host name to all its addresses. */
  resolve?: (hostname: string) => Promise<LookupAddress[]>;
  /** Opens the request; `options` pins the addresses that were checked. */
  request?: (url: URL, options: RequestOptions) => ClientRequest;
}

const TIMEOUT_MS = 3000;
const URL_LENGTH_MAX = 2048;
const BYTES_MAX = 5 * 1024;
const LARGE_BYTES_MAX = 64 * 1024;
const HEADER_BYTES_MAX = 8 * 1024;
const JSON_TYPE = /^application\/(?:[a-z0-9.!#$&^_-]+\+)?json[ \t]*(?:;|$)/i;

/** Creates a SafeFetch. */
export function createSafeFetch(options: SafeFetchOptions = {}): SafeFetch {
  const { timeoutMs = TIMEOUT_MS, resolve = resolveHost, request = openRequest } = options;

  return async (text, rules) => {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new Error('it took too long')), timeoutMs);
    try {
      const url = checkUrl(text, rules);
      const host = url.hostname.replace(/^\[|\]$/g, '');
      const family = isIP(host);
      const addresses =
        family === 0 ? await rejectOnAbort(resolve(host), deadline.signal) : [{ address: host, family }];
      checkAddresses(addresses, url, rules);
      const outgoing = request(url, requestOptions(addresses, deadline.signal));
      try {
        return await readResponse(await sendRequest(outgoing), bytesMaxOf(rules));
      } finally {
        outgoing.destroy();
      }
    } catch (error) {
      // After a timeout the error depends on the step that was aborted; the reason is always the same.
      const cause = deadline.signal.aborted ? deadline.signal.reason : error;
      throw new Error('The document could not be fetched.', { cause });
    } finally {
      clearTimeout(timer);
    }
  };
}

function bytesMaxOf(rules: FetchRules): number {
  return rules.namedBy === 'operator' || rules.holdsKeys ? LARGE_BYTES_MAX : BYTES_MAX;
}

function checkUrl(text: string, rules: FetchRules): URL {
  if (text.length > URL_LENGTH_MAX || !URL.canParse(text)) throw new Error('it is no URL');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') throw new Error('the URL names a user');
  if (text.includes('#')) throw new Error('the URL has a fragment');
  if (rules.namedBy === 'operator') {
    if (url.protocol === 'https:' || (url.protocol === 'http:' && rules.mayBeLocal)) return url;
    throw new Error('the URL is not https');
  }
  if (url.protocol !== 'https:') throw new Error('the URL is not https');
  if (url.port !== '') throw new Error('the URL names a port');
  if (url.pathname === '/') throw new Error('the URL has no path');
  // Rejects all that the parser corrects: dot segments, 127.1, 0x7f000001, an empty user, capitals, tabs, backslashes.
  if (url.href !== text) throw new Error('the URL is not in its normal form');
  return url;
}

function checkAddresses(addresses: LookupAddress[], url: URL, rules: FetchRules): void {
  const mayBeLocal = rules.namedBy === 'operator' && rules.mayBeLocal;
  const isAllowed = ({ address }: LookupAddress) =>
    (mayBeLocal && isLoopbackAddress(address)) || (url.protocol === 'https:' && isGlobalAddress(address));
  // A host name with both public and internal addresses is not a mistake but an attack.
  if (addresses.length === 0 || !addresses.every(isAllowed)) throw new Error('the address is not allowed');
}

function resolveHost(hostname: string): Promise<LookupAddress[]> {
  return dns.lookup(hostname, { all: true });
}

function requestOptions(addresses: LookupAddress[], signal: AbortSignal): RequestOptions {
  return {
    signal,
    // The socket connects to the addresses that were checked, whatever the name resolves to by now. TLS still checks the
    // certificate against the host of the URL.
    lookup: (_host, { all }, done) =>
      all ? done(null, addresses) : done(null, addresses[0]!.address, addresses[0]!.family),
    // Reuses no connection that was opened under other rules, and goes through no proxy.
    agent: false,
    maxHeaderSize: HEADER_BYTES_MAX,
    headers: { Accept: 'application/json', 'Accept-Encoding': 'identity', 'User-Agent': 'vouchsafe' },
  };
}

function openRequest(url: URL, options: RequestOptions): ClientRequest {
  return url.protocol === 'https:' ? https.request(url, options) : http.request(url, options);
}

function sendRequest(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    outgoing.end();
  });
}

async function readResponse(response: IncomingMessage, bytesMax: number): Promise<Fetched> {
  const { headers, statusCode } = response;
  if (statusCode !== 200) throw new Error(`the status is ${statusCode}`); // redirects too
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) throw new Error('the content type is not JSON');
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') throw new Error('the content is packed');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  return { text, maxAgeSeconds: maxAgeOf(headers['cache-control']) };
}

/** Reads how long Cache-Control allows to cache a response (RFC 9111 section 5.2.2). */
function maxAgeOf(cacheControl: string | undefined): number | undefined {
  if (cacheControl === undefined) return undefined;
  if (/(?:^|,)\s*no-(?:store|cache)\b/i.test(cacheControl)) return 0;
  const found = /(?:^|,)\s*max-age="?([0-9]{1,10})\b/i.exec(cacheControl)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Settles as the promise does, or rejects once the signal aborts: a DNS lookup cannot be cancelled. */
function rejectOnAbort<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
