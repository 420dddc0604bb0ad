import { z } from 'zod';
import { claimFlowOf } from '../../domain/claims/claim-flows.ts';
import { completeClaim as complete } from '../../domain/claims/complete-claim.ts';
import { startClaim as start } from '../../domain/claims/start-claim.ts';
import { signIdentity } from '../../domain/credentials/identity-assertions.ts';
import { claimByIdJag } from '../../domain/registration/claim-by-id-jag.ts';
import { authMd, authMdProduction, authMdProductionComplete } from '../dialects/auth-md.ts';
import { type Call, type HandlerResult, json, operation, version } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';
import { claimToken, readCompletionIdempotency, readOutCode } from './fields.ts';
import { assertion, hintMembers, parseLoginHint, signAndRenderIdentity } from './identity.ts';
import {
  claimAnswer,
  claimedAnswer,
  completeAnswer,
  renderAttempt,
  renderFlatIdentity,
  renderIds,
  renderNestedIdentity,
  renderTypedCode,
} from './identity-answers.ts';

/**
 * /agent/identity/claim, which asks a human to claim the agent, in auth.md v0.2 to v0.7 and in production (auth.md
 * v0.6, POST /agent/identity/claim).
 */

const claimBody = z.object({ claim_token: claimToken, ...hintMembers });
const productionClaimBody = claimBody.extend({ type: z.string().max(64) });
const assertedClaimBody = z.object({
  type: z.literal('identity_assertion'),
  claim_token: claimToken,
  assertion,
});
const completeBody = z.object({ claim_token: claimToken, otp: readOutCode });
const productionCompleteBody = z.object({ claim_token: claimToken, user_code: readOutCode });

type CallWithBody<Schema extends z.ZodType> = Call<z.output<Schema>, 'agentIfAny'>;

const assertedClaimVersion = version({
  matches: (parsed) => parsed.type === 'identity_assertion' && typeof parsed.assertion === 'string',
  dialect: authMd,
  schema: assertedClaimBody,
  answer: claimedAnswer,
  handle: claimByProvider,
});
const productionClaimVersion = version({
  matches: (parsed) => typeof parsed.type === 'string',
  dialect: authMdProduction,
  schema: productionClaimBody,
  handle: claimInProduction,
});
const productionCompleteVersion = version({
  matches: (parsed) => (parsed.user_code ?? undefined) !== undefined,
  dialect: authMdProductionComplete,
  schema: productionCompleteBody,
  handle: completeInProduction,
});

/** POST /agent/identity/claim, `{claim_token, email}`: starts a claim. */
export const startClaim = operation({
  caller: 'agentIfAny',
  summary: 'Ask the human to vouch for the agent',
  body: json(claimBody),
  answer: claimAnswer,
  versions: [assertedClaimVersion, productionClaimVersion],
  async handle(call) {
    const { deps, origin, body, caller } = call;
    const opened = await start(deps, origin, {
      claimToken: body.claim_token,
      companion: caller,
      mailbox: parseLoginHint(body),
      mode: 'merge',
      ceremony: claimFlowOf(deps.config, 'mailed'),
    });
    return { data: { ...renderInitiated(opened), claim_attempt: renderTypedCode(deps, opened) } };
  },
});

/**
 * POST /agent/identity/claim, `{type, claim_token, login_hint}` (production): starts a claim whose page shows the code
 * to the human.
 */
async function claimInProduction(call: CallWithBody<typeof productionClaimBody>): Promise<HandlerResult> {
  const { deps, origin, body, caller } = call;
  // The v0.7 draft of 2026-06-12 sends the same members with type `login_hint`, but its agent shows the code and polls.
  const showsCode = body.type === 'login_hint';
  const opened = await start(deps, origin, {
    claimToken: body.claim_token,
    companion: caller,
    mailbox: parseLoginHint(body),
    mode: 'merge',
    ceremony: claimFlowOf(deps.config, showsCode ? 'told' : 'shown'),
  });
  const code = showsCode ? { claim_attempt: renderTypedCode(deps, opened) } : {};
  return { data: { ...renderInitiated(opened), type: 'service_auth', ...code } };
}

/** POST /agent/identity/claim, `{type: identity_assertion, claim_token, assertion}` (auth.md v0.7 of 2026-06-12). */
async function claimByProvider(call: CallWithBody<typeof assertedClaimBody>): Promise<HandlerResult> {
  const { deps, origin, body, caller } = call;
  const result = await claimByIdJag(deps, origin, {
    claimToken: body.claim_token,
    companion: caller,
    assertion: body.assertion,
    ceremony: claimFlowOf(deps.config, 'told'),
  });
  if (result.kind === 'stepUp') {
    const { opened } = result;
    const type = { type: 'identity_assertion', registration_type: 'identity_assertion' };
    return { data: { ...renderInitiated(opened), ...type, claim_attempt: renderTypedCode(deps, opened) } };
  }
  const { registrationId, given } = result.completed;
  return {
    data: {
      ...renderIds(registrationId, 'identity_assertion'),
      status: 'claimed',
      ...(await signAndRenderIdentity(call, given)),
    },
  };
}

/** POST /agent/identity/claim/complete, `{claim_token, otp}` (auth.md v0.2, v0.3): completes a claim. */
export const completeClaim = operation({
  caller: 'agentIfAny',
  summary: 'Complete the claim with the code that the human read out',
  repeatable: true,
  body: json(completeBody),
  answer: completeAnswer,
  versions: [productionCompleteVersion],
  async handle(call) {
    const { claim_token, otp } = call.body;
    const { data, signed } = await completeWith(call, claim_token, otp, 'same_identity');
    return { data: { ...data, ...renderFlatIdentity(signed) } };
  },
});

/** POST /agent/identity/claim/complete, `{claim_token, user_code}` (production) */
async function completeInProduction(
  call: CallWithBody<typeof productionCompleteBody>,
): Promise<HandlerResult> {
  const { claim_token, user_code } = call.body;
  const { data } = await completeWith(call, claim_token, user_code, 'identity');
  return { data };
}

async function completeWith(
  call: CallWithBody<z.ZodType>,
  token: string,
  code: string,
  plan: 'identity' | 'same_identity',
) {
  const input = { claimToken: token, code, gives: plan, companion: call.caller };
  const completed = await complete(call.deps, call.origin, input, readCompletionIdempotency(call, token));
  if (completed.given.kind !== 'identity') throw new Error('an identity was to be given');
  const signed = await signIdentity(call.deps, completed.given.identity);
  const { registrationId: id } = completed;
  return {
    data: { id, registration_id: id, status: 'claimed', identity: renderNestedIdentity(signed) },
    signed,
  };
}

function renderInitiated(opened: Parameters<typeof renderAttempt>[0]): object {
  return {
    id: opened.registrationId,
    registration_id: opened.registrationId,
    claim_attempt_id: opened.attemptId,
    status: 'initiated',
    expires_at: toIso(opened.codeExpiresAt),
    attempt: renderAttempt(opened),
  };
}
