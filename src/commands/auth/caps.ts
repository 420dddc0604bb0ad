import { formatCap, parseCap } from '../../lib/artifacts/capability-spec.ts';
import { listMissing } from '../../lib/artifacts/coverage.ts';
import type { PermissionGrant } from '../../lib/artifacts/permission-grant.ts';
import { singleLine } from '../../lib/untrusted-text.ts';
import { lasting } from './held.ts';
import type { VerbContext } from './run-verb.ts';
import { withCapPrefix } from './with-cap-prefix.ts';

const HISTORY_LENGTH = 20;

/** `auth caps`: what the profile holds by the word of the service, compared with a spec, or as it was taken in. */
export async function caps(
  context: VerbContext,
  _args: string[],
  options: { diff?: string; history?: true },
): Promise<void> {
  const wanted = await withCapPrefix(context, (prefix) =>
    options.diff === undefined ? undefined : parseCap(options.diff, prefix),
  );
  const connected = await context.openProfile();
  if (options.history) {
    const grants = connected.profile.artifacts
      .grants()
      .slice(-HISTORY_LENGTH)
      .map(({ grant }) => grant);
    return context.print({ grants }, lines(grants));
  }
  const grants = await connected.listLiveGrants();
  if (wanted === undefined) {
    const granted = grants.flatMap(({ id, permissions, expires_at }) =>
      permissions.map((each) => ({ cap: formatCap(each), expires_at, ...each, grant_id: id })),
    );
    return context.print({ granted }, lines(grants));
  }
  const missing = listMissing(lasting(grants), [wanted]);
  const covered = missing.length === 0;
  context.print(
    { requested: formatCap(wanted), covered, changed: !covered, missing: missing.map(formatCap) },
    covered ? 'This profile has it.' : `Missing: ${missing.map(formatCap).join(' ')}`,
  );
}

function lines(grants: readonly PermissionGrant[]): string {
  const text = grants.flatMap(({ id, permissions, expires_at }) =>
    permissions.map(
      (each) => `${singleLine(formatCap(each), 1024)}  until ${each.expires_at ?? expires_at}  ${id}`,
    ),
  );
  return text.join('\n') || 'None.';
}
