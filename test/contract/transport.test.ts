import { badInputOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { MARK, parseRaw, send, sendRaw } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: transport', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const { refused } = badInputOf(() => on);

  test.describe('transport', (test) => {
    const host = () => new URL(on.url).host;

    test('another host than ours is 421, in every spelling', async (t) => {
      const evil = [
        'evil.example',
        `evil.example@${host()}`,
        `${host()}.evil.example`,
        `${host()}@evil.example`,
      ];
      for (const name of [
        ...evil,
        'localhost.evil.example',
        'evil.example:fake@localhost',
        'localhost, evil.example',
        '169.254.169.254',
        '0.0.0.0',
        '[::2]',
        'localhost:evil',
      ]) {
        for (const [path, dialect, code] of [
          ['/agent/auth', 'tinysend', 'misdirected_request'],
          ['/auth.md', 'tinysend', 'misdirected_request'],
          ['/nothing', 'tinysend', 'misdirected_request'],
          ['/oauth2/introspect', 'oauth', 'invalid_request'],
          ['/oauth2/token', 'oauth', 'invalid_request'],
          ['/agent/identity', 'auth.md', 'invalid_request'],
          ['/agent/identity/claim', 'auth.md', 'invalid_request'],
        ] as const) {
          refused(t, await send(on, 'POST', path, [['Host', name]]), dialect, 421, code, name);
        }
      }
      const none = parseRaw(await sendRaw(on, 'GET /auth.md HTTP/1.0\r\n\r\n'));
      refused(t, none, 'tinysend', 421, 'misdirected_request', 'no Host at all');
    });

    test('two Host headers are 400, even when both are ours', async (t) => {
      for (const other of [host(), 'evil.example']) {
        for (const [dialect, path] of [
          ['tinysend', '/api/me'],
          ['oauth', '/oauth2/revoke'],
        ] as const) {
          const received = await sendRaw(
            on,
            `GET ${path} HTTP/1.1\r\nHost: ${host()}\r\nHost: ${other}\r\nConnection: close\r\n\r\n`,
          );
          refused(t, parseRaw(received), dialect, 400, 'invalid_request', path);
        }
      }
    });

    test('64 headers are read, 65 are 400', async (t) => {
      const headers = (count: number) =>
        Array.from({ length: count }, (_, index) => [`X-${index}`, MARK] as const);
      // Host and Connection are two of them.
      t.is((await send(on, 'GET', '/auth.md', headers(62))).status, 200);
      refused(t, await send(on, 'GET', '/auth.md', headers(63)), 'tinysend', 400, 'invalid_request', '65');
      refused(
        t,
        await send(on, 'GET', '/oauth2/revoke', headers(1000)),
        'oauth',
        400,
        'invalid_request',
        '1,002',
      );
    });

    test('requests that two parsers could read differently are 400 and the connection is closed', async (t) => {
      const json = '{"type":"anonymous"}';
      const smuggled = `GET /auth.md HTTP/1.1\r\nHost: ${host()}\r\n\r\n`;
      const start = `POST /agent/auth HTTP/1.1\r\nHost: ${host()}\r\nContent-Type: application/json\r\n`;
      const hostile = {
        'length and chunks': `${start}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        'chunks and length': `${start}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
        'two lengths': `${start}Content-Length: ${json.length}\r\nContent-Length: 2\r\n\r\n${json}`,
        'a length of two numbers': `${start}Content-Length: ${json.length}, 2\r\n\r\n${json}`,
        'a negative length': `${start}Content-Length: -1\r\n\r\n`,
        'an unknown coding': `${start}Transfer-Encoding: chunked, ${MARK}\r\n\r\n0\r\n\r\n`,
        'bare line feeds': `POST /agent/auth HTTP/1.1\nHost: ${host()}\n\n`,
        'a bare carriage return': `${start}X: a\rY: b\r\n\r\n`,
        'NUL in a header': `${start}X: a\0b\r\n\r\n`,
        'a folded header': `${start}X: a\r\n b\r\n\r\n`,
        'a space before the colon': `${start}X : a\r\n\r\n`,
        'a chunk size that is no number': `${start}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
        'no host': `GET /auth.md HTTP/1.1\r\n\r\n`,
        'no HTTP': `${MARK}\r\n\r\n`,
      };
      for (const [what, text] of Object.entries(hostile)) {
        const received = await sendRaw(on, text + smuggled); // resolves once the connection is closed
        t.regex(received, /^HTTP\/1\.1 400 /, what);
        t.is(received.match(/^HTTP\/1\.1 /gm)?.length, 1, `${what}: the second request was answered`);
        t.false(received.includes(MARK), what);
      }
    });

    test('a header block or a URL of more than 16 KiB is 431', async (t) => {
      const long = 'a'.repeat(17_000);
      for (const text of [
        `GET /${long} HTTP/1.1\r\nHost: ${host()}\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: ${host()}\r\nX: ${long}\r\n\r\n`,
      ]) {
        t.regex(await sendRaw(on, text), /^HTTP\/1\.1 431 /);
      }
    });

    test('what is left of a refused body is not taken for a request', async (t) => {
      const inner = `GET /auth.md HTTP/1.1\r\nHost: ${host()}\r\n\r\n`;
      const received = await sendRaw(
        on,
        `POST /agent/auth HTTP/1.1\r\nHost: ${host()}\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n${inner}`,
      );
      t.regex(received, /^HTTP\/1\.1 415 /);
      t.is(received.match(/^HTTP\/1\.1 /gm)?.length, 1);
    });
  });
});
