import type { Config } from '../../config/load.ts';
import { Failure } from '../../errors.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';

/**
 * How the codes of a claim pass between the agent and its human. Versions of auth.md changed the direction three times
 * (docs/dialects.md), so an attempt can have two codes, each accepted from one side only. The service accepts the code that the
 * page shows only from the agent, and the code that the agent shows only from the human.
 */
export interface ClaimFlow extends Pick<AttemptRow, 'reveal' | 'typed'> {
  /** Where the human gets the code: from the mail, or from the page. */
  proof: 'code' | 'page';
  /** Whether the service mails the human the code, or a link to the page. */
  isMailed: boolean;
}

/** The flow of the tinysend profile: the mail carries the code, which the agent sends or the human types on the page. */
export const MAILED_CODE: ClaimFlow = { proof: 'code', isMailed: true, reveal: null, typed: 0 };

/** The flow of auth.md v0.1: the mail carries a link, and its page shows the code. */
export const MAILED_PAGE: ClaimFlow = { proof: 'page', isMailed: true, reveal: 'digits', typed: 0 };

/**
 * Returns the flow of a claim at /agent/identity, reduced to the directions that the setting `claimMode` allows.
 *
 * @param kind `mailed`: a `verified_email` registration or a claim with `email` (v0.2 to v0.6); `told`: a `service_auth`
 * registration (v0.6, production) or a step-up, where the agent tells its human the URL of the page; `shown`: a claim in
 * production, whose agents get no code to show
 * @throws Failure `methodDisabled` when `claimMode` allows no direction of this kind
 */
export function claimFlowOf(config: Pick<Config, 'claimMode'>, kind: 'mailed' | 'told' | 'shown'): ClaimFlow {
  const { claimMode } = config;
  if (kind === 'shown' && claimMode === 'typed') {
    throw new Failure(
      'methodDisabled',
      'Here the human types a code that the agent shows. Send {"claim_token","email"} instead, show its user_code, and poll the token endpoint.',
    );
  }
  const format = kind === 'mailed' ? 'digits' : 'letters';
  return {
    proof: 'page',
    isMailed: kind === 'mailed',
    reveal: claimMode === 'typed' ? null : format,
    typed: claimMode === 'reveal' || kind === 'shown' ? 0 : 1,
  };
}
