import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { createRoutes } from '../src/app.ts';
import { localAsker } from '../src/domain/events.ts';
import { addResourceServer } from '../src/domain/resource-servers.ts';
import type { Route } from '../src/http/route.ts';
import { systemRandom } from '../src/lib/random.ts';
import { newSecret } from '../src/lib/secrets.ts';
import {
  basic,
  onEveryEngine,
  type Reply,
  startTestService,
  type TestService,
  wrongCode,
} from './helpers/service.ts';
import {
  assertFailureShape,
  assertHeaders,
  assertPage,
  assertRefused,
  type DialectName,
  MARK,
  parseRaw,
  send,
  sendRaw,
} from './helpers/wire.ts';

/** The bad-input contract, security.md 4: its columns native (/agent, /api) and OAuth (/oauth2); pages are native in words. */

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'];
const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';
const unknownKey = newSecret('sk', systemRandom);
const unknownClaimToken = newSecret('ct', systemRandom);

/** A body that passes the schema of each row that takes one, so that a refusal is for what a test added to it. */
const VALID: Record<string, Record<string, unknown>> = {
  'POST /agent/auth': { type: 'anonymous', agent_name: 'Robin' },
  'POST /agent/auth/claim': { claim_token: unknownClaimToken, email: 'human@example.com', link: false },
  'POST /agent/auth/claim/complete': { claim_token: unknownClaimToken, otp: '123456' },
  'POST /api/tokens': { name: 'helper', scope: 'read', expires_in: 60 },
  'POST /oauth2/introspect': { token: unknownKey, token_type_hint: 'access_token' },
  'POST /oauth2/revoke': { token: unknownKey },
  'POST /resource/quota': { key_id: 'key_0', action: 'send' },
  'POST /claim': { csrf: 'none', attempt: 'cla_0', code: '123456' },
  'POST /claim/deny': { csrf: 'none', no_more: 'on' },
  'POST /sign-in': { csrf: 'none', next: '/account', email: 'human@example.com' },
  'POST /sign-in/again': { csrf: 'none', next: '/account' },
  'POST /sign-in/code': { csrf: 'none', next: '/account', code: '123456' },
  'POST /sign-out': { csrf: 'none' },
  'POST /agents/:id/rename': { csrf: 'none', name: 'Robin' },
  'POST /agents/:id/narrow': { csrf: 'none', 'scope:read': 'on' },
  'POST /agents/:id/unlink': { csrf: 'none' },
  'POST /agents/:id/undo': { csrf: 'none' },
  'POST /agents/:id/revoke': { csrf: 'none' },
  'POST /keys/new': { csrf: 'none', once: 'a'.repeat(32), name: 'script', preset: 'read-only', life: '7' },
  'POST /keys/:id/revoke': { csrf: 'none' },
  'POST /account/sessions/end': { csrf: 'none', session: 'ses_0' },
  'POST /account/mail': { csrf: 'none', wanted: 'yes' },
  'POST /account/authenticator': { csrf: 'none', sealed: 'x', code: '123456' },
  'POST /account/authenticator/codes': { csrf: 'none' },
  'POST /account/authenticator/remove': { csrf: 'none' },
  'POST /account/delete': { csrf: 'none', mailbox: 'human@example.com' },
};

/** What becomes of the valid body when nothing is added to it, without any credential; a form without its token is 403. */
const PLAIN_STATUS: Record<string, number> = {
  'POST /agent/auth': 200,
  'POST /agent/auth/claim': 401,
  'POST /agent/auth/claim/complete': 401,
  'POST /api/tokens': 401,
  'POST /oauth2/introspect': 401,
  'POST /resource/quota': 401,
  'POST /oauth2/revoke': 200,
};

interface BodyRow {
  line: string;
  path: string;
  dialect: DialectName;
  media: 'json' | 'form';
  type: string;
  valid: Record<string, unknown>;
}

function bodyRows(routes: readonly Route[]): BodyRow[] {
  return routes
    .filter((row) => row.body !== undefined)
    .map((row) => {
      const line = `${row.method} ${row.path}`;
      const valid = VALID[line];
      assert.ok(valid, `${line} takes a body: give a valid one above, so that it is tested too`);
      const { media } = row.body!;
      return {
        line,
        path: concrete(row.path),
        dialect: row.dialect.name as DialectName,
        media,
        type: media === 'json' ? JSON_TYPE : FORM_TYPE,
        valid,
      };
    });
}

function encode(row: BodyRow, body: Record<string, unknown> = row.valid): string {
  if (row.media === 'json') return JSON.stringify(body);
  return new URLSearchParams(body as Record<string, string>).toString();
}

/** The valid JSON text with one more member, given as text. */
function withMember(row: BodyRow, member: string): string {
  return `${JSON.stringify(row.valid).slice(0, -1)},${member}}`;
}

/** The path as a request writes it. */
const concrete = (path: string) => path.replaceAll(/:\w+/g, 'key_0');

