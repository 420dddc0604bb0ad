import type { Deps } from '../../deps.ts';
import { findPermissionGrant } from '../../store/permission-grants.ts';
import { findSessionKey } from '../../store/session-keys.ts';
import type { RequestOrigin } from '../../work.ts';
import type { EventKind } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { endGrant } from '../permissions/grants.ts';
import { endFamily } from '../permissions/rotate-key.ts';
import type { EventLine, Repeat } from './event-lines.ts';

/** What ends again of permissions after a backup was restored. */
export const REPEAT_PERMISSIONS: Partial<Record<EventKind, Repeat>> = {
  'session_key.ended': (deps, origin, { subject }) => endKeyAgain(deps, origin, subject),
  // The backup knows the key from before alone, which may have been replaced since somebody copied it.
  'session_key.rotated': (deps, origin, { details }) => endKeyAgain(deps, origin, String(details?.old ?? '')),
  'grant.revoked': endGrantAgain,
  'grant.spent': endGrantAgain,
};

async function endKeyAgain(deps: Deps, origin: RequestOrigin, thumbprint: string | null | undefined) {
  await useCase(deps, origin, {}, async (work) => {
    const row = await findSessionKey(work.tx, thumbprint ?? '', work.now);
    if (row === undefined) return;
    const { family, agentId, accountId } = row;
    const key = {
      family,
      agentId: agentId ?? undefined,
      accountId: accountId ?? '',
      thumbprint: row.thumbprint,
    };
    await endFamily(work, key, { endsGrants: false, by: 'replay' });
  });
}

async function endGrantAgain(deps: Deps, origin: RequestOrigin, { subject }: EventLine): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const grant = await findPermissionGrant(work.tx, subject ?? '');
    if (grant !== undefined && grant.revokedAt === null) await endGrant(work, grant);
  });
}
