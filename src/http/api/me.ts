import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { findMailbox } from '../../domain/accounts/find-or-create-account.ts';
import { type AgentView, showAgent } from '../../domain/agents/agent-view.ts';
import { listAudiences } from '../../domain/audiences/audience.ts';
import { getPresentedKey } from '../../domain/credentials/api-keys.ts';
import type { Bearer } from '../../domain/credentials/bearer.ts';
import { listReachedWorkspaces } from '../../domain/credentials/placed-access.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { nextStepOf } from '../auth-md/next-steps.ts';
import { operation } from '../server/table.ts';
import { iso, toIso } from '../server/wire-times.ts';
import { keyShape, renderKey } from './api-tokens.ts';

/** The endpoint at which the bearer of a key learns about itself (docs/dialects/tinysend.md). */

const meAnswer = z.object({
  user_id: z.string(),
  agent_id: z.string().optional(),
  agent_name: z.string().optional(),
  kind: z.enum(['agent', 'human']).describe("human: the key is a human's own, and no agent stands behind it"),
  scopes: z.array(z.string()),
  resources: z.array(z.string()).describe('URLs of the APIs at which the key works'),
  mode: z.enum(['merge', 'link']).optional(),
  owner: z.string().optional().describe('The mailbox of the human behind the agent, masked'),
  merged_from: z.string().optional(),
  key: keyShape,
  workspaces: z
    .array(
      z.object({
        id: z.string(),
        name: z.string(),
        role: z.string().optional().describe('Of the human who gave it'),
        actions: z.array(z.string()),
      }),
    )
    .optional()
    .describe('Where the key works beside or instead of the account'),
  claim: z
    .discriminatedUnion('status', [
      z.object({ status: z.literal('unclaimed'), expires_at: iso }),
      z.object({
        status: z.literal('pending'),
        mailbox: z.string().describe('masked'),
        mail: z.enum(['queued', 'sent', 'failed']),
        expires_at: iso,
      }),
      z.object({ status: z.literal('claimed'), claimed_at: iso }),
      z.object({ status: z.literal('expired') }),
    ])
    .optional(),
  next: z.string().describe('What to do next, in words'),
});

/** GET /api/me: returns the account, the scopes, the key and the state of the claim behind a key. */
export const showMe = operation({
  caller: 'agent',
  summary: 'Who the bearer of this key is, and how far its claim has come',
  answer: meAnswer,
  async handle({ deps, caller: bearer }) {
    const { agentId, accountId, key: terms } = bearer;
    const [agent, key, resources, workspaces] = await Promise.all([
      agentId === undefined ? undefined : showAgent(deps, agentId),
      getPresentedKey(deps, bearer),
      terms.resources ?? listAudiences(deps).then((all) => all.map(({ url }) => url)),
      listReachedWorkspaces(deps, bearer),
    ]);
    const holder = agent === undefined ? await renderHuman(deps, accountId) : renderAgent(bearer, agent);
    return {
      data: {
        user_id: accountId,
        ...holder,
        scopes: terms.scopes,
        resources,
        key: renderKey(key),
        workspaces:
          workspaces.length === 0
            ? undefined
            : workspaces.map((each) => ({ ...each, name: each.name ?? 'Personal workspace' })),
        next: nextStepOf(deps.config, bearer, agent),
      },
    };
  },
});

async function renderHuman(deps: Deps, accountId: string) {
  const mailbox = await findMailbox(deps, accountId);
  return { kind: 'human', owner: mailbox && maskMailbox(mailbox) };
}

function renderAgent(bearer: Bearer, agent: AgentView) {
  const isOwned = bearer.ownerId !== undefined;
  return {
    agent_id: agent.id,
    agent_name: agent.name ?? undefined,
    kind: 'agent',
    mode: isOwned ? agent.mode : undefined,
    owner: isOwned && agent.owner ? maskMailbox(agent.owner.mailbox) : undefined,
    merged_from: bearer.mergedFrom,
    claim: renderClaim(agent.claim),
  };
}

function renderClaim(claim: AgentView['claim']): NonNullable<z.input<typeof meAnswer>['claim']> {
  switch (claim.kind) {
    case 'unclaimed':
      return { status: claim.kind, expires_at: toIso(claim.expiresAt) };
    case 'pending':
      return {
        status: claim.kind,
        mailbox: maskMailbox(claim.mailbox),
        mail: claim.mail,
        expires_at: toIso(claim.expiresAt),
      };
    case 'claimed':
      return { status: claim.kind, claimed_at: toIso(claim.claimedAt) };
    case 'expired':
      return { status: claim.kind };
  }
}
