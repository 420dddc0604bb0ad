import type { TestService } from './service.ts';

/** How many rows of each kind belong to somebody with long lists. */
const ROWS = 60;

/** Names as people and programs give them, short, long and none. */
const NAMES = ['Robin the release bot', 'Nightly index', null, 'W'.repeat(64), 'Ärger mit Umlauten', 'a b'];

/** Gives an account sixty agents, keys, hosts and events, and thirty sessions, some of them ended. */
export async function fillLists(on: TestService, mailbox: string): Promise<void> {
  const { db } = on.service.deps;
  const now = on.clock();
  const account = await db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]);
  const owner = account!.id;
  await db.tx(async (tx) => {
    for (let at = 0; at < ROWS; at += 1) {
      const tail = `${owner.slice(-8)}${String(at).padStart(6, '0')}`;
      const name = NAMES[at % NAMES.length]!;
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
        [Buffer.from(tail), `key_${tail}`, owner, name, at === 5 ? now + 400_000_000 : null, endedAt],
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
        [`evt_${tail}`, now - (ROWS - at) * 7_200_000, owner, `agt_${tail}`],
      );
      if (at < ROWS / 2) {
        await tx.run(
          `INSERT INTO sessions (hash, id, account_id, origin, created_at, seen_at) VALUES (?, ?, ?, '198.51.x.x', ?, ?)`,
          [Buffer.from(`ses${tail}`), `ses_${tail}`, owner, now - 3_600_000, now - at * 30_000],
        );
      }
    }
  });
}
