import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { LIFETIME_SECONDS } from '../../lib/artifacts/lifetime.ts';
import type { PermissionEntry } from '../../lib/artifacts/permission-entry.ts';
import { withImplied } from '../../lib/scopes.ts';
import { findAccount } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import { listMemberships } from '../../store/members.ts';
import { findNodeNamed } from '../../store/nodes.ts';
import type { PermissionRequestRow } from '../../store/permission-requests.ts';
import { mayIssueKeys } from '../workspaces/roles.ts';
import { findRequest } from './decide-request.ts';
import { findRequestOfCode, requestCode, requestLink } from './request-codes.ts';
import { type KnownPermission, listServices, readPermissions } from './services.ts';

/** A permission request as the human who decides about it sees it. All texts of who asks are unverified. */

/** One action that is asked for. */
export interface ReviewedAction {
  /** As it was asked for. */
  action: string;
  scope: string;
  description: string;
  isDestructive: boolean;
}

/** One place where something is asked for. */
export interface ReviewedPermission {
  index: number;
  /** The name of the API; undefined: there is one only, which need not be named. */
  service: string | undefined;
  /** Undefined: the human chooses the workspace. */
  workspace:
    | { id: string; name: string | undefined; isOwn: boolean; isMember: boolean; mayGive: boolean }
    | undefined;
  /** The thing, by its name where the human may know it. */
  node: string | undefined;
  path: string | undefined;
  /** Whether it is the whole workspace. */
  isWide: boolean;
  types: readonly string[] | undefined;
  actions: ReviewedAction[];
  reason: string | undefined;
}

/** What the page of a request shows. */
export interface RequestReview {
  id: string;
  state: 'open' | 'decided' | 'over';
  isLogin: boolean;
  name: string | undefined;
  agentId: string | undefined;
  /** Whose the agent is. */
  owner: 'you' | 'somebody' | 'nobody';
  /** Epoch ms; undefined: a terminal, which nobody has seen before. */
  firstSeenAt: number | undefined;
  askedAt: number;
  /** The coarse network from which the request came. */
  origin: string;
  /** The one thing that is to be allowed; undefined: nothing in particular. */
  action: string | undefined;
  isOnce: boolean;
  permissions: ReviewedPermission[];
  /** Where the human can give what leaves the workspace to them: their own things without a name. */
  workspaces: { id: string; name: string | undefined }[];
  /** How long it is asked for, seconds. */
  lifetimeSeconds: number;
  code: string | undefined;
  /** The link to this page, for somebody else. */
  link: string;
}

/**
 * Finds the open request of a code that a human typed.
 *
 * @returns undefined: there is none; the caller counts the guess, which may be at something else that waits with a code
 */
export async function findRequestByCode(
  deps: Pick<Deps, 'keyring' | 'db' | 'clock'>,
  code: string,
): Promise<string | undefined> {
  return (await findRequestOfCode(deps, code))?.id;
}

/**
 * Shows a request to a signed-in human, and changes nothing.
 *
 * @throws Failure `notFound`
 */
export async function reviewRequest(deps: Deps, id: string, accountId: string): Promise<RequestReview> {
  const { row, artifact } = await findRequest(deps.db, id);
  const { permissions = [], lifetime_seconds, action, once, requester } = artifact;
  const known = await readKnown(deps, permissions);
  const memberships = await listMemberships(deps.db, accountId);
  const names = new Map(memberships.map((each) => [each.workspaceId, each]));
  const givable = memberships.filter(({ role }) => mayIssueKeys(deps.config, role));
  const workspaces = [
    { id: accountId, name: undefined },
    ...givable.map(({ workspaceId, name }) => ({ id: workspaceId, name })),
  ];
  const isOneOfMany = (await listServices(deps)).size > 1;
  const reviewed = known.map(async (entry, index): Promise<ReviewedPermission> => {
    const { space, node, path } = entry;
    const isThere = space === accountId || names.has(space);
    const found =
      node === undefined || !isThere
        ? undefined
        : await findNodeNamed(deps.db, entry.audience.url, space, node);
    return {
      index,
      service: isOneOfMany ? entry.audience.name : undefined,
      workspace:
        space === 'default'
          ? undefined
          : {
              id: space,
              name: names.get(space)?.name,
              isOwn: space === accountId,
              isMember: names.has(space),
              mayGive: workspaces.some((each) => each.id === space),
            },
      node: node && (found?.name ?? node),
      path,
      isWide: node === undefined && path === undefined,
      types: entry.types,
      actions: describeActions(deps, entry),
      reason: entry.reason,
    };
  });
  return {
    id,
    state: row.decidedAt !== null ? 'decided' : row.expiresAt <= deps.clock() ? 'over' : 'open',
    isLogin: row.login === 1,
    name: requester.name,
    ...(await describeAsker(deps, row, accountId)),
    askedAt: row.createdAt,
    origin: row.origin,
    action,
    isOnce: once === true,
    permissions: await Promise.all(reviewed),
    workspaces,
    lifetimeSeconds: Math.min(
      lifetime_seconds ?? LIFETIME_SECONDS.default,
      deps.config.limits.permissionSeconds,
    ),
    code: requestCode(deps, row),
    link: requestLink(deps, row),
  };
}

/** What the operator took out of the configuration since cannot be granted: the request is over. @throws Failure `requestExpired` */
async function readKnown(deps: Deps, permissions: readonly PermissionEntry[]): Promise<KnownPermission[]> {
  try {
    return await readPermissions(deps, permissions);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure('requestExpired', 'What this request asks for is not offered any more.', {}, error);
  }
}

function describeActions({ config }: Deps, { scopes }: KnownPermission): ReviewedAction[] {
  return [...scopes].map(([action, scope]) => ({
    action,
    scope,
    description: config.scopes.get(scope)?.description ?? '',
    isDestructive: withImplied([scope], config.scopes).some((name) => config.scopes.get(name)?.destructive),
  }));
}

async function describeAsker(
  { db }: Deps,
  { agentId, accountId: askerId }: PermissionRequestRow,
  accountId: string,
): Promise<Pick<RequestReview, 'agentId' | 'owner' | 'firstSeenAt'>> {
  if (agentId === null) {
    const owner = askerId === accountId ? 'you' : askerId === null ? 'nobody' : 'somebody';
    return { agentId: undefined, owner, firstSeenAt: undefined };
  }
  const agent = await findAgent(db, agentId);
  const account = agent && (await findAccount(db, agent.accountId));
  const ownerId = account?.kind === 'human' ? account.id : account?.parentId;
  return {
    agentId,
    owner: ownerId === accountId ? 'you' : ownerId == null ? 'nobody' : 'somebody',
    firstSeenAt: agent?.createdAt,
  };
}
