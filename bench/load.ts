import { readFileSync } from 'node:fs';
import autocannon from 'autocannon';

/**
 * Sends one kind of request as fast as it is answered, from a process of its own so that it can be pinned to a core.
 * Arguments: URL, seconds, connections, kind (post, register, introspect, bearer), for introspect and bearer a file of keys, and for
 * introspect the Basic header. Prints requests per second, p99 in ms and how many answers were no 2xx, as JSON.
 */
const [url, seconds, connections, kind, keysFile, authorization] = process.argv.slice(2) as [
  string,
  string,
  string,
  'post' | 'register' | 'introspect' | 'bearer',
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
  const keys = readFileSync(keysFile ?? '', 'utf8')
    .trim()
    .split('\n');
  if (kind === 'bearer') {
    return keys.map((key) => ({ method: 'GET', headers: { authorization: `Bearer ${key}` } }));
  }
  return keys.map((key) => ({ method: 'POST', headers, body: `token=${key}` }));
}

const result = await autocannon({
  url,
  duration: Number(seconds),
  connections: Number(connections),
  requests: prepare(),
});
console.log(
  JSON.stringify({
    perSecond: result.requests.total / result.duration,
    p99: result.latency.p99,
    bad: result.non2xx + result.errors + result.timeouts,
  }),
);
