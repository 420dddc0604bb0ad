import { z } from 'zod';
import { findHostedSigner } from '../../domain/hosts/find-hosted-signer.ts';
import { askPermissions } from '../../domain/permissions/ask.ts';
import { denyByTerminal, grantByTerminal } from '../../domain/permissions/decide-by-terminal.ts';
import { POLL_SECONDS, pollRequest, type RequestState } from '../../domain/permissions/request-state.ts';
import { LIFETIME_SECONDS } from '../../lib/artifacts/lifetime.ts';
import { json, operation } from '../server/table.ts';
import { iso, toIso } from '../server/wire-times.ts';

/** Permission requests (docs/permissions.md): asking, waiting, and deciding by a terminal. */

/** What we sign, as JSON; docs/permissions.md describes its members. */
const artifact = z.record(z.string(), z.unknown());

// Its reader refuses what it does not know, by its own rules.
const requestBody = z
  .record(z.string(), z.unknown())
  .describe('A permission request, as its session key signed it');

const stateAnswer = z.object({
  id: z.string(),
  state: z.enum(['pending', 'granted', 'denied', 'expired', 'revoked']),
  agent_id: z.string().optional(),
  verification_uri: z.string().optional().describe('Where a human decides, while it is pending'),
  user_code: z.string().optional().describe('What they type there, if they do not follow the link'),
  expires_at: iso,
  interval: z.int().describe('Seconds between two questions'),
  grant: artifact.optional().describe('Once it was granted: what was, signed by this service'),
  denial: artifact.optional().describe('Once it was denied, signed by this service'),
  login: z
    .object({
      account: z.string(),
      bound: z
        .object({ scopes: z.array(z.string()), workspaces: z.array(z.string()) })
        .describe('What the terminal may grant'),
      expires_at: iso,
    })
    .optional()
    .describe('Of a terminal: whom it acts for'),
});

const grantBody = z.object({
  permissions: z
    .array(
      z.object({
        index: z.int().min(0).max(49).describe('Which permission of the request, from 0'),
        actions: z.array(z.string().max(64)).min(1).max(16),
        space: z.string().max(80).optional().describe('Where the request says "default"; else left out'),
      }),
    )
    .min(1)
    .max(50),
  lifetime_seconds: z.int().min(LIFETIME_SECONDS.min).max(LIFETIME_SECONDS.max).optional(),
});

/** POST /agent/permissions: takes a permission request. */
export const ask = operation({
  caller: 'agentIfAny',
  summary: 'Ask a human for permissions, by a signed request',
  body: { media: 'artifact', schema: requestBody },
  answer: stateAnswer,
  async handle({ deps, origin, body, caller }) {
    const asker = {
      bearer: caller,
      findHosted: (thumbprint: string) => findHostedSigner(deps, thumbprint),
    };
    return { data: renderState(await askPermissions(deps, origin, body, asker)) };
  },
});

/** GET /agent/permissions/:id: how far a request has come. */
export const showRequest = operation({
  caller: 'sessionKey',
  summary: 'Ask how far a permission request has come',
  answer: stateAnswer,
  async handle({ deps, params, caller }) {
    return { data: renderState(await pollRequest(deps, params.id!, caller)) };
  },
});

/** POST /agent/permissions/:id/grant: a terminal grants for its human. */
export const grant = operation({
  caller: 'sessionKey',
  summary: 'Grant a permission request, by the terminal of a human',
  body: json(grantBody),
  answer: stateAnswer,
  async handle({ deps, origin, params, body, caller }) {
    const giving = { permissions: body.permissions, lifetimeSeconds: body.lifetime_seconds };
    return { data: renderState(await grantByTerminal(deps, origin, params.id!, caller, giving)) };
  },
});

/** POST /agent/permissions/:id/deny: a terminal denies for its human. */
export const deny = operation({
  caller: 'sessionKey',
  summary: 'Deny a permission request, by the terminal of a human',
  answer: stateAnswer,
  async handle({ deps, origin, params, caller }) {
    return { data: renderState(await denyByTerminal(deps, origin, params.id!, caller)) };
  },
});

function renderState(state: RequestState): z.input<typeof stateAnswer> {
  const { login } = state;
  return {
    id: state.id,
    state: state.state,
    agent_id: state.agentId,
    verification_uri: state.verificationUri,
    user_code: state.userCode,
    expires_at: toIso(state.expiresAt),
    interval: POLL_SECONDS,
    grant: state.grant as Record<string, unknown> | undefined,
    denial: state.denial as Record<string, unknown> | undefined,
    login: login && { account: login.accountId, bound: login.bound, expires_at: toIso(login.expiresAt) },
  };
}
