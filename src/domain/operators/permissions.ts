import type { Deps } from '../../deps.ts';
import { lockAccount } from '../../store/accounts.ts';
import { lockAgent } from '../../store/agents.ts';
import { findPermissionGrant } from '../../store/permission-grants.ts';
import { findSessionKey, listTerminals } from '../../store/session-keys.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { endGrant } from '../permissions/grants.ts';
import { findAgentBehind } from '../permissions/key-holders.ts';
import { endFamily } from '../permissions/rotate-key.ts';
import { actOnEach } from './act-on-each.ts';

/** How operators end session keys, and what was granted to agents. */

/**
 * Ends session keys and grants as an operator, all or none, from the next introspection on. Those that ended already, and ids of
 * none, change nothing.
 *
 * @param ids of grants, `grt_…`, and thumbprints of session keys
 * @returns the ids of those that there are
 */
export function endPermissions(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  ids: readonly string[],
): Promise<string[]> {
  return actOnEach(deps, origin, ids, async (work, id) => {
    const ended = await (id.startsWith('grt_') ? endGrantOf(work, id) : endSessionKey(work, id));
    if (ended === 'now')
      await recordOperatorEvent(work, act, { kind: 'operator.permission_ended', subject: id });
    return ended !== undefined;
  });
}

/** Whether something ended now or before; undefined: there is none. */
type Ended = 'now' | 'before' | undefined;

async function endGrantOf(work: Work, id: string): Promise<Ended> {
  const grant = await findPermissionGrant(work.tx, id);
  if (grant === undefined) return undefined;
  if (grant.revokedAt !== null || grant.expiresAt <= work.now) return 'before';
  await endGrant(work, grant);
  return 'now';
}

async function endSessionKey(work: Work, thumbprint: string): Promise<Ended> {
  const { tx, now, deps } = work;
  const row = await findSessionKey(tx, thumbprint, now);
  if (row === undefined) return undefined;
  const { family, agentId, accountId } = row;
  if (agentId !== null) await lockAgent(tx, agentId);
  else if (accountId !== null) await lockAccount(tx, accountId);
  const behind = agentId === null ? undefined : await findAgentBehind(tx, deps, agentId);
  const isEnded = await endFamily(
    work,
    {
      family,
      thumbprint,
      agentId: agentId ?? undefined,
      accountId: accountId ?? behind?.ownerId ?? behind?.accountId ?? '',
    },
    { endsGrants: false, by: 'operator' },
  );
  return isEnded ? 'now' : 'before';
}

/** Ends the terminals of a human in the caller's transaction. @returns how many ended */
export async function endTerminalsOf(work: Work, accountId: string): Promise<number> {
  const { tx, now } = work;
  if (!(await lockAccount(tx, accountId))) return 0;
  let ended = 0;
  for (const { family, thumbprint } of await listTerminals(tx, accountId, now)) {
    const key = { family, thumbprint, agentId: undefined, accountId };
    if (await endFamily(work, key, { endsGrants: false, by: 'operator' })) ended += 1;
  }
  return ended;
}
