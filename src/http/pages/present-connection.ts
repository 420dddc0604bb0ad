import type { ConnectionRequestView } from '../../domain/hosts/connection-review.ts';
import { displayName, singleLine } from '../../lib/untrusted-text.ts';

/** Prepares a connection request for its template. */

/**
 * Prepares a connection request for its template. Texts of agents are untrusted, see lib/untrusted-text.ts.
 *
 * @param typed the fields of the form as the human sent them; undefined: nothing was sent yet
 */
export function presentRequest(
  view: ConnectionRequestView,
  typed: Readonly<Record<string, string | undefined>> | undefined,
): object {
  const { capabilities } = view;
  return {
    ...view,
    agentName: displayName(view.agentName),
    hostName: view.hostName && displayName(view.hostName),
    reason: view.reason && singleLine(view.reason, 500),
    bindingMessage: view.bindingMessage && singleLine(view.bindingMessage, 200),
    askedAgain: capabilities.some(({ wasRefused }) => wasRefused),
    capabilities: capabilities.map(({ constraints, ...each }) => ({
      ...each,
      isOn: typed === undefined ? !each.wasRefused && !each.isDestructive : `allow:${each.name}` in typed,
      constraints: constraints && Object.entries(constraints).map(presentConstraint),
    })),
  };
}

/** Long enough for every constraint: the human would allow a truncated part unseen. */
const CONSTRAINT_CHARS_MAX = 16_384;

/** A field with the operators that hold for it. The catalogue has words for them: `connect.constraint.max`. */
function presentConstraint([field, value]: [field: string, value: unknown]) {
  const isPlain = typeof value !== 'object' || value === null || Array.isArray(value);
  const operators = isPlain ? { eq: value } : value;
  return {
    field: singleLine(field, CONSTRAINT_CHARS_MAX),
    conditions: Object.entries(operators).map(([operator, operand]) => ({
      operator,
      value: singleLine(formatOperand(operand), CONSTRAINT_CHARS_MAX),
    })),
  };
}

function formatOperand(operand: unknown): string {
  return Array.isArray(operand)
    ? operand.map((each) => JSON.stringify(each)).join(', ')
    : JSON.stringify(operand);
}
