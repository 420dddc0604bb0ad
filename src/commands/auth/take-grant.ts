import type { ConnectedProfile } from '../../client/connected-profile.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { formatCap } from '../../lib/artifacts/capability-spec.ts';
import { isWithinRequest } from '../../lib/artifacts/coverage.ts';
import { type PermissionGrant, readGrant } from '../../lib/artifacts/permission-grant.ts';
import { singleLine } from '../../lib/untrusted-text.ts';

/**
 * Verifies a grant and stores it. What counts is what is signed in it.
 *
 * @throws AuthError `INVALID_GRANT_ARTIFACT`, `SIGNATURE_INVALID`, `WRONG_SERVICE`, `WRONG_AUDIENCE`, `REQUEST_EXPIRED`;
 * `GRANT_BROADENED` if it gives more than the stored request asks for
 */
export async function takeGrant(connected: ConnectedProfile, artifact: unknown): Promise<PermissionGrant> {
  const grant = readGrant(artifact);
  await connected.verify(grant);
  const { artifacts } = connected.profile;
  const stored = artifacts.requests().find(({ request }) => request.id === grant.request_id);
  if (stored !== undefined && !isWithinRequest(grant.permissions, stored.request.permissions ?? [])) {
    throw new AuthError('GRANT_BROADENED', 'It gives more than was asked for, so it was not taken in.');
  }
  await artifacts.saveGrant(grant);
  return grant;
}

/** What is printed of a grant that was taken in. */
export function grantJson(grant: PermissionGrant): object {
  const { id, request_id, permissions, withheld = [], expires_at } = grant;
  return { imported: true, kind: 'grant', request_id, grant_id: id, permissions, withheld, expires_at };
}

/** The same for a person. */
export function grantText({ id, permissions, withheld = [], expires_at }: PermissionGrant): string {
  const line = (each: { service: string; space: string; path: string; actions: string[] }) =>
    `  ${singleLine(formatCap(each), 1024)}`;
  return [
    `${id} holds until ${expires_at}:`,
    ...permissions.map(line),
    ...(withheld.length > 0 ? ['Not granted:', ...withheld.map(line)] : []),
  ].join('\n');
}
