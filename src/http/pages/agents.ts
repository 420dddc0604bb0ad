import { z } from 'zod';
import { listOwnedHosts, type OwnedHost } from '../../domain/hosts/owned-hosts.ts';
import {
  narrowAgent,
  renameAgent,
  revokeOwnedAgent,
  undoMerge,
  unlinkAgent,
} from '../../domain/owner/manage-agents.ts';
import { listOwnedAgents, type OwnedAgent, showOwnedAgent } from '../../domain/owner/owned-agent-view.ts';
import { formatActivity } from '../../lib/format-activity.ts';
import { formatTime } from '../../lib/format-time.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { checkedNames, formSchema } from './forms.ts';
import { presentKey } from './keys.ts';
import { olderLink, presentList, readId, readListQuery } from './lists.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** The pages on which a signed-in human manages their agents and hosts. */

const agentForm = formSchema({});

/** The list links each agent by its name, so the name must not be blank. */
const isVisibleName = (name: string) => displayName(name) !== '';
const renameForm = formSchema({
  name: z.string().trim().max(64).refine(isVisibleName, 'it must hold something that can be seen.'),
});

/** The agent keeps each scope whose checkbox is on: `scope:read`. */
const narrowForm = formSchema({}).catchall(z.string().max(64));

type PageCall<Form = undefined> = Call<Form, 'signedInUser'>;

/** GET /agents: lists the agents and the hosts of an account. */
export function agentsPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My agents',
    async handle({ deps, caller, query }) {
      const { accountId } = caller.session;
      const list = readListQuery(query);
      const [agents, hosts] = await Promise.all([
        listOwnedAgents(deps, accountId, list),
        listOwnedHosts(deps, accountId, { before: query.get('hosts') ?? undefined }),
      ]);
      return pages.show(caller, 'agents', {
        agents: agents.items.map(presentAgent),
        list: presentList(PAGES.agents, query, agents.next),
        hosts: hosts.items.map(presentHost),
        olderHosts: olderLink(PAGES.agents, query, 'hosts', hosts.next),
      });
    },
  });
}

/** GET /agents/:id: shows one agent with its scopes, keys and activity. */
export function agentPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'One of them',
    async handle({ deps, caller, params, query }) {
      const before = { key: readId(query, 'keys'), event: readId(query, 'before') };
      const { agent, keys, activity } = await showOwnedAgent(
        deps,
        caller.session.accountId,
        params.id!,
        before,
      );
      const { scopes } = deps.config;
      const path = `${PAGES.agents}/${agent.id}` as const;
      const narrowed = caller.draft(`${path}/narrow`);
      return pages.show(caller, 'agent', {
        agent: presentAgent(agent),
        typedName: caller.draft(`${path}/rename`)?.name,
        scopes: agent.scopes.map((name) => ({
          name,
          description: scopes.get(name)?.description ?? '',
          on: narrowed === undefined || `scope:${name}` in narrowed,
        })),
        keys: keys.items.map((key) => presentKey(key, deps.clock())),
        olderKeys: olderLink(path, query, 'keys', keys.next),
        activity: activity.items.map(formatActivity),
        older: olderLink(path, query, 'before', activity.next),
      });
    },
  });
}

/** POST /agents/:id/rename: changes the name of an agent. */
export const rename = formOperation({
  caller: 'signedInUser',
  summary: 'Give it another name',
  form: renameForm,
  async handle(call) {
    return changeAgent(call, (id, ownerId) =>
      renameAgent(call.deps, call.origin, ownerId, id, call.body.name),
    );
  },
});

/** POST /agents/:id/narrow: removes the unchecked scopes from an agent. */
export const narrow = formOperation({
  caller: 'signedInUser',
  summary: 'Leave it fewer scopes',
  form: narrowForm,
  async handle(call) {
    const scopes = checkedNames(call.body, 'scope').filter((name) => call.deps.config.scopes.has(name));
    return changeAgent(call, (id, ownerId) => narrowAgent(call.deps, call.origin, ownerId, id, scopes));
  },
});

/** POST /agents/:id/unlink: unlinks an agent that has its own account. */
export const unlink = formOperation({
  caller: 'signedInUser',
  summary: 'Let a linked one go',
  form: agentForm,
  async handle(call) {
    await changeAgent(call, (id, ownerId) => unlinkAgent(call.deps, call.origin, ownerId, id));
    return redirect(call.deps.config, PAGES.agents);
  },
});

/** POST /agents/:id/undo: undoes the merge of an agent. */
export const undo = formOperation({
  caller: 'signedInUser',
  summary: 'Undo a merge',
  form: agentForm,
  async handle(call) {
    await changeAgent(call, (id, ownerId) => undoMerge(call.deps, call.origin, ownerId, id));
    return redirect(call.deps.config, PAGES.agents);
  },
});

/** POST /agents/:id/revoke: revokes an agent and its keys. */
export const revoke = formOperation({
  caller: 'signedInUser',
  summary: 'End it and its keys',
  form: agentForm,
  async handle(call) {
    return changeAgent(call, (id, ownerId) => revokeOwnedAgent(call.deps, call.origin, ownerId, id));
  },
});

/** Changes one agent of the signed-in human and redirects to its page. */
async function changeAgent(
  { deps, caller, params }: PageCall<unknown>,
  change: (id: string, ownerId: string) => Promise<void>,
): Promise<HandlerResult> {
  await change(params.id!, caller.session.accountId);
  return redirect(deps.config, `${PAGES.agents}/${params.id}`);
}

function presentHost(host: OwnedHost): object {
  const { name, revokedAt } = host;
  return {
    ...host,
    name: (name && displayName(name)) || undefined,
    linkedAt: formatTime(host.linkedAt),
    revokedAt: revokedAt && formatTime(revokedAt),
  };
}

function presentAgent(agent: OwnedAgent): object {
  const { name, lastUse, undoableUntil, revokedAt, overAt } = agent;
  return {
    ...agent,
    name: (name && displayName(name)) || undefined,
    registeredAt: formatTime(agent.registeredAt),
    ownedAt: formatTime(agent.ownedAt),
    revokedAt: revokedAt && formatTime(revokedAt),
    overAt: overAt && formatTime(overAt),
    lastUse: lastUse && { at: formatTime(lastUse.at), from: lastUse.from },
    undoableUntil: undoableUntil && formatTime(undoableUntil),
  };
}
