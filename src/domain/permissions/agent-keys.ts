import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { lockAccount } from '../../store/accounts.ts';
import { findAgent, lockAgent } from '../../store/agents.ts';
import {
  findSessionKey,
  listSessionKeysOfAgents,
  type SessionKeyRow,
  updateFamilyConfirmed,
} from '../../store/session-keys.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { findAgentBehind, isSessionKeyLive } from './key-holders.ts';
import { endFamily } from './rotate-key.ts';

/** The session keys of an agent, as its owner sees them: they end them, or let them outlive the key that named them. */

/** Lists the session keys of an agent that work. */
export async function listSessionKeysOf(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  agentId: string,
): Promise<SessionKeyRow[]> {
  const now = clock();
  const rows = await listSessionKeysOfAgents(db, [agentId], now);
  return rows.filter((row) => isSessionKeyLive(row, now));
}

/** Ends a session key of an agent of a human. @throws Failure `notFound` */
export async function endSessionKeyOf(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  agentId: string,
  thumbprint: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { family } = await lockOwnedKey(work, ownerId, agentId, thumbprint);
    const key = { family, agentId, accountId: ownerId, thumbprint };
    await endFamily(work, key, { endsGrants: false, by: 'owner' });
  });
}

/** Lets a session key of an agent of a human outlive the key that named it. @throws Failure `notFound` */
export async function confirmSessionKeyOf(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  agentId: string,
  thumbprint: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { family } = await lockOwnedKey(work, ownerId, agentId, thumbprint);
    if ((await updateFamilyConfirmed(work.tx, family, work.now)) === 0) return;
    await recordEvent(work, {
      kind: 'session_key.confirmed',
      accountId: ownerId,
      agentId,
      subject: thumbprint,
    });
  });
}

async function lockOwnedKey(
  { tx, now, deps }: Work,
  ownerId: string,
  agentId: string,
  thumbprint: string,
): Promise<SessionKeyRow> {
  await lockAccount(tx, ownerId);
  const agent = await findAgent(tx, agentId);
  if (agent === undefined || !(await lockAgent(tx, agentId))) throw keyUnknown();
  const behind = await findAgentBehind(tx, deps, agentId);
  const row = await findSessionKey(tx, thumbprint, now);
  const isTheirs = behind?.ownerId === ownerId && row?.agentId === agentId && isSessionKeyLive(row, now);
  if (!isTheirs) throw keyUnknown();
  return row;
}

function keyUnknown(): Failure {
  return new Failure('notFound', 'There is no such session key.');
}
