import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { RECENT_VERIFICATION_MS } from '../../domain/accounts/sessions.ts';
import { listAudiences } from '../../domain/audiences/audience.ts';
import { type AppNode, createAppKey, findAppNode, listAppNodes } from '../../domain/credentials/app-keys.ts';
import { listWorkspaceKeys } from '../../domain/credentials/workspace-keys.ts';
import { retryWhileInProgress } from '../../domain/limits/idempotency.ts';
import { roleForbids } from '../../domain/workspaces/workspaces.ts';
import { Failure } from '../../errors.ts';
import { PAGE_ROWS } from '../../lib/list-pages.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { setCookie } from '../server/cookies.ts';
import { type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { formSchema, type Problem } from './forms.ts';
import { DEFAULT_LIFE, LIFETIME_DAYS, LIVES, presentLives } from './key-form.ts';
import { type ListView, presentPaging, readMark } from './lists.ts';
import { formOperation } from './operations.ts';
import type { Pages } from './pages.ts';
import {
  findOwnWorkspace,
  presentWorkspace,
  type WorkspaceCall,
  workspacePath,
} from './present-workspace.ts';
import { describeScopes } from './scopes.ts';
import { presentWorkspaceKey } from './workspace-keys.ts';

/** The pages of the apps of a workspace, on which owners and admins make keys of an app. */

const none = undefined;

const appKeyForm = formSchema({
  name: z.string().trim().max(64).default(''),
  life: z.enum(LIVES).default(DEFAULT_LIFE),
}).extend({ once: z.string().regex(/^[0-9A-Za-z]{32}$/) });

/** Creates the rows of these pages. */
export function appKeyRows(pages: Pages): Row[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  const path = `${PAGES.workspaces}/:id/apps`;
  return [
    row('GET', path, user, none, appsPage(pages)),
    row('GET', `${path}/:node`, user, none, appPage(pages)),
    row('POST', `${path}/:node`, recent, none, createKey(pages)),
  ];
}

/** GET /workspaces/:id/apps: lists the apps of a workspace, a page at a time. */
function appsPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Its apps',
    async handle(call) {
      const { deps, caller, query } = call;
      const membership = await findOwnWorkspace(call);
      const workspace = presentWorkspace(membership);
      if (!workspace.isManaged) throw roleForbids();
      const page = await listAppNodes(deps, workspace.id, { at: readMark(query), rows: PAGE_ROWS });
      const view: ListView = { path: workspacePath(workspace.id, '/apps'), query, parameters: [] };
      return pages.show(caller, 'workspace-apps', {
        workspace,
        apps: await presentApps(deps, page.items),
        paging: presentPaging(view, page),
      });
    },
  });
}

/** Prepares apps for a template: each with the name of the API that told it. */
export async function presentApps(deps: Deps, nodes: readonly AppNode[]) {
  if (nodes.length === 0) return [];
  const apis = new Map((await listAudiences(deps)).map(({ url, name }) => [url, displayName(name)]));
  return nodes.map(({ id, workspaceId, name, kind, resource }) => ({
    id,
    path: workspacePath(workspaceId, `/apps/${id}`),
    name: displayName(name),
    kind,
    api: apis.get(resource) ?? resource,
  }));
}

/** GET /workspaces/:id/apps/:node: the keys of an app, and the form of a new one. */
function appPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'The keys of one app',
    handle: (call) => {
      const { caller, params } = call;
      return showApp(pages, call, {
        entered: caller.draft(workspacePath(params.id!, `/apps/${params.node}`)),
      });
    },
  });
}

async function showApp(
  pages: Pages,
  call: WorkspaceCall,
  { entered = {}, problem }: { entered?: Record<string, string> | undefined; problem?: Problem },
): Promise<HandlerResult> {
  const { deps, caller, query, params } = call;
  const membership = await findOwnWorkspace(call);
  const { accountId, workspaceId } = membership;
  const node = await findAppNode(deps, accountId, workspaceId, params.node!);
  const page = await listWorkspaceKeys(deps, membership, {
    at: readMark(query),
    rows: PAGE_ROWS,
    nodeId: node.id,
  });
  const [app] = await presentApps(deps, [node]);
  const view: ListView = { path: app!.path, query, parameters: [] };
  return pages.show(caller, 'workspace-app', {
    workspace: presentWorkspace(membership),
    app,
    keys: page.items.map(presentWorkspaceKey),
    paging: presentPaging(view, page, { isByTime: true }),
    scopes: describeScopes(deps.config, deps.config.lookingScopes),
    name: entered.name ?? '',
    lives: presentLives(entered.life ?? DEFAULT_LIFE, deps.clock()),
    problem,
  });
}

/** POST /workspaces/:id/apps/:node: creates a key of an app, and shows its secret once. */
function createKey(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Make a key of one app',
    form: appKeyForm,
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const { session } = caller;
      const refuse = (problem: Problem) =>
        showApp(pages, call, { entered: { name: body.name, life: body.life }, problem });
      if (displayName(body.name) === '') return refuse({ key: 'keys.problem.name', field: 'name' });
      const membership = await findOwnWorkspace(call);
      const { workspaceId, accountId } = membership;
      const node = await findAppNode(deps, accountId, workspaceId, params.node!);
      const request = { workspaceId, nodeId: node.id, name: body.name, days: LIFETIME_DAYS[body.life] };
      try {
        const { key, credential } = await retryWhileInProgress(() =>
          createAppKey(deps, origin, accountId, request, {
            key: body.once,
            owner: session.id,
            body: call.bytes,
            ttlSeconds: RECENT_VERIFICATION_MS / 1000,
            floodLimit: undefined,
          }),
        );
        // A repeated submission gets the same key. A browser that has the cookie of this form has seen the secret (S-22).
        const wasShown = caller.cookie('made') === body.once;
        const [app] = await presentApps(deps, [node]);
        const page = pages.show(caller, 'made-app-key', {
          workspace: presentWorkspace(membership),
          app,
          key: { ...key, name: displayName(key.name ?? ''), expiresAt: key.expiresAt ?? undefined },
          credential: wasShown ? undefined : credential,
        });
        return { ...page, cookies: [...(page.cookies ?? []), setCookie(deps.config, 'made', body.once)] };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind === 'idempotencyMismatch') return refuse({ key: 'keys.problem.usedForm' });
        if (error.kind !== 'tooMany') throw error;
        return refuse({ key: 'workspace.keys.full', values: { count: error.details.maximum ?? 0 } });
      }
    },
  });
}
