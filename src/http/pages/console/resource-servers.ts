import { z } from 'zod';
import {
  addResourceServer,
  findSameResourceServer,
  type ResourceServer,
  type ResourceServerInput,
  removeResourceServer,
  rotateResourceServerSecret,
} from '../../../domain/audiences/resource-servers.ts';
import { findResourceServers, showResourceServer } from '../../../domain/operators/resource-servers.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { DAY_MS } from '../../../lib/time.ts';
import { singleLine } from '../../../lib/untrusted-text.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { checkedNames, formSchema, type Problem } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { describeScopes } from '../scopes.ts';
import { readAct, reasonField } from './acts.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of resource servers: the list, one of them, adding, rotating a secret, and removing. */

const none = undefined;
const PATH = CONSOLE.resourceServers;

/** How long the old secret works on after a rotation, by the value of the form; the first is chosen beforehand. */
const OVERLAPS_MS: Readonly<Record<string, number>> = {
  '1d': DAY_MS,
  '1h': DAY_MS / 24,
  '7d': 7 * DAY_MS,
  now: 0,
};

/** Checkboxes `scope:NAME` count where `scopes` is `some`. */
const addForm = formSchema({
  name: z.string().default(''),
  url: z.string().max(2000).default(''),
  scopes: z.enum(['all', 'some']).default('all'),
  reason: reasonField,
}).catchall(z.string().max(64));
type AddForm = z.output<typeof addForm>;

/** What is already in the form: texts, as they were sent. */
type EnteredServer = { [Name in keyof AddForm]?: string | undefined };
const rotateForm = formSchema({ overlap: z.string().max(8).default(''), reason: reasonField });
const removeForm = formSchema({ reason: reasonField });

const NAME_MAX = 64;

export function resourceServerRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, resourceServersPage(pages)),
    row('GET', `${PATH}/new`, 'operator', none, addPage(pages)),
    row('POST', `${PATH}/new`, 'recentlyVerifiedOperator', none, add(pages)),
    row('GET', `${PATH}/:id`, 'operator', none, resourceServerPage(pages)),
    row('GET', `${PATH}/:id/rotate`, 'operator', none, rotatePage(pages)),
    row('POST', `${PATH}/:id/rotate`, 'recentlyVerifiedOperator', none, rotate(pages)),
    row('GET', `${PATH}/:id/remove`, 'operator', none, removePage(pages)),
    row('POST', `${PATH}/:id/remove`, 'recentlyVerifiedOperator', none, remove(pages)),
  ];
}

/** GET /console/resource-servers: lists those in service. */
function resourceServersPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All resource servers',
    async handle({ deps, caller }) {
      const servers = await findResourceServers(deps);
      return showConsole(pages, caller, 'resourceServers', 'resource-servers', { servers });
    },
  });
}

/** GET /console/resource-servers/:id: one of them, also after it was removed. */
function resourceServerPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'One of them',
    async handle({ deps, caller, params }) {
      const found = await showResourceServer(deps, params.id!);
      if (found === undefined) throw notFound();
      return showConsole(pages, caller, 'resourceServers', 'resource-server', found);
    },
  });
}

/** GET /console/resource-servers/new: the form of a new one. */
function addPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'What a new one is',
    handle(call) {
      const draft = call.caller.draft(`${PATH}/new`);
      return showAdd(pages, call, draft ?? {});
    },
  });
}

/** POST /console/resource-servers/new: adds it, and shows its secret once. */
function add(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: 'Add one',
    form: addForm,
    async handle(call) {
      const { deps, origin, body } = call;
      const act = readAct(call, body.reason);
      const input = readInput(call, body);
      if ('key' in input) return showAdd(pages, call, body, input);
      if ('key' in act) return showAdd(pages, call, body, act);
      const same = await findSameResourceServer(deps, input);
      if (same !== undefined) {
        // The browser sent the form again: the secret was shown.
        if (wasShown(call)) return showSecret(pages, call, same, undefined, 'made');
        return showAdd(pages, call, body, { key: 'console.resourceServers.problem.same', field: 'name' });
      }
      const { server, secret } = await addResourceServer(deps, origin, input, act);
      return showSecret(pages, call, server, secret, 'made');
    },
  });
}

/** Reports whether this browser already received the answer of the form that it sends. */
function wasShown({
  caller,
  body,
}: Pick<OperatorCall<{ once?: string | undefined }>, 'caller' | 'body'>): boolean {
  return body.once !== undefined && caller.cookie('made') === body.once;
}

