import { EVENT_KINDS } from '../../src/domain/audit/audit-log.ts';
import { writeActivity } from '../../src/lib/format-activity.ts';
import { createTranslator } from '../../src/lib/translate.ts';
import { accountSteps } from '../helpers/account-steps.ts';
import { openBrowser, type Page } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { violations } from '../helpers/oracle.ts';
import { happenings } from '../helpers/own-pages.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the activity of an account', (engine, test) => {
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
        lines.map(({ what }) => what.replace(/ sk_\w+…$/, ' SECRET')),
        [
          'You created the key Backup SECRET',
          'Neighbour was linked to you',
          'Mover collected its key SECRET',
          'Mover moved into your account',
          'You signed in',
          'Your account was created',
        ],
      );
      t.deepEqual(
        lines.map(({ names }) => names),
        [['Backup'], ['Neighbour'], ['Mover'], ['Mover'], [], []],
      );
      const times = lines.map(({ at }) => at);
      t.deepEqual(times, times.toSorted().reverse());
      t.is(lines[0]!.details, 'read, write · 127.0.x.x');
      t.is(lines.at(-1)!.details, '127.0.x.x');

      const others = happenings(await (await signIn(on, other)).get('/account/activity'));
      t.true(others.some(({ names }) => names.includes('Foreign key')));
      for (const { what } of others) t.notRegex(what, /Mover|Neighbour|Backup/);
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
      const older = ({ text }: Page) =>
        /href="(\/account\/activity\?after=[^"]*)" rel="next">Older/.exec(text)?.[1];
      for (let next = older(pages[0]!); next !== undefined; next = older(pages.at(-1)!)) {
        pages.push(await browser.get(next));
      }
      t.deepEqual(
        pages.map((page) => happenings(page).length),
        [25, 25, 25, 25, 12],
      );
      const known = await countOf(on, 'events WHERE account_id = ?', [await accountOf(mailbox)]);
      t.is(pages.flatMap(happenings).length, known);
      t.is(happenings(pages.at(-1)!).at(-1)!.what, 'Your account was created');

      // Where one goes on from is no right to what stands there.
      const mine = older(pages[0]!)!;
      t.true(happenings(await stranger.get(mine)).every(({ what }) => !/emails about requests/.test(what)));
      for (const before of ['evt_0', 'zzz', "';--", 'x'.repeat(2000), '%ff', '']) {
        const page = await browser.get(`/account/activity?after=${encodeURIComponent(before)}`);
        t.is(page.status, 200, before);
      }
    });

    test('stands under the days on which it happened', async (t) => {
      const mailbox = newMailbox();
      const first = on.clock();
      await signIn(on, mailbox);
      on.clock.advance(4 * 86_400);
      await signIn(on, mailbox);
      on.clock.advance(86_400);
      const { text } = await (await signIn(on, mailbox)).get('/account/activity');
      const day = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', dateStyle: 'full' }).format(first);
      t.deepEqual(
        [...text.matchAll(/<h2>([^<]*)<\/h2>/g)].map(([, heading]) => heading),
        ['Today', 'Yesterday', day.replace(',', '')],
      );
      t.regex(text, /Times are in UTC/);
    });

    test('is narrowed to a kind, page by page', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      await vouched(mailbox, 'Mover');
      await ownKey(browser, 'Backup');
      const sentences = async (kind: string) =>
        happenings(await browser.get(`/account/activity?kind=${kind}`)).map(({ what }) =>
          what.replace(/ sk_\w+…/, ''),
        );
      t.deepEqual(await sentences('agents'), ['Mover collected its key', 'Mover moved into your account']);
      t.deepEqual(await sentences('keys'), ['You created the key Backup']);
      t.deepEqual(await sentences('signIn'), ['You signed in']);
      t.deepEqual(await sentences('account'), ['Your account was created']);
      for (const kind of ['', 'zzz', 'constructor']) t.is((await sentences(kind)).length, 5, kind);
      const stranger = await signIn(on, newMailbox());
      t.regex((await stranger.get('/account/activity?kind=keys')).text, /Nothing matches this filter\./);

      await browser.get('/account');
      const form = browser.form('/account/mail');
      for (let times = 0; times < 60; times += 1)
        await browser.send('/account/mail', { ...form, wanted: 'no' });
      const newest = await browser.get('/account/activity?kind=account');
      t.is(happenings(newest).length, 25);
      const older = /href="(\/account\/activity\?[^"]*)" rel="next">Older/
        .exec(newest.text)![1]!
        .replaceAll('&amp;', '&');
      t.is(happenings(await browser.get(older)).length, 25);
    });

    test('is narrowed to one agent or key, and to those that a search finds, alone and with a kind', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      const mover = await vouched(mailbox, 'Mover');
      await vouched(mailbox, 'Moving van', true);
      await ownKey(browser, 'Movable');
      await ownKey(browser, 'Backup');
      const keyIds = [...(await browser.get('/keys')).text.matchAll(/\/keys\/(key_\w+)\/revoke/g)].map(
        ([, id]) => id!,
      );
      const sentences = async (query: Record<string, string>) =>
        happenings(await browser.get(`/account/activity?${new URLSearchParams(query)}`)).map(({ what }) =>
          what.replace(/ sk_\w+…/, ''),
        );
      const ofMover = ['Mover collected its key', 'Mover moved into your account'];
      t.deepEqual(await sentences({ about: mover.agent_id }), ofMover);
      t.deepEqual(await sentences({ about: keyIds[0]! }), ['You created the key Backup']);
      t.deepEqual(await sentences({ q: 'MOVE' }), ofMover);
      const ofMov = ['You created the key Movable', 'Moving van was linked to you', ...ofMover];
      t.deepEqual(await sentences({ q: 'mov' }), ofMov);
      t.deepEqual(await sentences({ q: 'mov', kind: 'keys' }), ['You created the key Movable']);
      t.deepEqual(await sentences({ q: 'mov', about: mover.agent_id }), ofMover);
      t.deepEqual(await sentences({ q: 'back', about: mover.agent_id }), []);
      t.deepEqual(await sentences({ q: mover.agent_id }), ofMover);
      t.deepEqual(await sentences({ q: 'over' }), []);
      const page = await browser.get(`/account/activity?about=${mover.agent_id}`);
      t.regex(page.text, new RegExp(`<option value="${mover.agent_id}" selected>Mover</option>`));
      t.regex(page.text, /<optgroup label="Keys">\s*<option value="key_\w+">Backup<\/option>/);

      // What is somebody else’s is as unknown as what is not there: the menu and the lines are one’s own.
      const stranger = await signIn(on, newMailbox());
      const all = await stranger.get('/account/activity');
      for (const about of [mover.agent_id, keyIds[0]!, 'agt_0', 'key_0', 'usr_1', 'x', '%00', '']) {
        const theirs = await stranger.get(`/account/activity?about=${about}`);
        t.is(theirs.status, 200, about);
        t.deepEqual(happenings(theirs), happenings(all), about);
        t.notRegex(theirs.text, /Mover|Backup/, about);
      }
      t.regex((await stranger.get('/account/activity?q=mov')).text, /Nothing matches this filter\./);
    });

    test('is looked up for the agents used last among those that a search finds, and the page says so', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      for (let at = 0; at < 26; at += 1) await vouched(mailbox, `Same ${at}`);
      t.notRegex((await browser.get('/account/activity?q=same%201')).text, /Many names match/);
      const many = await browser.get('/account/activity?q=same');
      t.regex(many.text, /Many names match/);
      t.is(happenings(many).length, 25);
      const older = /href="(\/account\/activity\?q=same&amp;after=[^"]*)" rel="next"/.exec(many.text)![1]!;
      t.is(happenings(await browser.get(older.replaceAll('&amp;', '&'))).length, 25);
    });

    test('says “you” only of what its owner did', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      const { agent_id } = await vouched(mailbox, 'Mover');
      const key = await ownKey(browser, 'Lost');
      await on.form('/oauth2/revoke', { token: key });
      await ownKey(browser, 'Backup');
      const page = await browser.get('/keys');
      const id = /\/keys\/(key_\w+)\/revoke/.exec(page.text)![1]!;
      const { csrf } = browser.form('/sign-out');
      await browser.send(`/keys/${id}/revoke`, { csrf });
      await browser.send(`/agents/${agent_id}/revoke`, { csrf });
      const lines = happenings(await browser.get('/account/activity')).map(({ what }) =>
        what.replace(/ sk_\w+…/, ''),
      );
      t.true(lines.includes('The key Lost was revoked'), lines.join('\n'));
      t.true(lines.includes('You revoked the key Backup'), lines.join('\n'));
      t.true(lines.includes('You revoked Mover'), lines.join('\n'));
    });

    test('has a sentence for every kind of the audit log, and a line for one of a newer release', (t) => {
      const translator = createTranslator('en');
      const facts = {
        details: {},
        agentName: undefined,
        isOfAgent: false,
        keyName: undefined,
        keyPrefix: undefined,
        appName: undefined,
        workspaceName: undefined,
        origin: undefined,
      };
      for (const kind of EVENT_KINDS)
        t.notRegex(writeActivity(translator, { kind, ...facts }), /^Event/, kind);
      t.is(writeActivity(translator, { kind: 'new.thing', ...facts }), 'Event new.thing');
      t.is(writeActivity(translator, { kind: 'claim.denied', ...facts }), 'You declined an unnamed agent');
      t.is(
        writeActivity(translator, { kind: 'agent.merged', ...facts }),
        'An unnamed agent moved into your account',
      );
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
      t.true(text.includes('<bdi>&lt;b onclick=x&gt;https:// evil. example&quot;&#39;&amp;</bdi>'), text);
      t.true(!text.includes('\u202e') && !text.includes('<b onclick'));
    });
  });
});
