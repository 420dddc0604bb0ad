import type { LookupAddress } from 'node:dns';
import { createServer, type RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { isGlobalAddress, isLoopbackAddress } from '../../src/lib/network-ranges.ts';
import { createSafeFetch, type FetchRules, type SafeFetchOptions } from '../../src/lib/safe-fetch.ts';
import { selfSignedCertificate } from '../helpers/certificate.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';

/** What is fetched from URLs of others leads nowhere but where it may (S-86). */

const STRANGER: FetchRules = { namedBy: 'stranger' };
const OPERATOR: FetchRules = { namedBy: 'operator', mayBeLocal: false };
const LOCAL: FetchRules = { namedBy: 'operator', mayBeLocal: true };
const PUBLIC: LookupAddress = { address: '93.184.216.34', family: 4 };
const HERE: LookupAddress = { address: '127.0.0.1', family: 4 };
const URL_OF_CLIENT = 'https://client.example/agent.json';

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Why a fetch failed; fails if it did not, or said anything in public. */
async function reasonOf(t: ExecutionContext, fetched: Promise<unknown>): Promise<string> {
  const error = await fetched.then(
    () => t.fail('it was fetched'),
    (failure) => failure as Error,
  );
  t.is(error.message, 'The document could not be fetched.');
  return (error.cause as Error).message;
}

/** A fetch that fails the test if it opens a connection. */
function unconnected(t: ExecutionContext, resolve: SafeFetchOptions['resolve'] = async () => [PUBLIC]) {
  return createSafeFetch({ resolve, request: () => t.fail('a connection was opened') });
}

test.describe('which URLs are fetched', (test) => {
  const refused: [name: string, url: string, rules: FetchRules, reason: RegExp][] = [
    ['plain http', 'http://client.example/a', STRANGER, /not https/],
    ['plain http of the operator', 'http://issuer.example/a', OPERATOR, /not https/],
    ['another scheme', 'file:///etc/passwd', LOCAL, /not https/],
    ['another port', 'https://client.example:8443/a', STRANGER, /port/],
    ['no path', 'https://client.example/', STRANGER, /no path/],
    ['no path at all', 'https://client.example', STRANGER, /no path/],
    ['a user', 'https://user@client.example/a', STRANGER, /user/],
    ['a password', 'https://:secret@client.example/a', OPERATOR, /user/],
    ['an empty user', 'https://@client.example/a', STRANGER, /normal form/],
    ['a fragment', 'https://client.example/a#b', OPERATOR, /fragment/],
    ['an empty fragment', 'https://client.example/a#', STRANGER, /fragment/],
    ['dot segments', 'https://client.example/a/../b', STRANGER, /normal form/],
    ['encoded dot segments', 'https://client.example/a/%2e%2E/b', STRANGER, /normal form/],
    ['backslashes', 'https:\\\\client.example\\a', STRANGER, /normal form/],
    ['white space', ' https://client.example/a', STRANGER, /normal form/],
    ['capitals in the host', 'https://Client.example/a', STRANGER, /normal form/],
    ['the port that is there anyway', 'https://client.example:443/a', STRANGER, /normal form/],
    ['no URL', 'client.example/a', STRANGER, /no URL/],
    ['2 KB', `https://client.example/${'a'.repeat(2048)}`, STRANGER, /no URL/],
  ];
  for (const [name, url, rules, reason] of refused) {
    test(`none with ${name}`, async (t) => {
      const resolve = () => t.fail('the name was asked for');
      t.regex(await reasonOf(t, unconnected(t, resolve)(url, rules)), reason);
    });
  }

  const hosts = [
    ['127.1', /normal form/],
    ['2130706433', /normal form/],
    ['0x7f.0.0.1', /normal form/],
    ['017700000001', /normal form/],
    ['127.0.0.1', /not allowed/],
    ['169.254.169.254', /not allowed/],
    ['0.0.0.0', /not allowed/],
    ['[::1]', /not allowed/],
    ['[::]', /not allowed/],
    ['[::ffff:7f00:1]', /not allowed/],
    ['[::ffff:127.0.0.1]', /normal form/],
    ['[64:ff9b::a9fe:a9fe]', /not allowed/],
    ['[2002:7f00:1::]', /not allowed/],
  ] as const;
  for (const [host, reason] of hosts) {
    test(`none at ${host}, whoever names it`, async (t) => {
      t.regex(await reasonOf(t, unconnected(t)(`https://${host}/a`, STRANGER)), reason);
      t.regex(await reasonOf(t, unconnected(t)(`https://${host}/a`, OPERATOR)), /not allowed/);
    });
  }

  test('none whose name leads inside, not even as one address of several', async (t) => {
    for (const address of ['127.0.0.1', '10.1.2.3', '169.254.169.254', '::1', 'fd00::1', '::ffff:a00:1']) {
      const resolve = async () => [PUBLIC, { address, family: address.includes(':') ? 6 : 4 }];
      for (const rules of [STRANGER, OPERATOR]) {
        t.regex(await reasonOf(t, unconnected(t, resolve)(URL_OF_CLIENT, rules)), /not allowed/, address);
      }
    }
    t.regex(await reasonOf(t, unconnected(t, async () => [])(URL_OF_CLIENT, STRANGER)), /not allowed/);
  });

  test('on this machine only what the operator names, and plain http there alone', async (t) => {
    const inside = unconnected(t, async () => [{ address: '192.168.1.1', family: 4 }]);
    t.regex(await reasonOf(t, inside('https://issuer.example/a', LOCAL)), /not allowed/);
    t.regex(await reasonOf(t, unconnected(t)('http://issuer.example/a', LOCAL)), /not allowed/);
    t.regex(await reasonOf(t, unconnected(t, async () => [HERE])(URL_OF_CLIENT, STRANGER)), /not allowed/);
  });
});

test.describe('which addresses are the internet', (test) => {
  const global = ['8.8.8.8', '93.184.216.34', '2606:4700::1111', '2a00:1450:4001::1'];
  const special = [
    ...['0.0.0.0', '10.0.0.1', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254'],
    ...['172.16.0.1', '172.31.255.255', '192.0.0.1', '192.0.2.1', '192.88.99.1', '192.168.0.1'],
    ...['198.18.0.1', '198.51.100.1', '203.0.113.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
    ...['::', '::1', '::7f00:1', '::ffff:8.8.8.8', '::ffff:7f00:1', '64:ff9b::808:808', '64:ff9b:1::1'],
    ...['100::1', '2001::1', '2001:db8::1', '2002:808:808::', '3fff::1', '4000::1', '5f00::1'],
    ...['fc00::1', 'fd12::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '2606:4700::1%eth0'],
    ...['', 'localhost', '127.1', '0x7f000001', '1.2.3.4.5', '[::1]'],
  ];
  test('what is set apart is not, in any form', (t) => {
    for (const address of global) t.true(isGlobalAddress(address), address);
    for (const address of special) t.false(isGlobalAddress(address), address);
  });

  test('an address is never both the internet and this machine, and no text is an error', async (t) => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string());
    await assertProperty(t, [address], (t, text) =>
      t.true(!(isGlobalAddress(text) && isLoopbackAddress(text))),
    );
    await assertProperty(t, [fc.ipV4()], (t, text) => t.true(!isGlobalAddress(`::ffff:${text}`)));
  });
});

test.describe('which answers are taken', (test) => {
  let server: Server;
  let origin: string;
  let answer: RequestListener;
  const asked: string[] = [];
  const resolve = async () => [HERE];
  const fetchLocal = createSafeFetch({ resolve });
  const fetchInHaste = createSafeFetch({ timeoutMs: 100, resolve });

  test.before(async () => {
    server = createServer((request, response) => {
      asked.push(request.url!);
      answer(request, response);
    });
    origin = `http://issuer.test:${await listen(server)}`;
  });
  test.after(() => {
    (server as ReturnType<typeof createServer>).closeAllConnections();
    server.close();
  });

  const json =
    (body: string | Buffer, headers: Record<string, string> = {}, status = 200): RequestListener =>
    (_request, response) =>
      void response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body);

  const refused: [name: string, answer: RequestListener, reason: RegExp][] = [
    ['a redirect', json('{}', { Location: '/other' }, 302), /status is 302/],
    ['a permanent redirect', json('{}', { Location: 'http://127.0.0.1/' }, 308), /status is 308/],
    ['201', json('{}', {}, 201), /status is 201/],
    ['206', json('{}', {}, 206), /status is 206/],
    ['404', json('{}', {}, 404), /status is 404/],
    ['500', json('{}', {}, 500), /status is 500/],
    ['HTML', json('{}', { 'Content-Type': 'text/html' }), /content type/],
    ['what only begins like JSON', json('{}', { 'Content-Type': 'application/jsonx' }), /content type/],
    ['packed content', json('{}', { 'Content-Encoding': 'gzip' }), /packed/],
    ['more than 64 KB', json('x'.repeat(65_537)), /larger/],
    ['bytes that are not UTF-8', json(Buffer.of(0x22, 0xff, 0x22)), /not valid/],
    ['an answer that breaks off', (_, response) => void halfAnswer(response).then((end) => end()), /abort/],
    ['a closed connection', (request) => void request.socket.destroy(), /hang up/],
    ['a header without end', json('{}', { 'X-Long': 'x'.repeat(9000) }), /overflow/],
  ];
  const endless: [name: string, answer: RequestListener][] = [
    ['an answer that does not begin', () => {}],
    ['an answer that does not end', (_, response) => void halfAnswer(response)],
  ];
  async function halfAnswer(response: Parameters<RequestListener>[1]): Promise<() => void> {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '100' });
    await new Promise<void>((resolve) => response.write('{', () => resolve()));
    return () => response.destroy();
  }
  for (const [name, listener, reason] of refused) {
    test(`not ${name}`, async (t) => {
      answer = listener;
      const before = asked.length;
      t.regex(await reasonOf(t, fetchLocal(`${origin}/keys`, LOCAL)), reason);
      t.deepEqual(asked.slice(before), ['/keys'], 'it was asked for once, and nothing else was');
    });
  }

  for (const [name, listener] of endless) {
    test(`nor is ${name} waited for`, async (t) => {
      answer = listener;
      t.regex(await reasonOf(t, fetchInHaste(`${origin}/keys`, LOCAL)), /too long/);
    });
  }

  const lifetimes: [header: string | undefined, seconds: number | undefined][] = [
    [undefined, undefined],
    ['public', undefined],
    ['public, max-age=300', 300],
    ['MAX-AGE="60"', 60],
    ['max-age=0', 0],
    ['max-age=300, no-store', 0],
    ['no-cache', 0],
    ['max-age=-1', undefined],
    ['x-max-age=5', undefined],
    ['max-age=9999999999', 9_999_999_999],
  ];
  for (const [header, seconds] of lifetimes) {
    test(`a JSON document is taken as it is, and with Cache-Control ${header} for ${seconds} s`, async (t) => {
      const text = `{"ä":"${'x'.repeat(65_000)}"}`;
      const type = { 'Content-Type': 'application/jwk-set+json; charset=utf-8' };
      answer = json(text, { ...type, ...(header !== undefined && { 'Cache-Control': header }) });
      t.deepEqual(await fetchLocal(`${origin}/keys`, LOCAL), { text, maxAgeSeconds: seconds });
    });
  }

  test('a name that never resolves takes no longer than an answer that never comes', async (t) => {
    const stuck = createSafeFetch({ timeoutMs: 20, resolve: () => new Promise(() => {}) });
    t.regex(await reasonOf(t, stuck(URL_OF_CLIENT, STRANGER)), /too long/);
    const failing = createSafeFetch({ resolve: () => Promise.reject(new Error('no such name')) });
    t.regex(await reasonOf(t, failing(URL_OF_CLIENT, STRANGER)), /no such name/);
  });
});

