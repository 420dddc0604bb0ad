import { type App, getCode, newHuman, registerApp } from '../helpers/app-client.ts';
import { heading } from '../helpers/claim-page.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const PATH = '/console/oauth-clients';

onEveryEngine('OAuth clients in the console', (engine, test) => {
  let on: TestService;
  let operator: Operator;
  test.before(async () => {
    on = await startTestService(engine);
    operator = await newOperator(on);
  });
  test.after(() => on.stop());

  const listed = async (query: string) => {
    const { text } = await operator.browser.get(`${PATH}?${query}`);
    return [...text.matchAll(/href="\/console\/oauth-clients\/(cli_\w+)"/g)].map(([, id]) => id);
  };

  /** An app that a person approved. */
  async function approved(name: string): Promise<App & { mailbox: string }> {
    const app = await registerApp(on, { client_name: name });
    const { mailbox, browser } = await newHuman(on);
    await getCode(on, app, { query: { scope: 'read' }, browser });
    return { ...app, mailbox };
  }

  test('are listed newest first, and found by name, id, status and who registered them', async (t) => {
    const used = await approved('Marlin Editor');
    on.clock.advance(1);
    const unused = await registerApp(on, { client_name: 'Chart desk' });
    t.deepEqual((await listed('')).slice(0, 2), [unused.clientId, used.clientId]);
    t.deepEqual(await listed('q=chart'), [unused.clientId]);
    t.deepEqual(await listed(`q=${used.clientId}`), [used.clientId]);
    t.false((await listed('clientStatus=unused')).includes(used.clientId));
    t.deepEqual(await listed('origin=operator'), []);
  });

  test('of very many, a page searches 10,000, says so and goes on, also where it found none', async (t) => {
    const { db } = on.service.deps;
    const oldest = await registerApp(on, { client_name: 'Needle' });
    on.clock.advance(60);
    await db.tx((tx) =>
      tx.run(
        `INSERT INTO oauth_clients (id, origin, name, metadata, created_at)
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
         SELECT 'cli_many' || n, 'dynamic', 'Many', '{}', CAST(? AS BIGINT) + n FROM numbers`,
        [on.clock()],
      ),
    );
    const page = await operator.browser.get(`${PATH}?q=needle`);
    t.true(page.text.includes('A page searches only part of the list'), page.text);
    t.false(page.text.includes(oldest.clientId));
    const [, next] = /href="([^"]+)" rel="next"/.exec(page.text)!;
    const last = await operator.browser.get(next!.replaceAll('&amp;', '&'));
    t.true(last.text.includes(oldest.clientId));
    t.false(last.text.includes('rel="next"'));
    // Without a search, a page reads no more than it shows.
    t.true((await operator.browser.get(PATH)).text.includes('cli_many10000'));
  });

  test('one shows its facts and by whom it is approved, masked', async (t) => {
    const { clientId, mailbox } = await approved('Marlin Editor');
    const page = await operator.browser.get(`${PATH}/${clientId}`);
    t.is(heading(page), 'Marlin Editor');
    for (const fact of ['https://app.example/callback', 'Itself', 'h***@example.com'])
      t.true(page.text.includes(fact), fact);
    t.false(page.text.includes(mailbox));
    t.is((await operator.browser.get(`${PATH}/cli_0`)).status, 404);
    t.is((await (await newHuman(on)).browser.get(`${PATH}/${clientId}`)).status, 404);
  });

  test('are suspended, resumed and removed, each with a reason that the audit keeps', async (t) => {
    const { clientId } = await approved('Marlin Editor');
    const path = `${PATH}/${clientId}`;
    for (const [act, status] of [
      ['suspend', 'Suspended'],
      ['resume', 'Active'],
      ['remove', 'Removed'],
    ] as const) {
      await operator.signInAgain();
      await operator.browser.get(`${path}/${act}`);
      const refused = await operator.browser.post(`${path}/${act}`);
      t.is(refused.status, 400, act);
      const done = await operator.browser.post(`${path}/${act}`, { reason: 'abuse' });
      t.is(done.path, path);
      t.regex(done.text, new RegExp(`class="badge[^>]*>[^<]*(?:<[^>]*>)*${status}`), act);
      t.true(done.text.includes('Nobody approves it now.'), act);
      const kind = { suspend: 'client.suspended', resume: 'client.resumed', remove: 'client.removed' }[act];
      const event = await on.service.deps.db.get<{ accountId: string | null; details: string }>(
        'SELECT account_id AS "accountId", details FROM events WHERE kind = ? AND subject = ?',
        [kind, clientId],
      );
      t.is(event!.accountId, null); // of nobody here; its owner would see it, and learn neither who nor why
      t.deepEqual(JSON.parse(event!.details), { by: 'operator' });
      const recorded = await on.service.deps.db.get<{ accountId: string; details: string }>(
        'SELECT account_id AS "accountId", details FROM events WHERE kind = ? AND subject = ?',
        [`operator.${kind.replace('.', '_')}`, clientId],
      );
      t.is(recorded!.accountId, operator.accountId);
      t.deepEqual(JSON.parse(recorded!.details), { reason: 'abuse' });
    }
    t.is((await operator.browser.get(`${path}/suspend`)).status, 404);
  });
});
