import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { mailboxOf } from '../domain/accounts.ts';
import { type Agent, showAgent } from '../domain/agents.ts';
import { listAudiences } from '../domain/audience.ts';
import type { Bearer, Key } from '../domain/credentials.ts';
import { createKey, listKeys, revokeOwnKey, showHeldKey } from '../domain/keys.ts';
import { checkResourceUrl } from '../domain/resource-servers.ts';
import { formatScope, parseScope } from '../domain/scopes.ts';
import { Failure } from '../errors.ts';
import { maskMailbox } from '../lib/mailbox.ts';
import { nextOf } from './next-steps.ts';
import type { Answer, Call } from './route.ts';
import { iso, isoOrNull, toIso } from './wire-times.ts';

/** What an agent may learn of itself, and the keys it manages (tinysend profile). */

const keyShape = z.object({
  id: z.string(),
  name: z.string().optional(),
  prefix: z.string(),
  last_four: z.string(),
  scopes: z.array(z.string()),
  resources: z.array(z.string()).optional(),
  created_at: iso,
  expires_at: iso.nullable().describe('null: it does not end'),
  last_used_at: iso.optional(),
  revoked_at: iso.optional(),
});

export const meAnswer = z.object({
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

export const tokensAnswer = z.object({ tokens: z.array(keyShape) });

export const createTokenBody = z.object({
  name: z.string().min(1).max(64),
  scope: z.string().min(1).max(1024).describe('Scope words, separated by spaces or commas'),
  expires_in: z
    .int()
    .min(1)
    .max(31_622_400)
    .describe('Seconds; without it as long as the key that asks')
    .optional(),
  resources: z
    .array(z.string().max(2048))
    .min(1)
    .max(16)
    .describe('URLs of the resource servers that it is for; without it for all')
    .optional(),
});
export const createTokenAnswer = keyShape.extend({ credential: z.string() });
export const revokeTokenAnswer = z.object({ id: z.string(), revoked: z.literal(true), revoked_at: iso });

/** GET /api/me */
export async function me({ deps, caller: bearer }: Call<undefined, 'agent'>): Promise<Answer> {
  const { agentId, accountId, key: terms } = bearer;
  const [agent, key, resources] = await Promise.all([
    agentId === undefined ? undefined : showAgent(deps, agentId),
    showHeldKey(deps, bearer),
    terms.resources ?? listAudiences(deps).then((all) => all.map(({ url }) => url)),
  ]);
  const whose = agent === undefined ? await describeHuman(deps, accountId) : describeAgent(bearer, agent);
  return {
    data: {
      user_id: accountId,
      ...whose,
      scopes: terms.scopes,
      resources,
      key: renderKey(key),
      next: nextOf(deps.config, bearer, agent),
    },
  };
}

async function describeHuman(deps: Deps, accountId: string) {
  const mailbox = await mailboxOf(deps, accountId);
  return { kind: 'human', owner: mailbox && maskMailbox(mailbox) };
}

function describeAgent(bearer: Bearer, agent: Agent) {
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

/** GET /api/tokens */
export async function listTokens(call: Call<undefined, 'agent'>): Promise<Answer> {
  const keys = await listKeys(call.deps, call.caller);
  return { data: { tokens: keys.map(renderKey) } };
}

/** POST /api/tokens */
export async function createToken(call: Call<z.output<typeof createTokenBody>, 'agent'>): Promise<Answer> {
  const { deps, asker, caller, body } = call;
  const scopes = parseScope(body.scope);
  if (scopes.length === 0 || !scopes.every((scope) => deps.config.scopes.has(scope))) {
    throw new Failure('badRequest', `The scopes here are: ${formatScope([...deps.config.scopes.keys()])}.`, {
      field: 'scope',
    });
  }
  const { key, credential } = await createKey(deps, asker, caller, {
    name: body.name,
    scopes,
    resources: body.resources?.map((url) => checkResourceUrl(url, 'resources')),
    expiresInSeconds: body.expires_in,
  });
  return { data: { credential, ...renderKey(key) } };
}

/** DELETE /api/tokens/:id */
export async function revokeToken(call: Call<undefined, 'agent'>): Promise<Answer> {
  const key = await revokeOwnKey(call.deps, call.asker, call.caller, call.params.id ?? '');
  return { data: { id: key.id, revoked: true, revoked_at: optionalIso(key.revokedAt) } };
}

/** A key as JSON; never its secret. */
export function renderKey(key: Key): z.input<typeof keyShape> {
  return {
    id: key.id,
    name: key.name ?? undefined,
    prefix: key.prefix,
    last_four: key.lastFour,
    scopes: key.scopes,
    resources: key.resources,
    created_at: toIso(key.createdAt),
    expires_at: isoOrNull(key.expiresAt),
    last_used_at: optionalIso(key.lastUsedAt),
    revoked_at: optionalIso(key.revokedAt),
  };
}

function renderClaim(claim: Agent['claim']): NonNullable<z.input<typeof meAnswer>['claim']> {
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

function optionalIso(at: number | null): string | undefined {
  return at === null ? undefined : toIso(at);
}
