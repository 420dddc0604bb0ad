import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Route } from '../../src/http/server/table.ts';
import { badInputOf, METHODS, routesOf } from '../helpers/bad-input.ts';
import { assertProperty } from '../helpers/property.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { type BodyRow, encode, mailbox } from '../helpers/valid-bodies.ts';
import { assertFailureShape, assertHeaders, assertPage, type DialectName, send } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: whatever is sent', (engine, test) => {
  let on: TestService;
  let routes: Route[];
  let rows: BodyRow[];
  let carriers: BodyRow[]; // one row for each path and media type
  test.before(async () => {
    on = await startTestService(engine);
    ({ routes, rows, carriers } = routesOf(on));
  });
  test.after(() => on.stop());

  const { refused, post } = badInputOf(() => on);

  test.describe('whatever is sent', (test) => {
    /** Success or refusal in a dialect of the path, and never our fault. */
    function assertOrderly(t: ExecutionContext, row: Pick<BodyRow, 'path' | 'spoken'>, reply: Reply): void {
      const { spoken } = row;
      if (spoken.has('page')) {
        t.true(reply.status === 303 || (reply.status >= 400 && reply.status < 500), `${reply.status}`);
        assertPage(t, reply, row.path);
        return;
      }
      const isNative = spoken.has('tinysend') && 'ok' in Object(reply.body);
      if (reply.status >= 400) {
        const dialect = isNative ? 'tinysend' : [...spoken].find((each) => each !== 'tinysend');
        assertFailureShape(t, on, reply, dialect ?? 'tinysend', row.path);
        return;
      }
      const isClient = ['/oauth2/register', '/oauth/clients/register'].includes(row.path);
      t.is(reply.status, isClient ? 201 : ({ '/agent/event/notify': 202 }[row.path] ?? 200));
      assertHeaders(t, reply, row.path);
      if (['/oauth2/revoke', '/agent/event/notify'].includes(row.path)) t.is(reply.text, '');
      else if (isNative) t.true(reply.body.ok);
      else if (isClient) t.regex(reply.body.client_id, /^cli_/);
      else if (row.path === '/oauth2/token') t.is(typeof reply.body.access_token, 'string');
      else if (row.path.startsWith('/agent/')) t.regex(reply.body.registration_id ?? reply.body.id, /^reg_/);
      else t.is(typeof reply.body.active, 'boolean');
    }
    const runs = { numRuns: 40 };

    test('random bytes get an orderly answer', async (t) => {
      for (const row of carriers) {
        await assertProperty(
          t,
          [fc.uint8Array({ maxLength: 600 })],
          async (t, bytes) => assertOrderly(t, row, await post(row, bytes)),
          runs,
        );
      }
    });

    test('random JSON, parameters and tokens get an orderly answer', async (t) => {
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
        await assertProperty(
          t,
          [texts[row.codec]],
          async (t, body) => assertOrderly(t, row, await post(row, Buffer.from(body))),
          runs,
        );
      }
    });

    test('valid bodies with one member changed, or one character, get an orderly answer', async (t) => {
      const { credential } = await on.claimed(`fuzz-${engine}@example.com`);
      const browser = await openClaim(t, `browser-${engine}@example.com`);
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
        await assertProperty(
          t,
          [fc.oneof(changedMember, changedCharacter)],
          async (t, body) => {
            const reply = await send(
              on,
              row.method,
              row.path,
              [...sent(row), ['Content-Type', row.type]],
              body,
            );
            assertOrderly(t, row, reply);
          },
          { numRuns: 80 },
        );
      }
    });

    /** A browser that is shown a claim: its cookies, and what the form of the page carries. */
    async function openClaim(t: ExecutionContext, email: string) {
      const { claim_token } = await on.register();
      const asked = await on.post('/agent/auth/claim', { claim_token, email });
      const kept = await on.get(asked.body.data.verification_uri.slice(on.url.length));
      const cookie = kept.headers
        .getSetCookie()
        .map((line) => line.split(';')[0])
        .join('; ');
      const { text } = await on.request('GET', '/claim', { headers: { Cookie: cookie } });
      const hidden = (name: string) => new RegExp(`name="${name}" value="([^"]+)"`).exec(text)?.[1] ?? '';
      t.regex(hidden('attempt'), /^cla_/, text);
      return { cookie, csrf: hidden('csrf'), attempt: hidden('attempt') };
    }

    test('random links and cookies, and links of ours with one character changed, lead to no claim', async (t) => {
      const { cookie } = await openClaim(t, `links-${engine}@example.com`);
      const token = /vouchsafe_claim=([^;]+)/.exec(cookie)![1]!;
      const random = fc.string({ unit: fc.constantFrom(...'abz09AZ-_.=%~') });
      const changed = fc
        .tuple(fc.nat({ max: token.length - 1 }), fc.constantFrom(...'abz09AZ-_.'))
        .filter(([at, character]) => token[at] !== character)
        .map(([at, character]) => token.slice(0, at) + character + token.slice(at + 1));
      await assertProperty(
        t,
        [fc.constantFrom('/claim', '/claim/deny'), fc.oneof(random, changed)],
        async (t, path, link) => {
          refused(t, await send(on, 'GET', `${path}?t=${link}`), 'page', 404, '', `${path}?t=${link}`);
          const held = [['Cookie', `vouchsafe_browser=${link}; vouchsafe_claim=${link}`]] as const;
          refused(t, await send(on, 'GET', path, held), 'page', 404, '', `${path} with ${link}`);
        },
        { numRuns: 60 },
      );
    });

    test('random paths, methods and headers get an orderly answer', async (t) => {
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
      await assertProperty(
        t,
        [fc.constantFrom(...METHODS), path, fc.array(fc.tuple(header, value), { maxLength: 4 })],
        async (t, method, asked, headers) => {
          const reply = await send(on, method, asked, headers);
          t.true(reply.status < 500, `${method} ${asked}: ${reply.status}`);
          t.regex(reply.headers.get('x-request-id') ?? '', /^req_/);
          if (reply.status >= 400 && method !== 'HEAD') {
            const row = routes.find((each) => each.path === asked);
            const room = /^\/(oauth2(?=\/)|agent\/identity(?=\/|$))/.exec(asked)?.[1] ?? '';
            const neighbours = { oauth2: 'oauth', 'agent/identity': 'auth.md' }[room] ?? 'tinysend';
            assertFailureShape(t, on, reply, (row?.dialect.name ?? neighbours) as DialectName, asked);
          }
        },
        { numRuns: 400 },
      );
    });

    test('nothing of all this was our fault', (t) => {
      const faults = on.logged.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50);
      t.deepEqual(faults, []);
    });
  });
});
