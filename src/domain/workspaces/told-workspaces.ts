import { Failure } from '../../errors.ts';
import { lockAccount } from '../../store/accounts.ts';
import type { Tx } from '../../store/engine/db.ts';
import { isPersonalWorkspaceTold, isSharedWorkspaceTold } from '../../store/told-workspaces.ts';
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
 * that are not there (P-11): nothing of them is locked.
 */
export async function lockReachableWorkspace({ tx }: Work, server: TreeServer, id: string): Promise<void> {
  if (!isToldOfAll(server, id) && !(await isTold(tx, server, id))) throw unknownWorkspace();
  const isLocked = isPersonal(id) ? await lockAccount(tx, id) : (await lockWorkspace(tx, id)) !== undefined;
  if (!isLocked) throw unknownWorkspace();
}

/** Whether a workspace has not ended, and a resource server may know of it. */
export async function isReachable(db: Pick<Tx, 'get'>, server: TreeServer, id: string): Promise<boolean> {
  if (isToldOfAll(server, id)) return (await findWorkspace(db, id)) !== undefined;
  return isTold(db, server, id);
}

/** Whether a resource server knows of a shared workspace whatever it has to do with it. */
function isToldOfAll({ hasAllWorkspaces }: TreeServer, id: string): boolean {
  return hasAllWorkspaces && !isPersonal(id);
}

function isTold(db: Pick<Tx, 'get'>, { url }: TreeServer, id: string): Promise<boolean> {
  return isPersonal(id) ? isPersonalWorkspaceTold(db, id, url) : isSharedWorkspaceTold(db, id, url);
}

function isPersonal(id: string): boolean {
  return id.startsWith('usr_');
}
