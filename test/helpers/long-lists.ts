import type { TestService } from './service.ts';

/** Names as people and programs give them, short, long and none. */
const ALL_NAMES = [
  'Robin the release bot',
  'Nightly index',
  null,
  'W'.repeat(64),
  'Ärger mit Umlauten',
  'a b',
];

/** Names of those who have few. */
export const SOME_NAMES = [
  'Robin the release bot',
  'Nightly index',
  'Inbox triage',
  'Old scraper',
  null,
  'Quarterly figures',
  'Support summaries',
];

/** Gives an account agents, keys, hosts and events, sixty of each, and half as many sessions; some of them are ended. */
export async function fillLists(
  on: TestService,
  mailbox: string,
  names: readonly (string | null)[] = ALL_NAMES,
  rows = 60,
): Promise<void> {
  const { db } = on.service.deps;
  const now = on.clock();
  const account = await db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]);
  const owner = account!.id;
  await db.tx(async (tx) => {
    for (let at = 0; at < rows; at += 1) {
      const tail = `${owner.slice(-8)}${String(at).padStart(6, '0')}`;
      const name = names[at % names.length]!;
      const endedAt = at % 7 === 3 ? now : null;
      await tx.run(
        `INSERT INTO registrations (id, kind, agent_id, agent_name, created_at, expires_at, claimed_at, mode)
         VALUES (?, 'anonymous', ?, ?, 1, 2, 3, 'merge')`,
        [`reg_${tail}`, `agt_${tail}`, name],
      );
      await tx.run(
        `INSERT INTO agents (id, account_id, registration_id, name, created_at, owned_at, revoked_at, seen_at, seen_from)
         VALUES (?, ?, ?, ?, 1, 2, ?, ?, 'network 203.0.x.x')`,
        [`agt_${tail}`, owner, `reg_${tail}`, name, endedAt, at % 5 === 4 ? null : now - at * 3_600_000],
      );
      await tx.run(
        `INSERT INTO credentials (hash, id, account_id, name, scope, prefix, last_four, created_at, expires_at, revoked_at)
         VALUES (?, ?, ?, ?, 'read write', 'sk_8Qm2', 'abcd', 1, ?, ?)`,
        [
          Buffer.from(tail),
          `key_${tail}`,
          owner,
          name ?? 'Backup script',
          at === 5 ? now + 400_000_000 : null,
          endedAt,
        ],
      );
      await tx.run(`INSERT INTO registrations (id, kind, created_at, expires_at) VALUES (?, 'host', 1, 2)`, [
        `reg_h${tail}`,
      ]);
      await tx.run(
        `INSERT INTO hosts (id, registration_id, account_id, name, thumbprint, public_jwk, created_at, owner_id, linked_at,
           revoked_at) VALUES (?, ?, ?, ?, ?, '{}', 1, ?, ?, ?)`,
        [`hst_${tail}`, `reg_h${tail}`, owner, name, tail, owner, now - at * 3_600_000, endedAt],
      );
      await tx.run(
        `INSERT INTO events (id, at, kind, account_id, agent_id, address) VALUES (?, ?, 'agent.renamed', ?, ?, '203.0.113.7')`,
        [`evt_${tail}`, now - (rows - at) * 7_200_000, owner, `agt_${tail}`],
      );
      if (at < rows / 2) {
        await tx.run(
          `INSERT INTO sessions (hash, id, account_id, origin, created_at, seen_at) VALUES (?, ?, ?, '198.51.x.x', ?, ?)`,
          [Buffer.from(`ses${tail}`), `ses_${tail}`, owner, now - 3_600_000, now - at * 30_000],
        );
      }
    }
  });
}
