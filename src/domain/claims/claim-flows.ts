import type { Config } from '../../config/load.ts';
import { Failure } from '../../errors.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';

/**
 * How the codes of a claim go about between the agent and its human. Versions of auth.md turned the direction three times
 * (docs/dialects.md), so an attempt can have two codes, each accepted from one side alone: the one that the page shows to the human
 * counts only when the agent brings it, and the one that the agent was told only when the human types it.
 */
export interface ClaimFlow extends Pick<AttemptRow, 'reveal' | 'typed'> {
  /** Whether the code itself is in the mail, or on the page. */
  proof: 'code' | 'page';
  /** Whether mail goes to the human, with the code or with a link to the page. */
  isMailed: boolean;
}

/** The tinysend profile: the code is in the mail, and the agent brings it or the human types it. */
export const MAILED_CODE: ClaimFlow = { proof: 'code', isMailed: true, reveal: null, typed: 0 };

/** auth.md v0.1: a link is in the mail, and the code on its page. */
export const MAILED_PAGE: ClaimFlow = { proof: 'page', isMailed: true, reveal: 'digits', typed: 0 };

/**
 * The ceremony of what is asked at /agent/identity, as far as the operator allows its ways.
 *
 * @param kind `mailed`: v0.2 to v0.5, which say a mailbox; `told`: v0.6, production and a step-up, where the agent tells its human
 * where to go; `shown`: production, asking for a claim, whose agents are given no code
 * @throws Failure `methodDisabled` where no way is left
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
