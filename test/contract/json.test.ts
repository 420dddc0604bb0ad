import { badInputOf, routesOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { type BodyRow, encode, withMember } from '../helpers/valid-bodies.ts';
import { MARK } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: JSON', (engine, test) => {
  let on: TestService;
  let rows: BodyRow[];
  let carriers: BodyRow[]; // one row for each path and media type
  test.before(async () => {
    on = await startTestService(engine);
    ({ rows, carriers } = routesOf(on));
  });
  test.after(() => on.stop());

  const { refusedFor, badRequest, assertPlain, post } = badInputOf(() => on);

  test.describe('JSON', (test) => {
    interface Limits {
      levels: number;
      names: number;
    }
    const limitsOf = ({ media }: BodyRow): Limits =>
      media === 'batch' ? { levels: 4, names: 4096 } : { levels: 8, names: 64 };
    const nested = (levels: number) => `"x":${'['.repeat(levels)}${']'.repeat(levels)}`;
    const many = (count: number) => Array.from({ length: count }, (_, index) => `"n${index}":0`).join();

    test('what is no JSON is 400, natively invalid_json', async (t) => {
      for (const row of carriers.filter(({ codec }) => codec === 'json')) {
        const valid = encode(row);
        const texts = ['', ' ', '{', `${valid}}`, `${valid} ${MARK}`, `\ufeff${valid}`, `/**/${valid}`, MARK];
        const members = [
          "'x':1",
          '"x":NaN',
          '"x":01',
          '"x":1,',
          `"x":"${'\0'}"`,
          '"x":"\n"',
          '"x":"\\x41"',
          'x:1',
        ];
        for (const text of [...texts, ...members.map((member) => withMember(row, member))]) {
          refusedFor(t, await post(row, text), 'json', row, text);
        }
      }
    });

    test('JSON that nobody needs to send is 400 invalid_request', async (t) => {
      const membersOf = ({ levels, names }: Limits) => ({
        'a name twice': `"${MARK}":1,"${MARK}":2`,
        'a name twice, spelt differently': '"a":1,"\\u0061":2',
        'a name twice, deep inside': '"x":[{"y":1,"y":1}]',
        '5,000 levels': nested(5000),
        'too many levels below the root': nested(levels),
        'too many names': many(names + 1),
        'too many names in many objects': `"x":[${'{"n":1},'.repeat(names + 1)}0]`,
        NUL: '"x":"\\u0000"',
        'NUL in a name': '"\\u0000":1',
        escape: '"x":"\\u001b[2J"',
        delete: '"x":"\\u007f"',
        'a C1 control': '"x":"\\u0085"',
        'half a surrogate pair': '"x":"\\ud800"',
        'the other half': '"x":"\\udc00 "',
        'a pair in the wrong order': '"x":"\\udc00\\ud800"',
        __proto__: '"__proto__":{"scopes":["write"]}',
        '__proto__, escaped': '"\\u005f_proto__":1',
        constructor: '"constructor":{"prototype":{"x":1}}',
        'prototype, deep inside': '"x":{"y":{"prototype":1}}',
      });
      for (const row of rows.filter(({ codec }) => codec === 'json')) {
        for (const [what, member] of Object.entries(membersOf(limitsOf(row)))) {
          badRequest(t, await post(row, withMember(row, member)), row.before, `${row.line}: ${what}`);
        }
        for (const root of ['[]', '"text"', 'null', 'true', '1', `[${encode(row)}]`, `"${MARK}"`]) {
          badRequest(t, await post(row, root), row.before, `${row.line}: ${root}`);
        }
      }
    });

    test('bytes that are not UTF-8 are 400 invalid_request', async (t) => {
      const hostile = [
        [0xff],
        [0xc3],
        [0xc0, 0xaf],
        [0xed, 0xa0, 0x80],
        [0xf4, 0x90, 0x80, 0x80],
        [0xfe, 0xff],
      ];
      for (const row of carriers.filter(({ codec }) => codec === 'json')) {
        const [head, tail] = withMember(row, '"x":"|"').split('|') as [string, string];
        for (const bytes of hostile) {
          const body = Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]);
          badRequest(t, await post(row, body), row.before, `${row.line}: ${bytes}`);
        }
      }
    });

    test('what stays within the limits is accepted: 8 levels, 64 names (of a batch 4 and 4,096), long texts, unknown members', async (t) => {
      for (const row of rows.filter(({ codec }) => codec === 'json')) {
        const { levels, names } = limitsOf(row);
        const left = names - JSON.stringify(row.valid).split('":').length + 1; // names in all of its objects
        for (const member of [
          nested(levels - 1),
          many(left),
          `"x":"${'ü'.repeat(5000)}"`,
          '"x":"😀\\ud83d\\ude00"',
        ]) {
          assertPlain(t, row, await post(row, withMember(row, member)), member.slice(0, 20));
        }
      }
    });
  });
});
