import { z } from 'zod';
import { MAILED_PAGE } from '../../domain/claims/claim-flows.ts';
import { completeClaim, findIssuancePlan } from '../../domain/claims/complete-claim.ts';
import type { IssuedCredential } from '../../domain/claims/issue-on-claim.ts';
import { startClaim } from '../../domain/claims/start-claim.ts';
import { registerAnonymous } from '../../domain/registration/register-anonymous.ts';
import { registerByIdJag } from '../../domain/registration/register-by-id-jag.ts';
import { registerWithMailbox } from '../../domain/registration/register-by-mailbox.ts';
import { authMd01, authMdComplete } from '../dialects/auth-md.ts';
import { ID_JAG } from '../oauth/grant-types.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type HandlerResult, version } from '../server/table.ts';
import { iso, toIso } from '../server/wire-times.ts';
import {
  agentName,
  claimToken,
  parseRequiredMailbox,
  readCompletionIdempotency,
  readOutCode,
  readRegistrationIdempotency,
} from './fields.ts';
import { STEP_UP_BODY, stepUpResponse } from './identity.ts';

/**
 * auth.md v0.1 on the paths of the tinysend profile. Bodies and claim tokens tell the two apart
 * (docs/dialects/v0.1.md).
 */

const credentialType = z.enum(['api_key', 'access_token']);
const scopes = z.array(z.string());

const registerBody = z.discriminatedUnion(
  'type',
  [
    z.object({
      type: z.literal('anonymous'),
      requested_credential_type: z.literal('api_key'),
      agent_name: agentName.nullish(),
    }),
    z.object({
      type: z.literal('identity_assertion'),
      assertion_type: z.enum([ID_JAG, 'verified_email']),
      assertion: z.string().min(1).max(8192),
      requested_credential_type: credentialType,
      agent_name: agentName.nullish(),
    }),
  ],
  { error: 'it must be "anonymous" or "identity_assertion".' },
);
const registerAnswer = z.object({
  registration_id: z.string(),
  registration_type: z.enum(['anonymous', 'agent-provider', 'email-verification']),
  credential_type: credentialType.optional(),
  credential: z.string().optional(),
  credential_expires: iso.nullable().optional(),
  scopes: scopes.optional(),
  claim_url: z.url().optional(),
  claim_token: z.string().optional(),
  claim_token_expires: iso.optional(),
  post_claim_scopes: scopes.optional(),
});
const claimBody = z.object({ claim_token: claimToken, email: z.string().max(254) });
const claimAnswer = z.object({
  registration_id: z.string(),
  claim_attempt_id: z.string(),
  status: z.literal('initiated'),
  expires_at: iso,
});
const completeBody = z.object({
  claim_token: claimToken,
  otp: readOutCode,
});
const completeAnswer = z.object({
  registration_id: z.string(),
  status: z.literal('claimed'),
  credential_type: credentialType.optional(),
  credential: z.string().optional(),
  credential_expires: iso.nullable().optional(),
  scopes: scopes.optional(),
});

/** Whether a registration is of this version: bodies of the tinysend profile have neither of these members. */
function isRegisterBody(parsed: Record<string, unknown>): boolean {
  return [parsed.requested_credential_type, parsed.assertion_type].some(
    (each) => each !== undefined && each !== null,
  );
}

/**
 * Whether the body of a claim is of this version: its claim token begins with `clm_`, which the tinysend profile does
 * not issue, and it has no `link`, a member of the tinysend profile alone.
 */
function isClaimBody(parsed: Record<string, unknown>): boolean {
  if (parsed.link !== undefined && parsed.link !== null) return false;
  return typeof parsed.claim_token === 'string' && parsed.claim_token.startsWith('clm_');
}

type CallWithBody<Schema extends z.ZodType> = Call<z.output<Schema>, 'agentIfAny'>;

/** POST /agent/auth: registers an agent. */
function register(call: Call<z.output<typeof registerBody>, 'anyone'>): Promise<HandlerResult> {
  const { body } = call;
  if (body.type === 'anonymous') return registerAnonymously(call);
  if (body.assertion_type === ID_JAG) return registerByProvider(call, body);
  return registerByMailbox(call, body);
}

type RegisterCall = Call<z.output<typeof registerBody>, 'anyone'>;
type AssertionBody = Extract<z.output<typeof registerBody>, { type: 'identity_assertion' }>;

async function registerAnonymously(call: RegisterCall): Promise<HandlerResult> {
  const { deps, origin, body } = call;
  const input = {
    agentName: body.agent_name ?? undefined,
    credentialType: 'api_key',
    token: 'clm',
    gives: 'key',
  } as const;
  const registered = await registerAnonymous(
    deps,
    origin,
    input,
    readRegistrationIdempotency(call, 'register'),
  );
  return {
    budget: registered.budgets[0],
    data: {
      registration_id: registered.registrationId,
      registration_type: 'anonymous',
      ...renderCredential(registered.given),
      scopes: registered.scopes,
      ...renderClaim(call, registered),
    },
  };
}

