import type { ExecutionContext } from 'ava';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { assertRefused, type DialectName, parseRaw, sendRaw } from '../helpers/wire.ts';

/** One request with exactly this target and these Host lines. */
async function ask(
  on: TestService,
  target: string,
  hosts: readonly string[],
  { method = 'GET', version = '1.1', more = '' } = {},
): Promise<Reply> {
  const lines = hosts.map((host) => `Host: ${host}\r\n`).join('');
  return parseRaw(
    await sendRaw(on, `${method} ${target} HTTP/${version}\r\n${lines}Connection: close\r\n\r\n${more}`),
  );
}

/** Spellings of one public URL, and what only looks like it. */
const PUBLIC: Record<string, { ours: readonly string[]; foreign: readonly string[] }> = {
  'https://id.example.com': {
    ours: [
      'id.example.com',
      'ID.Example.COM',
      'id.example.com:443',
      'id.example.com:',
      'id.example.com:0443',
      'id.example.com.',
      'id.example.com.:443',
      'ID.EXAMPLE.COM.:',
      'id%2Eexample%2ecom',
      '%69%64.example.com',
      '%49D.example.com:443',
      'id.example.com%2E',
    ],
    foreign: [
      'id.example.com:80',
      'id.example.com:4430',
      'id.example.com:44 3',
      'id.example.com:+443',
      'id.example.com:443:443',
      'id.example.com:443x',
      'id.example.com..',
      '.id.example.com',
      'id..example.com',
      'example.com',
      'x.id.example.com',
      'id.example.com.evil.example',
      'user@id.example.com',
      'id.example.com@evil.example',
      'id.example.com%40evil.example',
      'id.example.com%3A443',
      'id.example.com%00',
      'id.example.com%',
      'id.example.com%2',
      'id%252Eexample.com',
      'id.example.com%FF',
      'id.example.com/',
      'id.example.com#',
      'id.example.com\\',
      'id.example\t.com',
      'id.example.com, id.example.com',
      '%EF%BD%89%EF%BD%84.example.com',
      'id%C2%AD.example.com',
      '[id.example.com]',
      'localhost',
      '127.0.0.1',
      '[::1]',
      '',
    ],
  },
  'https://id.example.com:8443': {
    ours: ['id.example.com:8443', 'ID.example.com.:8443', 'id.example.com:08443', 'i%64.example.com:8443'],
    foreign: ['id.example.com', 'id.example.com:', 'id.example.com:443', 'id.example.com.:84430'],
  },
  'https://xn--bcher-kva.example': {
    ours: [
      'xn--bcher-kva.example',
      'XN--BCHER-KVA.example:443',
      'b%C3%BCcher.example',
      'b%c3%bccher.example.',
      'B%C3%9Ccher.example',
      'xn%2D-bcher-kva.example',
    ],
    foreign: ['bucher.example', 'b%FCcher.example', 'b%C3cher.example', 'xn--bcher-kvb.example'],
  },
  'https://[2001:db8::a]': {
    ours: [
      '[2001:db8::a]',
      '[2001:DB8::A]:443',
      '[2001:0db8:0:0:0:0:0:000a]:',
      '[2001:db8:0::10]'.replace('10', '0.0.0.10'),
    ],
    foreign: ['2001:db8::a', '[2001:db8::b]', '[2001:db8::a', '[2001:db8::a]8443', '[2001:db8::a%25eth0]'],
  },
};

