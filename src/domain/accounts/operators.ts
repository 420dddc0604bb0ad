import type { Deps } from '../../deps.ts';
import { ConfigError } from '../../errors.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { deleteOperator, insertOperator, listOperators } from '../../store/operators.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * Operators: those who may use the console. They are in the configuration; on a loopback PUBLIC_URL the command line
 * makes others in the database, which count there alone, so that a copied database makes nobody an operator elsewhere.
 */

/** An operator, and what made them one. */
export interface Operator {
  /** Canonical. */
  mailbox: string;
  from: 'configuration' | 'database';
}

/**
 * Reports whether a mailbox is an operator's.
 *
 * @param mailbox canonical
 * @param isListed whether the database lists it
 */
export function isOperator({ config }: Pick<Deps, 'config'>, mailbox: string, isListed: boolean): boolean {
  return config.operators.has(mailbox) || (config.isLoopback && isListed);
}

/** Lists the operators that there are. */
export async function findOperators({ config, db }: Pick<Deps, 'config' | 'db'>): Promise<Operator[]> {
  const listed = config.isLoopback ? await listOperators(db) : [];
  return [
    ...[...config.operators].map((mailbox) => ({ mailbox, from: 'configuration' as const })),
    ...listed
      .filter(({ mailbox }) => !config.operators.has(mailbox))
      .map(({ mailbox }) => ({ mailbox, from: 'database' as const })),
  ];
}

/**
 * Makes an operator in the database.
 *
 * @param mailbox canonical
 * @returns false: it is one already
 * @throws ConfigError unless PUBLIC_URL is on this machine
 */
export async function addOperator(deps: Deps, origin: RequestOrigin, mailbox: string): Promise<boolean> {
  if (deps.config.operators.has(mailbox)) return false;
  if (!deps.config.isLoopback) {
    throw new ConfigError(
      'Where PUBLIC_URL is not on this machine, the configuration says who is an operator: add the address to "operators" in the file, or to OPERATORS.',
    );
  }
  return useCase(deps, origin, {}, async (work) => {
    if (!(await insertOperator(work.tx, mailbox, work.now))) return false;
    await recordEvent(work, { kind: 'operator.added', details: { mailbox: maskMailbox(mailbox) } });
    return true;
  });
}

/**
 * Removes an operator of the database; they lose the console with their next request.
 *
 * @param mailbox canonical
 * @returns false: the database lists no such operator
 * @throws ConfigError for an operator of the configuration
 */
export async function removeOperator(deps: Deps, origin: RequestOrigin, mailbox: string): Promise<boolean> {
  if (deps.config.operators.has(mailbox)) {
    throw new ConfigError(
      'The configuration makes this address an operator: take it out of "operators" in the file, or of OPERATORS.',
    );
  }
  return useCase(deps, origin, {}, async (work) => {
    if ((await deleteOperator(work.tx, mailbox)) !== 1) return false;
    await recordEvent(work, { kind: 'operator.removed', details: { mailbox: maskMailbox(mailbox) } });
    return true;
  });
}
