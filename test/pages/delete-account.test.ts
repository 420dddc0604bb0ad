import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/work.ts';
import { accountSteps } from '../helpers/account-steps.ts';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { ceremony, codeOf, countOf } from '../helpers/ceremony.ts';
import { APPROVED, heading } from '../helpers/claim-page.ts';
import { atOnce, bearer, newMailbox } from '../helpers/common.ts';
import { appCode, isIn, SESSION, setUpApp, signIn, typeMailedCode } from '../helpers/human.ts';
import { violations } from '../helpers/oracle.ts';
import { happenings } from '../helpers/own-pages.ts';
import {
  basic,
  createTestClock,
  createTestDatabase,
  type Reply,
  startTestService,
  type TestService,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the end of an account', (engine, test) => {
  let on: TestService;
  let introspect: (key: string) => Promise<{ active: boolean; sub?: string }>;
  test.before(async () => {
    on = await startTestService(engine);
    const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'API',
      scopes: undefined,
    });
    introspect = async (token) =>
      (await on.form('/oauth2/introspect', { token }, basic(server.id, secret))).body;
  });
  test.after(async (t) => {
    const found = await violations(on.service.deps.db);
    await on.stop();
    t.deepEqual(found, []);
  });

  const { accountOf, ownKey, vouched, agentKey } = accountSteps(() => ({ on }));

  test.describe('deleting it', (test) => {
    const accountRows = async (mailbox: string) => {
      const id = await accountOf(mailbox);
      const { db } = on.service.deps;
      return Promise.all([
        db.all('SELECT * FROM accounts WHERE id = ? OR parent_id = ? ORDER BY id', [id, id]),
        db.all('SELECT * FROM agents WHERE account_id = ? ORDER BY id', [id]),
        db.all('SELECT id, revoked_at FROM credentials WHERE account_id = ? ORDER BY id', [id]),
        db.all('SELECT id, ended_at FROM sessions WHERE account_id = ? ORDER BY id', [id]),
        db.all('SELECT * FROM events WHERE account_id = ? ORDER BY id', [id]),
      ]);
    };

    async function deleteIt(browser: Browser, mailbox: string): Promise<Page> {
      await browser.get('/account/delete');
      return browser.post('/account/delete', { mailbox });
    }

    test('needs a code that was typed within a quarter of an hour, and the address typed; else nothing is deleted', async (t) => {
      const mailbox = newMailbox();
      await vouched(mailbox, 'Mover');
      const stale = await signIn(on, mailbox);
      const page = await stale.get('/account/delete');
      t.deepEqual([page.path, heading(page)], ['/account/delete', 'Delete your account?']);
      const form = stale.form('/account/delete');
      on.clock.advance(900);
      const browser = await signIn(on, mailbox);
      await browser.get('/account/delete');
      const before = await accountRows(mailbox);
      const led = await stale.send('/account/delete', { ...form, mailbox });
      t.deepEqual([led.path, heading(led)], ['/sign-in/again?next=/account/delete', 'Confirm it’s you']);
      t.is((await stale.get('/account/delete')).path, '/sign-in/again?next=/account/delete');

      const wrong = ['', 'x', `${mailbox}m`, mailbox.slice(1), 'other@example.com', `a+${mailbox}`, 'DELETE'];
      for (const typed of wrong) {
        await browser.get('/account/delete');
        const refused = await browser.post('/account/delete', { mailbox: typed });
        t.is(refused.status, 400, typed);
        t.regex(refused.text, /This isn’t the address of your account\. Nothing was deleted\./);
        t.regex(refused.text, /<title>Error: Delete your account\? · /);
        t.regex(refused.text, /<input id="mailbox"[^>]* aria-invalid="true"/);
      }
      await browser.get('/account');
      const { csrf } = browser.form('/sign-out');
      t.is((await browser.send('/account/delete', { mailbox })).status, 403);
      t.is(
        (await browser.send('/account/delete', { csrf, mailbox }, { Origin: 'https://evil.example' })).status,
        403,
      );
      const visitor = openBrowser(on);
      t.is((await visitor.get('/account/delete')).path, '/sign-in?next=/account/delete');
      const posted = await visitor.send('/account/delete', { csrf: visitor.form('/sign-in').csrf, mailbox });
      t.is(posted.path, '/sign-in?next=/account/delete');
      t.deepEqual(await accountRows(mailbox), before);

      t.is(heading(await deleteIt(browser, ` ${mailbox.toUpperCase()} `)), 'Your account is deleted');
    });

    test('ends every key of its agents and its own, at introspection too, and every session', async (t) => {
      const mailbox = newMailbox();
      const other = await vouched(newMailbox(), 'Foreigner');
      const browser = await signIn(on, mailbox);
      const elsewhere = await signIn(on, mailbox);
      const merged = await vouched(mailbox, 'Mover');
      const linked = await vouched(mailbox, 'Neighbour', true);
      const { claim_token, credential: unclaimed } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      const keys = [
        merged.credential,
        linked.credential,
        await agentKey(merged.credential, 'helper'),
        await agentKey(linked.credential, 'helper'),
        await ownKey(browser, 'Backup'),
        await ownKey(browser, 'Script'),
      ];
      const id = await accountOf(mailbox);
      for (const key of keys) t.true((await introspect(key)).active);

      const page = await deleteIt(browser, mailbox);
      t.is(heading(page), 'Your account is deleted');
      t.false(browser.cookies.has(SESSION));
      for (const key of [...keys, merged.old, linked.old]) {
        t.deepEqual(await introspect(key), { active: false });
        t.is((await on.get('/api/me', key)).status, 401);
      }
      t.true((await introspect(other.credential)).active);
      t.true((await introspect(unclaimed)).active, 'an agent that only asked is not the account’s');
      t.false(await isIn(elsewhere));
      t.false(await isIn(browser));
      t.is(await countOf(on, 'sessions WHERE account_id = ? AND ended_at IS NULL', [id]), 0);
      t.is(await countOf(on, 'agents WHERE account_id = ? AND revoked_at IS NULL', [id]), 0);
      t.is(await countOf(on, `events WHERE kind = 'account.deleted' AND account_id = ?`, [id]), 1);
      t.deepEqual(await violations(on.service.deps.db), []);
    });

    test('forgets the mailbox: signing in again begins a new, empty account', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      const agent = await vouched(mailbox, 'Mover');
      await ownKey(browser, 'Backup');
      await setUpApp(on, browser);
      const id = await accountOf(mailbox);
      await deleteIt(browser, mailbox);
      for (const row of await on.service.deps.db.all('SELECT * FROM accounts')) {
        t.false(JSON.stringify(row).includes(mailbox));
      }
      for (const table of ['authenticators', 'recovery_codes']) {
        t.is(await countOf(on, `${table} WHERE account_id = ?`, [id]), 0);
      }

      const anew = await signIn(on, mailbox);
      t.not(await accountOf(mailbox), id);
      t.regex((await anew.get('/agents')).text, /No agents yet/);
      t.is((await anew.get(`/agents/${agent.agent_id}`)).status, 404);
      t.notRegex((await anew.get('/keys')).text, /Backup/);
      t.deepEqual(
        happenings(await anew.get('/account/activity')).map(({ what }) => what),
        ['You signed in', 'Your account was created'],
      );
      t.regex((await anew.get('/account')).text, /Set up an app</);
    });

    test('with an app it needs both factors, and then the app is forgotten', async (t) => {
      const mailbox = newMailbox();
      const { secret } = await setUpApp(on, await signIn(on, mailbox));
      on.clock.advance(900);
      const browser = openBrowser(on);
      await typeMailedCode(on, mailbox, { browser });
      t.is((await browser.get('/account/delete')).path, '/sign-in?next=/account/delete');
      await browser.get('/sign-in/code');
      await browser.post('/sign-in/code', { code: appCode(on, secret) });
      const waiting = openBrowser(on);
      await typeMailedCode(on, mailbox, { browser: waiting });
      t.is(heading(await deleteIt(browser, mailbox)), 'Your account is deleted');

      // Who stood before the second factor of the account that is gone does not get into the next one by it.
      on.clock.advance(60);
      await waiting.post('/sign-in/code', { code: appCode(on, secret) });
      t.false(await isIn(waiting));
      t.true(await isIn(await signIn(on, mailbox)));
    });

    test('claims that complete after it begin a new account, whatever was approved before it', async (t) => {
      for (const approved of [false, true]) {
        const mailbox = newMailbox();
        const browser = await signIn(on, mailbox);
        const id = await accountOf(mailbox);
        const { claim_token } = await on.register();
        const asked = await on.post('/agent/auth/claim', { claim_token, email: mailbox });
        const otp = await on.codeFor(mailbox);
        if (approved) {
          await browser.get(asked.body.data.verification_uri);
          t.is(heading(await browser.post('/claim', { code: otp })), APPROVED);
        }
        await deleteIt(browser, mailbox);
        const body = approved ? { claim_token } : { claim_token, otp };
        const { data } = (await on.post('/agent/auth/claim/complete', body)).body;
        t.is(data.user_id, await accountOf(mailbox));
        t.not(data.user_id, id);
        t.is((await introspect(data.credential)).sub, data.user_id);
        t.is(await countOf(on, `agents WHERE account_id = ?`, [id]), 0);
      }
    });

    /** A service whose transactions stop before a statement like this until it is let go on. */
    async function startStopping(before: RegExp) {
      const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let transactions = 0;
      const at = await startTestService(engine, {
        wrapDb: (db) => ({
          ...db,
          tx(work) {
            transactions += 1;
            return db.tx((tx) =>
              work({
                ...tx,
                async run(sql, params) {
                  if (before.test(sql)) {
                    reached.resolve();
                    await gate.promise;
                  }
                  return tx.run(sql, params);
                },
              }),
            );
          },
        }),
      });
      /** Asks the one that stops, then another, and lets it go on once that stands in line behind it, or is done. */
      async function oneBehind<One, Other>(
        one: () => Promise<One>,
        other: () => Promise<Other>,
      ): Promise<[One, Other]> {
        const stopped = one();
        await reached.promise;
        const earlier = transactions;
        let isDone = false;
        const behind = other().finally(() => {
          isDone = true;
        });
        const isWaiting = async () => {
          if (engine === 'sqlite') return transactions > earlier;
          const row = await at.service.deps.db.get<{ n: number }>(
            `SELECT COUNT(*) AS n FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          );
          return row!.n > 0;
        };
        while (!isDone && !(await isWaiting())) await new Promise((resolve) => setImmediate(resolve));
        gate.resolve();
        return [await stopped, await behind];
      }
      return { at, oneBehind };
    }

    for (const first of ['claim', 'deletion'] as const) {
      test(`of a deletion and a claim that completes meanwhile, the ${first} goes first where it came first`, async (t) => {
        const isClaimFirst = first === 'claim';
        const { at, oneBehind } = await startStopping(
          isClaimFirst
            ? /^UPDATE agents SET account_id = \?, merged_from/
            : /^UPDATE accounts SET ended_at = \?, mailbox = NULL/,
        );
        t.teardown(() => at.stop());
        const mailbox = newMailbox();
        const browser = await signIn(at, mailbox);
        const id = await accountOf(mailbox, at);
        await browser.get('/account/delete');
        const form = { ...browser.form('/account/delete'), mailbox };
        const { claim_token } = await at.register();
        await ceremony(at).claim(claim_token, mailbox);
        const otp = await codeOf(at, claim_token);
        await at.codeFor(mailbox);

        const claim = () => ceremony(at).complete(claim_token, otp);
        const deletion = () => browser.send('/account/delete', form);
        let [completed, deleted]: [Reply?, Page?] = [];
        if (isClaimFirst) [completed, deleted] = await oneBehind(claim, deletion);
        else [deleted, completed] = await oneBehind(deletion, claim);
        t.is(heading(deleted), 'Your account is deleted');
        t.is(completed.status, 200, completed.text);
        const { user_id, credential } = completed.body.data;
        t.is(user_id === id, isClaimFirst);
        t.is((await at.get('/api/me', credential)).status, isClaimFirst ? 401 : 200);
        t.is(await countOf(at, 'accounts WHERE mailbox = ?', [mailbox]), isClaimFirst ? 0 : 1);
        t.deepEqual(await violations(at.service.deps.db), []);
      });
    }

    test('ten deletions at once, while agents complete, keys are made and somebody signs in, leave nothing alive in it', async (t) => {
      const database = await createTestDatabase(engine);
      const clock = createTestClock();
      const services = [
        await startTestService(engine, { database, clock }),
        await startTestService(engine, { database, clock }),
      ] as const;
      const shared = on;
      on = services[0];
      t.teardown(async () => {
        on = shared;
        await Promise.all(services.map((service) => service.stop()));
        await database.drop();
      });
      const { db } = services[0].service.deps;

      for (let round = 0; round < 4; round += 1) {
        const mailbox = newMailbox();
        const browser = await signIn(on, mailbox);
        const merged = await vouched(mailbox, 'Mover');
        const linked = await vouched(mailbox, 'Neighbour', true);
        const keys = [merged.credential, linked.credential, await ownKey(browser, 'Backup')];
        const id = await accountOf(mailbox);
        const pending = await atOnce(4, async (index) => {
          const { claim_token } = await on.register();
          await ceremony(on).claim(claim_token, mailbox, {}, index % 2 === 1);
          return { claim_token, otp: await codeOf(on, claim_token) };
        });
        const comer = openBrowser(on);
        await comer.get('/sign-in');
        const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
        await comer.post('/sign-in', { email: mailbox });
        const comerCode = await on.signInCodeFor(mailbox, earlier + 1);

        /** The same person at the other service. */
        const there = openBrowser(services[1]);
        for (const [name, value] of browser.cookies) there.cookies.set(name, value);
        await there.get('/account/delete');
        await browser.get('/account/delete');
        const { csrf } = browser.form('/account/delete');
        const at = (index: number) => [browser, there][index % 2]!;
        const answers: { status: number }[] = await Promise.all([
          ...Array.from({ length: 10 }, (_, index) => at(index).send('/account/delete', { csrf, mailbox })),
          ...pending.map(async ({ claim_token, otp }, index) => {
            const reply = await ceremony(services[index % 2]!).complete(claim_token, otp);
            if (reply.status === 200) keys.push(reply.body.data.credential);
            return reply;
          }),
          ...Array.from({ length: 6 }, async (_, index) => {
            const maker = [merged, linked][index % 2]!.credential;
            const ask = { name: `key ${index}`, scope: 'read' };
            const reply = await services[index % 2]!.post('/api/tokens', ask, bearer(maker));
            if (reply.status === 200) keys.push(reply.body.data.credential);
            return reply;
          }),
          ...Array.from({ length: 4 }, async (_, index) => {
            const once = `${round}${index}`.padEnd(32, 'x');
            const page = await at(index).send('/keys/new', { csrf, once, name: 'Mine', preset: 'read-only' });
            const key = /<code id="key">([^<]*)</.exec(page.text)?.[1];
            if (key !== undefined) keys.push(key);
            return page;
          }),
          comer.post('/sign-in/code', { code: comerCode }),
          ...(round % 3 === 0
            ? []
            : [
                there.send(`/agents/${merged.agent_id}/undo`, { csrf }),
                browser.send(`/agents/${linked.agent_id}/unlink`, { csrf }),
              ]),
        ]);
        for (const { status } of answers) t.not(status, 500);

        t.is(await countOf(on, `events WHERE kind = 'account.deleted' AND account_id = ?`, [id]), 1);
        t.is(
          await countOf(on, 'accounts WHERE id = ? AND ended_at IS NOT NULL AND mailbox IS NULL', [id]),
          1,
        );
        const live = await db.all(
          `SELECT c.id FROM credentials c LEFT JOIN accounts a ON a.id = c.account_id
           WHERE c.revoked_at IS NULL AND (a.id = ? OR a.parent_id = ?)`,
          [id, id],
        );
        t.deepEqual(live, []);
        for (const key of keys) {
          const me = await on.get('/api/me', key);
          if (me.status === 401) continue;
          // It completed after the deletion, in the next account, or was let go before it.
          const lives = await countOf(
            on,
            'accounts WHERE id = ? AND id <> ? AND ended_at IS NULL AND (parent_id IS NULL OR parent_id <> ?)',
            [me.body.data.user_id, id, id],
          );
          t.is(lives, 1, me.text);
        }
        t.is(await countOf(on, 'sessions WHERE account_id = ? AND ended_at IS NULL', [id]), 0);
        t.deepEqual(await violations(db), []);
      }
    });
  });
});
