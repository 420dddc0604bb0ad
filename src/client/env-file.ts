import { AuthError } from '../lib/artifacts/auth-error.ts';
import type { Agent } from './agent-state.ts';
import { readPrivateFile, writePrivateFile } from './private-files.ts';

/** An agent in a `.env` file: one variable a member, between lines of others that stay as they are. */

/** The variable of each member. Programs that use the agent read VOUCHSAFE_KEY. */
const VARIABLES = {
  service: 'VOUCHSAFE_SERVICE',
  dialect: 'VOUCHSAFE_DIALECT',
  id: 'VOUCHSAFE_AGENT_ID',
  account: 'VOUCHSAFE_ACCOUNT',
  scopes: 'VOUCHSAFE_SCOPES',
  credential: 'VOUCHSAFE_KEY',
  expiresAt: 'VOUCHSAFE_KEY_EXPIRES_AT',
  assertion: 'VOUCHSAFE_ASSERTION',
  assertionExpiresAt: 'VOUCHSAFE_ASSERTION_EXPIRES_AT',
  refreshToken: 'VOUCHSAFE_REFRESH_TOKEN',
  claim: 'VOUCHSAFE_CLAIM',
  claimToken: 'VOUCHSAFE_CLAIM_TOKEN',
  claimExpiresAt: 'VOUCHSAFE_CLAIM_EXPIRES_AT',
  verificationUri: 'VOUCHSAFE_VERIFICATION_URI',
  userCode: 'VOUCHSAFE_USER_CODE',
  codeExpiresAt: 'VOUCHSAFE_CODE_EXPIRES_AT',
  interval: 'VOUCHSAFE_INTERVAL',
  askedAt: 'VOUCHSAFE_ASKED_AT',
} as const satisfies Record<keyof Agent, string>;

const NAMES: ReadonlySet<string> = new Set(Object.values(VARIABLES));
/** Read alike by shells and by programs that read `.env` files. */
const PLAIN = /^[\w.:/+=,@%~-]*$/;
const ASSIGNMENT = /^\s*(?:export\s+)?(\w+)\s*=\s*(.*?)\s*$/;

/**
 * Reads the agent in a file.
 *
 * @returns undefined if there is no file, or no agent in it
 * @throws AuthError `STORE_PERMISSIONS` if others can read the file, `STORE_CORRUPT` for half an agent
 */
export function readAgentFile(path: string): Agent | undefined {
  const text = readPrivateFile(path)?.toString('utf8');
  if (text === undefined) return undefined;
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, name, value] = ASSIGNMENT.exec(line) ?? [];
    if (name !== undefined && NAMES.has(name)) values.set(name, unquote(value!));
  }
  const members = Object.entries(VARIABLES).flatMap(([member, name]) => {
    const value = values.get(name);
    return value === undefined || value === '' ? [] : [[member, typed(member, value)] as const];
  });
  const agent = Object.fromEntries(members) as unknown as Agent;
  if (agent.claimToken === undefined && agent.credential === undefined) return undefined;
  const isWhole =
    agent.service !== undefined &&
    ['tinysend', 'auth.md'].includes(agent.dialect) &&
    ['none', 'pending', 'claimed'].includes(agent.claim) &&
    agent.claimToken !== undefined &&
    agent.claimExpiresAt !== undefined;
  if (isWhole) return agent;
  throw new AuthError('STORE_CORRUPT', `${path} has half an agent.`, {
    hint: 'Bring its VOUCHSAFE_ lines back, or take them all out and register again.',
  });
}

/** Returns the service that a file names, also without an agent. */
export function readServiceIn(path: string): string | undefined {
  const lines = readPrivateFile(path)?.toString('utf8').split('\n') ?? [];
  const found = lines
    .map((line) => ASSIGNMENT.exec(line))
    .findLast((each) => each?.[1] === VARIABLES.service);
  return found ? unquote(found[2]!) : undefined;
}

/**
 * Writes an agent into a file, in the place of the one that was there. Other lines stay. A new file is readable by its user alone.
 *
 * @param agent undefined: takes it out
 * @throws AuthError `STORE_PERMISSIONS`
 */
export function writeAgentFile(path: string, agent: Agent | undefined): void {
  const before = readPrivateFile(path)?.toString('utf8') ?? '';
  const others = before.split('\n').filter((line) => !NAMES.has(ASSIGNMENT.exec(line)?.[1] ?? ''));
  while (others.at(-1) === '') others.pop();
  const lines = agent === undefined ? [] : linesOf(agent);
  writePrivateFile(path, [...others, ...lines].map((line) => `${line}\n`).join(''));
}

function linesOf(agent: Agent): string[] {
  return Object.entries(VARIABLES).flatMap(([member, name]) => {
    const value = agent[member as keyof Agent];
    if (value === undefined) return [];
    return [`${name}=${quote(Array.isArray(value) ? value.join(' ') : String(value))}`];
  });
}

/** What a service answers is a text of others: it must not become another line or a command. */
function quote(value: string): string {
  if (PLAIN.test(value)) return value;
  if (/^[\x20-\x26\x28-\x7e]*$/.test(value)) return `'${value}'`;
  throw new AuthError('SERVICE_ERROR', 'The service answered something that cannot be stored.');
}

function unquote(value: string): string {
  return /^'([^']*)'$/.exec(value)?.[1] ?? /^"([^"\\]*)"$/.exec(value)?.[1] ?? value;
}

function typed(member: string, value: string): unknown {
  if (member === 'scopes') return value.split(' ');
  return member === 'interval' || member === 'askedAt' ? Number(value) : value;
}
