import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findPermissionGrant, type PermissionGrantRow } from '../../store/permission-grants.ts';
import {
  findPermissionRequest,
  type PermissionRequestRow,
  updateRequestPolled,
} from '../../store/permission-requests.ts';
import { findSessionKey, type SessionKeyRow } from '../../store/session-keys.ts';
import { isSessionKeyLive, type KeyHolder, type SigningKey, type TerminalBound } from './key-holders.ts';
import { requestCode, requestLink } from './request-codes.ts';
import { readPermissions } from './services.ts';

/** How far a permission request has come, as who asked is told. */

/** The seconds between two questions about an open request. */
export const POLL_SECONDS = 5;

/** The state is computed from times: no column has it. */
export type RequestStateName = 'pending' | 'granted' | 'denied' | 'expired' | 'revoked';

/** A request as its asker sees it. */
export interface RequestState {
  id: string;
  state: RequestStateName;
  agentId: string | undefined;
  /** Epoch ms. */
  expiresAt: number;
  /** Where a human decides, and the code by which they find the request there; undefined: it was decided. */
  verificationUri: string | undefined;
  userCode: string | undefined;
  /** As we signed it. */
  grant: object | undefined;
  denial: object | undefined;
  /** Of a terminal that a human lets act for them. */
  login: { accountId: string; bound: TerminalBound; expiresAt: number } | undefined;
}

/** Describes a request for who asked. */
export async function describeRequest(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring' | 'config'>,
  row: PermissionRequestRow,
): Promise<RequestState> {
  const { db } = deps;
  const now = deps.clock();
  const grant = row.grantId === null ? undefined : await findPermissionGrant(db, row.grantId);
  const isTerminal = row.login === 1 && row.decidedAt !== null && row.denial === null;
  const key = isTerminal ? await findSessionKey(db, row.thumbprint, now) : undefined;
  const state = stateOf(row, grant, key, now);
  const { expires_at } = JSON.parse(row.artifact) as { expires_at: string };
  const isOpen = state === 'pending';
  return {
    id: row.id,
    state,
    agentId: row.agentId ?? undefined,
    expiresAt: Date.parse(expires_at),
    verificationUri: isOpen ? requestLink(deps, row) : undefined,
    userCode: isOpen ? requestCode(deps, row) : undefined,
    grant: grant && (JSON.parse(grant.artifact) as object),
    denial: row.denial === null ? undefined : (JSON.parse(row.denial) as object),
    login:
      state !== 'granted' || key === undefined
        ? undefined
        : {
            accountId: key.accountId!,
            bound: JSON.parse(key.bound!) as TerminalBound,
            expiresAt: key.expiresAt!,
          },
  };
}

function stateOf(
  row: PermissionRequestRow,
  grant: PermissionGrantRow | undefined,
  key: SessionKeyRow | undefined,
  now: number,
): RequestStateName {
  if (row.decidedAt === null) return row.expiresAt > now ? 'pending' : 'expired';
  if (row.denial !== null) return 'denied';
  if (row.login === 1) {
    if (key?.accountId == null) return 'expired';
    const isLive = isSessionKeyLive(key, now) || key.successor !== null;
    return isLive ? 'granted' : 'revoked';
  }
  // Its agent ended before anybody decided.
  if (grant === undefined) return 'expired';
  if (grant.revokedAt !== null) return 'revoked';
  return grant.expiresAt > now ? 'granted' : 'expired';
}

/**
 * Tells who signed a request, or a human's terminal that may grant some of it, how far it has come.
 *
 * @throws Failure `notFound`, whether or not it exists, for all others; `pollTooFast`
 */
export async function pollRequest(deps: Deps, id: string, signer: SigningKey): Promise<RequestState> {
  const row = await findPermissionRequest(deps.db, id);
  if (row === undefined) throw requestUnknown();
  const isAsker = isRequestOf(row, signer);
  if (!isAsker && !(await isWithinBound(deps, row, signer.holder))) throw requestUnknown();
  const state = await describeRequest(deps, row);
  // The link and the code lead to a decision: only who asked shows them to a human.
  if (!isAsker) return { ...state, verificationUri: undefined, userCode: undefined };
  if (state.state !== 'pending') return state;
  const now = deps.clock();
  const isInTime = await deps.db.tx((tx) => updateRequestPolled(tx, id, now, POLL_SECONDS * 1000));
  if (isInTime === 1) return state;
  throw new Failure('pollTooFast', `Wait ${POLL_SECONDS} seconds between two questions.`, {
    retryAfterSeconds: POLL_SECONDS,
  });
}

/** Whether a key, or one that it followed, signed a request. */
function isRequestOf(row: PermissionRequestRow, { thumbprint, holder }: SigningKey): boolean {
  if (row.thumbprint === thumbprint) return true;
  return holder !== undefined && holder.family === row.family && row.generation <= holder.generation;
}

/** Whether a terminal may grant some of a request. */
export async function isWithinBound(
  deps: Pick<Deps, 'db' | 'config'>,
  { artifact, login }: PermissionRequestRow,
  holder: KeyHolder | undefined,
): Promise<boolean> {
  const bound = holder?.bound;
  if (bound === undefined || login === 1) return false;
  const { permissions = [] } = JSON.parse(artifact) as {
    permissions?: Parameters<typeof readPermissions>[1];
  };
  try {
    const known = await readPermissions(deps, permissions);
    return known.some(
      ({ space, scopes }) =>
        (space === 'default' || bound.workspaces.includes(space)) &&
        [...scopes.values()].some((scope) => bound.scopes.includes(scope)),
    );
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** Creates the failure for a request that is not there, or of somebody else. */
export function requestUnknown(): Failure {
  return new Failure('notFound', 'There is no such permission request.');
}
