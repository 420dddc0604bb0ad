import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { createRoutes } from '../src/app.ts';
import { addResourceServer } from '../src/domain/audiences/resource-servers.ts';
import { localAsker } from '../src/domain/audit/audit-log.ts';
import { CLAIM, ID_JAG, JWT_BEARER } from '../src/http/oauth/grant-types.ts';
import { mediaTypes } from '../src/http/server/body.ts';
import type { Route } from '../src/http/server/table.ts';
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
  codeOf,
  type DialectName,
  MARK,
  parseRaw,
  send,
  sendRaw,
} from './helpers/wire.ts';

/** The bad-input contract, security.md 4: its columns native, auth.md and OAuth; pages are native in words. */

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'];
const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';
const unknownKey = newSecret('sk', systemRandom);
const unknownClaimToken = newSecret('ct', systemRandom);
const unknownOwnClaimToken = newSecret('clm', systemRandom); // of auth.md's own versions
const unknownRefreshToken = newSecret('art', systemRandom);
const mailbox = 'human@example.com';

/** A token in compact form, whose signature is none. */
function jwt(header: object, claims: object, signature = 'AAAA'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(claims)}.${signature}`;
}
const stranger = (typ: string) => jwt({ alg: 'ES256', typ, kid: '1' }, { iss: 'https://stranger.example' });

type Members = Record<string, unknown>;

/** The same of the Agent Auth Protocol, whose requests are all signed. */
const PROTOCOL_BODIES: Record<string, readonly (readonly [plain: string, body: Members])[]> = {
  'POST /agent/register': [
    [
      '401 authentication_required',
      { name: 'Robin', mode: 'autonomous', capabilities: ['read'], reason: 'why' },
    ],
  ],
  'POST /agent/request-capability': [
    ['401 authentication_required', { capabilities: ['write'], reason: 'why', preferred_method: 'ciba' }],
  ],
  'POST /agent/reactivate': [['401 authentication_required', { agent_id: 'agt_0' }]],
  'POST /agent/revoke': [['401 authentication_required', { agent_id: 'agt_0' }]],
  'POST /agent/rotate-key': [
    [
      '401 authentication_required',
      { agent_id: 'agt_0', public_key: { kty: 'OKP', crv: 'Ed25519', x: 'x' } },
    ],
  ],
  'POST /host/rotate-key': [
    ['401 authentication_required', { public_key: { kty: 'OKP', crv: 'Ed25519', x: 'x' } }],
  ],
  'POST /capability/execute': [
    ['401 authentication_required', { capability: 'read', arguments: { seconds: 60 } }],
  ],
  'POST /agent/introspect': [['401 authentication_required', { token: 'a.b.c' }]],
};

/**
 * Bodies that pass the schemas of each row that takes one, at least one for each version of it, so that a refusal is for what a
 * test added; and before each what becomes of it without any credential.
 */
const VALID: Record<string, readonly (readonly [plain: string, body: Members])[]> = {
  'POST /agent/auth': [
    ['200', { type: 'anonymous', agent_name: 'Robin' }],
    ['200', { type: 'anonymous', requested_credential_type: 'api_key', agent_name: 'Robin' }],
    [
      '400 invalid_issuer',
      {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: stranger('oauth-id-jag+jwt'),
        requested_credential_type: 'access_token',
      },
    ],
  ],
  'POST /agent/auth/claim': [
    ['401 invalid_claim_token', { claim_token: unknownClaimToken, email: mailbox, link: false }],
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, email: mailbox }],
  ],
  'POST /agent/auth/claim/complete': [
    ['401 invalid_claim_token', { claim_token: unknownClaimToken, otp: '123456' }],
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, otp: '123456' }],
  ],
  'POST /api/tokens': [['401 unauthorized', { name: 'helper', scope: 'read', expires_in: 60 }]],
  'POST /agent/identity': [
    ['200', { type: 'anonymous', agent_name: 'Robin' }],
    ['200', { type: 'service_auth', login_hint: mailbox }],
    [
      '400 invalid_issuer',
      {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: stranger('oauth-id-jag+jwt'),
      },
    ],
    ['400 invalid_refresh_token', { type: 'refresh', refresh_token: unknownRefreshToken }],
  ],
  'POST /agent/identity/claim': [
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, email: mailbox }],
    [
      '401 invalid_claim_token',
      { type: 'service_auth', claim_token: unknownOwnClaimToken, login_hint: mailbox },
    ],
    [
      '401 invalid_claim_token',
      {
        type: 'identity_assertion',
        claim_token: unknownOwnClaimToken,
        assertion: stranger('oauth-id-jag+jwt'),
      },
    ],
  ],
  'POST /agent/identity/claim/complete': [
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, otp: '123456' }],
    ['400 invalid_claim', { claim_token: unknownOwnClaimToken, user_code: 'BCDF-GHJK' }],
  ],
  'POST /oauth2/token': [
    [
      '400 invalid_grant',
      { grant_type: JWT_BEARER, assertion: stranger('agent-identity+jwt'), scope: 'read' },
    ],
    ['400 expired_token', { grant_type: CLAIM, claim_token: unknownOwnClaimToken }],
  ],
  'POST /agent/event/notify': [['400 invalid_issuer', { token: stranger('secevent+jwt') }]],
  'POST /agent/auth/revoke': [['400 invalid_issuer', { token: stranger('logout+jwt') }]],
  'POST /oauth2/introspect': [['401 invalid_client', { token: unknownKey, token_type_hint: 'access_token' }]],
  'POST /oauth2/revoke': [['200', { token: unknownKey }]],
  ...PROTOCOL_BODIES,
  'POST /resource/quota': [['401 invalid_client', { key_id: 'key_0', action: 'send' }]],
};

/** The same of pages. All of them are 403: a form needs the token that its page carries. */
const VALID_FORMS: Record<string, Record<string, string>> = {
  'POST /claim': { csrf: 'none', attempt: 'cla_0', code: '123456' },
  'POST /claim/deny': { csrf: 'none', no_more: 'on' },
  'POST /connect': { csrf: 'none', code: 'ABCD-EFGH' },
  'POST /connect/deny': { csrf: 'none', no_more: 'on' },
  'POST /connect/review': { csrf: 'none', approval: 'apr_0', decision: 'approve', 'allow:read': 'on' },
  'POST /hosts/:id/revoke': { csrf: 'none' },
  'POST /sign-in': { csrf: 'none', next: '/account', email: 'human@example.com' },
  'POST /sign-in/again': { csrf: 'none', next: '/account' },
  'POST /sign-in/code': { csrf: 'none', next: '/account', code: '123456' },
  'POST /sign-in/link': { csrf: 'none' },
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

/** What the tests of bodies send: a valid body of a row, in one of the media types that the row takes. */
interface BodyRow {
  line: string;
  method: Route['method'];
  path: string;
  caller: Route['caller'];
  repeatable: boolean;
  /** How a refusal is spelt before the body is understood. */
  before: DialectName;
  /** How it is spelt afterwards, by the version that the body is of. */
  dialect: DialectName;
  /** All that can be spoken at the path. */
  spoken: ReadonlySet<DialectName>;
  codec: 'json' | 'form' | 'token';
  type: string;
  /** What else the row takes. */
  types: readonly string[];
  valid: Members;
  /** What becomes of it: the status, and the name of the refusal. */
  plain: string;
}

function bodyRows(routes: readonly Route[]): BodyRow[] {
  return routes.flatMap((row) => {
    if (row.body === undefined) return [];
    const line = `${row.method} ${row.path}`;
    const form = VALID_FORMS[line];
    const bodies = VALID[line] ?? (form && [['403', form] as const]);
    assert.ok(bodies, `${line} takes a body: give a valid one above, so that it is tested too`);
    const versionOf = (valid: Members) => row.versions.find((each) => each.matches(valid));
    const tested = new Set(bodies.map(([, valid]) => versionOf(valid)));
    for (const each of [undefined, ...row.versions]) {
      assert.ok(tested.has(each), `${line} is spoken in several versions: give a valid body of each`);
    }
    const types = mediaTypes(row.body.media);
    return types.flatMap((type) =>
      bodies.map(
        ([plain, valid]): BodyRow => ({
          line: `${line} with ${JSON.stringify(valid).slice(0, 60)} as ${type}`,
          method: row.method,
          path: concrete(row.path),
          caller: row.caller,
          repeatable: row.repeatable,
          before: row.dialect.name as DialectName,
          dialect: (versionOf(valid) ?? row).dialect.name as DialectName,
          spoken: new Set([row, ...row.versions].map((each) => each.dialect.name as DialectName)),
          codec: type === JSON_TYPE ? 'json' : type === FORM_TYPE ? 'form' : 'token',
          type,
          types,
          valid,
          plain,
        }),
      ),
    );
  });
}

function encode(row: Pick<BodyRow, 'codec' | 'valid'>, body: Members = row.valid): string {
  if (row.codec === 'json') return JSON.stringify(body);
  if (row.codec === 'token') return String(body.token);
  return new URLSearchParams(body as Record<string, string>).toString();
}

/** The valid JSON text with one more member, given as text. */
function withMember(row: BodyRow, member: string): string {
  return `${JSON.stringify(row.valid).slice(0, -1)},${member}}`;
}

type Fault = 'media' | 'encoding' | 'size' | 'method' | 'json';
const OWN: Record<Fault, string> = {
  media: '415 unsupported_media_type',
  encoding: '415 unsupported_media_type',
  size: '413 payload_too_large',
  method: '405 method_not_allowed',
  json: '400 invalid_json',
};
const FLAT = { ...OWN, json: '400 invalid_request' };
/** How dialects spell what goes wrong before a body is understood. */
const SPELT: Record<DialectName, Record<Fault, string>> = {
  tinysend: OWN,
  page: OWN,
  'auth.md': FLAT,
  'auth.md production': FLAT,
  oauth: {
    media: '400 invalid_request',
    encoding: '415 invalid_request',
    size: '413 invalid_request',
    method: '405 invalid_request',
    json: '400 invalid_request',
  },
  'agent protocol': {
    media: '415 invalid_request',
    encoding: '415 invalid_request',
    size: '413 invalid_request',
    method: '405 invalid_request',
    json: '400 invalid_request',
  },
  'security events': {
    media: '400 invalid_request',
    encoding: '400 invalid_request',
    size: '400 invalid_request',
    method: '405 invalid_request',
    json: '400 invalid_request',
  },
};

/** The path as a request writes it. */
const concrete = (path: string) => path.replaceAll(/:\w+/g, 'key_0');

onEveryEngine('bad input', (engine) => {
  let on: TestService;
  let routes: Route[];
  let closed: Route[]; // the rows that are no open documents
  let rows: BodyRow[];
  let carriers: BodyRow[]; // one row for each path and media type
  before(async () => {
    on = await startTestService(engine);
    routes = createRoutes(on.service.deps, { devMailbox: undefined, follow: async () => () => {} }).flat();
    closed = routes.filter((row) => !row.open);
    rows = bodyRows(routes);
    carriers = [...Map.groupBy(rows, ({ path, type }) => `${path} ${type}`).values()].map(
      ([first]) => first!,
    );
  });
  after(() => on.stop());

  const refused = (reply: Reply, dialect: string, status: number, code: string, about: string) =>
    assertRefused(on, reply, dialect as DialectName, status, code, about);
  /** Refused before the body was understood. */
  const refusedFor = (reply: Reply, fault: Fault, row: Pick<BodyRow, 'before' | 'line'>, about = '') => {
    const [status, code] = SPELT[row.before][fault].split(' ') as [string, string];
    refused(reply, row.before, Number(status), code, `${row.line} ${about}`);
  };
  const badRequest = (reply: Reply, dialect: DialectName, about: string) =>
    refused(reply, dialect, 400, 'invalid_request', about);
  /** What becomes of a body that is as it should be. */
  const assertPlain = (row: BodyRow, reply: Reply, about = '') => {
    const code = reply.status < 400 ? '' : codeOf(reply, row.dialect);
    assert.equal(`${reply.status} ${code}`.trim(), row.plain, `${row.line} ${about}: ${reply.text}`);
  };
  const post = (row: BodyRow, body: string | Uint8Array, type: string = row.type) =>
    send(on, 'POST', row.path, [['Content-Type', type]], body);

  test('the valid bodies of this test are valid', async () => {
    for (const row of rows) {
      const reply = await post(row, encode(row));
      assertPlain(row, reply);
      if (reply.status >= 400) assertFailureShape(on, reply, row.dialect, row.line);
    }
  });

  describe('paths and methods', () => {
    test('an unknown path is 404 in the dialect of its neighbours, by whatever method', async () => {
      const unknown: [DialectName, string][] = [
        ['tinysend', '/nothing'],
        ['tinysend', '/agent/auth/'],
        ['tinysend', '/agent/auth/claim/complete/more'],
        ['tinysend', '/agent'],
        ['tinysend', '/api/tokens/'],
        ['tinysend', '/api/tokens/a/b'],
        ['tinysend', '/API/me'],
        ['tinysend', '/api//me'],
        ['tinysend', '/api/%6de'],
        ['tinysend', '/api/../api/me'],
        ['tinysend', '/claim/'],
        ['tinysend', '/assets/'],
        ['tinysend', '/assets/../package.json'],
        ['tinysend', `/${MARK}?q=${MARK}`],
        ['tinysend', '/agent/event'],
        ['tinysend', '/agent/event/notify/'],
        ['tinysend', '/agent/identities'],
        ['tinysend', '/.well-known/jwks'],
        ['tinysend', '/.well-known/oauth-authorization-server/'],
        ['tinysend', '///.well-known/oauth-authorization-server'],
        ['auth.md', '/agent/identity/'],
        ['auth.md', '/agent/identity/claim/'],
        ['auth.md', '/agent/identity/claim/attempt/challenge'],
        ['auth.md', `/agent/identity/${MARK}?q=${MARK}`],
        ['agent protocol', '/capability/'],
        ['agent protocol', '/capability/list/'],
        ['agent protocol', '/capability/batch-execute'],
        ['agent protocol', '/host/enroll'],
        ['agent protocol', `/host/${MARK}?q=${MARK}`],
        ['tinysend', '/capability'],
        ['tinysend', '/agent/register/'],
        ['tinysend', '/agent/claim'],
        ['oauth', '/oauth2/nothing'],
        ['oauth', '/oauth2/introspect/'],
        ['oauth', '/oauth2/token/'],
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
        '/agent/identity/nothing',
        `/${MARK}?q=${MARK}`,
      ]) {
        refused(await send(on, 'GET', path, [accept]), 'page', 404, '', path);
        const elsewhere = await send(on, 'GET', path, [accept, ['Host', 'evil.example']]);
        refused(elsewhere, 'page', 421, '', `${path} at another host`);
      }
      refused(
        await send(on, 'GET', '/api/me', [accept]),
        'tinysend',
        401,
        'unauthorized',
        'a path with a dialect',
      );
    });

    test('a method that a path does not know is 405 with Allow, and the refusal has no effect', async () => {
      const methodsByPath = Map.groupBy(closed, (row) => row.path);
      for (const [path, known] of methodsByPath) {
        const allowed = known.flatMap((row) => (row.method === 'GET' ? ['GET', 'HEAD'] : [row.method]));
        // Web pages ask beforehand where they may send something: test/contract/web-pages.test.ts.
        const answered = known.some((row) => row.cors) ? [...allowed, 'OPTIONS'] : allowed;
        for (const method of METHODS.filter((each) => !answered.includes(each))) {
          const about = `${method} ${path}`;
          const reply = await send(on, method, concrete(path), [['X-HTTP-Method-Override', 'POST']]);
          assert.equal(reply.headers.get('allow'), allowed.join(', '), about);
          if (method === 'HEAD') {
            assert.equal(reply.status, 405, about);
            assert.equal(reply.text, '', about);
            assertHeaders(reply, about);
            continue;
          }
          refusedFor(reply, 'method', { before: known[0]!.dialect.name as DialectName, line: about });
        }
      }
    });

    test('an open document is read by GET and HEAD only, and answers a preflight', async () => {
      for (const row of routes.filter((each) => each.open && each.exists === undefined)) {
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
      const known = [JSON_TYPE, FORM_TYPE, 'application/secevent+jwt', 'application/logout+jwt'];
      for (const row of carriers) {
        const others = [...known, 'application/jwt', 'text/plain', 'text/json', `${row.type}x`];
        const types = [...others, 'multipart/form-data; boundary=x', '*/*', ';;;', MARK, ''];
        for (const type of types.filter((each) => !row.types.includes(each))) {
          refusedFor(await post(row, encode(row), type), 'media', row, `as "${type}"`);
        }
        refusedFor(await send(on, 'POST', row.path, [], encode(row)), 'media', row, 'without a type');
      }
    });

    test('another charset than UTF-8 and any Content-Encoding are 415', async () => {
      for (const row of carriers) {
        for (const charset of ['utf-16', 'latin1', 'iso-8859-1', 'utf-7', 'bogus', MARK]) {
          const reply = await post(row, encode(row), `${row.type}; charset=${charset}`);
          refusedFor(reply, 'encoding', row, `in ${charset}`);
        }
        for (const encoding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, identity', MARK]) {
          const headers = [
            ['Content-Type', row.type],
            ['Content-Encoding', encoding],
          ] as const;
          const reply = await send(on, 'POST', row.path, headers, encode(row));
          refusedFor(reply, 'encoding', row, `as ${encoding}`);
        }
      }
    });

    test('UTF-8 may be said aloud, in any case', async () => {
      for (const row of carriers) {
        for (const parameter of ['; charset=utf-8', '; charset=UTF-8', ';charset="utf-8"', '; x=y']) {
          assertPlain(row, await post(row, encode(row), row.type.toUpperCase() + parameter), parameter);
        }
      }
    });
  });

  describe('size', () => {
    test('16 KiB are read, a byte more is 413', async () => {
      for (const row of rows) {
        const text = encode(row);
        const filler = row.codec === 'form' ? '&' : ' ';
        assertPlain(row, await post(row, text + filler.repeat(16_384 - text.length)), 'in 16 KiB');
        refusedFor(await post(row, text + filler.repeat(16_385 - text.length)), 'size', row);
      }
    });

    test('a body that does not say its length is read no further than 16 KiB', async () => {
      for (const row of carriers) {
        const chunk = `1000\r\n${' '.repeat(4096)}\r\n`;
        const received = await sendRaw(
          on,
          `POST ${row.path} HTTP/1.1\r\nHost: ${new URL(on.url).host}\r\nContent-Type: ${row.type}\r\n` +
            `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`, // and no end
        );
        const reply = parseRaw(received);
        refusedFor(reply, 'size', row);
        assert.equal(reply.headers.get('connection'), 'close');
      }
    });
  });

  describe('JSON', () => {
    const nested = (levels: number) => `"x":${'['.repeat(levels)}${']'.repeat(levels)}`;
    const many = (count: number) => Array.from({ length: count }, (_, index) => `"n${index}":0`).join();

    test('what is no JSON is 400, natively invalid_json', async () => {
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
          refusedFor(await post(row, text), 'json', row, text);
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
      for (const row of rows.filter(({ codec }) => codec === 'json')) {
        for (const [what, member] of Object.entries(members)) {
          badRequest(await post(row, withMember(row, member)), row.before, `${row.line}: ${what}`);
        }
        for (const root of ['[]', '"text"', 'null', 'true', '1', `[${encode(row)}]`, `"${MARK}"`]) {
          badRequest(await post(row, root), row.before, `${row.line}: ${root}`);
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
      for (const row of carriers.filter(({ codec }) => codec === 'json')) {
        const [head, tail] = withMember(row, '"x":"|"').split('|') as [string, string];
        for (const bytes of hostile) {
          const body = Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]);
          badRequest(await post(row, body), row.before, `${row.line}: ${bytes}`);
        }
      }
    });

    test('what stays within the limits is accepted: 8 levels, 64 names, long texts, unknown members', async () => {
      for (const row of rows.filter(({ codec }) => codec === 'json')) {
        const left = 64 - JSON.stringify(row.valid).split('":').length + 1; // names in all of its objects
        for (const member of [nested(7), many(left), `"x":"${'ü'.repeat(5000)}"`, '"x":"😀\\ud83d\\ude00"']) {
          assertPlain(row, await post(row, withMember(row, member)), member.slice(0, 20));
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
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '123.456' }, 'otp'],
        ['/agent/auth/claim/complete', { claim_token: unknownClaimToken, otp: '１２３４５' }, 'otp'],
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
        refused(reply, 'tinysend', 400, 'invalid_request', about);
        assert.equal(reply.body.error.field, field, about);
      }
    });

    test("the same in the bodies of auth.md's own versions, whose answers are flat", async () => {
      const production = (path: string, body: Members) =>
        path.startsWith('/agent/identity') && speaksProduction(body);
      const speaksProduction = ({ type, user_code, assertion }: Members) =>
        type === 'refresh' ||
        user_code !== undefined ||
        (typeof type === 'string' && assertion === undefined);
      const v01 = { type: 'anonymous', requested_credential_type: 'api_key' };
      const word = {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: stranger('oauth-id-jag+jwt'),
      };
      const word01 = { ...word, requested_credential_type: 'api_key' };
      const { requested_credential_type: _, ...untyped } = word01;
      const claim_token = unknownOwnClaimToken;
      const long = MARK.repeat(1025); // 8,200 characters
      const codes = [
        '',
        null,
        123456,
        ['123456'],
        '12345',
        '1234567',
        '12345a',
        'BCDF-GHJ',
        'BCDF-GHJK-L',
        '１２３４５',
        '12.34\u00a056',
        '.123456',
        `${MARK}1`,
      ];
      const cases: [path: string, body: Members, field: string][] = [
        ['/agent/auth', { requested_credential_type: 'api_key' }, 'type'],
        ['/agent/auth', { ...v01, type: MARK }, 'type'],
        ['/agent/auth', { ...v01, type: ['anonymous'] }, 'type'],
        ['/agent/auth', { ...v01, type: 'refresh' }, 'type'],
        ['/agent/auth', { ...v01, requested_credential_type: MARK }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, requested_credential_type: 'access_token' }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, requested_credential_type: ['api_key'] }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, requested_credential_type: false }, 'requested_credential_type'],
        ['/agent/auth', { ...v01, agent_name: 1 }, 'agent_name'],
        ['/agent/auth', { ...v01, agent_name: MARK.repeat(9) }, 'agent_name'],
        ['/agent/auth', untyped, 'requested_credential_type'],
        ['/agent/auth', { ...word01, assertion_type: MARK }, 'assertion_type'],
        ['/agent/auth', { ...word01, assertion_type: undefined }, 'assertion_type'],
        ['/agent/auth', { ...word01, assertion_type: [ID_JAG] }, 'assertion_type'],
        ['/agent/auth', { ...word01, assertion: undefined }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: '' }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: null }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: [word.assertion] }, 'assertion'],
        ['/agent/auth', { ...word01, assertion: long }, 'assertion'],
        ['/agent/auth/claim', { claim_token }, 'email'],
        ['/agent/auth/claim', { claim_token, email: null }, 'email'],
        ['/agent/auth/claim', { claim_token, email: 1 }, 'email'],
        ['/agent/auth/claim', { claim_token, email: `${MARK.repeat(40)}@example.com` }, 'email'],
        ['/agent/auth/claim', { claim_token: `clm_${MARK.repeat(20)}`, email: mailbox }, 'claim_token'],
        ['/agent/auth/claim/complete', { claim_token }, 'otp'],
        [
          '/agent/auth/claim/complete',
          { claim_token: `clm_${MARK.repeat(20)}`, otp: '123456' },
          'claim_token',
        ],
        ...codes.map((otp): [string, Members, string] => [
          '/agent/auth/claim/complete',
          { claim_token, otp },
          'otp',
        ]),
        ['/agent/identity', {}, 'type'],
        ['/agent/identity', { type: ['anonymous'], assertion: '' }, 'type'],
        ['/agent/identity', { type: 'agent', assertion: MARK }, 'type'],
        ['/agent/identity', { type: 'anonymous', agent_name: 1, assertion: '' }, 'agent_name'],
        ['/agent/identity', { type: 'anonymous', agent_name: MARK.repeat(9), assertion: '' }, 'agent_name'],
        ['/agent/identity', { type: 'service_auth', assertion: '' }, 'login_hint'],
        [
          '/agent/identity',
          { type: 'service_auth', login_hint: null, email: null, assertion: '' },
          'login_hint',
        ],
        ['/agent/identity', { type: 'service_auth', login_hint: 1, assertion: '' }, 'login_hint'],
        ['/agent/identity', { type: 'service_auth', email: ['x'], assertion: '' }, 'email'],
        [
          '/agent/identity',
          { type: 'service_auth', login_hint: `${MARK.repeat(40)}@example.com`, assertion: '' },
          'login_hint',
        ],
        ['/agent/identity', { ...word, assertion_type: undefined }, 'assertion_type'],
        ['/agent/identity', { ...word, assertion_type: MARK }, 'assertion_type'],
        ['/agent/identity', { ...word, assertion: '' }, 'assertion'],
        ['/agent/identity', { ...word, assertion: {} }, 'assertion'],
        ['/agent/identity', { ...word, assertion: long }, 'assertion'],
        ['/agent/identity', { type: 'refresh' }, 'refresh_token'],
        ['/agent/identity', { type: 'refresh', refresh_token: '' }, 'refresh_token'],
        ['/agent/identity', { type: 'refresh', refresh_token: null }, 'refresh_token'],
        [
          '/agent/identity',
          { type: 'refresh', refresh_token: { value: unknownRefreshToken } },
          'refresh_token',
        ],
        ['/agent/identity', { type: 'refresh', refresh_token: MARK.repeat(20) }, 'refresh_token'],
        ['/agent/identity/claim', { email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token: '', email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token: 1, email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token: MARK.repeat(20), email: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { claim_token }, 'login_hint'],
        ['/agent/identity/claim', { claim_token, email: null }, 'login_hint'],
        ['/agent/identity/claim', { claim_token, email: 1 }, 'email'],
        ['/agent/identity/claim', { type: 'service_auth', login_hint: mailbox }, 'claim_token'],
        ['/agent/identity/claim', { type: 'service_auth', claim_token }, 'login_hint'],
        ['/agent/identity/claim', { type: 'service_auth', claim_token, login_hint: 1 }, 'login_hint'],
        ['/agent/identity/claim', { type: MARK.repeat(9), claim_token, login_hint: mailbox }, 'type'],
        ['/agent/identity/claim', { ...word, claim_token: undefined }, 'claim_token'],
        ['/agent/identity/claim', { ...word, claim_token, assertion: '' }, 'assertion'],
        ['/agent/identity/claim', { ...word, claim_token, assertion: long }, 'assertion'],
        ['/agent/identity/claim/complete', {}, 'claim_token'],
        ['/agent/identity/claim/complete', { claim_token }, 'otp'],
        ['/agent/identity/claim/complete', { otp: '123456' }, 'claim_token'],
        ['/agent/identity/claim/complete', { user_code: 'BCDF-GHJK' }, 'claim_token'],
        ...codes.map((otp): [string, Members, string] => [
          '/agent/identity/claim/complete',
          { claim_token, otp },
          'otp',
        ]),
        ...codes
          .filter((code) => code !== null)
          .map((user_code): [string, Members, string] => [
            '/agent/identity/claim/complete',
            { claim_token, user_code },
            'user_code',
          ]),
      ];
      for (const [path, body, field] of cases) {
        const about = `${path} ${JSON.stringify(body).slice(0, 120)}`;
        const reply = await on.post(path, body);
        badRequest(reply, production(path, body) ? 'auth.md production' : 'auth.md', about);
        assert.equal(reply.body.field, field, about);
      }
    });

    test('a body that several versions could have sent is of one of them, and is answered as that one answers', async () => {
      const claim_token = unknownOwnClaimToken;
      const codes = { otp: '123456', user_code: 'BCDF-GHJK' };
      const native = { claim_token: unknownClaimToken };
      const production = 'auth.md production';
      const spoken: [path: string, body: Members, dialect: DialectName, status: number, code: string][] = [
        ['/agent/identity/claim/complete', { claim_token, ...codes }, production, 400, 'invalid_claim'],
        [
          '/agent/identity/claim',
          { claim_token, type: 'refresh', email: mailbox },
          production,
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/auth/claim',
          { claim_token, email: mailbox, link: true },
          'tinysend',
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/auth/claim',
          { ...native, email: mailbox, type: 'x' },
          'tinysend',
          401,
          'invalid_claim_token',
        ],
        ['/agent/auth/claim/complete', { ...native, ...codes }, 'tinysend', 401, 'invalid_claim_token'],
      ];
      for (const [path, body, dialect, status, code] of spoken) {
        refused(await on.post(path, body), dialect, status, code, `${path} ${JSON.stringify(body)}`);
      }
      const assertions = [{ type: 'verified_email', email: mailbox }];
      const mixed = { type: 'identity_assertion', assertions, requested_credential_type: 'api_key' };
      const mailed = on.mails.length;
      badRequest(await on.post('/agent/auth', mixed), 'auth.md', 'assertions and a type of credential');
      assert.equal(on.mails.length, mailed);
    });

    test('null is as good as nothing, where a version has optional members', async () => {
      const nobody = { agent_name: null, login_hint: null, email: null };
      const accepted: [path: string, body: Members][] = [
        ['/agent/auth', { type: 'anonymous', requested_credential_type: null, assertion_type: null }],
        [
          '/agent/auth',
          { type: 'anonymous', requested_credential_type: 'api_key', agent_name: null, assertion: null },
        ],
        ['/agent/identity', { type: 'anonymous', ...nobody, assertion: null, refresh_token: null }],
        ['/agent/identity', { type: 'service_auth', ...nobody, login_hint: mailbox }],
        ['/agent/identity', { type: 'service_auth', ...nobody, email: mailbox }],
      ];
      for (const [path, body] of accepted) {
        const reply = await on.post(path, body);
        assert.equal(reply.status, 200, `${path} ${JSON.stringify(body)}: ${reply.text}`);
      }
      const claim_token = unknownOwnClaimToken;
      const otherwise: [path: string, body: Members, status: number, code: string][] = [
        [
          '/agent/identity/claim',
          { type: null, claim_token, email: mailbox, assertion: null },
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/identity/claim',
          { type: null, claim_token, email: null, login_hint: mailbox },
          401,
          'invalid_claim_token',
        ],
        [
          '/agent/identity/claim/complete',
          { claim_token, otp: '123456', user_code: null },
          401,
          'invalid_claim_token',
        ],
      ];
      for (const [path, body, status, code] of otherwise) {
        refused(await on.post(path, body), 'auth.md', status, code, `${path} ${JSON.stringify(body)}`);
      }
      const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' }))
        .body;
      const asked = { grant_type: JWT_BEARER, assertion, claim_token: null, resource: null, scope: null };
      assert.equal((await on.post('/oauth2/token', asked)).status, 200);
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

    test('what is no mailbox is 400, natively invalid_email, and costs no mail', async () => {
      const { claim_token } = await on.register();
      const own = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const V01 = 'invalid_request/invalid_login_hint';
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
        refused(claimed, 'tinysend', 400, 'invalid_email', email);
        refused(asserted, 'tinysend', 400, 'invalid_email', email);
        assert.equal(claimed.body.error.field, 'email');
        assert.equal(asserted.body.error.field, 'assertions.0.email');
        const verified = { type: 'identity_assertion', assertion_type: 'verified_email', assertion: email };
        const flat: [path: string, body: Members, dialect: DialectName, code: string, field: string][] = [
          ['/agent/auth', { ...verified, requested_credential_type: 'api_key' }, 'auth.md', V01, 'assertion'],
          ['/agent/auth/claim', { claim_token: own.claim_token, email }, 'auth.md', V01, 'email'],
          ['/agent/identity', verified, 'auth.md', 'invalid_login_hint', 'assertion'],
          [
            '/agent/identity',
            { type: 'service_auth', login_hint: email },
            'auth.md',
            'invalid_login_hint',
            'login_hint',
          ],
          [
            '/agent/identity/claim',
            { claim_token: own.claim_token, email },
            'auth.md',
            'invalid_login_hint',
            'login_hint',
          ],
          [
            '/agent/identity/claim',
            { type: 'service_auth', claim_token: own.claim_token, login_hint: email },
            'auth.md production',
            'invalid_login_hint',
            'login_hint',
          ],
        ];
        for (const [path, body, dialect, code, field] of flat) {
          const reply = await on.post(path, body);
          refused(reply, dialect, 400, code, `${path} ${email}`);
          assert.equal(reply.body.field, field, path);
        }
      }
      assert.equal(on.mails.length, before);
    });

    test('a form without its token is 400', async () => {
      for (const row of rows.filter((each) => each.dialect === 'oauth' && each.path !== '/oauth2/token')) {
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

    test('the token endpoint names what is missing or too much, in a form as in JSON', async () => {
      const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' }))
        .body;
      const { claim_token } = (
        await on.post('/agent/identity', { type: 'service_auth', login_hint: mailbox })
      ).body;
      const bearer = { grant_type: JWT_BEARER, assertion };
      const grant = { grant_type: CLAIM, claim_token };
      const cases: [body: Record<string, string>, code: string][] = [
        [{}, 'unsupported_grant_type'],
        [{ assertion }, 'unsupported_grant_type'],
        ...[
          MARK,
          'authorization_code',
          'refresh_token',
          'client_credentials',
          `${JWT_BEARER} `,
          CLAIM.toUpperCase(),
        ].map((grant_type): [Record<string, string>, string] => [
          { ...bearer, grant_type },
          'unsupported_grant_type',
        ]),
        [{ grant_type: MARK.repeat(40) }, 'invalid_request'],
        [{ grant_type: JWT_BEARER }, 'invalid_request'],
        [{ grant_type: JWT_BEARER, claim_token }, 'invalid_request'],
        [{ grant_type: CLAIM, assertion }, 'invalid_request'],
        [{ ...bearer, assertion: MARK }, 'invalid_grant'],
        [{ ...bearer, assertion: `${assertion}A` }, 'invalid_grant'],
        [{ ...bearer, assertion: assertion.replace(/\.[^.]+$/, '.') }, 'invalid_grant'],
        [{ ...bearer, assertion: unknownKey }, 'invalid_grant'],
        [{ ...bearer, assertion: claim_token }, 'invalid_grant'],
        [
          { ...bearer, assertion: jwt({ alg: 'none', typ: 'agent-identity+jwt' }, { iss: on.url }) },
          'invalid_grant',
        ],
        [{ ...bearer, assertion: stranger('oauth-id-jag+jwt') }, 'invalid_grant'],
        [{ ...bearer, assertion: MARK.repeat(1025) }, 'invalid_request'],
        ...[
          MARK,
          'https://',
          'file:///etc/passwd',
          `https://${MARK}.example/`,
          '//evil.example',
          `${on.url}/x`,
          `${on.url}#x`,
        ].map((resource): [Record<string, string>, string] => [{ ...bearer, resource }, 'invalid_target']),
        ...['write', 'read write', MARK, 'READ'].map((scope): [Record<string, string>, string] => [
          { ...bearer, scope },
          'invalid_scope',
        ]),
        [{ ...grant, claim_token: MARK }, 'expired_token'],
        [{ ...grant, claim_token: unknownClaimToken }, 'expired_token'],
        [{ ...grant, claim_token: unknownOwnClaimToken }, 'expired_token'],
        [{ ...grant, claim_token: assertion }, 'expired_token'],
        [grant, 'authorization_pending'],
        [grant, 'slow_down'],
      ];
      for (const [body, code] of cases) {
        const about = JSON.stringify(body).slice(0, 160);
        if (code !== 'slow_down') refused(await on.form('/oauth2/token', body), 'oauth', 400, code, about);
        const isFirst = code === 'authorization_pending';
        if (!isFirst) refused(await on.post('/oauth2/token', body), 'oauth', 400, code, `${about} as JSON`);
      }
      for (const [name, value] of Object.entries({
        ...bearer,
        claim_token,
        scope: 'read',
        resource: on.url,
      })) {
        for (const wrong of [1, true, [value], { value }]) {
          const reply = await on.post('/oauth2/token', { ...bearer, [name]: wrong });
          badRequest(reply, 'oauth', `${name} as ${JSON.stringify(wrong)}`);
        }
      }
      const accepted: Record<string, string>[] = [
        {},
        { scope: 'read' },
        { resource: on.url },
        { scope: '', resource: '', x: 'y' },
      ];
      for (const parameters of accepted) {
        assert.equal((await on.form('/oauth2/token', { ...bearer, ...parameters })).status, 200);
      }
    });

    test('a token that is the whole body is refused for what is wrong with it, and nothing of it is repeated', async () => {
      for (const [path, typ, dialect] of [
        ['/agent/event/notify', 'secevent+jwt', 'security events'],
        ['/agent/auth/revoke', 'logout+jwt', 'auth.md'],
      ] as const) {
        const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' }))
          .body;
        const row = rows.find((each) => each.path === path)!;
        const header = { alg: 'ES256', typ, kid: '1' };
        const claims = {
          iss: 'https://stranger.example',
          aud: on.url,
          sub: 'x',
          jti: MARK,
          iat: 1,
          events: {},
        };
        const cases: Record<string, [body: string | Uint8Array, code: string]> = {
          nothing: ['', 'invalid_request'],
          'white space': [' \n ', 'invalid_request'],
          'a word': [MARK, 'invalid_request'],
          dots: ['..', 'invalid_request'],
          'two parts': ['e30.e30', 'invalid_request'],
          'five parts': ['e30.e30.e30.e30.e30', 'invalid_request'],
          'padding in base64': ['e30=.e30=.AAAA', 'invalid_request'],
          'white space inside': [stranger(typ).replaceAll('.', ' .\n'), 'invalid_request'],
          'an empty header and no claims': ['e30.e30.AAAA', 'invalid_request'],
          'no JSON inside': [`${Buffer.from(MARK).toString('base64url')}.e30.AAAA`, 'invalid_request'],
          'NUL in a claim': [jwt(header, { ...claims, sub: '\0' }), 'invalid_request'],
          'a name twice': [
            `${jwt(header, {}).split('.')[0]}.${Buffer.from('{"iss":1,"iss":2}').toString('base64url')}.AAAA`,
            'invalid_request',
          ],
          'a header that reaches for more': [jwt({ ...header, crit: ['x'] }, claims), 'invalid_request'],
          'no typ': [jwt({ alg: 'ES256' }, claims), 'invalid_request'],
          'another typ': [jwt({ ...header, typ: MARK }, claims), 'invalid_request'],
          'the typ of another path': [
            stranger(typ === 'logout+jwt' ? 'secevent+jwt' : 'logout+jwt'),
            'invalid_request',
          ],
          'an assertion of ours': [assertion, 'invalid_request'],
          JSON: [JSON.stringify({ token: stranger(typ) }), 'invalid_request'],
          'a form': [`token=${stranger(typ)}`, 'invalid_request'],
          'more than 8 KiB': [jwt(header, { ...claims, x: 'a'.repeat(8000) }), 'invalid_request'],
          'bytes that are no text': [Buffer.from([0xff, 0x2e, 0xfe, 0x2e, 0x00]), 'invalid_request'],
          'a stranger': [jwt(header, claims), 'invalid_issuer'],
          'a stranger without algorithm': [jwt({ ...header, alg: 'none' }, claims, ''), 'invalid_request'],
          'no issuer': [jwt(header, { ...claims, iss: undefined }), 'invalid_issuer'],
          'an issuer that is no text': [jwt(header, { ...claims, iss: ['x'] }), 'invalid_issuer'],
          'us as issuer': [jwt(header, { ...claims, iss: on.url }), 'invalid_issuer'],
        };
        for (const [what, [body, code]] of Object.entries(cases)) {
          refused(await post(row, body), dialect, 400, code, `${path}: ${what}`);
        }
      }
    });

    test('a form with a parameter twice, without end or of no text is 400', async () => {
      for (const row of rows.filter(({ codec }) => codec === 'form')) {
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
          badRequest(await post(row, text), row.dialect, `${row.line}: ${what}`);
        }
        const bytes = Buffer.concat([Buffer.from(`${valid}&x=`), Buffer.from([0xff])]);
        refused(await post(row, bytes), row.dialect, 400, 'invalid_request', `${row.line}: raw bytes`);
      }
    });

    test('names that reach for prototypes change nothing for the next request', async () => {
      for (const row of rows.filter(({ codec }) => codec === 'form')) {
        const reply = await post(
          row,
          `${encode(row)}&__proto__=x&constructor=x&prototype=x&__proto__[scope]=write`,
        );
        assertPlain(row, reply);
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
      const { scope, scopes, ...wide } = greedy;
      for (const bound of [{ scope }, { scopes }]) {
        const [field] = Object.keys(bound);
        const reply = await on.post('/agent/auth', { type: 'anonymous', ...bound });
        assert.deepEqual(
          [reply.status, reply.body.error.field],
          [400, field],
          'it could also be meant to bound',
        );
      }
      const { data } = (await on.post('/agent/auth', { type: 'anonymous', ...wide })).body;
      const { credential } = data;
      assert.deepEqual(data.scopes, ['read']);
      const me = (await on.get('/api/me', credential)).body.data;
      assert.deepEqual(me.scopes, ['read']);
      assert.equal(me.owner, undefined);

      const v01 = { type: 'anonymous', requested_credential_type: 'api_key', ...greedy };
      const key = (await on.post('/agent/auth', v01)).body;
      assert.deepEqual(key.scopes, ['read']);
      assert.deepEqual((await on.get('/api/me', key.credential)).body.data.scopes, ['read']);

      const claims = {
        identity_assertion: 'x',
        registration_id: 'reg_1',
        generation: 9,
        email_verified: true,
      };
      const identity = (await on.post('/agent/identity', { type: 'anonymous', ...greedy, ...claims })).body;
      assert.deepEqual(identity.pre_claim_scopes, ['read']);
      const asked = { grant_type: JWT_BEARER, assertion: identity.identity_assertion };
      const { scope: _, ...others } = greedy;
      const exchanged = (
        await on.post('/oauth2/token', { ...asked, ...others, client_id: 'agt_1', expires_in: 1e9 })
      ).body;
      assert.deepEqual([exchanged.scope, exchanged.expires_in], ['read', 3600]);
      const about = (await on.get('/api/me', exchanged.access_token)).body.data;
      assert.deepEqual([about.scopes, about.owner], [['read'], undefined]);
    });

    test('an Idempotency-Key is 1 to 255 visible characters, once', async () => {
      for (const row of rows.filter(({ repeatable, plain }) => repeatable && !plain.startsWith('400'))) {
        const ask = (...keys: string[]) =>
          send(
            on,
            'POST',
            row.path,
            [['Content-Type', row.type], ...keys.map((key) => ['Idempotency-Key', key] as const)],
            encode(row),
          );
        for (const key of ['a b', 'a'.repeat(256), 'ü'])
          badRequest(await ask(key), row.dialect, `${row.line}: ${key}`);
        badRequest(await ask('a', 'b'), row.dialect, `${row.line}: two`);
      }
    });
  });

  describe('credentials', () => {
    type Headers = readonly (readonly [string, string])[];
    /** Every call of agents, with a body that is not at fault. */
    const allCalls = () => [
      ...closed
        .filter((row) => row.body === undefined)
        .map((row) => {
          const { method, caller } = row;
          const path = concrete(row.path);
          const call = (headers: Headers, query = '') => send(on, method, path + query, headers);
          const dialect = row.dialect.name as DialectName;
          return { line: `${method} ${path}`, before: dialect, dialect, caller, call };
        }),
      ...rows.map(({ line, before, dialect, caller, ...row }) => ({
        line,
        before,
        dialect,
        caller,
        call: (headers: Headers, query = '') =>
          send(on, row.method, row.path + query, [...headers, ['Content-Type', row.type]], encode(row)),
      })),
    ];
    /** Those that read a bearer. */
    const bearerCalls = () =>
      allCalls().filter(({ caller }) => caller === 'agent' || caller === 'agentIfAny');

    test('no key is 401 unauthorized, and the challenge names no error', async () => {
      for (const { line, call } of bearerCalls().filter(({ caller }) => caller === 'agent')) {
        const reply = await call([]);
        refused(reply, 'tinysend', 401, 'unauthorized', line);
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
      const early = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const asked = { grant_type: JWT_BEARER, assertion: early.identity_assertion };
      const over = (await on.form('/oauth2/token', asked)).body;
      assert.equal((await on.get('/api/me', over.access_token)).status, 200);
      on.clock.advance(over.expires_in);
      const [expired, revoked] = [await make(), await make()];
      await on.del(`/api/tokens/${revoked.id}`, credential);
      on.clock.advance(2);
      const other = await on.register();
      const own = (await on.post('/agent/identity', { type: 'anonymous' })).body;
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
        'a claim token of another version': `Bearer ${own.claim_token}`,
        'an identity assertion': `Bearer ${own.identity_assertion}`,
        'a refresh token': `Bearer ${own.identity.refresh_token.value}`,
        'an unknown access token': `Bearer ${newSecret('at', systemRandom)}`,
        'an access token that is over': `Bearer ${over.access_token}`,
        'an empty one': 'Bearer ',
        'no token': 'Bearer',
        'two words': `Bearer ${credential} ${credential}`,
        'another scheme': `Basic ${Buffer.from(`${credential}:`).toString('base64')}`,
        'no scheme': credential,
        'in quotes': `Bearer "${credential}"`,
        'a key of another brand': `Bearer ${newSecret('sk', systemRandom, 'acme')}`,
        'very long': `Bearer sk_${'a'.repeat(8000)}`,
      };
      for (const { line, dialect, call } of bearerCalls()) {
        const answers = new Map<string, string>();
        for (const [what, header] of Object.entries(bad)) {
          const reply = await call([['Authorization', header]]);
          refused(reply, dialect, 401, 'invalid_token', `${line}: ${what}`);
          const { request_id: _, ...error } = dialect === 'tinysend' ? reply.body.error : reply.body;
          const { date: _date, 'x-request-id': _id, ...headers } = Object.fromEntries(reply.headers);
          answers.set(JSON.stringify([error, headers]), what);
          assert.ok(!reply.text.includes(credential.slice(3, 20)));
        }
        assert.equal(answers.size, 1, `${line} tells apart: ${[...answers.values()]}`);
      }
    });

    test('two credentials are 400', async () => {
      const { credential } = await on.register();
      const bearer = ['Authorization', `Bearer ${credential}`] as const;
      for (const { line, dialect, call } of bearerCalls()) {
        badRequest(await call([bearer, bearer]), dialect, line);
        badRequest(await call([bearer, ['authorization', MARK]]), dialect, line);
      }
    });

    test('a secret in the query is 400, wherever it is, also beside a good key', async () => {
      const { credential } = await on.register();
      const names =
        'access_token refresh_token token assertion credential claim_token client_secret otp user_code'.split(
          ' ',
        );
      for (const { line, before, call } of allCalls()) {
        for (const name of names) {
          const reply = await call([['Authorization', `Bearer ${credential}`]], `?x=1&${name}=${MARK}`);
          badRequest(reply, before, `${line}?${name}`);
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
      ['tinysend', 421, 'PUT', '/nothing', [wrongHost, text, badKey], '{'],
      ['tinysend', 404, 'PUT', '/nothing', [text, badKey], '{'],
      ['tinysend', 405, 'PUT', '/api/tokens', [text, badKey], '{'],
      ['tinysend', 415, 'POST', '/api/tokens', [text, badKey], '{'],
      ['tinysend', 400, 'POST', '/api/tokens', [json, badKey], '{'],
      ['tinysend', 400, 'POST', '/api/tokens', [json, badKey], '{}'],
      ['tinysend', 401, 'POST', '/api/tokens', [json, badKey], '{"name":"x","scope":"read"}'],
      ['auth.md', 421, 'PUT', '/agent/identity/nothing', [wrongHost, text, badKey], '{'],
      ['auth.md', 404, 'PUT', '/agent/identity/nothing', [text, badKey], '{'],
      ['auth.md', 405, 'PUT', '/agent/identity', [text, badKey], '{'],
      ['auth.md', 415, 'POST', '/agent/identity', [text, badKey], '{'],
      ['auth.md', 400, 'POST', '/agent/identity', [json, badKey], '{'],
      [
        'auth.md',
        400,
        'POST',
        '/agent/auth/claim',
        [json, badKey],
        JSON.stringify({ claim_token: unknownOwnClaimToken }),
      ],
      [
        'auth.md',
        401,
        'POST',
        '/agent/auth/claim',
        [json, badKey],
        JSON.stringify({ claim_token: unknownOwnClaimToken, email: mailbox }),
      ],
      ['auth.md production', 400, 'POST', '/agent/identity/claim', [json], '{"type":"service_auth"}'],
      [
        'auth.md production',
        401,
        'POST',
        '/agent/identity/claim',
        [json],
        JSON.stringify({ type: 'x', claim_token: 'x', login_hint: mailbox }),
      ],
      ['security events', 405, 'PUT', '/agent/event/notify', [text], '{'],
      ['security events', 400, 'POST', '/agent/event/notify', [text], '{'],
      ['oauth', 405, 'PUT', '/oauth2/token', [text], '{'],
      ['oauth', 415, 'POST', '/oauth2/token', [form, ['Content-Encoding', 'gzip']], 'x='],
      ['oauth', 400, 'POST', '/oauth2/token', [text], 'x='],
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
        for (const [path, dialect, code] of [
          ['/agent/auth', 'tinysend', 'misdirected_request'],
          ['/auth.md', 'tinysend', 'misdirected_request'],
          ['/nothing', 'tinysend', 'misdirected_request'],
          ['/oauth2/introspect', 'oauth', 'invalid_request'],
          ['/oauth2/token', 'oauth', 'invalid_request'],
          ['/agent/identity', 'auth.md', 'invalid_request'],
          ['/agent/identity/claim', 'auth.md', 'invalid_request'],
        ] as const) {
          refused(await send(on, 'POST', path, [['Host', name]]), dialect, 421, code, name);
        }
      }
      const none = parseRaw(await sendRaw(on, 'GET /auth.md HTTP/1.0\r\n\r\n'));
      refused(none, 'tinysend', 421, 'misdirected_request', 'no Host at all');
    });

    test('two Host headers are 400, even when both are ours', async () => {
      for (const other of [host(), 'evil.example']) {
        for (const [dialect, path] of [
          ['tinysend', '/api/me'],
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
      refused(await send(on, 'GET', '/auth.md', headers(63)), 'tinysend', 400, 'invalid_request', '65');
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
    /** Success or refusal in a dialect of the path, and never our fault. */
    function assertOrderly(row: Pick<BodyRow, 'path' | 'spoken'>, reply: Reply): void {
      const { spoken } = row;
      if (spoken.has('page')) {
        assert.ok(reply.status === 303 || (reply.status >= 400 && reply.status < 500), `${reply.status}`);
        assertPage(reply, row.path);
        return;
      }
      const isNative = spoken.has('tinysend') && 'ok' in Object(reply.body);
      if (reply.status >= 400) {
        const dialect = isNative ? 'tinysend' : [...spoken].find((each) => each !== 'tinysend');
        assertFailureShape(on, reply, dialect ?? 'tinysend', row.path);
        return;
      }
      assert.equal(reply.status, row.path === '/agent/event/notify' ? 202 : 200);
      assertHeaders(reply, row.path);
      if (['/oauth2/revoke', '/agent/event/notify'].includes(row.path)) assert.equal(reply.text, '');
      else if (isNative) assert.equal(reply.body.ok, true);
      else if (row.path === '/oauth2/token') assert.equal(typeof reply.body.access_token, 'string');
      else if (row.path.startsWith('/agent/'))
        assert.match(reply.body.registration_id ?? reply.body.id, /^reg_/);
      else assert.equal(typeof reply.body.active, 'boolean');
    }
    const runs = { numRuns: 40 };

    test('random bytes get an orderly answer', async () => {
      for (const row of carriers) {
        await fc.assert(
          fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (bytes) =>
            assertOrderly(row, await post(row, bytes)),
          ),
          runs,
        );
      }
    });

    test('random JSON, parameters and tokens get an orderly answer', async () => {
      const json = fc.json({ stringUnit: 'binary', maxDepth: 10 });
      const name = fc.constantFrom(
        ...'token client_id client_secret csrf attempt code grant_type assertion claim_token resource scope x'.split(
          ' ',
        ),
      );
      const parameters = fc.array(fc.tuple(name, fc.string({ unit: 'binary' }))).map((pairs) => {
        const wellFormed = pairs.map(([each, value]): [string, string] => [each, value.toWellFormed()]);
        return new URLSearchParams(wellFormed).toString();
      });
      const part = fc.oneof(json, fc.string()).map((text) => Buffer.from(text).toString('base64url'));
      const token = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
      const texts = { json, form: parameters, token };
      for (const row of carriers) {
        await fc.assert(
          fc.asyncProperty(texts[row.codec], async (body) =>
            assertOrderly(row, await post(row, Buffer.from(body))),
          ),
          runs,
        );
      }
    });

    test('valid bodies with one member changed, or one character, get an orderly answer', async () => {
      const { credential } = await on.claimed(`fuzz-${engine}@example.com`);
      const browser = await openClaim(`browser-${engine}@example.com`);
      const sent = (row: BodyRow): readonly (readonly [string, string])[] => {
        if (row.dialect === 'page') return [['Cookie', browser.cookie]];
        // No bearer authenticates a form: its refusal is not what is looked for. Nor does one go with another's claim token.
        return row.dialect === 'tinysend' ? [['Authorization', `Bearer ${credential}`]] : [];
      };
      // What is good for something, in place of what is not.
      const agent = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const pending = (await on.post('/agent/identity', { type: 'service_auth', login_hint: mailbox })).body;
      const live = { claim_token: pending.claim_token, refresh_token: agent.identity.refresh_token.value };
      const assertion = agent.identity_assertion;
      for (const each of rows) {
        const { csrf, attempt } = browser;
        const hidden = each.path === '/claim' ? { csrf, attempt } : { csrf };
        const isOwn = ['auth.md', 'auth.md production', 'oauth'].includes(each.dialect);
        const own = Object.entries(each.path === '/oauth2/token' ? { ...live, assertion } : live);
        const replaced = isOwn ? Object.fromEntries(own.filter(([name]) => name in each.valid)) : {};
        const valid = { ...each.valid, ...(each.dialect === 'page' ? hidden : replaced) };
        const row = { ...each, valid };
        const names = Object.keys(row.valid);
        const value =
          row.codec === 'json' ? fc.jsonValue({ stringUnit: 'binary' }) : fc.string({ unit: 'grapheme' });
        const changedMember = fc
          .tuple(fc.constantFrom(...names), value)
          .map(([name, changed]) => encode(row, { ...row.valid, [name]: changed }));
        const changedCharacter = fc.tuple(fc.nat(), fc.string({ maxLength: 3 })).map(([at, characters]) => {
          const text = encode(row);
          const index = at % text.length;
          return text.slice(0, index) + characters + text.slice(index + 1);
        });
        await fc.assert(
          fc.asyncProperty(fc.oneof(changedMember, changedCharacter), async (body) => {
            const reply = await send(on, 'POST', row.path, [...sent(row), ['Content-Type', row.type]], body);
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
      const token = /vouchsafe_claim=([^;]+)/.exec(cookie)![1]!;
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
            const held = [['Cookie', `vouchsafe_browser=${link}; vouchsafe_claim=${link}`]] as const;
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
          'identity',
          'complete',
          'event',
          'notify',
          '.well-known',
          'oauth-authorization-server',
          'jwks.json',
          'token',
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
              const row = routes.find((each) => each.path === asked);
              const room = /^\/(oauth2(?=\/)|agent\/identity(?=\/|$))/.exec(asked)?.[1] ?? '';
              const neighbours = { oauth2: 'oauth', 'agent/identity': 'auth.md' }[room] ?? 'tinysend';
              assertFailureShape(on, reply, (row?.dialect.name ?? neighbours) as DialectName, asked);
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
    assertRefused(on, reply, 'tinysend', 429, 'rate_limited', 'the second registration');
    assert.equal(reply.body.error.retryable, true);
  } finally {
    await on.stop();
  }
});

test("an address that has used up its budget is 429 before its body is looked at in auth.md's own versions, too", async () => {
  const limits = { claimMailPerIp: '1/h', wrongPerIpHour: 1, registerPerIp: '2/h' };
  const on = await startTestService('sqlite', { limits });
  try {
    const agent = (await on.post('/agent/identity', { type: 'anonymous' })).body;
    const { claim_token } = agent;
    assert.equal((await on.post('/agent/identity/claim', { claim_token, email: mailbox })).status, 200);
    const spent = 'rate_limited/rate_limit_exceeded';
    const ask = (path: string) => on.post(path, '{', { 'Content-Type': 'text/plain' });
    const again = await ask('/agent/identity/claim');
    assertRefused(on, again, 'auth.md', 429, spent, 'the second claim');
    assert.equal(again.body.retry_after, 3600);
    // A path that is spoken in two ways says so in that of its row.
    assertRefused(
      on,
      await ask('/agent/auth/claim'),
      'tinysend',
      429,
      'rate_limited',
      'the second claim by 0.1',
    );

    await on.post('/agent/auth', { type: 'anonymous', requested_credential_type: 'api_key' });
    // What is asked decides which budget it is: a renewal spends none of registrations.
    const third = await on.post('/agent/identity', { type: 'anonymous' });
    assertRefused(on, third, 'auth.md', 429, spent, 'the third registration');
    const renewal = { type: 'refresh', refresh_token: agent.identity.refresh_token.value };
    assert.equal((await on.post('/agent/identity', renewal)).status, 200);
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
