import fc from 'fast-check';
import {
  AGENT_SORTS,
  AGENT_STATES,
  type AgentListQuery,
  countOwnedAgents,
  listOwnedAgents,
} from '../../src/domain/owner/list-owned-agents.ts';
import type { ListMark } from '../../src/lib/list-pages.ts';
import { assertProperty } from '../helpers/property.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

interface Made {
  id: string;
  name: string | null;
  usedAt: number | null;
  isRevoked: boolean;
  isLinked: boolean;
}

const made: fc.Arbitrary<Omit<Made, 'id'>> = fc.record({
  name: fc.option(fc.string({ unit: fc.constantFrom('a', 'B', 'b', 'C'), maxLength: 2 }), { nil: null }),
  usedAt: fc.option(fc.integer({ min: 1, max: 4 }), { nil: null }),
  isRevoked: fc.boolean(),
  isLinked: fc.boolean(),
});

onEveryEngine('the order of lists', (engine, test) => {
  let on: TestService;
  let accounts = 0;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  /** An account with these agents, merged into it or linked to it. */
  async function addAccount(agents: readonly Omit<Made, 'id'>[]): Promise<{ owner: string; rows: Made[] }> {
    accounts += 1;
    const owner = `usr_owner${accounts}`;
    const rows = agents.map((agent, at) => ({
      ...agent,
      id: `agt_of${accounts}x${String(at).padStart(3, '0')}`,
    }));
    await on.service.deps.db.tx(async (tx) => {
      await tx.run(`INSERT INTO accounts (id, kind, mailbox, created_at) VALUES (?, 'human', ?, 1)`, [
        owner,
        `${owner}@example.com`,
      ]);
      for (const { id, name, usedAt, isRevoked, isLinked } of rows) {
        const account = isLinked ? id.replace('agt_', 'usr_') : owner;
        if (isLinked) {
          await tx.run(`INSERT INTO accounts (id, kind, parent_id, created_at) VALUES (?, 'agent', ?, 1)`, [
            account,
            owner,
          ]);
        }
        await tx.run(
          `INSERT INTO registrations (id, kind, agent_id, created_at, expires_at, claimed_at, mode)
           VALUES (?, 'anonymous', ?, 1, 2, 3, 'merge')`,
          [id.replace('agt_', 'reg_'), id],
        );
        await tx.run(
          `INSERT INTO agents (id, account_id, registration_id, name, created_at, owned_at, revoked_at, seen_at,
             owner_id, owner_since) VALUES (?, ?, ?, ?, 1, 1, ?, ?, ?, ?)`,
          // Some as the version before writes them.
          [
            id,
            account,
            id.replace('agt_', 'reg_'),
            name,
            isRevoked ? 1 : null,
            usedAt,
            ...(Number(id.slice(-3)) % 3 === 0 ? [null, null] : [owner, 1]),
          ],
        );
      }
    });
    return { owner, rows };
  }

  /** The ids of the rows that a query asks for, in its order. */
  function expected(rows: readonly Made[], { state, sort, search }: AgentListQuery): string[] {
    const stateOf = ({ isRevoked, usedAt }: Made) =>
      isRevoked ? 'revoked' : usedAt === null ? 'unused' : 'active';
    const keyOf = ({ name, usedAt }: Made) =>
      sort === 'name' || sort === '-name' ? (name ?? '').toLowerCase() : (usedAt ?? 0);
    const compare = (one: string | number, other: string | number) =>
      one < other ? -1 : one > other ? 1 : 0;
    const ascending = rows
      .filter((row) => state === undefined || stateOf(row) === state)
      .filter(({ name }) => search === undefined || name?.toLowerCase().startsWith(search.toLowerCase()))
      .toSorted((one, other) => compare(keyOf(one), keyOf(other)) || compare(one.id, other.id))
      .map(({ id }) => id);
    return sort === undefined || sort === '-name' ? ascending.reverse() : ascending;
  }

  test('walking all pages of an owner’s agents, on and back, gives each that is asked for once and in order', async (t) => {
    await assertProperty(
      t,
      [fc.array(made, { maxLength: 14 }), fc.constantFrom(undefined, 'b', 'AB')],
      async (t, agents, search) => {
        const { deps } = on.service;
        const { owner, rows } = await addAccount(agents);
        await addAccount(agents); // somebody else’s, which are alike
        for (const sort of [undefined, ...AGENT_SORTS]) {
          for (const state of [undefined, ...AGENT_STATES]) {
            const query = { search, state, sort, rows: 4 };
            const wanted = expected(rows, query);
            const label = JSON.stringify({ sort, state, search });
            const read = (at: ListMark | undefined) => listOwnedAgents(deps, owner, { ...query, at });
            const pages = [await read(undefined)];
            const preceding: number[] = [];
            while (pages.at(-1)!.next !== undefined) {
              const at = { side: 'after', mark: pages.at(-1)!.next! } as const;
              preceding.push((await countOwnedAgents(deps, owner, { ...query, at })).preceding);
              pages.push(await read(at));
            }
            t.deepEqual(
              pages.flatMap(({ items }) => items.map(({ id }) => id)),
              wanted,
              label,
            );
            t.deepEqual(
              preceding,
              pages.slice(1).map((_, index) => (index + 1) * 4),
              label,
            );
            const back = [pages.at(-1)!];
            while (back[0]!.previous !== undefined)
              back.unshift(await read({ side: 'before', mark: back[0]!.previous }));
            t.deepEqual(
              back.flatMap(({ items }) => items.map(({ id }) => id)),
              wanted,
              `${label}, back`,
            );
          }
        }
        const counts = await countOwnedAgents(deps, owner, { search });
        for (const state of AGENT_STATES)
          t.is(counts[state], expected(rows, { state, search }).length, state);
        t.is(counts.all, rows.length);
      },
      { numRuns: 12 },
    );
  });
});
