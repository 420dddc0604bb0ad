import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { recordEvent } from '../../src/domain/audit/audit-log.ts';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import { insertMail } from '../../src/store/outbox.ts';
import { localOrigin } from '../../src/work.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { askForCode } from '../helpers/human.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The operator's overview. */

onEveryEngine('the overview of the console', (engine, test) => {
  let on: TestService;
  let operator: Operator;
  test.before(async () => {
    on = await startTestService(engine);
    operator = await newOperator(on);
  });
  test.after(() => on.stop());

  const overview = async () => (await operator.browser.get('/console')).text;
  /** The figures, as they stand: what, how many, and the line below. */
  const figures = (text: string) =>
    Object.fromEntries(
      [
        ...text.matchAll(/<div class="card"><dt>([^<]*)<\/dt><dd>(.*?)<\/dd><dd class="meta">(.*?)<\/dd>/g),
      ].map(([, name, figure, more]) => [name, [figure, more].map((html) => html!.replace(/<[^>]*>/g, ''))]),
    );

  test('has four figures with what changed within the week', async (t) => {
    await on.claimed(newMailbox());
    await on.register();
    const { claim_token } = await on.register();
    await on.post('/agent/auth/claim', { claim_token, email: newMailbox() });
    t.deepEqual(figures(await overview()), {
      Agents: ['3', '+3 this week'],
      Accounts: ['2', '+2 this week'],
      'Active keys': ['4', '1 expires this week'],
      'Approval rate': ['50%', '50% declined or expired'],
    });
    on.clock.advance(8 * 86_400);
    await operator.signInAgain();
    const later = figures(await overview());
    t.deepEqual(later.Agents, ['3', '+0 this week']);
    t.deepEqual(later.Accounts, ['2', '+0 this week']);
    t.deepEqual(later['Active keys'], ['3', '0 expire this week']);
  });

  test('draws new agents a day, with a sentence and a table of the same figures', async (t) => {
    on.clock.advance(86_400);
    await operator.signInAgain();
    for (let count = 0; count < 4; count += 1) await on.register();
    const text = await overview();
    const chart = /<svg class="chart".*?<\/svg>/s.exec(text)![0];
    t.is([...chart.matchAll(/<rect /g)].length, 30);
    t.regex(text, /role="img" aria-label="New agents a day from .*: between 0 and 4, today 4 so far\."/);
    const rows = [...text.matchAll(/<tr><th scope="row">.*?<\/th><td>([\d,]+)<\/td>/g)].map(
      ([, count]) => count,
    );
    t.is(rows.length, 30);
    t.is(rows[0], '4');
    t.notRegex(text, /style=/);
    // A day that is over is counted once.
    const kept = await countOf(on, 'agent_days');
    t.true(kept >= 29);
    await overview();
    t.is(await countOf(on, 'agent_days'), kept);
    on.clock.advance(86_400);
    await operator.signInAgain();
    await overview();
    t.is(await countOf(on, 'agent_days'), kept + 1);
    t.is(await countOf(on, 'agent_days WHERE agents = 4'), 1);
  });

  test('says all clear where nothing needs attention, and how the service is', async (t) => {
    await deleteExpiredRows(on.service.deps);
    const text = await overview();
    t.regex(text, /All clear/);
    t.regex(text, /<dt>Database<\/dt><dd><span class="badge (?:ok|warn)">.*? ms</);
    t.regex(text, /<dt>Mail queue<\/dt><dd><span class="badge ok">.*?0 waiting/);
    t.regex(text, /<dt>Last cleanup<\/dt><dd><span class="badge ok">.*?Just now/);
    await on.get('/.well-known/jwks.json');
    t.regex(await overview(), /<dt>Signing key<\/dt><dd><span class="badge ok">.*?since /);
  });

  test('names wrong codes from one network, mail that bounced or waits, an old signing key and a cleanup that does not run', async (t) => {
    const { deps } = on.service;
    await on.get('/.well-known/jwks.json');
    on.clock.advance(366 * 86_400);
    await operator.signInAgain();
    for (let count = 0; count < 5; count += 1) {
      const browser = openBrowser(on);
      const code = await askForCode(on, newMailbox(), { browser });
      for (let tries = 0; tries < 4; tries += 1) {
        await browser.get('/sign-in/code');
        await browser.post('/sign-in/code', { code: wrongCode(code) });
      }
    }
    const { server } = await addResourceServer(deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'The API',
      scopes: undefined,
    });
    const now = on.clock();
    const seen = now - 2 * 86_400_000;
    await deps.db.tx((tx) =>
      tx.run('UPDATE resource_servers SET seen_at = ? WHERE id = ?', [seen, server.id]),
    );
    const put = (id: string, mailbox: string, nextAt: number) =>
      deps.db.tx((tx) =>
        insertMail(tx, {
          id,
          kind: 'notice',
          attemptId: 'usr_0',
          mailbox,
          createdAt: now - 600_000,
          nextAt,
          giveUpAt: now + 86_400_000,
        }),
      );
    const later = now + 3_600_000;
    for (const [index, domain] of ['example.org', 'example.org', 'example.net'].entries()) {
      await put(`out_${index}`, `a@${domain}`, later);
      await useCase(deps, localOrigin('outbox'), {}, (work) =>
        recordEvent(work, { kind: 'mail.dead', subject: `out_${index}` }),
      );
    }
    const page = await operator.browser.get('/console');
    t.is(heading(page), 'Overview');
    const text = page.text.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
    t.regex(text, /Needs attention 6 /);
    t.regex(text, /Wrong codes from network 127\.0\.x\.x More than people mistype, within 10 minutes\./);
    t.regex(text, /3 emails bounced in the last hour Most to example\.org\./);
    t.regex(text, /3 emails wait, the oldest for /);
    t.regex(text, /The signing key is more than a year old/);
    t.regex(text, /Expired rows haven’t been deleted for /);
    t.regex(text, /Resource server The API hasn’t connected for 2 days Revocations reach it late\./);
    t.true(page.text.includes(`href="/console/resource-servers/${server.id}"`));
    t.regex(text, /Resource servers 0 of 1 connected/);
    t.false(page.text.includes('a@example.org'));
  });

  test('has the latest events of the service: what operators did, and to whom', async (t) => {
    await operator.signInAgain();
    const { agent_id } = await on.register();
    await operator.browser.get(`/console/agents/revoke?id=${agent_id}`);
    await operator.browser.post('/console/agents/revoke', { reason: 'reported <b>' });
    const text = await overview();
    t.regex(
      text,
      new RegExp(
        `Operator revoked an agent <code>${agent_id.slice(0, 12)}…${agent_id.slice(-4)}</code></p><p class="meta"><bdi>by operator o\\*\\*\\*@example.com · 127.0.x.x · Reason: reported &lt;b&gt;</bdi>`,
      ),
    );
    t.false(
      text.replaceAll(/<span class="name">[^<]*<\/span>|<b>[^<]*<\/b>/g, '').includes(operator.mailbox),
    );
  });
});