onEveryEngine('bad input', (engine) => {
  let on: TestService;
  let routes: Route[];
  let closed: Route[]; // the rows that are no open documents
  let rows: BodyRow[];
  before(async () => {
    on = await startTestService(engine);
    routes = createRoutes(on.service.deps, undefined);
    closed = routes.filter((row) => !row.open);
    rows = bodyRows(routes);
  });
  after(() => on.stop());

  const refused = (reply: Reply, dialect: string, status: number, code: string, about: string) =>
    assertRefused(on, reply, dialect as DialectName, status, code, about);
  const post = (row: BodyRow, body: string | Uint8Array, type: string = row.type) =>
    send(on, 'POST', row.path, [['Content-Type', type]], body);

  test('the valid bodies of this test are valid', async () => {
    for (const row of rows) {
      const reply = await post(row, encode(row));
      assert.equal(reply.status, PLAIN_STATUS[row.line] ?? 403, `${row.line}: ${reply.text}`);
    }
  });

  describe('paths and methods', () => {
    test('an unknown path is 404 in the dialect of its neighbours, by whatever method', async () => {
      const unknown: [DialectName, string][] = [
        ['native', '/nothing'],
        ['native', '/agent/auth/'],
        ['native', '/agent/auth/claim/complete/more'],
        ['native', '/agent'],
        ['native', '/api/tokens/'],
        ['native', '/api/tokens/a/b'],
        ['native', '/API/me'],
        ['native', '/api//me'],
        ['native', '/api/%6de'],
        ['native', '/api/../api/me'],
        ['native', '/claim/'],
        ['native', '/assets/'],
        ['native', '/assets/../package.json'],
        ['native', `/${MARK}?q=${MARK}`],
        ['oauth', '/oauth2/nothing'],
        ['oauth', '/oauth2/introspect/'],
        ['oauth', `/oauth2/${MARK}`],
      ];
      for (const [dialect, path] of unknown) {
        for (const method of METHODS) {
          const reply = await send(on, method, path);
          const about = `${method} ${path}`;
          if (method === 'HEAD') assert.equal(reply.status, 404, about);
          else refused(reply, dialect, 404, 'not_found', about);
        }
      }
    });

    test('a browser that asks for a path that nobody knows gets a page', async () => {
      const accept = ['Accept', 'text/html,application/xhtml+xml,*/*;q=0.8'] as const;
      for (const path of [
        '/nothing',
        '/claim/',
        '/assets/none.css',
        '/oauth2/nothing',
        `/${MARK}?q=${MARK}`,
      ]) {
        refused(await send(on, 'GET', path, [accept]), 'page', 404, '', path);
        const elsewhere = await send(on, 'GET', path, [accept, ['Host', 'evil.example']]);
        refused(elsewhere, 'page', 421, '', `${path} at another host`);
      }
      refused(
        await send(on, 'GET', '/api/me', [accept]),
        'native',
        401,
        'unauthorized',
        'a path with a dialect',
      );
    });

    test('a method that a path does not know is 405 with Allow, and the refusal has no effect', async () => {
      const methodsByPath = Map.groupBy(closed, (row) => row.path);
      for (const [path, known] of methodsByPath) {
        const allowed = known.flatMap((row) => (row.method === 'GET' ? ['GET', 'HEAD'] : [row.method]));
        for (const method of METHODS.filter((each) => !allowed.includes(each))) {
          const about = `${method} ${path}`;
          const reply = await send(on, method, concrete(path), [['X-HTTP-Method-Override', 'POST']]);
          assert.equal(reply.headers.get('allow'), allowed.join(', '), about);
          if (method === 'HEAD') {
            assert.equal(reply.status, 405, about);
            assert.equal(reply.text, '', about);
            assertHeaders(reply, about);
            continue;
          }
          const dialect = known[0]!.dialect.name;
          refused(
            reply,
            dialect,
            405,
            dialect === 'native' ? 'method_not_allowed' : 'invalid_request',
            about,
          );
        }
      }
    });

    test('an open document is read by GET and HEAD only, and answers a preflight', async () => {
      for (const row of routes.filter((each) => each.open)) {
        for (const method of METHODS) {
          const about = `${method} ${row.path}`;
          const reply = await send(on, method, row.path);
          if (method === 'GET' || method === 'HEAD') assert.ok(reply.status < 400, about);
          else if (method === 'OPTIONS') assert.equal(reply.status, 204, about);
          else refused(reply, row.dialect.name, 405, 'method_not_allowed', about);
        }
      }
    });

    test('a tunnel is not opened for anybody', async () => {
      const host = new URL(on.url).host;
      assert.equal(await sendRaw(on, `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`), '');
    });
  });

  describe('media type and encoding', () => {
    test('a body of another media type, or of none, is refused unread', async () => {
      for (const row of rows) {
        const other = row.media === 'json' ? FORM_TYPE : JSON_TYPE;
        const types = [other, 'text/plain', 'text/json', `${row.type}x`, 'multipart/form-data; boundary=x'];
        const [status, code] =
          row.dialect === 'oauth' ? [400, 'invalid_request'] : [415, 'unsupported_media_type'];
        for (const type of [...types, '*/*', ';;;', MARK, '']) {
          refused(await post(row, encode(row), type), row.dialect, status, code, `${row.line} as "${type}"`);
        }
        const bare = await send(on, 'POST', row.path, [], encode(row));
        refused(bare, row.dialect, status, code, `${row.line} without a type`);
      }
    });

    test('another charset than UTF-8 and any Content-Encoding are 415', async () => {
      for (const row of rows) {
        const code = row.dialect === 'native' ? 'unsupported_media_type' : 'invalid_request';
        for (const charset of ['utf-16', 'latin1', 'iso-8859-1', 'utf-7', 'bogus', MARK]) {
          const reply = await post(row, encode(row), `${row.type}; charset=${charset}`);
          refused(reply, row.dialect, 415, code, `${row.line} in ${charset}`);
        }
        for (const encoding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, identity', MARK]) {
          const headers = [
            ['Content-Type', row.type],
            ['Content-Encoding', encoding],
          ] as const;
          const reply = await send(on, 'POST', row.path, headers, encode(row));
          refused(reply, row.dialect, 415, code, `${row.line} as ${encoding}`);
        }
      }
    });

    test('UTF-8 may be said aloud, in any case', async () => {
      for (const row of rows) {
        for (const parameter of ['; charset=utf-8', '; charset=UTF-8', ';charset="utf-8"', '; x=y']) {
          const reply = await post(row, encode(row), row.type.toUpperCase() + parameter);
          assert.equal(reply.status, PLAIN_STATUS[row.line] ?? 403, `${row.line}${parameter}: ${reply.text}`);
        }
      }
    });
  });

  describe('size', () => {
    test('16 KiB are read, a byte more is 413', async () => {
      for (const row of rows) {
        const text = encode(row);
        const filler = row.media === 'json' ? ' ' : '&';
        const full = await post(row, text + filler.repeat(16_384 - text.length));
        assert.equal(full.status, PLAIN_STATUS[row.line] ?? 403, `${row.line}: ${full.text}`);
        const code = row.dialect === 'native' ? 'payload_too_large' : 'invalid_request';
        const over = await post(row, text + filler.repeat(16_385 - text.length));
        refused(over, row.dialect, 413, code, row.line);
      }
    });

    test('a body that does not say its length is read no further than 16 KiB', async () => {
      for (const row of rows) {
        const chunk = `1000\r\n${' '.repeat(4096)}\r\n`;
        const received = await sendRaw(
          on,
          `POST ${row.path} HTTP/1.1\r\nHost: ${new URL(on.url).host}\r\nContent-Type: ${row.type}\r\n` +
            `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`, // and no end
        );
        const code = row.dialect === 'native' ? 'payload_too_large' : 'invalid_request';
        const reply = parseRaw(received);
        refused(reply, row.dialect, 413, code, row.line);
        assert.equal(reply.headers.get('connection'), 'close');
      }
    });
  });

  describe('JSON', () => {
    const nested = (levels: number) => `"x":${'['.repeat(levels)}${']'.repeat(levels)}`;
    const many = (count: number) => Array.from({ length: count }, (_, index) => `"n${index}":0`).join();

    test('what is no JSON is 400 invalid_json', async () => {
      for (const row of rows.filter(({ media }) => media === 'json')) {
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
          refused(await post(row, text), row.dialect, 400, 'invalid_json', `${row.line}: ${text}`);
        }
      }
    });

    test('JSON that nobody needs to send is 400 invalid_request', async () => {
      const members = {
        'a name twice': `"${MARK}":1,"${MARK}":2`,
        'a name twice, spelt differently': '"a":1,"\\u0061":2',
        'a name twice, deep inside': '"x":[{"y":1,"y":1}]',
        '5,000 levels': nested(5000),
        '8 levels below the root': nested(8),
        '65 names': many(65),
        '65 names in many objects': `"x":[${'{"n":1},'.repeat(65)}0]`,
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
      };
      for (const row of rows.filter(({ media }) => media === 'json')) {
        for (const [what, member] of Object.entries(members)) {
          refused(
            await post(row, withMember(row, member)),
            row.dialect,
            400,
            'invalid_request',
            `${row.line}: ${what}`,
          );
        }
        for (const root of ['[]', '"text"', 'null', 'true', '1', `[${encode(row)}]`, `"${MARK}"`]) {
          refused(await post(row, root), row.dialect, 400, 'invalid_request', `${row.line}: ${root}`);
        }
      }
    });

    test('bytes that are not UTF-8 are 400 invalid_request', async () => {
      const hostile = [
        [0xff],
        [0xc3],
        [0xc0, 0xaf],
        [0xed, 0xa0, 0x80],
        [0xf4, 0x90, 0x80, 0x80],
        [0xfe, 0xff],
      ];
      for (const row of rows.filter(({ media }) => media === 'json')) {
        const [head, tail] = withMember(row, '"x":"|"').split('|') as [string, string];
        for (const bytes of hostile) {
          const body = Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]);
          refused(await post(row, body), row.dialect, 400, 'invalid_request', `${row.line}: ${bytes}`);
        }
      }
    });

    test('what stays within the limits is accepted: 8 levels, 64 names, long texts, unknown members', async () => {
      for (const row of rows.filter(({ media }) => media === 'json')) {
        const left = 64 - Object.keys(row.valid).length;
        for (const member of [nested(7), many(left), `"x":"${'ü'.repeat(5000)}"`, '"x":"😀\\ud83d\\ude00"']) {
          const reply = await post(row, withMember(row, member));
          assert.equal(reply.status, PLAIN_STATUS[row.line] ?? 403, `${row.line}: ${reply.text}`);
        }
      }
    });
  });

  describe('fields', () => {
    test('a missing, mistyped, wrong or too long member is 400 and named by `field`', async () => {
      const assertion = { type: 'verified_email', email: 'human@example.com' };
      const identity = { type: 'identity_assertion', assertions: [assertion] };
      const long = MARK.repeat(400);
      const cases: [path: string, body: Record<string, unknown>, field: string][] = [
        ['/agent/auth', {}, 'type'],
        ['/agent/auth', { type: MARK }, 'type'],
        ['/agent/auth', { type: ['anonymous'] }, 'type'],
        ['/agent/auth', { type: 'anonymous', agent_name: 1 }, 'agent_name'],
        ['/agent/auth', { type: 'anonymous', agent_name: null }, 'agent_name'],
        ['/agent/auth', { type: 'anonymous', agent_name: MARK.repeat(9) }, 'agent_name'],
        ['/agent/auth', { type: 'anonymous', agent_name: long }, 'agent_name'],
        ['/agent/auth', { type: 'identity_assertion' }, 'assertions'],
        ['/agent/auth', { ...identity, assertions: assertion }, 'assertions'],
        ['/agent/auth', { ...identity, assertions: [assertion, assertion] }, 'assertions'],
        ['/agent/auth', { ...identity, assertions: [{ ...assertion, type: MARK }] }, 'assertions.0.type'],
        ['/agent/auth', { ...identity, assertions: [{ type: 'verified_email' }] }, 'assertions.0.email'],
        ['/agent/auth', { ...identity, link: 'yes' }, 'link'],
        ['/agent/auth/claim', { email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: '', email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: 1, email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: MARK.repeat(20), email: 'human@example.com' }, 'claim_token'],
        ['/agent/auth/claim', { claim_token: unknownClaimToken }, 'email'],
        ['/agent/auth/claim', { claim_token: unknownClaimToken, email: ['human@example.com'] }, 'email'],
        [
          '/agent/auth/claim',
          { claim_token: unknownClaimToken, email: `${MARK.repeat(40)}@example.com` },
          'email',
        ],
        ['/agent/auth/claim', { claim_token: unknownClaimToken, email: `${long}@example.com` }, 'email'],
        [
          '/agent/auth/claim',
          { claim_token: unknownClaimToken, email: 'human@example.com', link: 1 },
          'link',
        ],
        ['/agent/auth/claim/complete', { otp: '123456' }, 'claim_token'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: null }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: 123456 }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '12345' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '1234567' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '12345a' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: ' 123456' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '１２３４５６' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: ['123456'] }, 'otp'],
        ['/api/tokens', { scope: 'read' }, 'name'],
        ['/api/tokens', { name: '', scope: 'read' }, 'name'],
        ['/api/tokens', { name: MARK.repeat(9), scope: 'read' }, 'name'],
        ['/api/tokens', { name: 'x' }, 'scope'],
        ['/api/tokens', { name: 'x', scope: '' }, 'scope'],
        ['/api/tokens', { name: 'x', scope: ['read'] }, 'scope'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: '60' }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: 0 }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: 1.5 }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', expires_in: 1e12 }, 'expires_in'],
        ['/api/tokens', { name: 'x', scope: 'read', resources: [] }, 'resources'],
        ['/api/tokens', { name: 'x', scope: 'read', resources: 'https://a.example' }, 'resources'],
        ['/api/tokens', { name: 'x', scope: 'read', resources: [1] }, 'resources.0'],
      ];
      for (const [path, body, field] of cases) {
        const about = `${path} ${JSON.stringify(body).slice(0, 120)}`;
        const reply = await on.post(path, body);
        refused(reply, 'native', 400, 'invalid_request', about);
        assert.equal(reply.body.error.field, field, about);
      }
    });

    test('a form of a page with a missing, wrong or too long member is 400, without its token 403', async () => {
      const claim = { csrf: 'x', attempt: 'cla_0', code: '123456' };
      const long = MARK.repeat(9);
      const cases: [path: string, body: Record<string, string>, status: number][] = [
        ['/claim', { csrf: 'x', code: '123456' }, 400],
        ['/claim', { ...claim, csrf: long }, 400],
        ['/claim', { ...claim, attempt: long }, 400],
        ['/claim', { ...claim, code: long }, 400],
        ['/claim', { attempt: 'cla_0', code: '123456' }, 403],
        ['/claim/deny', { csrf: long }, 400],
        ['/claim/deny', { csrf: 'x', no_more: MARK }, 400],
        ['/claim/deny', { no_more: 'on' }, 403],
      ];
      for (const [path, body, status] of cases) {
        refused(await on.form(path, body), 'page', status, '', `${path} ${JSON.stringify(body)}`);
      }
    });

    test('what is no mailbox is 400 invalid_email, and costs no mail', async () => {
      const { claim_token } = await on.register();
      const before = on.mails.length;
      const hostile = [
        MARK,
        '@example.com',
        'human@',
        'human@localhost',
        'human@127.0.0.1',
        'human@[127.0.0.1]',
        'human@example.com, other@example.com',
        'human@example.com;other@example.com',
        'Human <human@example.com>',
        '"human"@example.com',
        'hu man@example.com',
        'human@exa mple.com',
        'human@@example.com',
        'human@example..com',
        '.human@example.com',
        'human.@example.com',
        'hu..man@example.com',
        'human(comment)@example.com',
        'humän@example.com',
        'admın@example.com',
        'human@example.com?bcc=other@example.com',
        'human%0d%0aBcc:other@example.com@',
        'human@-example.com',
        'human@example.1',
        'human@ｅxample.com',
        `${'a'.repeat(65)}@example.com`,
        `human@${'a'.repeat(64)}.com`,
        'group:human@example.com;',
        'human@\u212aexample.com',
      ];
      for (const email of hostile) {
        const claimed = await on.post('/agent/auth/claim', { claim_token, email });
        const asserted = await on.post('/agent/auth', {
          type: 'identity_assertion',
          assertions: [{ type: 'verified_email', email }],
        });
        refused(claimed, 'native', 400, 'invalid_email', email);
        refused(asserted, 'native', 400, 'invalid_email', email);
        assert.equal(claimed.body.error.field, 'email');
        assert.equal(asserted.body.error.field, 'assertions.0.email');
      }
      assert.equal(on.mails.length, before);
    });

    test('a form without its token is 400', async () => {
      for (const row of rows.filter(({ dialect }) => dialect === 'oauth')) {
        const texts = {
          nothing: '',
          'no token': 'token_type_hint=access_token',
          'an empty token': 'token=',
          brackets: `token[]=${unknownKey}`,
          'an index': `token[0]=${unknownKey}`,
          JSON: JSON.stringify(row.valid),
        };
        for (const [what, text] of Object.entries(texts)) {
          refused(await post(row, text), row.dialect, 400, 'invalid_request', `${row.line}: ${what}`);
        }
      }
    });

    test('a form with a parameter twice, without end or of no text is 400', async () => {
      for (const row of rows.filter(({ media }) => media === 'form')) {
        const valid = encode(row);
        const first = Object.keys(row.valid)[0]!;
        const texts = {
          'a parameter twice': `${valid}&${first}=${MARK}`,
          'the same parameters twice': `${valid}&${valid}`,
          'a parameter and an empty one': `${valid}&${first}=`,
          'an unknown parameter twice': `${valid}&${MARK}=1&${MARK}=2`,
          NUL: `${valid}&x=%00`,
          'a control character': `${valid}&x=%1b`,
          'a C1 control character': `${valid}&x=%C2%85`,
          'bad UTF-8': `${valid}&x=%ff`,
          'half a surrogate pair': `${valid}&x=%ed%a0%80`,
          '65 parameters': `${valid}&${Array.from({ length: 65 }, (_, index) => `n${index}=1`).join('&')}`,
          'a parameter without end': encode(row, { ...row.valid, [first]: 'a'.repeat(9000) }),
        };
        for (const [what, text] of Object.entries(texts)) {
          refused(await post(row, text), row.dialect, 400, 'invalid_request', `${row.line}: ${what}`);
        }
        const bytes = Buffer.concat([Buffer.from(`${valid}&x=`), Buffer.from([0xff])]);
        refused(await post(row, bytes), row.dialect, 400, 'invalid_request', `${row.line}: raw bytes`);
      }
    });

    test('names that reach for prototypes change nothing for the next request', async () => {
      for (const row of rows.filter(({ media }) => media === 'form')) {
        const reply = await post(
          row,
          `${encode(row)}&__proto__=x&constructor=x&prototype=x&__proto__[scope]=write`,
        );
        assert.equal(reply.status, PLAIN_STATUS[row.line] ?? 403, reply.text);
      }
      const { scopes } = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
      assert.deepEqual(scopes, ['read']);
    });

    test('members that try to set privilege do nothing', async () => {
      const greedy = {
        scope: 'write',
        scopes: ['write'],
        user_id: 'usr_1',
        verified: true,
        role: 'admin',
        owner: 'x',
      };
      const { credential, scopes } = (await on.post('/agent/auth', { type: 'anonymous', ...greedy })).body
        .data;
      assert.deepEqual(scopes, ['read']);
      const me = (await on.get('/api/me', credential)).body.data;
      assert.deepEqual(me.scopes, ['read']);
      assert.equal(me.owner, undefined);
    });

    test('an Idempotency-Key is 1 to 255 visible characters, once', async () => {
      for (const key of ['a b', 'a'.repeat(256), 'ü']) {
        const reply = await send(
          on,
          'POST',
          '/agent/auth',
          [
            ['Content-Type', JSON_TYPE],
            ['Idempotency-Key', key],
          ],
          '{"type":"anonymous"}',
        );
        refused(reply, 'native', 400, 'invalid_request', key);
      }
      const twice = [
        ['Content-Type', JSON_TYPE],
        ['Idempotency-Key', 'a'],
        ['Idempotency-Key', 'b'],
      ] as const;
      refused(
        await send(on, 'POST', '/agent/auth', twice, '{"type":"anonymous"}'),
        'native',
        400,
        'invalid_request',
        'two',
      );
    });
  });

  describe('credentials', () => {
    /** Every call that reads a bearer, with a body that is not at fault. */
    const bearerCalls = () =>
      closed
        .filter((row) => row.caller === 'agent' || row.caller === 'agentIfAny')
        .map((row) => ({
          ...row,
          call: (headers: readonly (readonly [string, string])[]) => {
            const body = VALID[`${row.method} ${row.path}`];
            const all = [...headers, ...(body ? [['Content-Type', JSON_TYPE] as const] : [])];
            return send(on, row.method, concrete(row.path), all, body && JSON.stringify(body));
          },
        }));

    test('no key is 401 unauthorized, and the challenge names no error', async () => {
      for (const { method, path, caller, call } of bearerCalls().filter((row) => row.caller === 'agent')) {
        const reply = await call([]);
        refused(reply, 'native', 401, 'unauthorized', `${method} ${path} ${caller}`);
        assert.doesNotMatch(reply.headers.get('www-authenticate')!, /error/);
      }
    });

    test('unknown, malformed, mistyped, expired, revoked and foreign keys all get one and the same answer', async () => {
      const { credential } = await on.claimed(`keys-${engine}@example.com`);
      const make = async () =>
        (
          await on.post(
            '/api/tokens',
            { name: 'x', scope: 'read', expires_in: 1 },
            {
              Authorization: `Bearer ${credential}`,
            },
          )
        ).body.data;
      const [expired, revoked] = [await make(), await make()];
      await on.del(`/api/tokens/${revoked.id}`, credential);
      on.clock.advance(2);
      const other = await on.register();
      const mistyped = credential.slice(0, 20) + (credential[20] === 'a' ? 'b' : 'a') + credential.slice(21);
      const bad = {
        unknown: `Bearer ${unknownKey}`,
        malformed: `Bearer sk_${MARK}`,
        'not of ours': 'Bearer eyJhbGciOiJub25lIn0.e30.',
        mistyped: `Bearer ${mistyped}`,
        'cut short': `Bearer ${credential.slice(0, -1)}`,
        expired: `Bearer ${expired.credential}`,
        revoked: `Bearer ${revoked.credential}`,
        'a claim token': `Bearer ${other.claim_token}`,
        'an empty one': 'Bearer ',
        'no token': 'Bearer',
        'two words': `Bearer ${credential} ${credential}`,
        'another scheme': `Basic ${Buffer.from(`${credential}:`).toString('base64')}`,
        'no scheme': credential,
        'in quotes': `Bearer "${credential}"`,
        'a key of another brand': `Bearer ${newSecret('sk', systemRandom, 'acme')}`,
        'very long': `Bearer sk_${'a'.repeat(8000)}`,
      };
      for (const { method, path, call } of bearerCalls()) {
        const answers = new Map<string, string>();
        for (const [what, header] of Object.entries(bad)) {
          const reply = await call([['Authorization', header]]);
          refused(reply, 'native', 401, 'invalid_token', `${method} ${path}: ${what}`);
          const { request_id: _, ...error } = reply.body.error;
          const { date: _date, 'x-request-id': _id, ...headers } = Object.fromEntries(reply.headers);
          answers.set(JSON.stringify([error, headers]), what);
          assert.ok(!reply.text.includes(credential.slice(3, 20)));
        }
        assert.equal(answers.size, 1, `${method} ${path} tells apart: ${[...answers.values()]}`);
      }
    });

    test('two credentials are 400', async () => {
      const { credential } = await on.register();
      const bearer = ['Authorization', `Bearer ${credential}`] as const;
      for (const { method, path, call } of bearerCalls()) {
        refused(await call([bearer, bearer]), 'native', 400, 'invalid_request', `${method} ${path}`);
        refused(
          await call([bearer, ['authorization', MARK]]),
          'native',
          400,
          'invalid_request',
          `${method} ${path}`,
        );
      }
    });

    test('a secret in the query is 400, wherever it is, also beside a good key', async () => {
      const { credential } = await on.register();
      const names = ['access_token', 'token', 'credential', 'claim_token', 'client_secret', 'otp'];
      for (const row of closed) {
        const body = VALID[`${row.method} ${row.path}`];
        const type = row.body?.media === 'form' ? FORM_TYPE : JSON_TYPE;
        const text =
          body &&
          (type === FORM_TYPE
            ? new URLSearchParams(body as Record<string, string>).toString()
            : JSON.stringify(body));
        for (const name of names) {
          const headers = [
            ['Authorization', `Bearer ${credential}`],
            ['Content-Type', type],
          ] as const;
          const reply = await send(
            on,
            row.method,
            `${concrete(row.path)}?x=1&${name}=${MARK}`,
            headers,
            text,
          );
          refused(reply, row.dialect.name, 400, 'invalid_request', `${row.path}?${name}`);
        }
      }
    });

    test('a resource server that is unknown or has the wrong secret is 401 invalid_client, in one and the same way', async () => {
      const { deps } = on.service;
      const input = { url: 'https://api.example.com', name: 'API', scopes: undefined };
      const { server, secret } = await addResourceServer(deps, localAsker('test'), input);
      const ask = (headers: Record<string, string>, body: Record<string, string> = {}) =>
        on.form('/oauth2/introspect', { token: unknownKey, ...body }, headers);
      assert.deepEqual((await ask(basic(server.id, secret))).body, { active: false });

      const wrongSecret = newSecret('rss', systemRandom);
      const scheme = (text: string) => ({ Authorization: text });
      const attempts: Record<string, Reply> = {
        'wrong secret': await ask(basic(server.id, wrongSecret)),
        'a secret with something behind it': await ask(basic(server.id, `${secret}:${MARK}`)),
        'malformed secret': await ask(basic(server.id, MARK)),
        'unknown id': await ask(basic('rs_0', secret)),
        'an id with NUL': await ask(basic('rs_\0', secret)),
        'an id of bad UTF-8': await ask(
          scheme(`Basic ${Buffer.from([0xff, 0x3a, ...Buffer.from(secret)]).toString('base64')}`),
        ),
        'in the body': await ask({}, { client_id: server.id, client_secret: wrongSecret }),
        'no colon': await ask(scheme(`Basic ${Buffer.from(server.id).toString('base64')}`)),
        'no base64': await ask(scheme(`Basic ${MARK}!`)),
        'a key as bearer': await ask(scheme(`Bearer ${unknownKey}`)),
        'its secret as bearer': await ask(scheme(`Bearer ${secret}`)),
        'a key as secret': await ask(basic(server.id, unknownKey)),
        nothing: await ask({}),
        'an id alone': await ask({}, { client_id: server.id }),
        'a secret alone': await ask({}, { client_secret: secret }),
      };
      for (const [what, reply] of Object.entries(attempts)) {
        refused(reply, 'oauth', 401, 'invalid_client', what);
        assert.match(reply.headers.get('www-authenticate')!, /^Basic /, what);
      }
      const twice = {
        'the secret twice': await ask(basic(server.id, secret), { client_secret: secret }),
        'two pairs': await ask(basic(server.id, secret), { client_id: server.id, client_secret: secret }),
        'another id in the body': await ask(basic(server.id, secret), { client_id: 'rs_0' }),
        'two headers': await send(
          on,
          'POST',
          '/oauth2/introspect',
          [
            ['Content-Type', FORM_TYPE],
            ['Authorization', basic(server.id, secret).Authorization!],
            ['Authorization', basic(server.id, secret).Authorization!],
          ],
          `token=${unknownKey}`,
        ),
      };
      for (const [what, reply] of Object.entries(twice))
        refused(reply, 'oauth', 400, 'invalid_request', what);
    });
  });

  test('checks come in one order: 421, 404, 405, 415, 400, 401 or 403', async () => {
    const wrongHost = ['Host', 'evil.example'] as const;
    const text = ['Content-Type', 'text/plain'] as const;
    const json = ['Content-Type', JSON_TYPE] as const;
    const form = ['Content-Type', FORM_TYPE] as const;
    const badKey = ['Authorization', `Bearer ${unknownKey}`] as const;
    const steps: [
      DialectName,
      number,
      string,
      string,
      readonly (readonly [string, string])[],
      string | undefined,
    ][] = [
      ['native', 421, 'PUT', '/nothing', [wrongHost, text, badKey], '{'],
      ['native', 404, 'PUT', '/nothing', [text, badKey], '{'],
      ['native', 405, 'PUT', '/api/tokens', [text, badKey], '{'],
      ['native', 415, 'POST', '/api/tokens', [text, badKey], '{'],
      ['native', 400, 'POST', '/api/tokens', [json, badKey], '{'],
      ['native', 400, 'POST', '/api/tokens', [json, badKey], '{}'],
      ['native', 401, 'POST', '/api/tokens', [json, badKey], JSON.stringify(VALID['POST /api/tokens'])],
      ['oauth', 421, 'PUT', '/oauth2/nothing', [wrongHost, text, badKey], '{'],
      ['oauth', 404, 'PUT', '/oauth2/nothing', [text, badKey], '{'],
      ['oauth', 405, 'PUT', '/oauth2/introspect', [text, badKey], '{'],
      ['oauth', 415, 'POST', '/oauth2/introspect', [form, ['Content-Encoding', 'gzip'], badKey], 'x='],
      ['oauth', 400, 'POST', '/oauth2/introspect', [text, badKey], 'x='],
      ['oauth', 400, 'POST', '/oauth2/introspect', [form, badKey], 'x='],
      ['oauth', 401, 'POST', '/oauth2/introspect', [form, badKey], 'token=x'],
      ['page', 405, 'PUT', '/claim', [text, badKey], 'x='],
      ['page', 415, 'POST', '/claim', [text, badKey], 'x='],
      ['page', 400, 'POST', '/claim', [form, badKey], 'x='],
      ['page', 403, 'POST', '/claim', [form, badKey], 'csrf=x&attempt=cla_0'],
    ];
    for (const [dialect, status, method, path, headers, body] of steps) {
      const reply = await send(on, method, path, headers, body);
      assert.equal(reply.status, status, `${method} ${path}: ${reply.text}`);
      assertFailureShape(on, reply, dialect, `${method} ${path}`);
    }
  });

  describe('transport', () => {
    const host = () => new URL(on.url).host;

    test('another host than ours is 421, in every spelling', async () => {
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
        for (const path of ['/agent/auth', '/oauth2/introspect', '/auth.md', '/nothing']) {
          const reply = await send(on, 'POST', path, [['Host', name]]);
          const dialect = path.startsWith('/oauth2/') ? 'oauth' : 'native';
          refused(
            reply,
            dialect,
            421,
            dialect === 'native' ? 'misdirected_request' : 'invalid_request',
            name,
          );
        }
      }
      const none = parseRaw(await sendRaw(on, 'GET /auth.md HTTP/1.0\r\n\r\n'));
      refused(none, 'native', 421, 'misdirected_request', 'no Host at all');
    });

    test('two Host headers are 400, even when both are ours', async () => {
      for (const other of [host(), 'evil.example']) {
        for (const [dialect, path] of [
          ['native', '/api/me'],
          ['oauth', '/oauth2/revoke'],
        ] as const) {
          const received = await sendRaw(
            on,
            `GET ${path} HTTP/1.1\r\nHost: ${host()}\r\nHost: ${other}\r\nConnection: close\r\n\r\n`,
          );
          refused(parseRaw(received), dialect, 400, 'invalid_request', path);
        }
      }
    });

    test('64 headers are read, 65 are 400', async () => {
      const headers = (count: number) =>
        Array.from({ length: count }, (_, index) => [`X-${index}`, MARK] as const);
      // Host and Connection are two of them.
      assert.equal((await send(on, 'GET', '/auth.md', headers(62))).status, 200);
      refused(await send(on, 'GET', '/auth.md', headers(63)), 'native', 400, 'invalid_request', '65');
      refused(
        await send(on, 'GET', '/oauth2/revoke', headers(1000)),
        'oauth',
        400,
        'invalid_request',
        '1,002',
      );
    });

    test('requests that two parsers could read differently are 400 and the connection is closed', async () => {
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
        assert.match(received, /^HTTP\/1\.1 400 /, what);
        assert.equal(received.match(/^HTTP\/1\.1 /gm)?.length, 1, `${what}: the second request was answered`);
        assert.ok(!received.includes(MARK), what);
      }
    });

    test('a header block or a URL of more than 16 KiB is 431', async () => {
      const long = 'a'.repeat(17_000);
      for (const text of [
        `GET /${long} HTTP/1.1\r\nHost: ${host()}\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: ${host()}\r\nX: ${long}\r\n\r\n`,
      ]) {
        assert.match(await sendRaw(on, text), /^HTTP\/1\.1 431 /);
      }
    });

    test('what is left of a refused body is not taken for a request', async () => {
      const inner = `GET /auth.md HTTP/1.1\r\nHost: ${host()}\r\n\r\n`;
      const received = await sendRaw(
        on,
        `POST /agent/auth HTTP/1.1\r\nHost: ${host()}\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n${inner}`,
      );
      assert.match(received, /^HTTP\/1\.1 415 /);
      assert.equal(received.match(/^HTTP\/1\.1 /gm)?.length, 1);
    });
  });

  describe('whatever is sent', () => {
    /** Success or refusal in the dialect of the row, and never our fault. */
    function assertOrderly(row: { path: string; dialect: DialectName }, reply: Reply): void {
      if (row.dialect === 'page') {
        assert.ok(reply.status === 303 || (reply.status >= 400 && reply.status < 500), `${reply.status}`);
        assertPage(reply, row.path);
        return;
      }
      if (reply.status >= 400) {
        assertFailureShape(on, reply, row.dialect, row.path);
        return;
      }
      assert.equal(reply.status, 200);
      assertHeaders(reply, row.path);
      if (row.path === '/oauth2/revoke') assert.equal(reply.text, '');
      else if (row.dialect === 'native') assert.equal(reply.body.ok, true);
      else assert.equal(typeof reply.body.active, 'boolean');
    }
    const runs = { numRuns: 40 };

    test('random bytes get an orderly answer', async () => {
      for (const row of rows) {
        await fc.assert(
          fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (bytes) =>
            assertOrderly(row, await post(row, bytes)),
          ),
          runs,
        );
      }
    });

    test('random JSON and random parameters get an orderly answer', async () => {
      for (const row of rows) {
        const text =
          row.media === 'json'
            ? fc.json({ stringUnit: 'binary', maxDepth: 10 })
            : fc
                .array(
                  fc.tuple(
                    fc.constantFrom('token', 'client_id', 'client_secret', 'csrf', 'attempt', 'code', 'x'),
                    fc.string({ unit: 'binary' }),
                  ),
                )
                .map((pairs) => {
                  const wellFormed = pairs.map(([name, value]): [string, string] => [
                    name,
                    value.toWellFormed(),
                  ]);
                  return new URLSearchParams(wellFormed).toString();
                });
        await fc.assert(
          fc.asyncProperty(text, async (body) => assertOrderly(row, await post(row, Buffer.from(body)))),
          runs,
        );
      }
    });

    test('valid bodies with one member changed, or one character, get an orderly answer', async () => {
      const { credential } = await on.claimed(`fuzz-${engine}@example.com`);
      const browser = await openClaim(`browser-${engine}@example.com`);
      const sentBy: Record<DialectName, readonly (readonly [string, string])[]> = {
        native: [['Authorization', `Bearer ${credential}`]],
        oauth: [], // no bearer authenticates a form: its refusal is not what is looked for
        page: [['Cookie', browser.cookie]],
      };
      for (const each of rows) {
        const { csrf, attempt } = browser;
        const hidden = each.path === '/claim' ? { csrf, attempt } : { csrf };
        const row = each.dialect === 'page' ? { ...each, valid: { ...each.valid, ...hidden } } : each;
        const names = Object.keys(row.valid);
        const value =
          row.media === 'json' ? fc.jsonValue({ stringUnit: 'binary' }) : fc.string({ unit: 'grapheme' });
        const changedMember = fc
          .tuple(fc.constantFrom(...names), value)
          .map(([name, changed]) => encode(row, { ...row.valid, [name]: changed }));
        const changedCharacter = fc.tuple(fc.nat(), fc.string({ maxLength: 3 })).map(([at, characters]) => {
          const text = encode(row);
          const index = at % text.length;
          return text.slice(0, index) + characters + text.slice(index + 1);
        });
        const sent = sentBy[row.dialect];
        await fc.assert(
          fc.asyncProperty(fc.oneof(changedMember, changedCharacter), async (body) => {
            const reply = await send(on, 'POST', row.path, [...sent, ['Content-Type', row.type]], body);
            assertOrderly(row, reply);
          }),
          { numRuns: 80 },
        );
      }
    });

    /** A browser that is shown a claim: its cookies, and what the form of the page carries. */
    async function openClaim(email: string) {
      const { claim_token } = await on.register();
      const asked = await on.post('/agent/auth/claim', { claim_token, email });
      const kept = await on.get(asked.body.data.verification_uri.slice(on.url.length));
      const cookie = kept.headers
        .getSetCookie()
        .map((line) => line.split(';')[0])
        .join('; ');
      const { text } = await on.request('GET', '/claim', { headers: { Cookie: cookie } });
      const hidden = (name: string) => new RegExp(`name="${name}" value="([^"]+)"`).exec(text)?.[1] ?? '';
      assert.match(hidden('attempt'), /^cla_/, text);
      return { cookie, csrf: hidden('csrf'), attempt: hidden('attempt') };
    }

    test('random links and cookies, and links of ours with one character changed, lead to no claim', async () => {
      const { cookie } = await openClaim(`links-${engine}@example.com`);
      const token = /__Host-claim=([^;]+)/.exec(cookie)![1]!;
      const random = fc.string({ unit: fc.constantFrom(...'abz09AZ-_.=%~') });
      const changed = fc
        .tuple(fc.nat({ max: token.length - 1 }), fc.constantFrom(...'abz09AZ-_.'))
        .filter(([at, character]) => token[at] !== character)
        .map(([at, character]) => token.slice(0, at) + character + token.slice(at + 1));
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('/claim', '/claim/deny'),
          fc.oneof(random, changed),
          async (path, link) => {
            refused(await send(on, 'GET', `${path}?t=${link}`), 'page', 404, '', `${path}?t=${link}`);
            const held = [['Cookie', `__Host-browser=${link}; __Host-claim=${link}`]] as const;
            refused(await send(on, 'GET', path, held), 'page', 404, '', `${path} with ${link}`);
          },
        ),
        { numRuns: 60 },
      );
    });

    test('random paths, methods and headers get an orderly answer', async () => {
      const segment = fc.oneof(
        fc.constantFrom(
          'agent',
          'auth',
          'api',
          'me',
          'tokens',
          'oauth2',
          'revoke',
          'claim',
          'deny',
          'assets',
          '..',
          '.',
          '',
          '%00',
          '%2f',
          '%ff',
          '*',
        ),
        fc.string({ unit: fc.constantFrom(...'abz09-_.~%!$&\'()*+,;=:@[]{}|^`"<>\\') }),
      );
      const path = fc.array(segment, { maxLength: 5 }).map((parts) => `/${parts.join('/')}`);
      const header = fc.constantFrom(
        'authorization',
        'content-type',
        'accept',
        'origin',
        'cookie',
        'x-forwarded-for',
        'forwarded',
        'if-none-match',
        'range',
        'idempotency-key',
      );
      const value = fc.string({
        unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...METHODS),
          path,
          fc.array(fc.tuple(header, value), { maxLength: 4 }),
          async (method, asked, headers) => {
            const reply = await send(on, method, asked, headers);
            assert.ok(reply.status < 500, `${method} ${asked}: ${reply.status}`);
            assert.match(reply.headers.get('x-request-id') ?? '', /^req_/);
            if (reply.status >= 400 && method !== 'HEAD') {
              const isPage = routes.some((row) => row.path === asked && row.dialect.name === 'page');
              const neighbours = asked.startsWith('/oauth2/') ? 'oauth' : 'native';
              assertFailureShape(on, reply, isPage ? 'page' : neighbours, asked);
            }
          },
        ),
        { numRuns: 400 },
      );
    });

    test('nothing of all this was our fault', () => {
      const faults = on.logged.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50);
      assert.deepEqual(faults, []);
    });
  });
});

test('an address that has used up its budget is 429 before its body is looked at', async () => {
  const on = await startTestService('sqlite', { limits: { registerPerIp: '1/h' } });
  try {
    await on.register();
    const reply = await on.post('/agent/auth', '{', { 'Content-Type': 'text/plain' });
    assertRefused(on, reply, 'native', 429, 'rate_limited', 'the second registration');
    assert.equal(reply.body.error.retryable, true);
  } finally {
    await on.stop();
  }
});

test('an address that has guessed too often is 429 on the page too, before its form is looked at', async () => {
  const on = await startTestService('sqlite', { limits: { wrongPerIpHour: 1 } });
  try {
    const { claim_token } = await on.register();
    await on.post('/agent/auth/claim', { claim_token, email: 'human@example.com' });
    const otp = wrongCode(await on.codeFor('human@example.com'));
    assert.equal((await on.post('/agent/auth/claim/complete', { claim_token, otp })).status, 401);
    const reply = await on.request('POST', '/claim', {
      body: '{',
      headers: { 'Content-Type': 'text/plain' },
    });
    assertRefused(on, reply, 'page', 429, '', 'the second guess');
  } finally {
    await on.stop();
  }
});
