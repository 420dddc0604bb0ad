import { accountSteps } from '../helpers/account-steps.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { getCode, newHuman, registerApp } from '../helpers/app-client.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { isIn, signIn } from '../helpers/human.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** People's accounts in the operator's console. */

const listed = (text: string) =>
  [...text.matchAll(/<a href="\/console\/accounts\/(usr_\w+)">/g)].map(([, id]) => id!);

onEveryEngine('accounts in the console', (engine, test) => {
  let on: TestService;
  let operator: Operator;
  let isActive: Api['isActive'];
  test.before(async () => {
    on = await startTestService(engine);
    operator = await newOperator(on);
    ({ isActive } = await addApi(on));
  });
  test.after(() => on.stop());

  const { ownKey, accountOf } = accountSteps(() => ({ on }));
  const find = async (q: string) =>
    listed((await operator.browser.get(`/console/accounts?q=${encodeURIComponent(q)}`)).text);
  /** Does something to an account, with a reason. */
  const act = async (id: string, name: string, reason = 'asked by its owner') => {
    await operator.browser.get(`/console/accounts/${id}/${name}`);
    return operator.browser.post(`/console/accounts/${id}/${name}`, { reason });
  };
  const actsOn = (id: string, kind: string) =>
    countOf(
      on,
      `events WHERE kind = ? AND subject = ? AND account_id = ? AND details LIKE '%asked by its owner%'`,
      [kind, id, operator.accountId],
    );

  test('are found by id or by their whole address, and show it masked', async (t) => {
    const mailbox = newMailbox('iris');
    await signIn(on, mailbox);
    const id = await accountOf(mailbox);
    t.is((await find(''))[0], id);
    t.deepEqual(await find(id), [id]);
    t.true((await find(id.slice(0, 16))).includes(id));
    t.deepEqual(await find(mailbox.toUpperCase()), [id]);
    for (const q of [mailbox.slice(0, -1), mailbox.slice(1), 'iris', '127.0'])
      t.deepEqual(await find(q), [], q);
    const list = await operator.browser.get('/console/accounts');
    t.true(list.text.includes('i***@example.com'));
    t.false(list.text.includes(mailbox));
    const table = await operator.browser.get(`/console/accounts.csv?q=${encodeURIComponent(mailbox)}`);
    t.regex(table.text, /^ID,Email address,Created,Last seen,Two-step sign-in,Deleted\r\n/);
    t.true(table.text.includes(`\r\n${id},i***@example.com,`));
    t.false(table.text.includes(mailbox));
    const page = await operator.browser.get(`/console/accounts/${id}`);
    t.is(heading(page), 'i***@example.com');
    t.false(page.text.includes(mailbox));
    t.is((await operator.browser.get('/console/accounts/usr_0')).status, 404);
    t.is((await operator.browser.get('/console/accounts/usr_0/end-sessions')).status, 404);
  });

  test('show how many apps each lets use it', async (t) => {
    const { mailbox, browser } = await newHuman(on);
    const shown = async () => {
      const { text } = await operator.browser.get(`/console/accounts/${await accountOf(mailbox)}`);
      return /<dt>Connected apps<\/dt><dd>([^<]*)</.exec(text)?.[1];
    };
    t.is(await shown(), '0');
    for (const app of [await registerApp(on), await registerApp(on)]) {
      await getCode(on, app, { query: { scope: 'read' }, browser });
    }
    t.is(await shown(), '2');
  });

  test('come 50 a page', async (t) => {
    for (let count = 0; count < 52; count += 1) await on.claimed(newMailbox());
    const first = await operator.browser.get('/console/accounts');
    t.is(listed(first.text).length, 50);
    const older = /href="([^"]*)"[^>]*>Older/.exec(first.text)![1]!;
    const second = listed((await operator.browser.get(older)).text);
    t.true(second.length >= 2);
    t.deepEqual(
      second.filter((id) => listed(first.text).includes(id)),
      [],
    );
  });

  test('lose their sessions, and the audit log says who did it and why', async (t) => {
    await operator.signInAgain();
    const mailbox = newMailbox();
    const browsers = [await signIn(on, mailbox), await signIn(on, mailbox)];
    const id = await accountOf(mailbox);
    const asked = await operator.browser.get(`/console/accounts/${id}/end-sessions`);
    t.is(heading(asked), 'End all sessions of this account?');
    const missing = await operator.browser.post(`/console/accounts/${id}/end-sessions`, { reason: ' ' });
    t.is(missing.status, 400);
    t.regex(missing.text, /Enter a reason\./);
    t.true(await isIn(browsers[0]!));
    const done = await act(id, 'end-sessions');
    t.is(done.path, `/console/accounts/${id}`);
    t.regex(done.text, /Sessions ended\./);
    for (const browser of browsers) t.false(await isIn(browser));
    t.is(await actsOn(id, 'operator.sessions_ended'), 1);
    t.is(await countOf(on, `events WHERE kind = 'session.ended' AND account_id = ?`, [id]), 2);
  });

  test('lose all their keys, those of merged agents, too, but not those of linked ones', async (t) => {
    await operator.signInAgain();
    const mailbox = newMailbox();
    const own = await ownKey(await signIn(on, mailbox), 'script');
    const merged = await on.claimed(mailbox);
    const linked = await on.claimed(mailbox, true);
    const id = await accountOf(mailbox);
    for (const key of [own, merged.credential, linked.credential]) t.true(await isActive(key));
    await act(id, 'revoke-keys');
    t.false(await isActive(own));
    t.false(await isActive(merged.credential));
    t.true(await isActive(linked.credential));
    t.is(await actsOn(id, 'operator.keys_revoked'), 1);
    t.is(await countOf(on, `events WHERE kind = 'key.revoked' AND account_id = ?`, [id]), 2);
  });

  test('get no more mail of agents, until it is allowed again', async (t) => {
    await operator.signInAgain();
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const id = await accountOf(mailbox);
    const isOn = async () =>
      !(await browser.get('/account')).text.includes('We don’t email you when an agent asks');
    t.true(await isOn());
    await act(id, 'stop-mail');
    t.false(await isOn());
    t.regex((await operator.browser.get(`/console/accounts/${id}`)).text, /Allow emails/);
    await act(id, 'allow-mail');
    t.true(await isOn());
    t.is(await actsOn(id, 'operator.mail_changed'), 2);
    // An agent's own account has no address.
    const { user_id } = await on.register();
    t.is((await operator.browser.get(`/console/accounts/${user_id}`)).status, 200);
    t.is((await operator.browser.get(`/console/accounts/${user_id}/stop-mail`)).status, 404);
  });
});