test.describe('where the connection goes', (test) => {
  const { key, cert } = selfSignedCertificate('client.example');
  let port: number;
  let server: Server;
  let body = '{}';
  test.before(async () => {
    server = https.createServer({ key, cert }, (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
    });
    port = await listen(server);
  });
  test.after(() => {
    (server as https.Server).closeAllConnections();
    server.close();
  });

  /** Fetches as always, but for the last step: what would go to the internet is noted and comes here. */
  function observed(resolve: SafeFetchOptions['resolve']) {
    const addresses: unknown[] = [];
    const safeFetch = createSafeFetch({
      ...(resolve && { resolve }),
      request(url, options) {
        options.lookup!(url.hostname, { all: true }, (_error, found) => addresses.push(found));
        options.lookup!(url.hostname, {}, (_error, address, family) => addresses.push([{ address, family }]));
        return https.request(url, {
          ...options,
          ca: cert,
          port,
          lookup: (_host, { all }, done) => (all ? done(null, [HERE]) : done(null, HERE.address, 4)),
        });
      },
    });
    return { safeFetch, addresses };
  }

  test('to the address that was looked at, though the name leads elsewhere by then', async (t) => {
    const answers = [[PUBLIC], [HERE]];
    let questions = 0;
    const { safeFetch, addresses } = observed(async () => answers[questions++]!);
    t.is((await safeFetch(URL_OF_CLIENT, STRANGER)).text, '{}');
    t.deepEqual(addresses, [[PUBLIC], [PUBLIC]]);
    t.is(questions, 1, 'the name was asked for once');
    t.regex(await reasonOf(t, safeFetch(URL_OF_CLIENT, STRANGER)), /not allowed/);
  });

  test('to a server that can prove the name, not the address', async (t) => {
    const { safeFetch } = observed(async () => [PUBLIC]);
    await safeFetch('https://client.example/a?b=c', STRANGER);
    t.regex(await reasonOf(t, safeFetch('https://other.example/a', STRANGER)), /Host: other.example/);
  });

  test('and 5 KB are taken of what a stranger named', async (t) => {
    const { safeFetch } = observed(async () => [PUBLIC]);
    body = `"${'x'.repeat(5118)}"`;
    t.is((await safeFetch(URL_OF_CLIENT, STRANGER)).text, body);
    body = `"${'x'.repeat(5119)}"`;
    t.regex(await reasonOf(t, safeFetch(URL_OF_CLIENT, STRANGER)), /larger/);
    t.is((await safeFetch(URL_OF_CLIENT, OPERATOR)).text, body);
  });
});
