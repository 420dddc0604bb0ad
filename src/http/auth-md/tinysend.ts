import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import type { AttemptView } from '../../domain/claims/claim-attempts.ts';
import { MAILED_CODE } from '../../domain/claims/claim-flows.ts';
import { POLL_SECONDS } from '../../domain/claims/claim-status.ts';
import { completeClaim as complete } from '../../domain/claims/complete-claim.ts';
import type { IssuedCredential } from '../../domain/claims/issue-on-claim.ts';
import { startClaim as start } from '../../domain/claims/start-claim.ts';
import { registerAnonymous } from '../../domain/registration/register-anonymous.ts';
import { registerWithMailbox } from '../../domain/registration/register-by-mailbox.ts';
import { normalizeCode } from '../../lib/code-text.ts';
import type { ClaimMode } from '../../store/registrations.ts';
import { json, operation } from '../server/table.ts';
import { iso, isoOrNull, toIso } from '../server/wire-times.ts';
import {
  agentName,
  claimToken,
  parseRequiredMailbox,
  readCompletionIdempotency,
  readRegistrationIdempotency,
} from './fields.ts';
import { afterCompletion, afterMail, afterRegistration } from './next-steps.ts';
import * as v01 from './v01.ts';

/** The tinysend profile of auth.md: registration, claim and completion (docs/dialects/tinysend.md). */

const email = z.string().max(254).describe('The mailbox of the human who should vouch for the agent');
const link = z
  .boolean()
  .describe(
    "true: the agent keeps its own account, linked to the human. false: it merges into the human's account",
  )
  .default(false);
const scopes = z.array(z.string());
const next = z.string().describe('What to do next, in words');
const expiresAt = iso.nullable().describe('When the key ends; null: it does not').optional();
const verification = z
  .object({
    method: z
      .enum(['code', 'link'])
      .describe('What is in the mail: six digits, or a link by which the human agrees'),
    expires_at: iso.describe('Until when it can be used; then ask for another'),
    interval: z.int().describe('Seconds between two polls'),
  })
  .optional();
const verificationUri = z
  .url()
  .describe('The page on which the human reviews the claim and can type the code');

const registerBody = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('anonymous'), agent_name: agentName }).meta({ title: 'anonymous' }),
    z
      .object({
        type: z.literal('identity_assertion'),
        assertions: z.tuple([z.object({ type: z.literal('verified_email'), email })]),
        link,
        agent_name: agentName,
      })
      .meta({ title: 'identity_assertion' }),
  ],
  { error: 'it must be "anonymous" or "identity_assertion".' },
);
const registerAnswer = z.union([
  z.object({
    credential: z.string(),
    user_id: z.string(),
    agent_id: z.string(),
    claim_token: z.string(),
    claim_token_expires_at: iso,
    verification_uri: verificationUri,
    scopes,
    expires_at: expiresAt,
    next,
  }),
  z.object({
    claim_token: z.string(),
    claim_token_expires_at: iso,
    verification_required: z.literal(true),
    verification_uri: verificationUri,
    message: z.string(),
    verification,
    next,
  }),
]);

const claimBody = z.object({ claim_token: claimToken, email, link });
const claimAnswer = z.object({
  verification_required: z.literal(true),
  verification_uri: verificationUri,
  message: z.string(),
  verification,
  next,
});

const completeBody = z.object({
  claim_token: claimToken,
  otp: z
    .string()
    .max(64)
    .overwrite(normalizeCode)
    .refine((code) => /^[0-9]{6}$/.test(code), 'it must be the six digits of the mail, as a string.')
    .describe('Without it: asks whether the human has approved at verification_uri')
    .optional(),
});
const completeAnswer = z.object({
  credential: z.string(),
  user_id: z.string(),
  agent_id: z.string(),
  scopes,
  mode: z.enum(['merge', 'link']),
  expires_at: expiresAt,
  next,
});

