import { promises as dns, type LookupAddress } from 'node:dns';
import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { isGlobalAddress, isLoopbackAddress } from './network-ranges.ts';

/**
 * Who chose the URL. A stranger's leads to port 443 of the internet and nowhere else. An operator's may have a port, and be
 * on this machine while the service itself is.
 */
export type FetchRules = { namedBy: 'stranger' } | { namedBy: 'operator'; mayBeLocal: boolean };

/** A document, and how long its server says that it holds, if it says so: 0 where it is not to be kept. */
export interface Fetched {
  text: string;
  maxAgeSeconds: number | undefined;
}

/**
 * Fetches a small JSON document from a URL that we do not control.
 *
 * @throws Error that says the same whatever went wrong, so that nobody learns by it what answers inside our network (S-86).
 * What did go wrong is its cause, for the log.
 */
export type SafeFetch = (url: string, rules: FetchRules) => Promise<Fetched>;

export interface SafeFetchOptions {
  /** For all of it: the name, the connection, the answer. */
  timeoutMs?: number;
  /** All addresses of a host name. */
  resolve?: (hostname: string) => Promise<LookupAddress[]>;
  /** Opens the request, with what was decided on in its options. */
  request?: (url: URL, options: RequestOptions) => ClientRequest;
}

const TIMEOUT_MS = 3000;
const URL_LENGTH_MAX = 2048;
const BYTES_MAX = { stranger: 5 * 1024, operator: 64 * 1024 };
const HEADER_BYTES_MAX = 8 * 1024;
const JSON_TYPE = /^application\/(?:[a-z0-9.!#$&^_-]+\+)?json[ \t]*(?:;|$)/i;

export function createSafeFetch(options: SafeFetchOptions = {}): SafeFetch {
  const { timeoutMs = TIMEOUT_MS, resolve = resolveHost, request = openRequest } = options;

  return async (text, rules) => {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(new Error('it took too long')), timeoutMs);
    try {
      const url = checkUrl(text, rules);
      const host = url.hostname.replace(/^\[|\]$/g, '');
      const family = isIP(host);
      const addresses =
        family === 0 ? await orAborted(resolve(host), giveUp.signal) : [{ address: host, family }];
      checkAddresses(addresses, url, rules);
      const asked = request(url, requestOptions(addresses, giveUp.signal));
      try {
        return await readAnswer(await answerTo(asked), BYTES_MAX[rules.namedBy]);
      } finally {
        asked.destroy();
      }
    } catch (error) {
      // What breaks when time is up says so in many ways.
      const cause = giveUp.signal.aborted ? giveUp.signal.reason : error;
      throw new Error('The document could not be fetched.', { cause });
    } finally {
      clearTimeout(timer);
    }
  };
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
  // Dot segments, 127.1, 0x7f000001, an empty user, capitals, tabs, backslashes: whatever the parser would have to mend.
  if (url.href !== text) throw new Error('the URL is not in its normal form');
  return url;
}

function checkAddresses(addresses: LookupAddress[], url: URL, rules: FetchRules): void {
  const mayBeLocal = rules.namedBy === 'operator' && rules.mayBeLocal;
  const isAllowed = ({ address }: LookupAddress) =>
    (mayBeLocal && isLoopbackAddress(address)) || (url.protocol === 'https:' && isGlobalAddress(address));
  // A name with one good and one bad address is nobody's mistake.
  if (addresses.length === 0 || !addresses.every(isAllowed)) throw new Error('the address is not allowed');
}

function resolveHost(hostname: string): Promise<LookupAddress[]> {
  return dns.lookup(hostname, { all: true });
}

function requestOptions(addresses: LookupAddress[], signal: AbortSignal): RequestOptions {
  return {
    signal,
    // The socket asks here instead of at the resolver, and so goes where we looked, whatever the name leads to by now. Name
    // and certificate are still checked against the host of the URL.
    lookup: (_host, { all }, done) =>
      all ? done(null, addresses) : done(null, addresses[0]!.address, addresses[0]!.family),
    // No connection is taken over that was opened under other rules, and none by way of a proxy.
    agent: false,
    maxHeaderSize: HEADER_BYTES_MAX,
    headers: { Accept: 'application/json', 'Accept-Encoding': 'identity', 'User-Agent': 'vouchsafe' },
  };
}

function openRequest(url: URL, options: RequestOptions): ClientRequest {
  return url.protocol === 'https:' ? https.request(url, options) : http.request(url, options);
}

function answerTo(asked: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    asked.on('response', resolve);
    asked.on('error', reject);
    asked.end();
  });
}

async function readAnswer(answer: IncomingMessage, bytesMax: number): Promise<Fetched> {
  const { headers, statusCode } = answer;
  if (statusCode !== 200) throw new Error(`the status is ${statusCode}`); // redirects too
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) throw new Error('the content type is not JSON');
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') throw new Error('the content is packed');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  return { text, maxAgeSeconds: maxAgeOf(headers['cache-control']) };
}

/** RFC 9111 5.2.2 */
function maxAgeOf(cacheControl: string | undefined): number | undefined {
  if (cacheControl === undefined) return undefined;
  if (/(?:^|,)\s*no-(?:store|cache)\b/i.test(cacheControl)) return 0;
  const found = /(?:^|,)\s*max-age="?([0-9]{1,10})\b/i.exec(cacheControl)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** What a promise gives, unless the signal comes first: a resolver cannot be stopped, only left alone. */
function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
