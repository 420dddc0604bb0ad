import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import {
  narrowAgent,
  renameAgent,
  revokeOwnedAgent,
  undoMerge,
  unlinkAgent,
} from '../../domain/owner/manage-agents.ts';
import { type OwnedAgent, showOwnedAgent } from '../../domain/owner/owned-agent-view.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import type { RequestOrigin } from '../../work.ts';
import type { Flash } from '../server/flash.ts';
import { type Call, type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { agentPlacesPage, changeAgentPlaces } from './agent-places.ts';
import { type AgentCall, agentPath, isEnded, presentAgent, showAgent } from './agents.ts';
import { checkedNames, formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** The pages on which a signed-in human changes an agent. A GET only asks; the POST to the same path acts. */

const agentForm = formSchema({});
const renameForm = formSchema({ name: z.string().trim().max(64).default('') });

/** The agent keeps each scope whose checkbox is on: `scope:read`. */
const narrowForm = formSchema({}).catchall(z.string().max(64));

type FormCall<Form = unknown> = Call<Form, 'signedInUser'>;

const none = undefined;

/** Creates the routes of these pages, and of the one on which a human chooses where an agent may work. */
export function changeAgentRows(pages: Pages): Row[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  const path = `${PAGES.agents}/:id`;
  return [
    row('GET', `${path}/rename`, user, none, renamePage(pages)),
    row('POST', `${path}/rename`, user, none, rename(pages)),
    row('POST', `${path}/narrow`, user, none, narrow(pages)),
    row('GET', `${path}/where`, recent, none, agentPlacesPage(pages)),
    row('POST', `${path}/where`, recent, none, changeAgentPlaces(pages)),
    row('GET', `${path}/unlink`, user, none, unlinkPage(pages)),
    row('POST', `${path}/unlink`, user, none, unlink(pages)),
    row('GET', `${path}/undo`, user, none, undoPage(pages)),
    row('POST', `${path}/undo`, user, none, undo(pages)),
    row('GET', `${path}/revoke`, user, none, revokePage(pages)),
    row('POST', `${path}/revoke`, user, none, revoke(pages)),
  ];
}

/** GET /agents/:id/rename: shows the form for another name. */
function renamePage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Ask for another name',
    handle(call) {
      return showRenameForm(pages, call, { name: call.caller.draft(`${agentPath(call)}/rename`)?.name });
    },
  });
}

/** POST /agents/:id/rename: changes the name of an agent. */
function rename(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Give it another name',
    form: renameForm,
    async handle(call) {
      const { deps, origin, body } = call;
      // The list links each agent by its name, so the name must not be blank.
      if (displayName(body.name) === '') {
        const problem = { key: 'agents.nameMissing', field: 'name' };
        return showRenameForm(pages, call, { name: body.name, problem });
      }
      return changeAgent(pages, call, {
        change: (id, ownerId) => renameAgent(deps, origin, ownerId, id, body.name),
        flash: 'agentRenamed',
        problem: { key: 'agents.problemEnded' },
      });
    },
  });
}

/** POST /agents/:id/narrow: removes the unchecked scopes from an agent. */
function narrow(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Leave it fewer scopes',
    form: narrowForm,
    async handle(call) {
      const { deps, origin, body } = call;
      const scopes = checkedNames(body, 'scope').filter((name) => deps.config.scopes.has(name));
      return changeAgent(pages, call, {
        change: (id, ownerId) => narrowAgent(deps, origin, ownerId, id, scopes),
        flash: 'agentNarrowed',
        problem: { key: 'agents.permissionMissing', field: 'permissions' },
      });
    },
  });
}

/** GET /agents/:id/unlink: asks whether to unlink an agent that has its own account. */
function unlinkPage(pages: Pages) {
  return confirmPage(pages, 'unlink', 'Ask before a linked one goes', (agent) => agent.mode === 'link');
}

