import { readFileSync } from 'node:fs';
import autocannon from 'autocannon';

/**
 * Sends one kind of request as fast as it is answered, from a process of its own so that it can be pinned to a core.
 * Arguments: URL, seconds, connections, kind (post, register, introspect, bearer, client_credentials, code), for introspect and bearer
 * a file of keys, for code one of bodies, each of which is sent once, whatever the seconds, and for introspect and
 * client_credentials the Basic header. Prints requests per second and p99 in ms as JSON. The first answer that is no 2xx ends it
 * with 1: what a service that refuses does in a second says nothing.
 */
const [url, seconds, connections, kind, keysFile, authorization] = process.argv.slice(2) as [
  string,
  string,
  string,
  'post' | 'register' | 'introspect' | 'bearer' | 'client_credentials' | 'code',
  string | undefined,
  string | undefined,
];

const json = { 'content-type': 'application/json' };

/** Requests made beforehand: building them one by one would measure this process instead of the other. */
function prepare(): autocannon.Request[] {
  if (kind === 'post' || kind === 'register') {
    return [{ method: 'POST', headers: json, body: '{"type":"anonymous"}' }];
  }
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    authorization: authorization ?? '',
  };
  if (kind === 'client_credentials') {
    const body = 'grant_type=client_credentials&scope=read&resource=https%3A%2F%2Fapi.example.com';
    return [{ method: 'POST', headers, body }];
  }
  const keys = readLines();
  if (kind === 'bearer') {
    return keys.map((key) => ({ method: 'GET', headers: { authorization: `Bearer ${key}` } }));
  }
  return keys.map((key) => ({ method: 'POST', headers, body: `token=${key}` }));
}

function readLines(): string[] {
  return readFileSync(keysFile ?? '', 'utf8')
    .trim()
    .split('\n');
}

/** Bodies that are sent once: each connection has its own of them. */
const once = kind === 'code' ? readLines() : [];
const share = Math.floor(once.length / Number(connections));
if (kind === 'code' && share === 0) abort(`${once.length} bodies are too few for ${connections} connections`);

function setUp(client: autocannon.Client): void {
  refuseRefusals(client);
  if (kind !== 'code') return;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  client.setRequests(once.splice(0, share).map((body) => ({ method: 'POST', headers, body })));
}

/** Ends the run at the first answer that is no 2xx, with its body. */
function refuseRefusals(client: autocannon.Client): void {
  let status = 200;
  client.on('headers', (head) => {
    status = (head as unknown as { statusCode: number }).statusCode;
  });
  client.on('body', (body) => {
    if (status < 200 || status > 299) abort(`${kind} at ${url} was answered ${status}: ${body}`);
  });
}

function abort(reason: string): never {
  console.error(reason);
  process.exit(1);
}

const result = await autocannon({
  url,
  duration: Number(seconds),
  connections: Number(connections),
  requests: kind === 'code' ? [{ method: 'POST' }] : prepare(),
  setupClient: setUp,
  ...(kind === 'code' && { amount: share * Number(connections) }),
});
if (result.non2xx > 0) abort(`${kind} at ${url}: ${result.non2xx} answers were no 2xx, and without a body`);
if (result.errors + result.timeouts > 0) {
  abort(`${kind} at ${url}: ${result.errors} connections failed, ${result.timeouts} timed out`);
}
console.log(JSON.stringify({ perSecond: result['2xx'] / result.duration, p99: result.latency.p99 }));