for (const [url, { ours, foreign }] of Object.entries(PUBLIC)) {
  test.describe(`a service at ${url}`, (test) => {
    let on: TestService;
    test.before(async () => {
      on = await startTestService('sqlite', { env: { PUBLIC_URL: url, SMTP_URL: 'smtp://127.0.0.1:9' } });
    });
    test.after(() => on.stop());
    const { host } = new URL(url);

    const misdirected = (t: ExecutionContext, reply: Reply, about: string) =>
      assertRefused(t, { url }, reply, 'tinysend', 421, 'misdirected_request', about);

    test('every equivalent spelling of its host and port is served, in Host and in an absolute-form target', async (t) => {
      for (const name of ours) {
        t.is((await ask(on, '/auth.md', [name])).status, 200, `Host: ${name}`);
        const target = `https://${name}/auth.md`;
        t.is((await ask(on, target, [name])).status, 200, target);
        // RFC 9112 section 3.2.2: the target's host counts, and Host is ignored.
        t.is((await ask(on, target, ['evil.example'])).status, 200, `${target} with a foreign Host`);
      }
    });

    test('every other host is 421, in Host and in an absolute-form target', async (t) => {
      for (const name of foreign) {
        misdirected(t, await ask(on, '/auth.md', [name]), `Host: ${name}`);
        // What has no place in a target is refused by the parser, or makes it another one.
        if (/[\s#/\\,]/.test(name) || name === '') continue;
        misdirected(t, await ask(on, `https://${name}/auth.md`, [host]), name);
      }
    });
  });
}

test.describe('a request target', (test) => {
  let on: TestService;
  const url = 'https://id.example.com';
  test.before(async () => {
    on = await startTestService('sqlite', { env: { PUBLIC_URL: url, SMTP_URL: 'smtp://127.0.0.1:9' } });
  });
  test.after(() => on.stop());
  const HOST = ['id.example.com'];

  test('in absolute form is served as in origin form: scheme in any case, with query, without path, in HTTP/1.0 without Host', async (t) => {
    for (const target of ['https://id.example.com/llms.txt', 'HTTPS://ID.example.com:443/llms.txt?a=1']) {
      const reply = await ask(on, target, HOST);
      t.is(reply.status, 200, target);
      t.regex(reply.text, /auth\.md/, target);
    }
    for (const target of ['https://id.example.com', 'https://id.example.com?a', 'https://id.example.com/']) {
      const reply = await ask(on, target, HOST);
      t.deepEqual([reply.status, reply.headers.get('location')], [303, `${url}/auth.md`], target);
    }
    const old = await ask(on, 'https://id.example.com/llms.txt', [], { version: '1.0' });
    t.is(old.status, 200);
    const head = await ask(on, 'https://id.example.com/llms.txt', HOST, { method: 'HEAD' });
    t.is(head.status, 200);
  });

  test('in absolute form is refused where it is not of this origin: scheme, user information, no host', async (t) => {
    for (const target of [
      'http://id.example.com/auth.md',
      'http://id.example.com:443/auth.md',
      'ftp://id.example.com/auth.md',
      'ws://id.example.com/auth.md',
      'https://user@id.example.com/auth.md',
      'https://id.example.com@evil.example/auth.md',
      'https://evil.example/auth.md',
      'https://evil.example/https://id.example.com/auth.md',
      'https:///auth.md',
    ]) {
      const reply = await ask(on, target, HOST);
      assertRefused(t, { url }, reply, 'tinysend', 421, 'misdirected_request', target);
    }
  });

  test('in absolute form keeps all other rules: dialect, method, body, secrets in the query, two Host headers, none', async (t) => {
    const at = (path: string) => `https://ID.example.com:443${path}`;
    const refusals: [DialectName, number, string, Promise<Reply>][] = [
      ['tinysend', 404, 'not_found', ask(on, at('/nothing'), HOST)],
      ['tinysend', 405, 'method_not_allowed', ask(on, at('/agent/auth'), HOST)],
      ['oauth', 405, 'invalid_request', ask(on, at('/oauth2/revoke'), HOST)],
      ['tinysend', 415, 'unsupported_media_type', ask(on, at('/agent/auth'), HOST, { method: 'POST' })],
      ['tinysend', 400, 'invalid_request', ask(on, at('/api/me?access_token=sk_x'), HOST)],
      ['tinysend', 400, 'invalid_request', ask(on, at('/api/me'), [...HOST, ...HOST])],
    ];
    for (const [dialect, status, code, asked] of refusals) {
      assertRefused(t, { url }, await asked, dialect, status, code, `${dialect} ${status}`);
    }
    t.is((await ask(on, at('/auth.md'), [])).status, 400, 'HTTP/1.1 without Host');
  });

  test('in absolute form signs people in as in origin form: a page knows who asks for it', async (t) => {
    const reply = await ask(on, `${url}/agents`, HOST, {});
    t.deepEqual(
      [reply.status, reply.headers.get('location')],
      [303, (await ask(on, '/agents', HOST)).headers.get('location')],
    );
  });

  test('has the path that is written, so that the rules of a proxy for paths hold: no other spelling of it is served', async (t) => {
    for (const path of [
      '/%61uth.md',
      '/auth%2Emd',
      '/x/../auth.md',
      '/./auth.md',
      '/%2Fauth.md',
      '/auth.md%2F',
      '/auth.md%00',
      '/auth.md%3Fx',
      '/%2561uth.md',
      '/auth%2',
      '/auth.md%',
      '/%FFuth.md',
      '//auth.md',
      '//id.example.com/auth.md',
      '/AUTH.md',
    ]) {
      for (const target of [path, url + path]) {
        assertRefused(t, { url }, await ask(on, target, HOST), 'tinysend', 404, 'not_found', target);
      }
    }
  });
});

test('on a developer’s machine every spelling of the machine’s own names is served', async (t) => {
  const on = await startTestService('sqlite');
  t.teardown(() => on.stop());
  const { port } = new URL(on.url);
  for (const name of [
    'localhost',
    'LOCALHOST.',
    `localhost:${port}`,
    'localhost:',
    'localhost:1',
    'local%68ost',
    '127.0.0.1',
    '127.1.2.3:80',
    '[::1]',
    '[0:0:0:0:0:0:0:1]:8080',
  ]) {
    t.is((await ask(on, '/auth.md', [name])).status, 200, name);
    t.is((await ask(on, `http://${name}/auth.md`, ['evil.example'])).status, 200, name);
  }
  for (const name of [
    '127.1',
    '0x7f.0.0.1',
    '2130706433',
    '127.0.0.1.',
    '[::]',
    '[::ffff:10.0.0.1]',
    'localhost.evil.example',
  ]) {
    const reply = await ask(on, '/auth.md', [name]);
    assertRefused(t, on, reply, 'tinysend', 421, 'misdirected_request', name);
  }
});

test('the operator’s port takes targets in absolute form and with a query', async (t) => {
  const on = await startTestService('sqlite');
  t.teardown(() => on.stop());
  const ops = { ...on, url: `http://127.0.0.1:${on.service.opsPort}` };
  for (const target of [
    '/readyz?verbose',
    'http://ops.internal:9464/livez',
    'http://ops.internal/metrics?a=b',
  ]) {
    t.is((await ask(ops, target, ['ops.internal'])).status, 200, target);
  }
  t.is((await ask(ops, 'http://ops.internal', ['ops.internal'])).status, 404);
});
