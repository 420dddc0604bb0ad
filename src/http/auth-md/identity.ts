import { z } from 'zod';
import { claimFlowOf } from '../../domain/claims/claim-flows.ts';
import type { IssuedCredential } from '../../domain/claims/issue-on-claim.ts';
import { signIdentity } from '../../domain/credentials/identity-assertions.ts';
import { renewIdentity } from '../../domain/credentials/renew-identity.ts';
import { registerAnonymous } from '../../domain/registration/register-anonymous.ts';
import { registerByIdJag } from '../../domain/registration/register-by-id-jag.ts';
import { registerWithMailbox } from '../../domain/registration/register-by-mailbox.ts';
import { Failure } from '../../errors.ts';
import { agentAuthChallenge, authMdProduction } from '../dialects/auth-md.ts';
import { ID_JAG } from '../oauth/grant-types.ts';
import { type Call, type HandlerResult, json, operation, version } from '../server/table.ts';
import { agentName, parseRequiredMailbox, readRegistrationIdempotency } from './fields.ts';
import {
  identityAnswer,
  refreshAnswer,
  renderClaim,
  renderIdentity,
  renderIds,
  renderNestedIdentity,
} from './identity-answers.ts';

/** Registration by POST /agent/identity, in auth.md v0.2 to v0.7 and in production. */

const hint = z.string().max(254).describe('The mailbox of the human who should vouch for the agent');
export const assertion = z.string().min(1).max(8192);

/** `email` and `login_hint` mean the same; null counts as absent. */
export const hintMembers = { login_hint: hint.nullish(), email: hint.nullish() };

const identityBody = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('anonymous'), agent_name: agentName.nullish() }).meta({ title: 'anonymous' }),
    z
      .object({
        type: z.literal('identity_assertion'),
        assertion_type: z.enum([ID_JAG, 'verified_email']),
        assertion,
        agent_name: agentName.nullish(),
      })
      .meta({ title: 'identity_assertion' }),
    z
      .object({ type: z.literal('service_auth'), ...hintMembers, agent_name: agentName.nullish() })
      .meta({ title: 'service_auth' }),
  ],
  { error: 'it must be "anonymous", "service_auth", "identity_assertion" or "refresh".' },
);
const refreshBody = z
  .object({ type: z.literal('refresh'), refresh_token: z.string().min(1).max(128) })
  .meta({ title: 'refresh' });

type CallWithBody<Schema extends z.ZodType> = Call<z.output<Schema>, 'anyone'>;

const refreshVersion = version({
  matches: (parsed) => parsed.type === 'refresh',
  dialect: authMdProduction,
  schema: refreshBody,
  answer: refreshAnswer,
  handle: refresh,
});

/** POST /agent/identity: registers an agent and issues its identity, or starts a claim by its human. */
export const register = operation({
  caller: 'anyone',
  summary: 'Register an agent that gets an identity, or renew one',
  repeatable: true,
  body: json(identityBody),
  answer: identityAnswer,
  versions: [refreshVersion],
  handle(call) {
    const { body } = call;
    if (body.type === 'anonymous') return identifyAnonymous(call);
    if (body.type === 'service_auth') return identifyByMailbox(call, 'service_auth', parseLoginHint(body));
    if (body.assertion_type === 'verified_email') {
      return identifyByMailbox(call, 'email-verification', parseRequiredMailbox(body.assertion, 'assertion'));
    }
    return identifyByProvider(call, body.assertion);
  },
});

async function identifyAnonymous(call: CallWithBody<typeof identityBody>): Promise<HandlerResult> {
  const { deps, origin, body } = call;
  const input = { agentName: body.agent_name ?? undefined, token: 'clm', gives: 'identity' } as const;
  const registered = await registerAnonymous(
    deps,
    origin,
    input,
    readRegistrationIdempotency(call, 'identity'),
  );
  const { anonymousScopes, claimedScopes } = deps.config;
  return {
    budget: registered.budgets[0],
    data: {
      ...renderIds(registered.registrationId, 'anonymous'),
      ...(await signAndRenderIdentity(call, registered.given)),
      pre_claim_scopes: anonymousScopes,
      post_claim_scopes: claimedScopes,
      scopes: { pre_claim: anonymousScopes, post_claim: claimedScopes },
      ...renderClaim(deps, registered),
    },
  };
}

