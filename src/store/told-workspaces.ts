import type { Tx } from './engine/db.ts';

/**
 * Of which workspaces a resource server may know. Each is one statement that looks at the same things whatever it finds, so that
 * unknown, ended and foreign workspaces take the same time.
 */

/** 1: it is there. */
type Found<Names extends string> = Record<Names, 1 | null>;

/** Whether a shared workspace has not ended, and a resource server tells its tree or has a place in it. @param resource its URL */
export async function isSharedWorkspaceTold(
  db: Pick<Tx, 'get'>,
  id: string,
  resource: string,
): Promise<boolean> {
  const found = await db.get<Found<'isLive' | 'hasTree' | 'hasPlace'>>(
    `SELECT (SELECT 1 FROM workspaces WHERE id = ? AND ended_at IS NULL) AS "isLive", ${HAS_PLACE},
       (SELECT 1 FROM trees WHERE resource = ? AND workspace_id = ?) AS "hasTree"`,
    [id, id, resource, resource, id],
  );
  return found!.isLive === 1 && (found!.hasTree === 1 || found!.hasPlace === 1);
}

/**
 * Whether an account has not ended, and a resource server has a place in its personal workspace, or a credential of the account is
 * or was for it.
 *
 * @param resource its URL
 */
export async function isPersonalWorkspaceTold(
  db: Pick<Tx, 'get'>,
  id: string,
  resource: string,
): Promise<boolean> {
  const found = await db.get<Found<'isLive' | 'hasPlace' | 'hasCredential'>>(
    `SELECT (SELECT 1 FROM accounts WHERE id = ? AND ended_at IS NULL) AS "isLive", ${HAS_PLACE},
       (SELECT 1 FROM credentials WHERE account_id = ?
          AND (resources IS NULL OR ' ' || resources || ' ' LIKE ? ESCAPE '!') LIMIT 1) AS "hasCredential"`,
    [id, id, resource, id, `% ${resource.replace(/[!%_]/g, '!$&')} %`],
  );
  return found!.isLive === 1 && (found!.hasCredential === 1 || found!.hasPlace === 1);
}

/** What bounds a client is no place. */
const HAS_PLACE = `(SELECT 1 FROM places WHERE workspace_id = ? AND (resource IS NULL OR resource = ?) AND ended_at IS NULL
  AND holder NOT LIKE 'cli~_%' ESCAPE '~' LIMIT 1) AS "hasPlace"`;
