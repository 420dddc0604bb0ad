import type { AgentRow } from '../../store/agents.ts';
import type { CredentialRow } from '../../store/credentials.ts';

/** When an agent was last used, epoch ms, and from which coarse network. */
export interface LastUse {
  at: number;
  from: string | undefined;
}

/**
 * Returns an agent's last use. Its row has it; while a service of the version before runs, that only notes it with the
 * keys.
 *
 * @param live the agent's active keys and tokens
 * @returns undefined if it was never used
 */
export function lastUseOf(
  { seenAt, seenFrom }: Pick<AgentRow, 'seenAt' | 'seenFrom'>,
  live: readonly Pick<CredentialRow, 'lastUsedAt' | 'lastUsedFrom'>[],
): LastUse | undefined {
  const uses = live.map(({ lastUsedAt: at, lastUsedFrom: from }) => ({ at, from }));
  const last = [{ at: seenAt, from: seenFrom }, ...uses].reduce((latest, use) =>
    (use.at ?? 0) > (latest.at ?? 0) ? use : latest,
  );
  return last.at === null ? undefined : { at: last.at, from: last.from ?? undefined };
}