async function registerByMailbox(call: RegisterCall, body: AssertionBody): Promise<HandlerResult> {
  const { deps, origin } = call;
  const input = {
    agentName: body.agent_name ?? undefined,
    credentialType: body.requested_credential_type,
    token: 'clm',
    kind: 'identity_assertion',
    mailbox: parseRequiredMailbox(body.assertion, 'assertion'),
    mode: 'merge',
    ceremony: MAILED_PAGE,
  } as const;
  const registered = await registerWithMailbox(
    deps,
    origin,
    input,
    readRegistrationIdempotency(call, 'register'),
  );
  return {
    budget: registered.budgets[0],
    data: {
      registration_id: registered.registrationId,
      registration_type: 'email-verification',
      ...renderClaim(call, registered),
    },
  };
}

async function registerByProvider(call: RegisterCall, body: AssertionBody): Promise<HandlerResult> {
  const { deps, origin } = call;
  const result = await registerByIdJag(deps, origin, {
    assertion: body.assertion,
    agentName: body.agent_name ?? undefined,
    credentialType: body.requested_credential_type,
    gives: body.requested_credential_type === 'api_key' ? 'key' : 'token',
    ceremony: MAILED_PAGE,
  });
  if (result.kind === 'known') {
    return {
      data: {
        registration_id: result.standing.registration.id,
        registration_type: 'agent-provider',
        ...renderCredential(result.given),
        scopes: result.scopes,
      },
    };
  }
  const { registrationId } = result.opened;
  const ids = { registration_id: registrationId, registration_type: 'agent-provider' };
  return { ...stepUpResponse(), data: { ...STEP_UP_BODY, ...ids, ...renderClaim(call, result) } };
}

/**
 * POST /agent/auth/claim: starts a claim. While an attempt is live, a repeated request with its mailbox sends no
 * second mail (auth.md v0.1, POST /agent/auth/claim).
 */
async function claim(call: CallWithBody<typeof claimBody>): Promise<HandlerResult> {
  const { deps, origin, body, caller } = call;
  const opened = await startClaim(deps, origin, {
    claimToken: body.claim_token,
    mailbox: parseRequiredMailbox(body.email, 'email'),
    mode: 'merge',
    ceremony: MAILED_PAGE,
    companion: caller,
    onlyAnonymous: true,
    keepsLive: true,
  });
  return {
    data: {
      registration_id: opened.registrationId,
      claim_attempt_id: opened.attemptId,
      status: 'initiated',
      expires_at: toIso(opened.codeExpiresAt),
    },
  };
}

/** POST /agent/auth/claim/complete: completes a claim with the code that the human reads out. */
async function complete(call: CallWithBody<typeof completeBody>): Promise<HandlerResult> {
  const { deps, origin, body, caller } = call;
  const repeatable = readCompletionIdempotency(call, body.claim_token);
  const plan = await findIssuancePlan(deps, body.claim_token);
  const input = { claimToken: body.claim_token, code: body.otp, gives: plan, companion: caller };
  const completed = await completeClaim(deps, origin, input, repeatable);
  const { given } = completed;
  return {
    data: {
      registration_id: completed.registrationId,
      status: 'claimed',
      ...(given.kind === 'nothing' ? {} : { ...renderCredential(given), scopes: completed.scopes }),
    },
  };
}

function renderClaim(
  { deps }: Pick<RegisterCall, 'deps'>,
  registered: { claimToken: string; claimExpiresAt: number },
): object {
  return {
    claim_url: deps.config.publicUrl + PATHS.claim,
    claim_token: registered.claimToken,
    claim_token_expires: toIso(registered.claimExpiresAt),
    post_claim_scopes: deps.config.claimedScopes,
  };
}

function renderCredential(issued: IssuedCredential): object {
  if (issued.kind === 'key') {
    return { credential_type: 'api_key', credential: issued.credential, credential_expires: null };
  }
  if (issued.kind !== 'token') throw new Error('a credential was to be given');
  const credential_expires = toIso(issued.expiresAt);
  return { credential_type: 'access_token', credential: issued.credential, credential_expires };
}

export const registerVersion = version({
  matches: isRegisterBody,
  dialect: authMd01,
  schema: registerBody,
  answer: registerAnswer,
  handle: register,
});
export const claimVersion = version({
  matches: isClaimBody,
  dialect: authMd01,
  schema: claimBody,
  answer: claimAnswer,
  handle: claim,
});
export const completeVersion = version({
  matches: isClaimBody,
  dialect: authMdComplete,
  schema: completeBody,
  answer: completeAnswer,
  handle: complete,
});
