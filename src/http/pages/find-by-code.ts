import type { Deps } from '../../deps.ts';
import { deviceToken, findDeviceRequestByCode } from '../../domain/apps/device-codes.ts';
import { connectionLink } from '../../domain/hosts/connection-codes.ts';
import { findConnectionRequestByCode } from '../../domain/hosts/connection-review.ts';
import { assertBudgetLeft } from '../../domain/limits/flood-limit.ts';
import { requestToken } from '../../domain/permissions/request-codes.ts';
import { findRequestByCode } from '../../domain/permissions/review.ts';
import { PAGES } from '../../lib/page-paths.ts';
import type { RequestOrigin } from '../../work.ts';

/** Where a human decides about what waits with a code, and the cookie and token by which that page knows it. */
export type Found = [page: `/${string}`, cookie: 'permission' | 'connect', token: string];

/**
 * Finds what waits with a code that a human typed: a device, a permission request, or an agent that wants to connect. It is one
 * guess at all of them; who has guessed too often gets no answer to a right one either.
 *
 * @throws Failure `wrongCode`, `limited`
 */
export async function findWaiting(deps: Deps, origin: RequestOrigin, code: string): Promise<Found> {
  await assertBudgetLeft(deps, 'wrongPerIpHour', origin.address);
  const device = await findDeviceRequestByCode(deps, code);
  if (device !== undefined) return [PAGES.reviewDevice, 'connect', deviceToken(deps, device)];
  const request = await findRequestByCode(deps, code);
  if (request !== undefined) return [PAGES.reviewPermissions, 'permission', requestToken(deps, request)];
  const id = await findConnectionRequestByCode(deps, origin, code);
  const token = new URL(connectionLink(deps, id)).searchParams.get('t')!;
  return [PAGES.reviewConnection, 'connect', token];
}
