import type { IncomingMessage } from 'node:http';
import { clientAddress } from '../../src/http/server/client-address.ts';
import { parseAddress } from '../../src/lib/address.ts';
import { ceremony, said, tally } from '../helpers/ceremony.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** Whom a request counts for, behind every kind of proxy: RFC 7239 sections 4 and 6, RFC 9110 section 5.6.1. */

const PROXY = '10.9.8.7';
const V6 = '2001:db8:1:2:3:4:5:6';

/** The address that counts, by the lines of a header. */
function addressOf(headers: Record<string, string[]>, trusted = 1, remoteAddress = PROXY): string {
  const request = { headersDistinct: headers, socket: { remoteAddress } } as unknown as IncomingMessage;
  return clientAddress(request, trusted).text;
}

/** One address in every form that proxies write it in. */
const NODES: [string, string][] = [
  ['192.0.2.43', '192.0.2.43'],
  ['192.0.2.43:47011', '192.0.2.43'], // Azure, IIS
  ['"192.0.2.43"', '192.0.2.43'],
  ['"192.0.2.43:47011"', '192.0.2.43'],
  ['"192.0.2.43:_obf"', '192.0.2.43'], // an obfuscated port
  ['::ffff:192.0.2.43', '192.0.2.43'],
  ['[::ffff:192.0.2.43]:80', '192.0.2.43'],
  ['64:ff9b::c000:22b', '192.0.2.43'],
  [V6, V6],
  [V6.toUpperCase(), V6],
  [`[${V6}]`, V6],
  [`[${V6}]:47011`, V6],
  [`"[${V6}]"`, V6],
  [`"[${V6}]:47011"`, V6],
  [`"[${V6}]:_port"`, V6],
  ['2001:db8:0:0:0:0:0:1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['"[fe80::1%eth0]:80"', 'fe80::1'],
  ['"192.0.2.4\\3"', '192.0.2.43'], // a quoted-pair stands for its second character
];
/** What is no address: a hidden or unknown client, and what no proxy should write. */
const UNREADABLE = [
  'unknown',
  '_gazonk',
  '"_gazonk"',
  '"unknown:80"',
  'localhost',
  'client.example',
  '0x7f.1', // an address to inet_aton alone
  '192.0.2',
  '1.2.3.256',
  '192.0.2.43:99999999',
  '[2001:db8::1',
  '2001:db8::g',
  '-',
  '"',
  'x'.repeat(100),
];

test.describe('the address of a client behind proxies', (test) => {
  for (const [node, expected] of NODES) {
    test(`${node} in either header`, (t) => {
      t.is(addressOf({ 'x-forwarded-for': [node] }), expected);
      const quoted = /^[\w.-]+$/.test(node) || node.startsWith('"') ? node : `"${node}"`;
      for (const name of ['for', 'For', 'FOR']) {
        t.is(addressOf({ forwarded: [`${name}=${quoted}`] }), expected);
        const full = `by=203.0.113.43;${name}=${quoted};proto=https;host="id.example.com"`;
        t.is(addressOf({ forwarded: [full] }), expected);
        t.is(addressOf({ forwarded: [`proto=http ; ${name}=${quoted}`] }), expected);
      }
      t.is(addressOf({ forwarded: [`for=${node}`] }), expected, 'also where it should be quoted');
    });
  }

  test('is counted from the right, over lines, spaces and empty members', (t) => {
    const lists = [
      ['192.0.2.1, 192.0.2.2, 192.0.2.3'],
      ['192.0.2.1,192.0.2.2,192.0.2.3'],
      ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
      ['192.0.2.1, 192.0.2.2', '192.0.2.3'],
      [' ,192.0.2.1 ,, 192.0.2.2,\t192.0.2.3 ,'],
    ];
    for (const list of lists) {
      const forwarded = list.map((line) => line.replace(/[\d.]+/g, 'for=$&;proto=https'));
      for (const [trusted, expected] of [
        [0, PROXY],
        [1, '192.0.2.3'],
        [2, '192.0.2.2'],
        [3, '192.0.2.1'],
        [4, PROXY], // it came past one of the proxies
      ] as const) {
        t.is(addressOf({ 'x-forwarded-for': list }, trusted), expected);
        t.is(addressOf({ forwarded }, trusted), expected);
      }
    }
  });

  test('a comma or a semicolon in quotes parts nothing', (t) => {
    const forwarded = ['for=192.0.2.1;host="a,b;for=6.6.6.6", for=192.0.2.2;host="x\\",y"'];
    t.is(addressOf({ forwarded }, 1), '192.0.2.2');
    t.is(addressOf({ forwarded }, 2), '192.0.2.1');
  });

  test('an element that says nothing of the client keeps its place', (t) => {
    const forwarded = ['for=192.0.2.1, by=203.0.113.1;proto=https'];
    t.is(addressOf({ forwarded }, 1), PROXY);
    t.is(addressOf({ forwarded }, 2), '192.0.2.1');
  });

  test('what cannot be read counts for the socket, and never for one that all of them share', (t) => {
    for (const node of UNREADABLE) {
      t.is(addressOf({ 'x-forwarded-for': [node] }), PROXY, node);
      t.is(addressOf({ 'x-forwarded-for': [node] }, 1, '10.9.8.6'), '10.9.8.6', node);
      t.is(addressOf({ forwarded: [`for=${node}`] }), PROXY, node);
      t.is(addressOf({ forwarded: [node] }), PROXY, node);
    }
    for (const forwarded of ['for', 'for=', '=1.2.3.4', 'for=1.2.3.4 by=x', 'for="1.2.3.4', ';;;', '', ',']) {
      t.is(addressOf({ forwarded: [forwarded] }), PROXY, forwarded);
    }
  });

  test('a header that the proxies do not write is no way to choose an address', (t) => {
    const listed = { 'x-forwarded-for': ['192.0.2.1'] };
    t.is(addressOf({ ...listed, forwarded: ['for=6.6.6.6'] }), PROXY);
    t.is(addressOf({ ...listed, forwarded: ['for=_hidden'] }), PROXY);
    t.is(addressOf({ ...listed, forwarded: ['for="192.0.2.1:80";proto=https'] }), '192.0.2.1');
  });
});

test.describe('what limits count by', (test) => {
  test('an IPv4 address in an IPv6 one counts as itself', (t) => {
    for (const text of [
      '::ffff:198.51.100.7', // mapped
      '::ffff:0:198.51.100.7', // translated (RFC 7915)
      '64:ff9b::198.51.100.7', // NAT64 (RFC 6052)
      '64:ff9b::c633:6407',
      '2002:c633:6407:1::1', // 6to4 (RFC 3056), in which one address commands 65,536 networks
      '2002:c633:6407:ffff::1',
      '2001:0:4136:e378:8000:63bf:39cc:9bf8', // Teredo (RFC 4380)
    ]) {
      t.is(parseAddress(text).limitKey, '198.51.100.7', text);
    }
    for (const text of ['::ffff:198.51.100.7', '64:ff9b::c633:6407', '::ffff:0:198.51.100.7']) {
      t.deepEqual(parseAddress(text), parseAddress('198.51.100.7'));
    }
  });

  test('clients behind NAT64 of local use count each for themselves (RFC 8215)', (t) => {
    const [one, other] = ['64:ff9b:1::c633:6407', '64:ff9b:1::c633:6408'].map((text) => parseAddress(text));
    t.not(one!.limitKey, other!.limitKey);
  });
});

onEveryEngine('limits behind a proxy', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, { env: { LIMITS: '{}', TRUST_PROXY: '1' } });
  });
  test.after(() => on.stop());

  test('one client in all spellings is one, and another one is another', async (t) => {
    const { register } = ceremony(on);
    const spellings = ['203.0.113.5', '203.0.113.5:80', '::ffff:203.0.113.5', '"[64:ff9b::203.0.113.5]:80"'];
    const replies: Reply[] = [];
    for (let count = 0; count < 12; count += 1) {
      const node = spellings[count % spellings.length]!;
      const header: Record<string, string> =
        count % 2 === 0 ? { 'X-Forwarded-For': node } : { Forwarded: `for="${node.replaceAll('"', '')}"` };
      replies.push(await register(header));
    }
    t.deepEqual(tally(replies), { '200': 10, '429 rate_limited': 2 });
    t.is(said(await register({ Forwarded: 'for="203.0.113.6:80"' })), '200');
  });
});
