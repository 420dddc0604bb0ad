import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accountSteps } from '../helpers/account-steps.ts';
import { countOf } from '../helpers/ceremony.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { newMailbox } from '../helpers/common.ts';
import { ensure } from '../helpers/ensure.ts';
import { isIn, signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { insertShared } from '../helpers/workspaces.ts';

/** The command line does what the console does. */

onEveryEngine('operators at the command line', (engine, test) => {
  let on: TestService;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-console-'));
    on = await startTestService(engine);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  const { ownKey, accountOf } = accountSteps(() => ({ on }));
  const cli = (...args: string[]) => vouchsafe(args, folder, { DATABASE_URL: on.database.url });
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await cli(...args, '--json');
    ensure(code === 0, stderr);
    return JSON.parse(stdout);
  };
  const reasons = (kind: string, subject: string) =>
    countOf(
      on,
      `events WHERE kind = ? AND subject = ? AND account_id IS NULL AND details LIKE '%"reason":"spam"%'`,
      [kind, subject],
    );

  test('find agents, and revoke some of them with a reason', async (t) => {
    const mailbox = newMailbox();
    const [merged, linked] = [await on.claimed(mailbox), await on.claimed(mailbox, true)];
    const { agents } = await json('agent', 'find', mailbox);
    t.deepEqual(
      agents.map((agent: { agent_id: string; type: string }) => [agent.agent_id, agent.type]),
      [
        [linked.agent_id, 'link'],
        [merged.agent_id, 'merge'],
      ],
    );
    t.is(agents[0].owner_mailbox, 'h***@example.com');
    const ids = [merged.agent_id, linked.agent_id];
    t.deepEqual(await json('agent', 'revoke', ...ids, '--reason', ' spam '), { revoked: ids.toSorted() });
    for (const { credential } of [merged, linked]) t.is((await on.get('/api/me', credential)).status, 401);
    for (const id of ids) t.is(await reasons('operator.agent_revoked', id), 1);
    const partly = await cli('agent', 'revoke', ids[0]!, 'agt_0');
    t.deepEqual([partly.code, partly.stderr], [4, 'There is no such agent: agt_0.\n']);
    for (const args of [
      ['--status', 'none'],
      ['--since', 'yesterday'],
    ]) {
      t.is((await cli('agent', 'find', ...args)).code, 2);
    }
    t.is((await cli('agent', 'revoke', ids[0]!, '--reason', ' ')).code, 2);
  });

  test('find keys by their first characters, and revoke them with a reason', async (t) => {
    const own = await ownKey(await signIn(on, newMailbox()), 'script');
    const { keys } = await json('key', 'find', own.slice(0, 7));
    t.is(keys.length, 1);
    const { key_id: id, prefix, status } = keys[0];
    t.deepEqual([prefix, status], [own.slice(0, 7), 'active']);
    t.deepEqual(await json('key', 'revoke', id, '--reason', 'spam'), { revoked: id });
    t.is((await json('key', 'show', id)).status, 'revoked');
    t.is(await reasons('operator.key_revoked', id), 1);
    t.is((await cli('key', 'show', 'key_0')).code, 4);
  });

  test('find accounts, and end what they hold', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    await ownKey(browser, 'script');
    const id = await accountOf(mailbox);
    const { accounts } = await json('account', 'find', mailbox);
    t.deepEqual([accounts.length, accounts[0].user_id, accounts[0].mailbox], [1, id, 'h***@example.com']);
    const before = await json('account', 'show', id);
    t.deepEqual([before.active_keys, before.sessions, before.mail_of_agents], [1, 1, true]);
    await json('account', 'mail', id, 'off', '--reason', 'spam');
    await json('account', 'revoke-keys', id, '--reason', 'spam');
    await json('account', 'end-sessions', id, '--reason', 'spam');
    const after = await json('account', 'show', id);
    t.deepEqual([after.active_keys, after.sessions, after.mail_of_agents], [0, 0, false]);
    t.false(await isIn(browser));
    for (const kind of ['operator.mail_changed', 'operator.keys_revoked', 'operator.sessions_ended']) {
      t.is(await reasons(kind, id), 1, kind);
    }
    for (const args of [
      ['show', 'usr_0'],
      ['end-sessions', 'usr_0'],
      ['revoke-keys', 'usr_0'],
      ['mail', 'usr_0', 'on'],
    ]) {
      t.is((await cli('account', ...args)).code, 4, args[0]);
    }
    t.is((await cli('account', 'mail', id, 'maybe')).code, 2);
  });

  test('list, show and delete workspaces, with a reason', async (t) => {
    const [ann, bob] = [newMailbox('ann'), newMailbox('bob')];
    for (const mailbox of [ann, bob]) await signIn(on, mailbox);
    const [owner, member] = [await accountOf(ann), await accountOf(bob)];
    const id = await insertShared(on, { [owner]: 'owner', [member]: 'viewer' }, 'Northwind\u202e Research');
    const { workspaces } = await json('workspace', 'list', 'northwind');
    t.deepEqual(
      workspaces.map((each: Record<string, unknown>) => [each.workspace_id, each.name, each.member_count]),
      [[id, 'Northwind Research', 2]],
    );
    for (const text of [id, bob, member]) {
      t.is((await json('workspace', 'list', text)).workspaces[0].workspace_id, id, text);
    }
    t.deepEqual((await json('workspace', 'list', '--status', 'ended')).workspaces, []);
    t.is((await cli('workspace', 'list')).stdout, `${id}  Northwind Research  (2 members)\n`);
    const shown = await json('workspace', 'show', id);
    t.deepEqual(
      shown.members.map((each: Record<string, unknown>) => [each.user_id, each.mailbox, each.role]),
      [
        [owner, 'a***@example.com', 'owner'],
        [member, 'b***@example.com', 'viewer'],
      ].toSorted(),
    );
    t.deepEqual(
      [shown.open_invitations, shown.keys, shown.agents, shown.apps, shown.nodes],
      [0, 0, 0, 0, {}],
    );
    t.deepEqual(await json('workspace', 'delete', id, '--reason', 'spam'), { deleted: id });
    t.is(await reasons('operator.workspace_deleted', id), 1);
    const after = await json('workspace', 'show', id);
    t.deepEqual([after.status, after.members], ['ended', []]);
    for (const args of [
      ['delete', id],
      ['delete', 'wsp_0'],
      ['show', 'wsp_0'],
    ]) {
      t.is((await cli('workspace', ...args)).code, 4, args.join(' '));
    }
    t.is((await cli('workspace', 'list', '--status', 'none')).code, 2);
  });

  test('delete a person’s account; workspaces that it alone owns go to a member, or end, or keep it', async (t) => {
    const persons = await Promise.all(
      ['ann', 'bob', 'carl'].map(async (name) => {
        const mailbox = newMailbox(name);
        const browser = await signIn(on, mailbox);
        return { mailbox, browser, id: await accountOf(mailbox) };
      }),
    );
    const [ann, bob, carl] = persons as [(typeof persons)[0], (typeof persons)[0], (typeof persons)[0]];
    const shared = await insertShared(on, { [ann.id]: 'owner', [bob.id]: 'viewer' }, 'Shared');
    const alone = await insertShared(on, { [ann.id]: 'owner' }, 'Alone');
    const refused = await cli('account', 'delete', ann.mailbox);
    t.is(refused.code, 1);
    t.regex(refused.stderr, new RegExp(`${shared}  Shared\n.*--to.*--force`));
    t.notRegex(refused.stderr, new RegExp(alone));
    t.true(await isIn(ann.browser));
    // Who is no member cannot own it; nothing is changed.
    const stranger = await cli('account', 'delete', ann.id, '--to', carl.mailbox);
    t.is(stranger.code, 2, stranger.stderr);
    t.is((await cli('account', 'delete', ann.id, '--to', ann.mailbox)).code, 2);
    t.is((await cli('account', 'delete', ann.id, '--to', 'nobody@example.com')).code, 4);
    t.true(await isIn(ann.browser));

    t.deepEqual(await json('account', 'delete', ann.id, '--to', bob.mailbox, '--reason', 'spam'), {
      deleted: ann.id,
    });
    t.is(await reasons('operator.account_deleted', ann.id), 1);
    t.false(await isIn(ann.browser));
    const handed = await json('workspace', 'show', shared);
    t.deepEqual(
      handed.members.map((each: Record<string, unknown>) => [each.user_id, each.role]),
      [[bob.id, 'owner']],
    );
    t.is((await json('workspace', 'show', alone)).status, 'ended');

    const doomed = await insertShared(on, { [bob.id]: 'owner', [carl.id]: 'admin' }, 'Doomed');
    t.deepEqual(await json('account', 'delete', bob.mailbox, '--force'), { deleted: bob.id });
    t.is((await json('workspace', 'show', doomed)).status, 'ended');
    t.true(await isIn(carl.browser));
    const { user_id: ofAgent } = await on.register();
    for (const named of [ann.mailbox, ann.id, 'usr_0', ofAgent]) {
      t.is((await cli('account', 'delete', named, '--force')).code, 4, named);
    }
  });
});