function readInput({ deps }: Pick<OperatorCall, 'deps'>, body: AddForm): ResourceServerInput | Problem {
  const name = singleLine(body.name, body.name.length);
  if (name === '') return { key: 'console.resourceServers.problem.name', field: 'name' };
  if ([...name].length > NAME_MAX) {
    return { key: 'console.resourceServers.problem.nameLong', values: { max: NAME_MAX }, field: 'name' };
  }
  const url = body.url.trim();
  const isUrl = URL.canParse(url) && /^https?:\/\//i.test(url) && !/[\s#]/.test(url);
  if (!isUrl || new URL(url).username !== '' || new URL(url).password !== '') {
    return { key: 'console.resourceServers.problem.url', field: 'url' };
  }
  const scopes =
    body.scopes === 'all'
      ? undefined
      : checkedNames(body, 'scope').filter((each) => deps.config.scopes.has(each));
  if (scopes?.length === 0) return { key: 'keys.problem.permissions', field: 'scopes' };
  return { name, url, scopes };
}

function showAdd(
  pages: Pages,
  { deps, caller }: Pick<OperatorCall, 'deps' | 'caller'>,
  entered: EnteredServer,
  problem?: Problem,
): HandlerResult {
  const ticked = checkedNames(entered, 'scope');
  const values = {
    name: entered.name ?? '',
    url: entered.url ?? '',
    isSome: entered.scopes === 'some',
    scopes: describeScopes(deps.config, [...deps.config.scopes.keys()]).map((scope) => ({
      ...scope,
      on: ticked.includes(scope.name),
    })),
    reason: entered.reason,
    problem,
  };
  return showConsole(pages, caller, 'resourceServers', 'new-resource-server', values);
}

/** GET /console/resource-servers/:id/rotate: asks how long the old secret works, and why. */
function rotatePage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before its secret is replaced',
    handle(call) {
      const draft = call.caller.draft(`${PATH}/${call.params.id}/rotate`);
      return showAct(pages, call, 'rotate', { overlap: draft?.overlap, reason: draft?.reason });
    },
  });
}

/** POST /console/resource-servers/:id/rotate: replaces its secret, and shows the new one once. */
function rotate(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: 'Replace its secret',
    form: rotateForm,
    async handle(call) {
      const { deps, origin, body, params } = call;
      if (wasShown(call)) {
        // The browser sent the form again: to rotate again would end the secret that it showed.
        const found = await showResourceServer(deps, params.id!);
        if (found === undefined) throw notFound();
        return showSecret(pages, call, found.server, undefined, 'rotated');
      }
      const act = readAct(call, body.reason);
      const overlapMs = OVERLAPS_MS[body.overlap];
      if (overlapMs === undefined) {
        const problem = { key: 'console.resourceServers.problem.overlap', field: 'overlap' };
        return showAct(pages, call, 'rotate', body, problem);
      }
      if ('key' in act) return showAct(pages, call, 'rotate', body, act);
      const { server, secret } = await rotateResourceServerSecret(deps, origin, params.id!, overlapMs, act);
      const endsAt = overlapMs === 0 ? undefined : deps.clock() + overlapMs;
      return showSecret(pages, call, server, secret, 'rotated', endsAt);
    },
  });
}

/** GET /console/resource-servers/:id/remove: asks whether to remove it, and why. */
function removePage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before it is removed',
    handle(call) {
      const draft = call.caller.draft(`${PATH}/${call.params.id}/remove`);
      return showAct(pages, call, 'remove', { reason: draft?.reason });
    },
  });
}

/** POST /console/resource-servers/:id/remove: removes it. */
function remove(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: 'Remove it',
    form: removeForm,
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const act = readAct(call, body.reason);
      if ('key' in act) return showAct(pages, call, 'remove', body, act);
      if (!(await removeResourceServer(deps, origin, params.id!, act))) throw notFound();
      return redirect(deps.config, PATH, caller.cookies, 'resourceServerRemoved');
    },
  });
}

/** Asks before a resource server that is in service is acted on. */
async function showAct(
  pages: Pages,
  { deps, caller, params }: Pick<OperatorCall, 'deps' | 'caller' | 'params'>,
  act: 'rotate' | 'remove',
  entered: { overlap?: string | undefined; reason?: string | undefined },
  problem?: Problem,
): Promise<HandlerResult> {
  const found = await showResourceServer(deps, params.id!);
  if (found === undefined || found.server.removedAt !== undefined) throw notFound();
  const overlaps = Object.keys(OVERLAPS_MS);
  const overlap = overlaps.find((each) => each === entered.overlap) ?? overlaps[0];
  const values = { server: found.server, act, overlaps, overlap, reason: entered.reason, problem };
  return showConsole(pages, caller, 'resourceServers', 'resource-server-act', values);
}

/**
 * Shows a new secret, once.
 *
 * @param secret undefined: it was shown before
 * @param previousEndsAt until when the old one works, epoch ms
 */
function showSecret(
  pages: Pages,
  { caller }: Pick<OperatorCall, 'caller'>,
  server: Pick<ResourceServer, 'id' | 'name' | 'url'>,
  secret: string | undefined,
  how: 'made' | 'rotated',
  previousEndsAt?: number,
): HandlerResult {
  const values = { server, secret, how, previousEndsAt };
  return showConsole(pages, caller, 'resourceServers', 'resource-server-secret', values);
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such resource server.');
}
