import { badInputOf, routesOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { type BodyRow, encode, FORM_TYPE, JSON_TYPE } from '../helpers/valid-bodies.ts';
import { MARK, parseRaw, send, sendRaw } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: media types and sizes', (engine, test) => {
  let on: TestService;
  let rows: BodyRow[];
  let carriers: BodyRow[]; // one row for each path and media type
  test.before(async () => {
    on = await startTestService(engine);
    ({ rows, carriers } = routesOf(on));
  });
  test.after(() => on.stop());

  const { refusedFor, assertPlain, post } = badInputOf(() => on);

  test.describe('media type and encoding', (test) => {
    test('a body of another media type, or of none, is refused unread', async (t) => {
      const known = [JSON_TYPE, FORM_TYPE, 'application/secevent+jwt', 'application/logout+jwt'];
      for (const row of carriers) {
        const others = [...known, 'application/jwt', 'text/plain', 'text/json', `${row.type}x`];
        const types = [...others, 'multipart/form-data; boundary=x', '*/*', ';;;', MARK, ''];
        for (const type of types.filter((each) => !row.types.includes(each))) {
          refusedFor(t, await post(row, encode(row), type), 'media', row, `as "${type}"`);
        }
        refusedFor(t, await send(on, row.method, row.path, [], encode(row)), 'media', row, 'without a type');
      }
    });

    test('another charset than UTF-8 and any Content-Encoding are 415', async (t) => {
      for (const row of carriers) {
        for (const charset of ['utf-16', 'latin1', 'iso-8859-1', 'utf-7', 'bogus', MARK]) {
          const reply = await post(row, encode(row), `${row.type}; charset=${charset}`);
          refusedFor(t, reply, 'encoding', row, `in ${charset}`);
        }
        for (const encoding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, identity', MARK]) {
          const headers = [
            ['Content-Type', row.type],
            ['Content-Encoding', encoding],
          ] as const;
          const reply = await send(on, row.method, row.path, headers, encode(row));
          refusedFor(t, reply, 'encoding', row, `as ${encoding}`);
        }
      }
    });

    test('UTF-8 may be said aloud, in any case', async (t) => {
      for (const row of carriers) {
        for (const parameter of ['; charset=utf-8', '; charset=UTF-8', ';charset="utf-8"', '; x=y']) {
          assertPlain(t, row, await post(row, encode(row), row.type.toUpperCase() + parameter), parameter);
        }
      }
    });
  });

  test.describe('size', (test) => {
    const bytesMaxOf = ({ media }: BodyRow) =>
      media === 'batch' ? 262_144 : ['choicesForm', 'artifactForm'].includes(media) ? 65_536 : 16_384;

    test('16 KiB are read, of a form with many boxes 64 and of a batch of nodes 256; a byte more is 413', async (t) => {
      for (const row of rows) {
        const text = encode(row);
        const filler = row.codec === 'form' ? '&' : ' ';
        const room = bytesMaxOf(row) - text.length;
        assertPlain(t, row, await post(row, text + filler.repeat(room)), 'up to the limit');
        refusedFor(t, await post(row, text + filler.repeat(room + 1)), 'size', row);
      }
    });

    test('a body that does not say its length is read no further', async (t) => {
      for (const row of carriers) {
        const chunk = `1000\r\n${' '.repeat(4096)}\r\n`;
        const received = await sendRaw(
          on,
          `${row.method} ${row.path} HTTP/1.1\r\nHost: ${new URL(on.url).host}\r\nContent-Type: ${row.type}\r\n` +
            `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(bytesMaxOf(row) / 4096 + 1)}`, // and no end
        );
        const reply = parseRaw(received);
        refusedFor(t, reply, 'size', row);
        t.is(reply.headers.get('connection'), 'close');
      }
    });
  });
});
