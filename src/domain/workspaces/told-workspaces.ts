import { Failure } from '../../errors.ts';
import { findLiveAccount, lockAccount } from '../../store/accounts.ts';
import { hasCredentialFor } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import { hasPlaceAt } from '../../store/places.ts';
import { findTree } from '../../store/trees.ts';
import { findWorkspace, lockWorkspace } from '../../store/workspaces.ts';
import type { Work } from '../../work.ts';

/** Of which workspaces a resource server is told (P-5, P-6, P-11). */

/** The resource server that tells or reads a tree. */
export interface TreeServer {
  /** `rs_…` */
  id: string;
  url: string;
  understandsWorkspaces: boolean;
  hasAllWorkspaces: boolean;
}

/** @throws Failure `forbidden` for a resource server that has not said that it understands workspaces */
export function assertUnderstandsWorkspaces({ id, understandsWorkspaces }: TreeServer): void {
  if (understandsWorkspaces) return;
  throw new Failure(
    'forbidden',
    `This resource server has not declared that it understands workspaces. The operator does: vouchsafe resource change ${id} --workspaces`,
  );
}

/** Returns the failure for a workspace that is not there, and for one of which the caller may not know. */
export function unknownWorkspace(): Failure {
  return new Failure('notFound', 'There is no such workspace.');
}

/**
 * Locks a workspace of which a resource server may know. Those that ended, and those of which it may not know, are like ones
 * that are not there (P-11).
 */
export async function lockReachableWorkspace(work: Work, server: TreeServer, id: string): Promise<void> {
  const { tx } = work;
  const isLocked = id.startsWith('usr_')
    ? await lockAccount(tx, id)
    : (await lockWorkspace(tx, id)) !== undefined;
  if (!isLocked || !(await isTold(tx, server, id))) throw unknownWorkspace();
}

/** Whether a workspace has not ended, and a resource server may know of it. */
export async function isReachable(db: Pick<Tx, 'get'>, server: TreeServer, id: string): Promise<boolean> {
  const found = id.startsWith('usr_') ? await findLiveAccount(db, id) : await findWorkspace(db, id);
  return found !== undefined && (await isTold(db, server, id));
}

/**
 * Whether a resource server may know of a workspace: of a personal one if a credential of that account works or worked there;
 * of a shared one if it is told of all, or is connected to it, or has a place there.
 */
async function isTold(db: Pick<Tx, 'get'>, server: TreeServer, id: string): Promise<boolean> {
  if (id.startsWith('usr_')) {
    return (await hasCredentialFor(db, id, server.url)) || (await hasPlaceAt(db, id, server.url));
  }
  if (server.hasAllWorkspaces || (await findTree(db, server.url, id)) !== undefined) return true;
  return hasPlaceAt(db, id, server.url);
}
