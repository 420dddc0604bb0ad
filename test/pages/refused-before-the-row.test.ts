import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { send } from '../helpers/wire.ts';

onEveryEngine('what is refused before its row is looked at', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const FORM = ['Content-Type', 'application/x-www-form-urlencoded'] as const;
  const tooMany = Array.from({ length: 120 }, (_, index) => [`X-Many-${index}`, '1'] as const);
  const ways: [what: string, status: number, headers: (readonly [string, string])[]][] = [
    ['another host', 421, [['Host', 'evil.example']]],
    ['too many headers', 400, tooMany],
  ];

  test('is said to a form on a page, to an agent in JSON', async (t) => {
    for (const [what, status, headers] of ways) {
      for (const path of ['/claim', '/sign-in', '/connect', '/keys/new']) {
        for (const accept of [[], [['Accept', 'text/html'] as const]]) {
          const reply = await send(on, 'POST', path, [FORM, ...accept, ...headers], 'csrf=x');
          t.is(reply.status, status, `${what} ${path}: ${reply.text}`);
          t.regex(reply.headers.get('content-type') ?? '', /^text\/html/, `${what} ${path}`);
          t.regex(reply.text, /<h1>/);
        }
      }
      for (const path of [
        '/agent/auth',
        '/api/tokens',
        '/oauth2/token',
        '/host/rotate-key',
        '/agent/identity',
      ]) {
        const reply = await send(on, 'POST', path, [['Content-Type', 'application/json'], ...headers], '{}');
        t.is(reply.status, status, `${what} ${path}: ${reply.text}`);
        t.regex(reply.headers.get('content-type') ?? '', /^application\/json/, `${what} ${path}`);
        JSON.parse(reply.text);
      }
    }
  });
});
