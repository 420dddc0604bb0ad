import { AuthError } from '../lib/artifacts/auth-error.ts';

/** How to speak with the service: the tinysend profile gives a key, auth.md 0.4 to 0.7 an identity that is exchanged for tokens. */
export type Dialect = 'tinysend' | 'auth.md';

/**
 * An agent as it knows itself. It can be stored as JSON, and holds secrets: nobody else may read it. Functions return a new one
 * where something changed.
 */
export interface Agent {
  dialect: Dialect;
  service: string;
  /** Whether a human has claimed it, is asked to, or nobody was asked. */
  claim: 'none' | 'pending' | 'claimed';
  /** Of tinysend; in auth.md `readAgentStatus` tells it. */
  id?: string;
  /** The account that it acts in. */
  account?: string;
  /** What its key or identity may do. */
  scopes?: string[];
  /** Of tinysend: the key. */
  credential?: string;
  /** When the key ends; absent: it does not by itself. */
  expiresAt?: string;
  /** Of auth.md: what is exchanged for tokens. */
  assertion?: string;
  assertionExpiresAt?: string;
  refreshToken?: string;
  /** By which a human is asked, and waited for. */
  claimToken: string;
  claimExpiresAt: string;
  /** The page on which the human decides. */
  verificationUri?: string;
  /** Of auth.md: what the human types there. */
  userCode?: string;
  codeExpiresAt?: string;
  /** Seconds between two questions. */
  interval?: number;
  /** When the service was asked last; epoch ms. */
  askedAt?: number;
}

/** What of an agent comes with an answer. Members that the answer lacks are taken away. */
export type AgentChange = { [Name in keyof Agent]?: Agent[Name] | undefined };

/** Changes an agent. Members that are undefined are taken away. */
export function changeAgent(agent: Agent, change: AgentChange): Agent {
  const changed = Object.entries({ ...agent, ...change }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(changed) as unknown as Agent;
}

/** Members of answers, read as what they should be. */
export interface AnswerReader {
  /** @throws AuthError `SERVICE_ERROR` */
  text(name: string): string;
  textIfAny(name: string): string | undefined;
  number(name: string): number | undefined;
  words(name: string): string[] | undefined;
  object(name: string): AnswerReader;
}

/** Reads an answer of the service. */
export function readAnswer(value: unknown): AnswerReader {
  const data = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const textIfAny = (name: string) => {
    const text = data[name];
    if (typeof text !== 'string') return undefined;
    // Ids, links, times and secrets are ASCII. What is not could move the cursor of whoever prints it.
    if (/^[\x20-\x7e]*$/.test(text)) return text;
    throw new AuthError('SERVICE_ERROR', `The service answered a "${name}" that is none.`);
  };
  return {
    textIfAny,
    text(name) {
      const text = textIfAny(name);
      if (text !== undefined) return text;
      throw new AuthError('SERVICE_ERROR', `The service answered without "${name}".`);
    },
    number: (name) => (typeof data[name] === 'number' ? data[name] : undefined),
    words: (name) => {
      const words = data[name];
      return Array.isArray(words) &&
        words.every((word) => typeof word === 'string' && /^[\x21-\x7e]+$/.test(word))
        ? words
        : undefined;
    },
    object: (name) => readAnswer(data[name]),
  };
}
