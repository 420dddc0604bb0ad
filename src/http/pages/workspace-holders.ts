import { type Holder, listHoldersIn } from '../../domain/workspaces/holders.ts';
import { PAGE_ROWS } from '../../lib/list-pages.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { operation } from '../server/table.ts';
import { type ListView, presentPaging, readMark } from './lists.ts';
import type { Pages } from './pages.ts';
import { presentPlaces } from './present-places.ts';
import { findOwnWorkspace, presentWorkspace, workspacePath } from './present-workspace.ts';

/** The lists of agents and apps that work in a workspace. */

/** The lists; the texts are `workspace.section.NAME`. */
export const HOLDER_LISTS = {
  agents: { kind: 'agent', path: '/agents' },
  connectedApps: { kind: 'app', path: '/connected-apps' },
} as const;
export type HolderList = keyof typeof HOLDER_LISTS;

/** GET /workspaces/:id/agents and /connected-apps: lists all of them, a page at a time. */
export function holdersPage(pages: Pages, list: HolderList) {
  return operation({
    caller: 'signedInUser',
    summary: 'What works in it',
    async handle(call) {
      const { deps, caller, query } = call;
      const membership = await findOwnWorkspace(call);
      const page = await listHoldersIn(deps, HOLDER_LISTS[list].kind, membership, {
        at: readMark(query),
        rows: PAGE_ROWS,
      });
      const view: ListView = {
        path: workspacePath(membership.workspaceId, HOLDER_LISTS[list].path),
        query,
        parameters: [],
      };
      return pages.show(caller, 'workspace-holders', {
        workspace: presentWorkspace(membership),
        list,
        holders: page.items.map(presentHolder),
        paging: presentPaging(view, page, { isByTime: true }),
      });
    },
  });
}

/** Prepares an agent or app for its template. Its owner is led to its page. */
export function presentHolder({ id, name, by, since, places, scopes }: Holder) {
  return {
    id,
    isGrant: id.startsWith('grt_'),
    name: name === undefined ? '' : displayName(name),
    path: by.isYou && id.startsWith('agt_') ? `${PAGES.agents}/${id}` : undefined,
    by,
    since,
    where: presentPlaces(places).map((place) => place.in),
    scopes,
  };
}
