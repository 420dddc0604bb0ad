import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { PermissionGrant } from '../../lib/artifacts/permission-grant.ts';
import { formatScope, isSubset, parseScope } from '../../lib/scopes.ts';
import { newSecret } from '../../lib/secrets.ts';
import { updateAgentSeen } from '../../store/agents.ts';
import { type PermissionGrantRow, updateGrantSpent } from '../../store/permission-grants.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { parseDetail } from '../apps/authorization-details.ts';
import { resolveAudience } from '../audiences/audience.ts';
import { recordEvent } from '../audit/audit-log.ts';
import type { IssuedToken } from '../credentials/access-tokens.ts';

import { newTokenId, storeAccessToken } from '../credentials/issue.ts';
import { allows, type NarrowedPlace, narrowAccess } from '../credentials/narrow-access.ts';
import { type PlacedAccess, readGrantsAccess, toAuthorizationDetails } from '../credentials/placed-access.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { listGrantsOfKey } from './grants.ts';
import { type FindHostedSigner, type KeyHolder, verifyKeyToken } from './key-holders.ts';

/** Access tokens got with a session key: they work in the places of its grants, and nowhere else. */

/** How long a token for one action lives. */
const ONE_ACTION_MS = 60_000;

/** What is asked for. */
export interface GrantTokenRequest {
  /** What the session key signed for the token endpoint. */
  assertion: string;
  /** URL of the API; undefined: all of those of the grants. */
  resource: string | undefined;
  /** Space-separated; undefined: all that was granted. */
  scope: string | undefined;
  /** JSON (RFC 9396); undefined: everywhere that was granted. */
  details: string | undefined;
  /** The id of one grant: one for a single action is used only when it is named, or there is no other. */
  grantId: string | undefined;
}

/** A token, and where it may do what. */
export interface GrantToken extends IssuedToken {
  details: ReturnType<typeof toAuthorizationDetails>['authorization_details'];
  actionHash: string | undefined;
}

/** Whether an assertion is of a session key: its type says so. */
export function isKeyAssertion(assertion: string): boolean {
  try {
    const header = JSON.parse(Buffer.from(assertion.split('.')[0] ?? '', 'base64url').toString()) as unknown;
    return (header as { typ?: unknown }).typ === 'vouchsafe-key+jwt';
  } catch {
    return false;
  }
}

/**
 * Exchanges what a session key signed for an access token in the places of its grants.
 *
 * @param audience the URL of the token endpoint
 * @throws Failure `invalidGrant` also where nothing is granted; `invalidTarget`, `invalidScope`, `invalidDetails`, `limited`
 */
export async function exchangeKeyToken(
  deps: Deps,
  origin: RequestOrigin,
  request: GrantTokenRequest,
  audience: string,
  findHosted: FindHostedSigner,
): Promise<GrantToken> {
  const resource =
    request.resource === undefined ? undefined : (await resolveAudience(deps, request.resource)).url;
  const { holder } = await verifyKeyToken(deps, origin, request.assertion, audience, findHosted).catch(
    (error) => {
      if (error instanceof Failure && error.kind === 'invalidToken') {
        throw new Failure('invalidGrant', error.message, {}, error);
      }
      throw error;
    },
  );
  if (holder === undefined) throw nothingGranted();
  return useCase(deps, origin, {}, async (work) => {
    const grants = chooseGrants(await listGrantsOfKey(work.tx, holder, work.now), request.grantId);
    const reached = await readAccess(work, grants, resource);
    const narrowed = narrowTo(work, reached, request);
    return issue(work, holder, grants, { ...narrowed, resource });
  });
}

function chooseGrants(
  live: readonly PermissionGrantRow[],
  grantId: string | undefined,
): PermissionGrantRow[] {
  if (grantId !== undefined) return live.filter(({ id }) => id === grantId);
  const lasting = live.filter(({ once }) => once === 0);
  return lasting.length === 0 && live.length === 1 ? [...live] : lasting;
}

/** What can be reached at one API. */
interface Reached {
  resource: string;
  access: PlacedAccess[];
}

async function readAccess(
  { tx, deps }: Work,
  grants: readonly PermissionGrantRow[],
  resource: string | undefined,
): Promise<Reached[]> {
  const permissions = grants.flatMap(({ artifact }) => (JSON.parse(artifact) as PermissionGrant).permissions);
  const urls = [...new Set(permissions.map((each) => each.resource))];
  const ids = grants.map(({ id }) => id);
  const reached: Reached[] = [];
  for (const url of urls) {
    if (resource !== undefined && resource !== url) continue;
    const access = await readGrantsAccess({ ...deps, db: tx }, ids, url);
    if (access.length > 0) reached.push({ resource: url, access });
  }
  if (reached.length === 0) throw nothingGranted();
  return reached;
}

