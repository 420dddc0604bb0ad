import {
  endKeyInWorkspace,
  findKeyOfWorkspace,
  listWorkspaceKeys,
  type WorkspaceKey,
} from '../../domain/credentials/workspace-keys.ts';
import { PAGE_ROWS } from '../../lib/list-pages.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../server/table.ts';
import { presentLastUse } from './last-use.ts';
import { type ListView, presentPaging, readMark } from './lists.ts';
import { buttonOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import { presentPlaces } from './present-places.ts';
import { findOwnWorkspace, presentWorkspace, workspacePath } from './present-workspace.ts';

/** The pages of the keys of a workspace. */

const none = undefined;

/** Creates the rows of these pages. */
export function workspaceKeyRows(pages: Pages): Row[] {
  const user = 'signedInUser';
  const path = `${PAGES.workspaces}/:id/keys`;
  return [
    row('GET', path, user, none, keysPage(pages)),
    row('GET', `${path}/:key/end`, user, none, endPage(pages)),
    row('POST', `${path}/:key/end`, user, none, end),
  ];
}

/** GET /workspaces/:id/keys: lists the keys of a workspace, a page at a time. */
function keysPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Its keys',
    async handle(call) {
      const { deps, caller, query } = call;
      const membership = await findOwnWorkspace(call);
      const page = await listWorkspaceKeys(deps, membership, { at: readMark(query), rows: PAGE_ROWS });
      const view: ListView = {
        path: workspacePath(membership.workspaceId, '/keys'),
        query,
        parameters: [],
      };
      return pages.show(caller, 'workspace-keys', {
        workspace: presentWorkspace(membership),
        keys: page.items.map(presentWorkspaceKey),
        paging: presentPaging(view, page, { isByTime: true }),
      });
    },
  });
}

/** GET /workspaces/:id/keys/:key/end: asks whether to end a key there; one that has ended leads to the list. */
function endPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Whether to end one',
    async handle(call) {
      const { deps, caller, params } = call;
      const membership = await findOwnWorkspace(call);
      const { workspaceId, accountId } = membership;
      const key = await findKeyOfWorkspace(deps, accountId, workspaceId, params.key!);
      if (key.endedAt !== undefined) {
        return redirect(deps.config, workspacePath(workspaceId, '/keys'), caller.cookies);
      }
      return pages.show(caller, 'workspace-end-key', {
        workspace: presentWorkspace(membership),
        key: presentWorkspaceKey(key),
      });
    },
  });
}

/** POST /workspaces/:id/keys/:key/end: ends a key there. */
const end = buttonOperation({
  summary: 'End one',
  act: (deps, origin, accountId, { id, key }) => endKeyInWorkspace(deps, origin, accountId, id!, key!),
  page: ({ id }) => workspacePath(id!, '/keys'),
  flash: 'keyEnded',
});

/** Prepares a key of a workspace for a template, with times in epoch ms. */
export function presentWorkspaceKey(key: WorkspaceKey) {
  const { id, name, prefix, scopes, isAppKey, maker, createdAt, expiresAt, endedAt, lastUsedAt } = key;
  return {
    id,
    name: (name && displayName(name)) || undefined,
    prefix,
    scopes,
    isAppKey,
    maker,
    createdAt,
    expiresAt: expiresAt ?? undefined,
    endedAt,
    hasExpired: endedAt !== undefined && endedAt === expiresAt,
    lastUse: lastUsedAt === null ? undefined : presentLastUse(lastUsedAt, key.lastUsedFrom),
    /** Undefined: the whole workspace. */
    where: presentPlaces(key.places).map((place) => place.in),
  };
}
