import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { updateAgentPlaced, updateCredentialsOfAgentPlaced } from '../../store/placed-credentials.ts';
import type { RequestOrigin } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import { allowPlaces, givePlaces, type PlaceRequest } from '../workspaces/give-places.ts';
import { endPlacesOfHolder } from '../workspaces/places.ts';
import { lockOwnedAgent } from './manage-agents.ts';

/**
 * Gives an agent places in shared workspaces instead of those that it has. It keeps its own account beside them. They hold for the
 * keys and tokens that came by its claim, not for keys that it made.
 *
 * @param places none: it has its own account alone
 * @throws Failure `notFound` for an agent that is not the owner's; `badRequest` for a revoked one; as allowPlaces()
 */
export async function placeAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
  places: readonly PlaceRequest[],
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    // Workspaces and trees are locked before the account and the agent.
    const allowed = places.length === 0 ? [] : await allowPlaces(work, ownerId, places);
    const agent = await lockOwnedAgent(work.tx, ownerId, id);
    if (agent.revokedAt !== null) throw new Failure('badRequest', 'This agent was revoked.');
    await endPlacesOfHolder(work, id, 'replaced', ownerId);
    if (allowed.length === 0) return;
    await givePlaces(work, id, ownerId, allowed);
    await updateAgentPlaced(work.tx, id);
    await updateCredentialsOfAgentPlaced(work.tx, id);
  });
}