/** POST /agents/:id/unlink: unlinks an agent that has its own account. */
function unlink(pages: Pages) {
  return changeOperation(pages, 'Let a linked one go', unlinkAgent, {
    flash: 'agentUnlinked',
    next: PAGES.agents,
    problem: { key: 'agents.unlinkMerged' },
  });
}

/** GET /agents/:id/undo: asks whether to undo the merge of an agent. */
function undoPage(pages: Pages) {
  return confirmPage(
    pages,
    'undo',
    'Ask before a merge is undone',
    (agent) => agent.undoableUntil !== undefined,
  );
}

/** POST /agents/:id/undo: undoes the merge of an agent. */
function undo(pages: Pages) {
  return changeOperation(pages, 'Undo a merge', undoMerge, {
    flash: 'agentMovedOut',
    next: PAGES.agents,
    problem: { key: 'agents.undoLate' },
  });
}

/** GET /agents/:id/revoke: asks whether to revoke an agent and its keys. */
function revokePage(pages: Pages) {
  return confirmPage(pages, 'revoke', 'Ask before it and its keys end', () => true);
}

/** POST /agents/:id/revoke: revokes an agent and its keys. */
function revoke(pages: Pages) {
  return changeOperation(pages, 'End it and its keys', revokeOwnedAgent, {
    flash: 'agentRevoked',
    problem: { key: 'agents.problemEnded' },
  });
}

/** What follows a change: where it leads, what is said there, and what the page of the agent says if it is not possible. */
interface Outcome {
  flash: Flash;
  /** Undefined: the page of the agent. */
  next?: `/${string}`;
  problem: Problem;
}

/** Creates the POST of a change without fields. @param change changes an agent of its owner, or throws `badRequest` */
function changeOperation(
  pages: Pages,
  summary: string,
  change: (deps: Deps, origin: RequestOrigin, ownerId: string, id: string) => Promise<void>,
  outcome: Outcome,
) {
  return formOperation({
    caller: 'signedInUser',
    summary,
    form: agentForm,
    handle(call) {
      return changeAgent(pages, call, {
        ...outcome,
        change: (id, ownerId) => change(call.deps, call.origin, ownerId, id),
      });
    },
  });
}

/** Changes one agent of the signed-in human and redirects to what follows. */
async function changeAgent(
  pages: Pages,
  call: FormCall,
  {
    change,
    flash,
    next = agentPath(call),
    problem,
  }: Outcome & { change: (id: string, ownerId: string) => Promise<void> },
): Promise<HandlerResult> {
  const { deps, caller, params } = call;
  try {
    await change(params.id!, caller.session.accountId);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'badRequest') throw error;
    return showAgent(pages, call, { kept: call.body as Record<string, unknown>, problem });
  }
  return redirect(deps.config, next, caller.cookies, flash);
}

/** Shows the form for another name, with what was typed and what was wrong with it. */
async function showRenameForm(
  pages: Pages,
  call: AgentCall,
  typed: { name: string | undefined; problem?: Problem },
): Promise<HandlerResult> {
  const agent = await findAgent(call);
  if (isEnded(agent)) return redirect(call.deps.config, agentPath(call));
  const values = { agent: presentAgent(agent), typedName: typed.name, problem: typed.problem };
  return pages.show(call.caller, 'rename-agent', values);
}

/**
 * Creates the page that asks before an agent is changed. Where the change is not possible, it leads to the agent.
 *
 * @param change the last part of the path, and the name of its texts
 */
function confirmPage(
  pages: Pages,
  change: 'unlink' | 'undo' | 'revoke',
  summary: string,
  isPossible: (agent: OwnedAgent) => boolean,
) {
  return operation({
    caller: 'signedInUser',
    summary,
    async handle(call) {
      const agent = await findAgent(call);
      if (isEnded(agent) || !isPossible(agent)) return redirect(call.deps.config, agentPath(call));
      return pages.show(call.caller, 'confirm-agent', { agent: presentAgent(agent), change });
    },
  });
}

async function findAgent({ deps, caller, params }: AgentCall): Promise<OwnedAgent> {
  return (await showOwnedAgent(deps, caller.session.accountId, params.id!)).agent;
}
