import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { newSecret } from '../../src/lib/secrets.ts';
import { localOrigin } from '../../src/work.ts';
import { basic, type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('a credential that is refused', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  /** The checks that the log names for the request of an answer. */
  const checksOf = (reply: Reply): string[] =>
    on.logged
      .map((line) => JSON.parse(line) as { id?: string; check?: string })
      .filter(({ id, check }) => id === reply.headers.get('x-request-id') && check !== undefined)
      .map(({ check }) => check!);

  test('is one answer to the caller, and in the log the check that it did not pass, by the id of the request', async (t) => {
    const owned = await on.claimed('owner@example.com');
    const made = async (body: object) =>
      (
        await on.post(
          '/api/tokens',
          { name: 'other', scope: 'read', ...body },
          { Authorization: `Bearer ${owned.credential}` },
        )
      ).body.data;
    const brief = await made({ expires_in: 60 });
    const ended = await made({});
    t.is((await on.del(`/api/tokens/${ended.id}`, owned.credential)).status, 200);
    on.clock.advance(61);
    const unknown = newSecret('sk', systemRandom);
    for (const [credential, check] of [
      ['sk_no', 'malformed'],
      [unknown, 'unknown'],
      [ended.credential, 'revoked'],
      [brief.credential, 'expired'],
    ] as const) {
      const reply = await on.get('/api/me', credential);
      t.is(reply.status, 401);
      t.is(reply.body.error.code, 'invalid_token');
      t.deepEqual(checksOf(reply), [check]);
    }
    const log = on.logged.join('\n');
    for (const credential of [unknown, ended.credential, brief.credential]) t.false(log.includes(credential));
  });

  test('the same where a resource server asks', async (t) => {
    const [here, elsewhere] = await Promise.all(
      ['https://api.example.com', 'https://other.example.com'].map((url) =>
        addResourceServer(on.service.deps, localOrigin('test'), { url, name: 'API', scopes: undefined }),
      ),
    );
    const owned = await on.claimed('asked@example.com');
    const { credential } = (
      await on.post(
        '/api/tokens',
        { name: 'bound', scope: 'read', resources: ['https://api.example.com'] },
        { Authorization: `Bearer ${owned.credential}` },
      )
    ).body.data;
    const ask = (by: typeof here, token: string) =>
      on.form('/oauth2/introspect', { token }, basic(by!.server.id, by!.secret));
    const live = await ask(here, credential);
    t.true(live.body.active);
    t.deepEqual(checksOf(live), []);
    const foreign = await ask(elsewhere, credential);
    t.deepEqual(foreign.body, { active: false });
    t.deepEqual(checksOf(foreign), ['other audience']);
  });
});
