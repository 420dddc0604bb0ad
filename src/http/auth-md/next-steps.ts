import type { Deps } from '../../deps.ts';
import type { AgentView } from '../../domain/agents/agent-view.ts';
import { POLL_SECONDS } from '../../domain/claims/claim-status.ts';
import type { Bearer } from '../../domain/credentials/bearer.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { PATHS } from '../server/paths.ts';

/**
 * The member `next` of the tinysend profile: one or two sentences that tell a language model with curl what to do next.
 */

type Config = Pick<Deps['config'], 'publicUrl' | 'anonymousScopes' | 'claimedScopes'>;

/** Returns the next step after an anonymous registration. */
export function afterRegistration(config: Config): string {
  return `Store credential and claim_token. Use the key: GET ${config.publicUrl}${PATHS.me}. ${describeClaimRequest(config)}`;
}

/**
 * Returns the next step after a mail was queued.
 *
 * @param method what the mail contains
 */
export function afterMail({ publicUrl }: Config, method: 'code' | 'link'): string {
  const complete = `POST ${publicUrl}${PATHS.complete} {"claim_token":"..."}`;
  const poll = `${complete} every ${POLL_SECONDS} seconds until they agree at verification_uri`;
  return method === 'code'
    ? `Ask your human for the six digits in their mail and send them as "otp" with ${complete}. Or poll: ${poll}.`
    : `Ask your human to open the link in their mail. Poll: ${poll}.`;
}

/** Returns the next step after a completed claim. */
export function afterCompletion({ publicUrl }: Config): string {
  return `Use this key from now on. GET ${publicUrl}${PATHS.me} tells what it may do; POST ${publicUrl}${PATHS.tokens} makes keys for helpers.`;
}

/** Returns the next step for the bearer of a key, which depends on the state of its agent's claim. */
export function nextStepOf(config: Config, bearer: Bearer, agent: AgentView | undefined): string {
  const { publicUrl } = config;
  if (agent === undefined) return `Use the key. Its human manages it at ${publicUrl}${PAGES.keys}.`;
  if (bearer.isSuperseded) {
    return 'Use the key that the claim gave: this one is from before the claim, and only reads for a few minutes more.';
  }
  if (bearer.ownerId !== undefined) {
    return `Use the key. For helpers make narrower ones: POST ${publicUrl}${PATHS.tokens}.`;
  }
  if (agent.registrationKind === 'host') {
    return `Use the capabilities you have. For more: POST ${publicUrl}${PATHS.agentRequest}.`;
  }
  const isIdentity = bearer.key.id.startsWith('tok_');
  const claimRequest = describeClaimRequest(config, isIdentity ? PATHS.identityClaim : PATHS.claim);
  switch (agent.claim.kind) {
    case 'pending':
      if (agent.claim.mail === 'failed') {
        return `The mail could not be delivered. Ask your human for another mailbox. ${claimRequest}`;
      }
      return isIdentity
        ? `Your human opens verification_uri, confirms, and reads you a code: POST ${publicUrl}${PATHS.identityComplete} {"claim_token":"...","user_code":"..."}.`
        : `Your human has mail, or gets it soon. Complete the claim with the code from it, or poll every ${POLL_SECONDS} seconds: POST ${publicUrl}${PATHS.complete} {"claim_token":"..."}.`;
    case 'expired':
      return 'Use the key until it expires. Its claim is over: to be claimed, register again.';
    default:
      return `Use the key. ${claimRequest}`;
  }
}

/** @param path the claim endpoint; agents with an identity have another one than agents with a key */
function describeClaimRequest(
  { publicUrl, anonymousScopes, claimedScopes }: Config,
  path: string = PATHS.claim,
): string {
  const more = claimedScopes.filter((scope) => !anonymousScopes.includes(scope)).join(' ') || 'a lasting key';
  return `For ${more}: POST ${publicUrl}${path} {"claim_token":"...","email":"<mailbox of your human>"}.`;
}