/** POST /agent/auth: registers an agent. An anonymous one gets a key, one with a mailbox a claim with a mailed code. */
export const register = operation({
  caller: 'anyone',
  summary: 'Register an agent, anonymously or with the mailbox of its human',
  repeatable: true,
  body: json(registerBody),
  answer: registerAnswer,
  versions: [v01.registerVersion],
  async handle(call) {
    const { deps, origin, body } = call;
    const repeatable = readRegistrationIdempotency(call, 'register');
    if (body.type === 'anonymous') {
      const input = { agentName: body.agent_name, token: 'ct', gives: 'key' } as const;
      const registered = await registerAnonymous(deps, origin, input, repeatable);
      const key = requireKey(registered.given);
      return {
        budget: registered.budgets[0],
        data: {
          credential: key.credential,
          user_id: registered.userId,
          agent_id: registered.agentId,
          claim_token: registered.claimToken,
          claim_token_expires_at: toIso(registered.claimExpiresAt),
          verification_uri: registered.verificationUri,
          scopes: registered.scopes,
          expires_at: renderExpiry(key),
          next: afterRegistration(deps.config),
        },
      };
    }
    const mailbox = parseRequiredMailbox(body.assertions[0].email, 'assertions.0.email');
    const input = {
      agentName: body.agent_name,
      token: 'ct',
      kind: 'identity_assertion',
      mailbox,
      mode: toClaimMode(body.link),
      ceremony: MAILED_CODE,
    } as const;
    const registered = await registerWithMailbox(deps, origin, input, repeatable);
    return {
      budget: registered.budgets[0],
      data: {
        claim_token: registered.claimToken,
        claim_token_expires_at: toIso(registered.claimExpiresAt),
        ...renderMailedAttempt(deps, registered),
      },
    };
  },
});

/** POST /agent/auth/claim: starts a claim by mailing a code to the human. */
export const startClaim = operation({
  caller: 'agentIfAny',
  summary: 'Mail a code to the human who should claim the agent',
  body: json(claimBody),
  answer: claimAnswer,
  versions: [v01.claimVersion],
  async handle(call) {
    const { deps, origin, body, caller } = call;
    const started = await start(deps, origin, {
      claimToken: body.claim_token,
      mailbox: parseRequiredMailbox(body.email, 'email'),
      mode: toClaimMode(body.link),
      ceremony: MAILED_CODE,
      companion: caller,
    });
    return { data: renderMailedAttempt(deps, started) };
  },
});

/** POST /agent/auth/claim/complete: completes a claim with the mailed code, or polls for the approval without one. */
export const completeClaim = operation({
  caller: 'agentIfAny',
  summary: 'Complete the claim with the mailed code and get a key with more scope',
  repeatable: true,
  body: json(completeBody),
  answer: completeAnswer,
  versions: [v01.completeVersion],
  async handle(call) {
    const { deps, origin, body, caller } = call;
    const input = { claimToken: body.claim_token, code: body.otp, gives: 'key', companion: caller } as const;
    const completed = await complete(deps, origin, input, readCompletionIdempotency(call, body.claim_token));
    const key = requireKey(completed.given);
    return {
      data: {
        credential: key.credential,
        user_id: completed.userId,
        agent_id: completed.agentId,
        scopes: completed.scopes,
        mode: completed.mode,
        expires_at: renderExpiry(key),
        next: afterCompletion(deps.config),
      },
    };
  },
});

type IssuedKey = Extract<IssuedCredential, { kind: 'key' }>;

/** Narrows an issued credential to a key, which it always is in this profile. */
function requireKey(issued: IssuedCredential): IssuedKey {
  if (issued.kind === 'key') return issued;
  throw new Error('a key was to be given');
}

/**
 * @returns null for a key that does not expire; undefined for a replayed response of a version that did not store it
 */
function renderExpiry({ expiresAt }: IssuedKey): string | null | undefined {
  return expiresAt === undefined ? undefined : isoOrNull(expiresAt);
}

function renderMailedAttempt(
  { config }: Deps,
  attempt: Pick<AttemptView, 'mailbox' | 'verificationUri' | 'proof' | 'codeExpiresAt'>,
): z.output<typeof claimAnswer> {
  const method = attempt.proof === 'link' ? 'link' : 'code';
  return {
    verification_required: true,
    verification_uri: attempt.verificationUri,
    message: `Verification code sent to ${attempt.mailbox}`,
    verification:
      attempt.proof === undefined
        ? undefined
        : { method, expires_at: toIso(attempt.codeExpiresAt), interval: POLL_SECONDS },
    next: afterMail(config, method),
  };
}

function toClaimMode(linked: boolean): ClaimMode {
  return linked ? 'link' : 'merge';
}
