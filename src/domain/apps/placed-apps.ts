import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findOAuthGrant } from '../../store/oauth-grants.ts';
import { listPlacesOf } from '../../store/places.ts';
import { lockWorkspace } from '../../store/workspaces.ts';
import type { RequestOrigin } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import { endPlacesOfHolderIn } from '../workspaces/places.ts';
import { isManager } from '../workspaces/roles.ts';
import { lockWorkspaceAs, roleForbids } from '../workspaces/workspaces.ts';

/** How places of apps in workspaces end. */

/**
 * Ends the places of an app in a workspace, as an owner or admin of it. An app that has no other place is disconnected. Whoever
 * let it in is mailed.
 *
 * @param id of the consent
 * @throws Failure `notFound` for a workspace that is not one's own, and for an app that has no place there; `forbidden`
 */
export async function endAppInWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { role } = await lockWorkspaceAs(work, workspaceId, accountId);
    if (!isManager(role)) throw roleForbids();
    const consent = await findOAuthGrant(work.tx, id);
    if (consent === undefined) throw appNotFound();
    const { places } = await endPlacesOfHolderIn(work, id, workspaceId, consent.accountId, accountId);
    if (places === 0) throw appNotFound();
  });
}

/**
 * Ends the places in one workspace of an app that an account let in. One that has no other place is disconnected.
 *
 * @param id of the consent
 * @throws Failure `notFound`, also for a consent of another account (S-29)
 */
export async function endOwnAppIn(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const consent = await findOAuthGrant(work.tx, id);
    if (consent?.accountId !== accountId) throw appNotFound();
    const places = await listPlacesOf(work.tx, id);
    if (!places.some((place) => place.workspaceId === workspaceId)) throw appNotFound();
    await lockWorkspace(work.tx, workspaceId);
    await endPlacesOfHolderIn(work, id, workspaceId, accountId, accountId);
  });
}

function appNotFound(): Failure {
  return new Failure('notFound', 'There is no such app.');
}
