import type { ExecutionContext } from 'ava';
import { fillOwners } from '../../src/domain/jobs/owner-fill.ts';
import { listed } from '../helpers/agent-pages.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { type Home, openHome } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Whose an agent is stands with the agent, for its owner's list; a service of the version before changes owners without it. */

onEveryEngine('the owner of an agent in lists', (engine, test) => {
  let home: Home;
  test.before(async () => {
    home = await openHome(engine);
  });
  test.after(() => home.stop());

  /** A service on whose database a version before works too: here that only writes what concerns owners. */
  const openOlder = async (t: ExecutionContext) => {
    const older = await openHome(engine);
    t.teardown(() => older.on.stop());
    return older;
  };

  /** The owner that stands with an agent; undefined: none that counts. */
  const ownerWith = async (agentId: string, { on } = home) =>
    (
      await on.service.deps.db.get<{ ownerId: string }>(
        'SELECT owner_id AS "ownerId" FROM agents WHERE id = ? AND owner_since = owned_at',
        [agentId],
      )
    )?.ownerId;

  test('is written with each agent that gets one: merged, linked, vouched for by mailbox; and goes with it', async (t) => {
    const mailbox = newMailbox();
    const merged = await home.vouched(mailbox);
    const linked = await home.vouched(mailbox, { link: true });
    const asserted = await home.vouched(mailbox, { asserted: true });
    const apart = await home.vouched(mailbox, { asserted: true, link: true });
    const owner = await home.accountOf(mailbox);
    for (const { agent_id } of [merged, linked, asserted, apart]) t.is(await ownerWith(agent_id), owner);
    const browser = await home.signIn(mailbox);
    await browser.get(`/agents/${merged.agent_id}/undo`);
    await browser.post(`/agents/${merged.agent_id}/undo`);
    t.is(await ownerWith(merged.agent_id), undefined);
    t.deepEqual(
      (await listed(browser)).toSorted(),
      [linked, asserted, apart].map(({ agent_id }) => agent_id).toSorted(),
    );
  });

  test('is found where a version before writes agents, in no list but that of its owner, and then written with them', async (t) => {
    const older = await openOlder(t);
    const mailboxes = [newMailbox(), newMailbox()];
    const [first, second] = mailboxes;
    const taken = await older.vouched(first!, { link: true });
    const merged = await older.vouched(first!, { link: true });
    const freed = await older.vouched(first!);
    const kept = await older.vouched(first!, { link: true });
    const other = await older.vouched(second!, { link: true });
    const [owner, fromId, now] = [
      await older.accountOf(second!),
      await older.accountOf(first!),
      older.on.clock() + 1,
    ];
    const inserted = taken.agent_id.replace(/.{4}$/, '0000');
    // The statements of the version before: it links, merges, frees and begins agents without these columns.
    await older.on.service.deps.db.tx(async (tx) => {
      await tx.run('UPDATE accounts SET parent_id = ? WHERE id = ?', [owner, taken.user_id]);
      await tx.run('UPDATE agents SET owned_at = ? WHERE id = ?', [now, taken.agent_id]);
      await tx.run('UPDATE agents SET account_id = ?, merged_from = account_id, owned_at = ? WHERE id = ?', [
        owner,
        now,
        merged.agent_id,
      ]);
      await tx.run('UPDATE agents SET account_id = ?, merged_from = NULL, owned_at = NULL WHERE id = ?', [
        freed.own,
        freed.agent_id,
      ]);
      await tx.run(
        `INSERT INTO agents (id, account_id, registration_id, name, created_at, owned_at)
         SELECT ?, ?, registration_id, 'begun', ?, ? FROM agents WHERE id = ?`,
        [inserted, owner, now, now, other.agent_id],
      );
    });
    const browsers = await Promise.all(mailboxes.map((mailbox) => older.signIn(mailbox)));
    const areListed = async () => {
      t.deepEqual(await listed(browsers[0]!), [kept.agent_id]);
      t.regex((await browsers[0]!.get('/agents')).text, /1–1 of 1/);
      t.deepEqual(
        (await listed(browsers[1]!)).toSorted(),
        [taken, merged, other]
          .map(({ agent_id }) => agent_id)
          .concat(inserted)
          .toSorted(),
      );
      t.regex((await browsers[1]!.get('/agents')).text, /1–4 of 4/);
    };
    await areListed();
    const written = () => countOf(older.on, 'agents WHERE owner_id = ? AND owner_since = owned_at', [owner]);
    t.is(await written(), 1);
    t.is(await fillOwners(older.on.service.deps), 3);
    t.is(await written(), 4);
    t.is(await ownerWith(kept.agent_id, older), fromId);
    t.is(await fillOwners(older.on.service.deps), 0);
    await areListed();
  });

  if (engine === 'postgres') {
    test('is that of one moment: an agent that changes hands while it is written is written anew', async (t) => {
      const older = await openOlder(t);
      const [before, after] = [newMailbox(), newMailbox()];
      const moving = await older.vouched(before, { link: true });
      await older.vouched(after, { link: true });
      const [owner, now] = [await older.accountOf(after), older.on.clock() + 1];
      const { db } = older.on.service.deps;
      await db.tx((tx) => tx.run('UPDATE agents SET owned_at = ? WHERE id = ?', [now, moving.agent_id]));
      let filled: Promise<number> | undefined;
      await db.tx(async (tx) => {
        await tx.run('UPDATE accounts SET parent_id = ? WHERE id = ?', [owner, moving.user_id]);
        await tx.run('UPDATE agents SET owned_at = ? WHERE id = ?', [now + 1, moving.agent_id]);
        filled = fillOwners(older.on.service.deps);
        const waiting = `SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database()
          AND wait_event_type = 'Lock' AND query LIKE 'UPDATE agents SET (owner_id%'`;
        while ((await db.get<{ n: number }>(waiting))!.n === 0);
      });
      t.true((await filled!) <= 1);
      t.not(await ownerWith(moving.agent_id, older), await older.accountOf(before));
      await fillOwners(older.on.service.deps);
      t.is(await ownerWith(moving.agent_id, older), owner);
    });
  }
});
