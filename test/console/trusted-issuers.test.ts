import { type AuthMd, newUser, openAuthMd, succeeded } from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Agent providers in the operator's console: whom the configuration trusts, and whom it trusts no more. */

const PATH = '/console/trusted-issuers';

/** The cell of a provider in a column. */
function cellOf(text: string, name: string, column: string): string {
  const row = text.split('</tr>').find((each) => each.includes(name))!;
  return new RegExp(`data-label="${column}">([\\s\\S]*?)</td>`)
    .exec(row)![1]!
    .replace(/<[^>]*>/g, ' ')
    .trim();
}

onEveryEngine('trusted issuers in the console', (engine, test) => {
  let world: AuthMd;
  let operator: Operator;
  test.before(async () => {
    world = await openAuthMd(engine);
    operator = await newOperator(world.on);
  });
  test.after(() => world.stop());

  test('are listed with whether their keys could be fetched, and lead to the agents that they vouch for', async (t) => {
    const first = await operator.browser.get(PATH);
    t.regex(cellOf(first.text, 'Other Provider', 'Keys'), /^Not fetched yet/);
    t.is(cellOf(first.text, 'Other Provider', 'Agents'), '0');
    t.regex(first.text, /trusted by “trustedIssuers” in the configuration file/);

    const { id } = succeeded(await world.present(world.idJag(newUser())));
    const agent = await world.on.service.deps.db.get<{ agentId: string }>(
      'SELECT agent_id AS "agentId" FROM registrations WHERE id = ?',
      [id],
    );
    const unnamed = await world.on.register();
    const after = await operator.browser.get(PATH);
    t.regex(cellOf(after.text, 'Fake Provider', 'Keys'), /^Fetched/);
    t.is(cellOf(after.text, 'Fake Provider', 'Agents'), '1');
    const link = /href="(\/console\/agents\?q=http[^"]*)">1</.exec(after.text)![1]!;
    const { text } = await operator.browser.get(link);
    t.true(text.includes(`/console/agents/${agent!.agentId}"`));
    t.false(text.includes(unnamed.agent_id));
  });

  test('have their keys fetched when an operator asks, and say what is wrong', async (t) => {
    world.otherProvider.answerWith('failure');
    await operator.browser.get(PATH);
    const page = await operator.browser.post(PATH);
    t.is(page.path, PATH);
    t.regex(cellOf(page.text, 'Other Provider', 'Keys'), /^Can’t be fetched/);
    world.otherProvider.answerWith('keys');
    world.on.clock.advance(61);
    await operator.browser.get(PATH);
    t.regex(cellOf((await operator.browser.post(PATH)).text, 'Other Provider', 'Keys'), /^Fetched/);
  });

  test('are told apart from those that the configuration trusts no more', async (t) => {
    const { on } = world;
    succeeded(await world.present(world.idJag(newUser())));
    const later = await startTestService(engine, { database: on.database, clock: on.clock });
    try {
      const browser = openBrowser(later);
      for (const [name, value] of operator.browser.cookies) browser.cookies.set(name, value);
      const { text } = await browser.get(PATH);
      t.regex(text, /No trusted issuers/);
      t.regex(text, /Trusted no more/);
      t.regex(cellOf(text, world.provider.url, 'Agents'), /^\d+$/);
    } finally {
      await later.service.stop();
    }
    const listed = await vouchsafe(['issuer', 'list', '--json'], '/tmp', { DATABASE_URL: on.database.url });
    t.like(JSON.parse(listed.stdout).issuers[0], { issuer: world.provider.url, trusted: false });
  });
});
