import type { ClaimView } from '../../domain/claims/claim-review.ts';
import { listOfferedScopes } from '../../domain/claims/offered-scopes.ts';
import { UNDO_MS } from '../../domain/owner/owned-agent-view.ts';
import { formatClock } from '../../lib/format-time.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import type { Call } from '../server/table.ts';
import { describeScopes } from './scopes.ts';

/** Prepares a claim for its templates. */

/** The direction in which a code of the page passes. */
type Way = 'typed' | 'reveal';

/**
 * Prepares a claim for its templates.
 *
 * @param typed the fields of the form as the human sent them; undefined: nothing was sent yet
 * @param isSignInDue whether the approval was refused because the owner must sign in
 */
export function presentClaim(
  { deps, caller, query }: Pick<Call<unknown, 'browser'>, 'deps' | 'caller' | 'query'>,
  view: ClaimView,
  typed: Readonly<Record<string, unknown>> | undefined,
  isSignInDue = false,
): object {
  const { attempt, claimedAt } = view;
  const { way, otherWay } = chooseWay(view, typed ? wayOf(typed) : query.get('way'));
  const needsSignIn = isSignInDue || (view.mustSignIn && caller.session === undefined);
  // A session of another mailbox never gets here, see claim.ts.
  const mayReadMailbox = view.isFromMail || caller.session !== undefined;
  const { claimedScopes, limits } = deps.config;
  return {
    ...view,
    agentName: view.agentName && displayName(view.agentName),
    attempt: attempt && {
      ...attempt,
      mailbox: mayReadMailbox ? attempt.mailbox : maskMailbox(attempt.mailbox),
      // Before the agent has its key counted from the approval: the time from which it counts has not come yet, so never too long.
      undoableUntil:
        attempt.mode === 'merge' && attempt.decidedAt !== undefined
          ? (claimedAt ?? attempt.decidedAt) + UNDO_MS
          : undefined,
    },
    scopes: presentScopes(deps.config, attempt?.given, typed),
    given: attempt?.given ?? claimedScopes,
    revealed: view.revealed && {
      code: view.revealed.code,
      until: `${formatClock(view.revealed.expiresAt)} UTC`,
    },
    linkLifeSeconds: limits.codeTtlSeconds,
    step: nextStepOf(view, way, needsSignIn),
    otherWay,
    typedCode: typed?.code,
    refusesMail: typed?.no_more === 'on',
    problem: undefined,
  };
}

/** The way of a form that was sent: the one that its human turned to, or the one of its button. */
function wayOf(form: Readonly<Record<string, unknown>>): unknown {
  return form.other_way ?? form.way ?? 'typed';
}

/** Chooses the way that suits the agent, unless the human chose the alternative. */
function chooseWay(
  { ways }: ClaimView,
  chosen: unknown,
): { way: Way | undefined; otherWay: Way | undefined } {
  if (ways === undefined) return { way: undefined, otherWay: undefined };
  const { first } = ways;
  const alternative: Way = first === 'typed' ? 'reveal' : 'typed';
  if (!(alternative === 'reveal' ? ways.canReveal : ways.canType)) return { way: first, otherWay: undefined };
  return chosen === alternative
    ? { way: alternative, otherWay: first }
    : { way: first, otherWay: alternative };
}

/**
 * Returns what the human does next on the page of a claim that waits: signs in, presses a button (`link`: the mailed link is
 * open; `reveal`: a code follows), reads a code out (`revealed`), types a code from the mail or from the agent, or opens the
 * mailed link (`mailedLink`).
 */
function nextStepOf(view: ClaimView, way: Way | undefined, needsSignIn: boolean) {
  if (needsSignIn) return 'signIn';
  if (view.approvesByLink) return 'link';
  if (way === 'reveal') return view.revealed ? 'revealed' : 'reveal';
  if (way === 'typed') return 'agentCode';
  return view.attempt?.proof === 'link' ? 'mailedLink' : 'mailedCode';
}

/** Prepares the scopes that the claim offers. Boxes are on as they were sent, else as was given, else all but destructive ones. */
function presentScopes(
  config: Parameters<typeof listOfferedScopes>[0],
  given: readonly string[] | undefined,
  typed: Readonly<Record<string, unknown>> | undefined,
): object[] {
  const lines = new Map(describeScopes(config, config.claimedScopes).map((line) => [line.name, line]));
  return listOfferedScopes(config).map((scope) => ({
    ...lines.get(scope.name),
    ...scope,
    isOn: typed ? `scope:${scope.name}` in typed : (given?.includes(scope.name) ?? !scope.isDestructive),
  }));
}
