import { accountSteps } from '../helpers/account-steps.ts';
import { openBrowser, type Page } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { SESSION, setUpApp, signIn } from '../helpers/human.ts';
import { violations } from '../helpers/oracle.ts';
import { happenings } from '../helpers/own-pages.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the account', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(async (t) => {
    const found = await violations(on.service.deps.db);
    await on.stop();
    t.deepEqual(found, []);
  });

  const { accountOf, ownKey, vouched, agentKey } = accountSteps(() => ({ on }));

  test.describe('what happened', (test) => {
    test('is what concerns its owner, newest first, and nobody else’s', async (t) => {
      const [mailbox, other] = [newMailbox(), newMailbox()];
      const theirs = await vouched(other, 'Foreigner');
      const browser = await signIn(on, mailbox);
      const steps: (() => Promise<unknown>)[] = [
        () => vouched(mailbox, 'Mover'),
        () => vouched(mailbox, 'Neighbour', true),
        () => ownKey(browser, 'Backup'),
        () => agentKey(theirs.credential, 'Foreign key'),
        () => signIn(on, other),
      ];
      for (const step of steps) {
        on.clock.advance(60);
        await step();
      }
      const lines = happenings(await browser.get('/account/activity'));
      t.deepEqual(
        lines.map(({ what, name }) => (name === undefined ? what : `${what}: ${name}`)),
        [
          'A key was made: Backup',
          'An agent was linked to you: Neighbour',
          'An agent got its new key: Mover',
          'An agent moved into your account: Mover',
          'Somebody signed in',
          'Your account began',
        ],
      );
      const times = lines.map(({ when }) => when);
      t.deepEqual(times, times.toSorted().reverse());
      t.regex(times[0]!, /^\d{4}-\d\d-\d\d \d\d:\d\d UTC, network 127\.0\.x\.x$/);

      const others = happenings(await (await signIn(on, other)).get('/account/activity'));
      t.true(others.some(({ name }) => name === 'Foreign key'));
      for (const { name } of others) t.false(['Mover', 'Neighbour', 'Backup'].includes(name ?? ''));
    });

    test('comes page by page, each line on one of them', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      await browser.get('/account');
      const form = browser.form('/account/mail');
      for (let times = 0; times < 110; times += 1) {
        await browser.send('/account/mail', { ...form, wanted: times % 2 === 0 ? 'no' : 'yes' });
        on.clock.advance(1);
      }
      const stranger = await signIn(on, newMailbox());
      const pages: Page[] = [await browser.get('/account/activity')];
      const older = ({ text }: Page) => /href="(\/account\/activity\?before=[^"]*)">Older</.exec(text)?.[1];
      for (let next = older(pages[0]!); next !== undefined; next = older(pages.at(-1)!)) {
        pages.push(await browser.get(next));
      }
      t.deepEqual(
        pages.map((page) => happenings(page).length),
        [50, 50, 12],
      );
      const known = await countOf(on, 'events WHERE account_id = ?', [await accountOf(mailbox)]);
      t.is(pages.flatMap(happenings).length, known);
      t.is(happenings(pages[2]!).at(-1)!.what, 'Your account began');

      // Where one goes on from is no right to what stands there.
      const mine = older(pages[0]!)!;
      t.true(happenings(await stranger.get(mine)).every(({ what }) => !/Mail of agents/.test(what)));
      for (const before of ['evt_0', 'zzz', "';--", 'x'.repeat(2000), '%ff', '']) {
        const page = await browser.get(`/account/activity?before=${encodeURIComponent(before)}`);
        t.is(page.status, 200, before);
      }
    });

    test('is shown to nobody who is not signed in', async (t) => {
      const browser = openBrowser(on);
      t.is((await browser.get('/account/activity')).path, '/sign-in?next=/account/activity');
    });

    test('names in it are text and nothing else', async (t) => {
      const mailbox = newMailbox();
      const name = '<b onclick=x>https://evil.example\u202e"\'&';
      await vouched(mailbox, name);
      const { text } = await (await signIn(on, mailbox)).get('/account/activity');
      t.true(text.includes('&lt;b onclick=x&gt;https:// evil. example&quot;&#39;&amp;</b>'), text);
      t.true(!text.includes('\u202e') && !text.includes('<b onclick'));
    });
  });

  test.describe('the export', (test) => {
    test('is all that is known of its owner, as a file, without a secret, a hash or anything of others', async (t) => {
      const [mailbox, other] = [newMailbox(), newMailbox()];
      const browser = await signIn(on, mailbox);
      const merged = await vouched(mailbox, 'Mover');
      const linked = await vouched(mailbox, 'Neighbour', true);
      const key = await ownKey(browser, 'Backup');
      const { secret, recoveryCodes } = await setUpApp(on, browser);
      const theirs = await vouched(other, 'Foreigner');
      const foreign = await signIn(on, other);
      const foreignKey = await ownKey(foreign, 'Foreign key');
      await browser.get('/account');
      await browser.post('/account/mail', { wanted: 'no' });

      const page = await browser.get('/account/export');
      t.is(page.status, 200);
      t.is(page.headers.get('content-type'), 'application/json; charset=utf-8');
      t.is(page.headers.get('content-disposition'), 'attachment; filename="account.json"');
      t.is(page.headers.get('cache-control'), 'no-store');
      const data = JSON.parse(page.text);
      t.deepEqual(Object.keys(data), ['account', 'agents', 'keys', 'sessions', 'activity']);
      const user_id = await accountOf(mailbox);
      t.deepEqual(data.account, { user_id, mailbox, authenticator: true, mail_of_agents: false });
      t.deepEqual(
        data.agents.map(({ agent_id, name, mode, scopes }: Record<string, unknown>) => ({
          agent_id,
          name,
          mode,
          scopes,
        })),
        [
          { agent_id: linked.agent_id, name: 'Neighbour', mode: 'link', scopes: ['read', 'write'] },
          { agent_id: merged.agent_id, name: 'Mover', mode: 'merge', scopes: ['read', 'write'] },
        ],
      );
      const [exported, ...more] = data.keys;
      t.deepEqual(more, []);
      t.deepEqual(
        [exported.name, exported.prefix, exported.last_four, exported.scopes],
        ['Backup', key.slice(0, 7), key.slice(-4), ['read', 'write']],
      );
      t.is(data.sessions.length, 1);
      t.is(data.sessions[0].from, '127.0.x.x');
      t.is(
        data.activity.length,
        await countOf(on, 'events WHERE account_id = ?', [user_id]),
        'each line of the audit that is theirs',
      );
      t.is(data.activity.at(-1).what, 'Your account began');
      for (const { at } of data.activity) t.is(new Date(at).toISOString(), at);

      const hashes = await on.service.deps.db.all<{ hash: Buffer }>(
        'SELECT hash FROM credentials UNION SELECT hash FROM sessions UNION SELECT hash FROM recovery_codes',
      );
      const spelt = hashes.flatMap(({ hash }) =>
        (['hex', 'base64', 'base64url'] as const).map((as) => Buffer.from(hash).toString(as)),
      );
      const ofOthers = [
        other,
        theirs.agent_id,
        theirs.user_id,
        'Foreigner',
        'Foreign key',
        foreignKey.slice(-8),
      ];
      const secrets = [
        key.slice(3),
        merged.credential.slice(3),
        linked.credential.slice(3),
        browser.cookies.get(SESSION)!.slice(4),
        secret,
        ...recoveryCodes,
      ];
      for (const text of [...spelt, ...ofOthers, ...secrets]) t.false(page.text.includes(text), text);
    });

    test('needs a session, and no more than that', async (t) => {
      const browser = openBrowser(on);
      const page = await browser.get('/account/export');
      t.is(page.path, '/sign-in?next=/account');
      t.is(page.headers.get('content-disposition'), null);
      const signedIn = await signIn(on, newMailbox());
      on.clock.advance(1000);
      t.is((await signedIn.get('/account/export')).status, 200);
    });
  });
});
