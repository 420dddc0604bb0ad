import { protocolError } from './protocol-errors.ts';

/**
 * Restrictions on the arguments of a capability, by member: the exact value, or operators that must all hold (Agent
 * Auth Protocol 1.0-draft, section 2.13). The agent proposes them, the human sees them, and nothing widens them.
 */
export type Constraints = Record<string, unknown>;

/** An argument that violates a constraint. */
export interface Violation {
  field: string;
  constraint: unknown;
  actual: unknown;
}

type Check = (operand: unknown, actual: unknown) => boolean;

const sameValue: Check = (operand, actual) => JSON.stringify(operand) === JSON.stringify(actual);
const isIn: Check = (operand, actual) => (operand as unknown[]).some((each) => sameValue(each, actual));

/** A missing argument violates every operator except `not_in`. */
const OPERATORS: Record<string, Check> = {
  max: (operand, actual) => typeof actual === 'number' && actual <= (operand as number),
  min: (operand, actual) => typeof actual === 'number' && actual >= (operand as number),
  in: isIn,
  not_in: (operand, actual) => !isIn(operand, actual),
  eq: sameValue,
};
const isOperandOf: Record<string, (operand: unknown) => boolean> = {
  max: Number.isFinite,
  min: Number.isFinite,
  in: Array.isArray,
  not_in: Array.isArray,
  eq: () => true,
};

const BYTES_MAX = 4096;

/**
 * Reads the constraints that an agent proposes.
 *
 * @param capability its name, for the failure
 * @returns undefined if there are none
 * @throws Failure `protocolRefused`: `unknown_constraint_operator`, `invalid_capabilities`
 */
export function readConstraints(value: unknown, capability: string): Constraints | undefined {
  if (value === undefined || value === null) return undefined;
  const isObject = typeof value === 'object' && !Array.isArray(value);
  if (!isObject || Buffer.byteLength(JSON.stringify(value)) > BYTES_MAX) throw invalidConstraints(capability);
  const unknownOperators = new Set<string>();
  for (const constraint of Object.values(value)) {
    if (!isOperators(constraint)) continue;
    for (const [name, operand] of Object.entries(constraint)) {
      if (!Object.hasOwn(OPERATORS, name)) unknownOperators.add(name);
      else if (!isOperandOf[name]!(operand)) throw invalidConstraints(capability);
    }
  }
  if (unknownOperators.size > 0) {
    throw protocolError('unknown_constraint_operator', 'Constraints know max, min, in, not_in and eq.', {
      unknown_operators: [...unknownOperators],
    });
  }
  return Object.keys(value).length === 0 ? undefined : (value as Constraints);
}

/** Lists the constraints that arguments violate. @returns an empty array if the arguments satisfy all of them */
export function violationsOf(
  constraints: Constraints | undefined,
  args: Record<string, unknown>,
): Violation[] {
  return Object.entries(constraints ?? {}).flatMap(([field, constraint]) => {
    const actual = Object.hasOwn(args, field) ? args[field] : undefined;
    const checks = isOperators(constraint) ? Object.entries(constraint) : [['eq', constraint] as const];
    return checks
      .filter(([name, operand]) => !OPERATORS[name]!(operand, actual))
      .map(([name, operand]) => ({
        field,
        constraint: isOperators(constraint) ? { [name]: operand } : operand,
        actual: actual ?? null,
      }));
  });
}

function isOperators(constraint: unknown): constraint is Record<string, unknown> {
  return typeof constraint === 'object' && constraint !== null && !Array.isArray(constraint);
}

function invalidConstraints(capability: string): Error {
  return protocolError(
    'invalid_capabilities',
    'Constraints are values, or operators with values, by member of the arguments.',
    {
      invalid_capabilities: [capability],
    },
  );
}