/** @throws Failure `invalidScope`, `invalidDetails` for what was not granted */
function narrowTo(
  { deps }: Work,
  reached: readonly Reached[],
  { scope, details }: GrantTokenRequest,
): { reached: Reached[]; scopes: string[]; narrowed: NarrowedPlace[] | undefined } {
  const all = [...new Set(reached.flatMap(({ access }) => access.flatMap(({ actions }) => actions)))];
  const scopes = (scope === undefined ? all : parseScope(scope)).toSorted();
  if (scopes.length === 0 || !isSubset(scopes, all)) {
    throw new Failure('invalidScope', `That is more than was granted: ${formatScope(all.toSorted())}.`);
  }
  const places = details === undefined ? undefined : readDetails(deps.config, details);
  const within = reached.flatMap((each) => {
    const allowed = each.access.flatMap((access) => {
      const actions = access.actions.filter((action) => scopes.includes(action));
      return actions.length === 0 ? [] : [{ ...access, actions }];
    });
    const access = places === undefined ? allowed : narrowAccess(allowed, places, each.resource);
    return access.length === 0 ? [] : [{ ...each, access }];
  });
  for (const place of places ?? []) assertGranted(place, within);
  return { reached: within, scopes, narrowed: places };
}

/** @throws Failure `invalidDetails` where a place does not allow all that it names */
function assertGranted(place: NarrowedPlace, reached: readonly Reached[]): void {
  const there = reached.filter(({ resource }) => (place.resource ?? resource) === resource);
  const access = there.flatMap((each) => each.access);
  if (allows(access, place)) return;
  throw new Failure('invalidDetails', 'That is more than was granted.', { field: 'authorization_details' });
}

const DETAILS_MAX = 50;

function readDetails(config: Deps['config'], text: string): NarrowedPlace[] {
  let details: unknown;
  try {
    details = JSON.parse(text);
  } catch {
    throw invalidDetails('authorization_details is not JSON.');
  }
  if (!Array.isArray(details) || details.length === 0 || details.length > DETAILS_MAX) {
    throw invalidDetails(`authorization_details is an array of 1 to ${DETAILS_MAX} objects.`);
  }
  return details.flatMap((detail: unknown) => {
    const { identifier, node, path, actions, datatypes } = parseDetail(config, detail, undefined);
    if (actions === undefined) throw invalidDetails('Name the actions of each object.');
    const { locations = [undefined] } = detail as { locations?: (string | undefined)[] };
    return locations.map((resource) => ({
      workspaceId: identifier,
      resource,
      node,
      path,
      types: datatypes,
      actions,
    }));
  });
}

function invalidDetails(message: string): Failure {
  return new Failure('invalidDetails', message, { field: 'authorization_details' });
}

async function issue(
  work: Work,
  holder: KeyHolder,
  grants: readonly PermissionGrantRow[],
  to: ReturnType<typeof narrowTo> & { resource: string | undefined },
): Promise<GrantToken> {
  const { tx, now, deps, origin } = work;
  const { agentId, accountId } = holder;
  const [first] = grants;
  const isForOneAction = grants.length === 1 && first!.once === 1;
  await consumeLimits(work, [{ name: 'tokensPerAgent', key: agentId ?? accountId }]);
  if (agentId !== undefined) {
    const isLive = await updateAgentSeen(tx, agentId, now, `network ${origin.address.coarse}`);
    if (!isLive) throw nothingGranted();
  }
  if (isForOneAction) {
    if ((await updateGrantSpent(tx, first!.id, now)) !== 1) throw nothingGranted();
    await recordEvent(work, {
      kind: 'grant.spent',
      accountId: first!.grantedBy,
      agentId,
      subject: first!.id,
    });
  }
  const life = isForOneAction ? ONE_ACTION_MS : deps.config.limits.accessTokenTtlSeconds * 1000;
  const lastEnd = Math.max(...grants.map(({ expiresAt }) => expiresAt));
  const expiresAt = Math.min(now + life, lastEnd, holder.endsAt);
  const id = newTokenId(deps, now);
  const value = newSecret('at', deps.random);
  const actionHash = isForOneAction ? (first!.actionHash ?? undefined) : undefined;
  await storeAccessToken(tx, {
    id,
    value,
    agentId,
    accountId,
    scopes: to.scopes,
    resource: to.resource ?? '',
    granted: {
      grants: grants.map((grant) => grant.id),
      actionHash,
    },
    narrowed: to.narrowed,
    issuedAt: now,
    expiresAt,
  });
  await recordEvent(work, {
    kind: 'token.issued',
    subject: id,
    // Without `agentId`, which would list it among the agent's activity: there are too many for anybody to read.
    details: { agent: agentId ?? accountId, scope: formatScope(to.scopes), key: holder.thumbprint },
  });
  const details = to.reached.flatMap(
    ({ resource, access }) => toAuthorizationDetails(access, resource).authorization_details,
  );
  return { id, value, scopes: to.scopes, issuedAt: now, expiresAt, details, actionHash };
}

function nothingGranted(): Failure {
  return new Failure(
    'invalidGrant',
    'Nothing is granted to this session key there, or not any more. Ask at /agent/permissions.',
  );
}
