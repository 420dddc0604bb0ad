import { accountSteps } from '../helpers/account-steps.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Keys in the operator's console: found by their public start, exported and revoked. */

/** The ids of the keys that a list offers to revoke, in its order. */
const listed = (text: string) => [...text.matchAll(/name="id" value="(key_\w+)"/g)].map(([, id]) => id!);

onEveryEngine('keys in the console', (engine, test) => {
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
  const find = async (query: Record<string, string>) =>
    listed((await operator.browser.get(`/console/keys?${new URLSearchParams(query)}`)).text);
  const idOf = async (credential: string) =>
    (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM credentials WHERE prefix = ? AND last_four = ?',
      [credential.slice(0, 7), credential.slice(-4)],
    ))!.id;

  test('are found by their first characters, name, owner, agent and account, with no more of them shown', async (t) => {
    const mailbox = newMailbox('hugo');
    const own = await ownKey(await signIn(on, mailbox), 'Nightly script');
    const agent = await on.claimed(mailbox);
    const [ownId, agentKeyId, oldId] = [await idOf(own), await idOf(agent.credential), await idOf(agent.old)];
    const searches: [q: string, found: string[]][] = [
      [own.slice(0, 7), [ownId]],
      [own.slice(0, 30), [ownId]],
      [`${own.slice(0, 7)}…`, [ownId]],
      [ownId, [ownId]],
      ['nightly', [ownId]],
      [mailbox, [agentKeyId, ownId]],
      [agent.agent_id, [agentKeyId, oldId]],
      [await accountOf(mailbox), [agentKeyId, ownId]],
      ['127.0', []],
      ['rs_1', []],
    ];
    for (const [q, found] of searches) t.deepEqual(await find({ q }), found, q);
    t.deepEqual(await find({ q: mailbox, holder: 'personal' }), [ownId]);
    t.deepEqual(await find({ q: mailbox, holder: 'agent' }), [agentKeyId]);
    const page = await operator.browser.get(`/console/keys?q=${mailbox}`);
    t.true(page.text.includes('h***@example.com'));
    for (const secret of [own, agent.credential]) t.false(page.text.includes(secret.slice(0, 9)));
    t.false(page.text.replaceAll(`value="${mailbox}"`, '').includes(mailbox));
    const table = await operator.browser.get('/console/keys.csv?status=');
    t.is(
      table.text.split('\r\n')[0],
      'ID,Key,Name,Owner,Agent,Permissions,Status,Created,Expires,Last used,Last used from',
    );
    t.regex(
      table.text,
      new RegExp(
        `^${ownId},${own.slice(0, 7)}…,Nightly script,h\\*\\*\\*@example.com,,read write,Active,`,
        'm',
      ),
    );
    t.false(table.text.includes(mailbox));
  });

  test('are narrowed to those that work, expire soon, are revoked or expired', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const make = async (life: string) => {
      await browser.get('/keys/new');
      const page = await browser.post('/keys/new', { name: `For ${life}`, preset: 'read-only', life });
      return idOf(/<code id="key">([^<]*)</.exec(page.text)![1]!);
    };
    const [week, month] = [await make('7'), await make('30')];
    const expect = async (status: string, found: string[]) =>
      t.deepEqual(await find({ q: mailbox, keyStatus: status }), found, status);
    await expect('active', [month, week]);
    await expect('expiring', [week]);
    await expect('expired', []);
    on.clock.advance(8 * 86_400);
    await operator.signInAgain();
    await expect('active', [month]);
    await expect('expired', [week]);
    await operator.browser.get(`/console/keys/revoke?id=${month}`);
    await operator.browser.post('/console/keys/revoke', { reason: 'test' });
    const revoked = await operator.browser.get(`/console/keys?q=${mailbox}&keyStatus=revoked`);
    t.true(revoked.text.includes('For 30'));
    t.false(revoked.text.includes('For 7'));
  });

  test('are revoked many at once, at the next introspection, each in the audit log under the operator', async (t) => {
    await operator.signInAgain();
    const mailbox = newMailbox();
    const own = await ownKey(await signIn(on, mailbox), 'Leaked');
    const agents = await Promise.all(Array.from({ length: 10 }, () => on.register()));
    const secrets = [own, ...agents.map(({ credential }) => credential)];
    const ids = await Promise.all(secrets.map(idOf));
    const asked = await operator.browser.get(`/console/keys/revoke?${ids.map((id) => `id=${id}`).join('&')}`);
    t.is(heading(asked), 'Revoke 11 keys?');
    const missing = await operator.browser.post('/console/keys/revoke', { reason: '' });
    t.is(missing.status, 400);
    t.regex(missing.text, /Enter a reason\./);
    for (const secret of secrets) t.true(await isActive(secret));
    await operator.browser.post('/console/keys/revoke', { reason: 'found in a public repository' });
    for (const secret of secrets) t.false(await isActive(secret));
    for (const id of ids) {
      t.is(
        await countOf(
          on,
          `events WHERE kind = 'operator.key_revoked' AND subject = ? AND account_id = ?
          AND details LIKE '%public repository%'`,
          [id, operator.accountId],
        ),
        1,
      );
    }
    t.is((await operator.browser.get('/console/keys/revoke?id=key_0')).status, 404);
    t.is((await operator.browser.get('/console/keys/revoke?id=tok_0')).status, 404);
  });
});
