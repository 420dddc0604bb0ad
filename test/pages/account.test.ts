import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { accountSteps } from '../helpers/account-steps.ts';
import { openBrowser, type Page } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { SESSION, setUpApp, signIn } from '../helpers/human.ts';
import { violations } from '../helpers/oracle.ts';
import { happenings } from '../helpers/own-pages.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

onEveryEngine('the account', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(async () => {
    const found = await violations(on.service.deps.db);
    await on.stop();
    assert.deepEqual(found, []);
  });

  const { accountOf, ownKey, vouched, agentKey } = accountSteps(() => ({ on }));

  describe('what happened', () => {
    test('is what concerns its owner, newest first, and nobody else’s', async () => {
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
      assert.deepEqual(
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
      assert.deepEqual(times, times.toSorted().reverse());
      assert.match(times[0]!, /^\d{4}-\d\d-\d\d \d\d:\d\d UTC, network 127\.0\.x\.x$/);

      const others = happenings(await (await signIn(on, other)).get('/account/activity'));
      assert.ok(others.some(({ name }) => name === 'Foreign key'));
      for (const { name } of others) assert.ok(!['Mover', 'Neighbour', 'Backup'].includes(name ?? ''));
    });

    test('comes page by page, each line on one of them', async () => {
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
      assert.deepEqual(
        pages.map((page) => happenings(page).length),
        [50, 50, 12],
      );
      const known = await countOf(on, 'events WHERE account_id = ?', [await accountOf(mailbox)]);
      assert.equal(pages.flatMap(happenings).length, known);
      assert.equal(happenings(pages[2]!).at(-1)!.what, 'Your account began');

      // Where one goes on from is no right to what stands there.
      const mine = older(pages[0]!)!;
      assert.ok(happenings(await stranger.get(mine)).every(({ what }) => !/Mail of agents/.test(what)));
      for (const before of ['evt_0', 'zzz', "';--", 'x'.repeat(2000), '%ff', '']) {
        const page = await browser.get(`/account/activity?before=${encodeURIComponent(before)}`);
        assert.equal(page.status, 200, before);
      }
    });

    test('is shown to nobody who is not signed in', async () => {
      const browser = openBrowser(on);
      assert.equal((await browser.get('/account/activity')).path, '/sign-in?next=/account/activity');
    });

    test('names in it are text and nothing else', async () => {
      const mailbox = newMailbox();
      const name = '<b onclick=x>https://evil.example\u202e"\'&';
      await vouched(mailbox, name);
      const { text } = await (await signIn(on, mailbox)).get('/account/activity');
      assert.ok(text.includes('&lt;b onclick=x&gt;https:// evil. example&quot;&#39;&amp;</b>'), text);
      assert.ok(!text.includes('\u202e') && !text.includes('<b onclick'));
    });
  });

  describe('the export', () => {
    test('is all that is known of its owner, as a file, without a secret, a hash or anything of others', async () => {
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
      assert.equal(page.status, 200);
      assert.equal(page.headers.get('content-type'), 'application/json; charset=utf-8');
      assert.equal(page.headers.get('content-disposition'), 'attachment; filename="account.json"');
      assert.equal(page.headers.get('cache-control'), 'no-store');
      const data = JSON.parse(page.text);
      assert.deepEqual(Object.keys(data), ['account', 'agents', 'keys', 'sessions', 'activity']);
      const user_id = await accountOf(mailbox);
      assert.deepEqual(data.account, { user_id, mailbox, authenticator: true, mail_of_agents: false });
      assert.deepEqual(
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
      assert.deepEqual(more, []);
      assert.deepEqual(
        [exported.name, exported.prefix, exported.last_four, exported.scopes],
        ['Backup', key.slice(0, 7), key.slice(-4), ['read', 'write']],
      );
      assert.equal(data.sessions.length, 1);
      assert.equal(data.sessions[0].from, '127.0.x.x');
      assert.equal(
        data.activity.length,
        await countOf(on, 'events WHERE account_id = ?', [user_id]),
        'each line of the audit that is theirs',
      );
      assert.equal(data.activity.at(-1).what, 'Your account began');
      for (const { at } of data.activity) assert.equal(new Date(at).toISOString(), at);

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
      for (const text of [...spelt, ...ofOthers, ...secrets]) assert.ok(!page.text.includes(text), text);
    });

    test('needs a session, and no more than that', async () => {
      const browser = openBrowser(on);
      const page = await browser.get('/account/export');
      assert.equal(page.path, '/sign-in?next=/account');
      assert.equal(page.headers.get('content-disposition'), null);
      const signedIn = await signIn(on, newMailbox());
      on.clock.advance(1000);
      assert.equal((await signedIn.get('/account/export')).status, 200);
    });
  });
});
