import type { Route } from '../../src/http/server/table.ts';
import { badInputOf, METHODS, routesOf } from '../helpers/bad-input.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { concrete } from '../helpers/valid-bodies.ts';
import { assertHeaders, type DialectName, MARK, send, sendRaw } from '../helpers/wire.ts';

/** The bad-input contract, docs/security.md. */

// of auth.md's own versions

onEveryEngine('bad input: paths and methods', (engine, test) => {
  let on: TestService;
  let routes: Route[];
  let closed: Route[]; // the rows that are no open documents
  test.before(async () => {
    on = await startTestService(engine);
    ({ routes, closed } = routesOf(on));
  });
  test.after(() => on.stop());

  const { refused, refusedFor } = badInputOf(() => on);

  test.describe('paths and methods', (test) => {
    test('an unknown path is 404 in the dialect of its neighbours, by whatever method', async (t) => {
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
          if (method === 'HEAD') t.is(reply.status, 404, about);
          else refused(t, reply, dialect, 404, 'not_found', about);
        }
      }
    });

    test('a browser that asks for a path that nobody knows gets a page', async (t) => {
      const accept = ['Accept', 'text/html,application/xhtml+xml,*/*;q=0.8'] as const;
      for (const path of [
        '/nothing',
        '/claim/',
        '/assets/none.css',
        '/oauth2/nothing',
        '/agent/identity/nothing',
        `/${MARK}?q=${MARK}`,
      ]) {
        refused(t, await send(on, 'GET', path, [accept]), 'page', 404, '', path);
        const elsewhere = await send(on, 'GET', path, [accept, ['Host', 'evil.example']]);
        refused(t, elsewhere, 'page', 421, '', `${path} at another host`);
      }
      refused(
        t,
        await send(on, 'GET', '/api/me', [accept]),
        'tinysend',
        401,
        'unauthorized',
        'a path with a dialect',
      );
    });

    test('a method that a path does not know is 405 with Allow, and the refusal has no effect', async (t) => {
      const methodsByPath = Map.groupBy(closed, (row) => row.path);
      for (const [path, known] of methodsByPath) {
        const allowed = known.flatMap((row) => (row.method === 'GET' ? ['GET', 'HEAD'] : [row.method]));
        // Web pages ask beforehand where they may send something: test/contract/web-pages.test.ts.
        const answered = known.some((row) => row.cors) ? [...allowed, 'OPTIONS'] : allowed;
        for (const method of METHODS.filter((each) => !answered.includes(each))) {
          const about = `${method} ${path}`;
          const reply = await send(on, method, concrete(path), [['X-HTTP-Method-Override', 'POST']]);
          t.is(reply.headers.get('allow'), allowed.join(', '), about);
          if (method === 'HEAD') {
            t.is(reply.status, 405, about);
            t.is(reply.text, '', about);
            assertHeaders(t, reply, about);
            continue;
          }
          refusedFor(t, reply, 'method', { before: known[0]!.dialect.name as DialectName, line: about });
        }
      }
    });

    test('an open document is read by GET and HEAD only, and answers a preflight', async (t) => {
      for (const row of routes.filter((each) => each.open && each.exists === undefined)) {
        for (const method of METHODS) {
          const about = `${method} ${row.path}`;
          const reply = await send(on, method, row.path);
          if (method === 'GET' || method === 'HEAD') t.true(reply.status < 400, about);
          else if (method === 'OPTIONS') t.is(reply.status, 204, about);
          else refused(t, reply, row.dialect.name, 405, 'method_not_allowed', about);
        }
      }
    });

    test('a tunnel is not opened for anybody', async (t) => {
      const host = new URL(on.url).host;
      t.is(await sendRaw(on, `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`), '');
    });
  });
});