async function identifyByMailbox(
  call: CallWithBody<typeof identityBody>,
  type: 'service_auth' | 'email-verification',
  mailbox: string,
): Promise<HandlerResult> {
  const { deps, origin, body } = call;
  const isMailed = type === 'email-verification';
  const input = {
    agentName: body.agent_name ?? undefined,
    token: 'clm',
    kind: isMailed ? 'identity_assertion' : 'service_auth',
    mailbox,
    mode: 'merge',
    ceremony: claimFlowOf(deps.config, isMailed ? 'mailed' : 'told'),
  } as const;
  const registered = await registerWithMailbox(
    deps,
    origin,
    input,
    readRegistrationIdempotency(call, 'identity'),
  );
  return {
    budget: registered.budgets[0],
    data: {
      ...renderIds(registered.registrationId, type),
      ...renderPostClaimScopes(call),
      ...renderClaim(deps, registered, registered),
    },
  };
}

async function identifyByProvider(
  call: CallWithBody<typeof identityBody>,
  presented: string,
): Promise<HandlerResult> {
  const { deps, origin, body } = call;
  const result = await registerByIdJag(deps, origin, {
    assertion: presented,
    agentName: body.agent_name ?? undefined,
    gives: 'identity',
    ceremony: claimFlowOf(deps.config, 'told'),
  });
  if (result.kind === 'known') {
    return {
      data: {
        ...renderIds(result.standing.registration.id, 'identity_assertion'),
        ...(await signAndRenderIdentity(call, result.given)),
        scopes: result.scopes,
      },
    };
  }
  return {
    ...stepUpResponse(),
    data: {
      ...STEP_UP_BODY,
      ...renderIds(result.opened.registrationId, 'identity_assertion'),
      ...renderPostClaimScopes(call),
      ...renderClaim(deps, result, result.opened),
    },
  };
}

const STEP_UP_TEXT =
  'This user has an account here, whose owner must confirm the agent once. Show them verification_uri, then complete the claim.';
const STEP_UP_BODY = {
  error: 'interaction_required',
  code: 'interaction_required',
  error_description: STEP_UP_TEXT,
  message: STEP_UP_TEXT,
};

/**
 * Returns the status and the challenge of a step-up (auth.md v0.6, POST /agent/identity). The body contains STEP_UP.
 */
export function stepUpResponse(): { status: number; headers: Record<string, string> } {
  return {
    status: 401,
    headers: { 'WWW-Authenticate': agentAuthChallenge('interaction_required', STEP_UP_TEXT) },
  };
}
export { STEP_UP_BODY };

/** POST /agent/identity, `type: refresh`: rotates a refresh token and issues a new identity assertion. */
async function refresh(call: CallWithBody<typeof refreshBody>): Promise<HandlerResult> {
  const { registrationId, identity } = await renewIdentity(call.deps, call.origin, call.body.refresh_token);
  return {
    data: {
      id: registrationId,
      type: 'refresh',
      identity: renderNestedIdentity(await signIdentity(call.deps, identity)),
    },
  };
}

/**
 * Signs an issued identity and renders it under all its names. At this endpoint the issued credential is always an
 * identity.
 */
export async function signAndRenderIdentity(
  call: Pick<CallWithBody<z.ZodType>, 'deps'>,
  issued: IssuedCredential,
): Promise<object> {
  if (issued.kind !== 'identity') throw new Error('an identity was to be given');
  return renderIdentity(await signIdentity(call.deps, issued.identity));
}

function renderPostClaimScopes({ deps }: Pick<CallWithBody<z.ZodType>, 'deps'>): object {
  const { claimedScopes } = deps.config;
  return { post_claim_scopes: claimedScopes, scopes: { post_claim: claimedScopes } };
}

/**
 * Parses the mailbox of the human from `login_hint`, or else from `email`.
 *
 * @returns the canonical mailbox
 * @throws Failure `badRequest`, `badEmail`
 */
export function parseLoginHint({
  login_hint,
  email,
}: {
  login_hint?: string | null | undefined;
  email?: string | null | undefined;
}): string {
  const text = login_hint ?? email ?? undefined;
  if (text !== undefined) return parseRequiredMailbox(text.trim(), 'login_hint');
  throw new Failure('badRequest', 'The member "login_hint" is required: the mailbox of your human.', {
    field: 'login_hint',
  });
}
