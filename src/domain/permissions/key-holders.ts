import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { readPublicKey, verifyEd25519Signature } from '../../lib/ed25519.ts';
import { findAccount } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findLoginRequestOfKey } from '../../store/permission-requests.ts';
import { findRegistration } from '../../store/registrations.ts';
import {
  findSessionKey,
  type SessionKeyRow,
  updatePredecessorEnded,
  updateSessionKeySeen,
} from '../../store/session-keys.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { effectiveAccessOf } from '../credentials/effective-access.ts';
import {
  consumeRequestToken,
  parseRequestToken,
  readRequestTokenEnd,
} from '../credentials/request-tokens.ts';

/** Whose a session key is: an agent's, or that of a human's terminal. */

/** What a human lets a terminal grant for them. */
export interface TerminalBound {
  scopes: string[];
  /** Ids of shared workspaces, and of their account for their own things. */
  workspaces: string[];
}

/** A session key and who acts by it. */
export interface KeyHolder {
  thumbprint: string;
  /** What the keys of one succession have in common: keys hold what was granted to those before them. */
  family: string;
  generation: number;
  /** Undefined: it is a human's terminal. */
  agentId: string | undefined;
  /** The account that it acts in: the agent's own, or the human's. */
  accountId: string;
  /** The human behind it; undefined: an agent that nobody claimed. */
  ownerId: string | undefined;
  /** Of a terminal. */
  bound: TerminalBound | undefined;
  /** Epoch ms: when it ends by itself; Infinity: it does not. */
  endsAt: number;
}

/** A session key that signed a request. */
export interface SigningKey {
  thumbprint: string;
  /** Undefined: a terminal that waits until a human lets it act for them. */
  holder: KeyHolder | undefined;
}

/** An agent under a host, which is known by its own key (Agent Auth Protocol). */
export interface HostedSigner {
  agentId: string;
  publicJwk: string;
}

/** Finds the active agent under a host that has a key. The domain room `hosts` knows them. */
export type FindHostedSigner = (thumbprint: string) => Promise<HostedSigner | undefined>;

/** The type of the tokens that session keys sign for one request each. */
const KEY_TOKEN_TYPE = 'vouchsafe-key+jwt';

/**
 * Verifies a token that a session key signed for one request, and consumes its `jti`. This counts as a use of the key: the one
 * before it ends.
 *
 * @param audience exactly the URL of the row
 * @throws Failure `invalidToken`
 */
export async function verifyKeyToken(
  deps: Deps,
  origin: RequestOrigin,
  token: string,
  audience: string,
  findHosted: FindHostedSigner,
): Promise<SigningKey> {
  const { claims, thumbprint } = parseKeyToken(deps, token, audience);
  const found = await findKey(deps, thumbprint, findHosted);
  if (found === undefined || !verifyEd25519Signature(token, found.publicJwk)) throw keyInvalid();
  const end = readRequestTokenEnd(deps, claims);
  if (typeof end === 'string') throw keyInvalid();
  if (found.hasEnded) throw keyInvalid();
  const { row, holder } = found;
  const isFirst = await consumeRequestToken(deps, `key:${thumbprint}`, claims, end, async (tx, now) => {
    if (row !== undefined) await noteUse(deps, tx, origin, row, now);
  });
  if (!isFirst) throw keyInvalid();
  return { thumbprint, holder };
}

/** Verifies a token by which a new key proves itself beside a request of the old one. It is no use of the new key. */
export function verifyNewKeyToken(
  deps: Pick<Deps, 'clock'>,
  token: string,
  expected: { audience: string; publicJwk: string; thumbprint: string; old: string },
): { claims: Record<string, unknown>; endsAt: number } {
  const { claims, thumbprint } = parseKeyToken(deps, token, expected.audience);
  const isOfBoth = thumbprint === expected.thumbprint && claims.old === expected.old;
  if (!isOfBoth || !verifyEd25519Signature(token, expected.publicJwk)) throw proofInvalid();
  const endsAt = readRequestTokenEnd(deps, claims);
  if (typeof endsAt === 'string') throw proofInvalid();
  return { claims, endsAt };
}

/** Creates the failure for a proof of a new key that is not valid. */
export function proofInvalid(): Failure {
  return new Failure('invalidSignature', 'The proof of the new key is not valid.', { field: 'proof' });
}

function parseKeyToken(_: Pick<Deps, 'clock'>, token: string, audience: string) {
  let parsed: ReturnType<typeof parseRequestToken>;
  try {
    parsed = parseRequestToken(token);
  } catch (cause) {
    throw keyInvalid(cause);
  }
  const { header, claims } = parsed;
  const { iss, sub, aud } = claims;
  const isOurs = header.typ === KEY_TOKEN_TYPE && typeof iss === 'string' && sub === iss && aud === audience;
  if (!isOurs) throw keyInvalid();
  return { claims, thumbprint: iss as string };
}

/** A key, whose it is, and whether it may not sign any more. */
interface FoundKey {
  publicJwk: string;
  row: SessionKeyRow | undefined;
  holder: KeyHolder | undefined;
  hasEnded: boolean;
}

async function findKey(
  deps: Deps,
  thumbprint: string,
  findHosted: FindHostedSigner,
): Promise<FoundKey | undefined> {
  const row = await findSessionKey(deps.db, thumbprint, deps.clock());
  if (row !== undefined) {
    const holder = await holderOfRow(deps.db, deps, row);
    return { publicJwk: row.publicJwk, row, holder, hasEnded: holder === undefined };
  }
  const hosted = await findHosted(thumbprint);
  if (hosted !== undefined) {
    const holder = await holderOfHosted(deps.db, deps, thumbprint, hosted);
    return { publicJwk: hosted.publicJwk, row, holder, hasEnded: holder === undefined };
  }
  const login = await findLoginRequestOfKey(deps.db, thumbprint);
  if (login === undefined) return undefined;
  const { requester } = JSON.parse(login.artifact) as { requester: { key: unknown } };
  const key = readPublicKey(requester.key);
  if (typeof key === 'string') return undefined;
  return { publicJwk: key.jwk, row, holder: undefined, hasEnded: false };
}

/** Finds who acts by a key now. @returns undefined: nobody, or not any more */
export async function findKeyHolder(
  db: Pick<Tx, 'get'>,
  deps: Pick<Deps, 'config' | 'clock'>,
  thumbprint: string,
  findHosted: FindHostedSigner,
): Promise<{ holder: KeyHolder | undefined; isKnown: boolean }> {
  const row = await findSessionKey(db, thumbprint, deps.clock());
  if (row !== undefined) return { holder: await holderOfRow(db, deps, row), isKnown: true };
  const hosted = await findHosted(thumbprint);
  if (hosted === undefined) return { holder: undefined, isKnown: false };
  return { holder: await holderOfHosted(db, deps, thumbprint, hosted), isKnown: true };
}

/** Finds who acts by a session key now. @returns undefined: the key, its agent or its human has ended */
async function holderOfRow(
  db: Pick<Tx, 'get'>,
  deps: Pick<Deps, 'config' | 'clock'>,
  row: SessionKeyRow,
): Promise<KeyHolder | undefined> {
  if (!isSessionKeyLive(row, deps.clock())) return undefined;
  const { thumbprint, family, generation, agentId, accountId } = row;
  const key = { thumbprint, family, generation };
  if (agentId !== null) {
    const agent = await findAgentBehind(db, deps, agentId);
    return agent && { ...key, ...agent, agentId, bound: undefined };
  }
  const account = accountId === null ? undefined : await findAccount(db, accountId);
  if (account === undefined || account.mailbox === null) return undefined;
  return {
    ...key,
    agentId: undefined,
    accountId: account.id,
    ownerId: account.id,
    bound: JSON.parse(row.bound ?? '{"scopes":[],"workspaces":[]}') as TerminalBound,
    endsAt: row.expiresAt ?? Infinity,
  };
}

async function holderOfHosted(
  db: Pick<Tx, 'get'>,
  deps: Pick<Deps, 'config' | 'clock'>,
  thumbprint: string,
  { agentId }: HostedSigner,
): Promise<KeyHolder | undefined> {
  const agent = await findAgentBehind(db, deps, agentId);
  // The protocol of hosts changes the keys of their agents: what was granted is the agent's, whichever key it has.
  return agent && { thumbprint, family: agentId, generation: 0, ...agent, agentId, bound: undefined };
}

/** Finds the account and the human of an agent that may act now, and when its registration ends. */
export async function findAgentBehind(
  db: Pick<Tx, 'get'>,
  deps: Pick<Deps, 'config' | 'clock'>,
  agentId: string,
): Promise<Pick<KeyHolder, 'accountId' | 'ownerId' | 'endsAt'> | undefined> {
  const agent = await findAgent(db, agentId);
  if (agent === undefined || agent.revokedAt !== null) return undefined;
  const registration = await findRegistration(db, agent.registrationId);
  if (registration === undefined) return undefined;
  if (registration.kind !== 'host') return effectiveAccessOf(db, deps, deps.clock(), registration);
  const account = await findAccount(db, agent.accountId);
  if (account === undefined) return undefined;
  const ownerId = (account.kind === 'human' ? account.id : account.parentId) ?? undefined;
  const endsAt = ownerId === undefined ? registration.expiresAt : Infinity;
  return endsAt <= deps.clock() ? undefined : { accountId: account.id, ownerId, endsAt };
}

/** Whether a session key may sign: it has not ended, and the key that named it works, unless the owner confirmed it. */
export function isSessionKeyLive(row: SessionKeyRow, now: number): boolean {
  return (
    row.endedAt === null &&
    (row.retiresAt === null || row.retiresAt > now) &&
    (row.expiresAt === null || row.expiresAt > now) &&
    (row.isBoundLive === 1 || row.confirmedAt !== null)
  );
}

/** Records a use. The first one of a key ends the key that it followed. */
async function noteUse(
  deps: Deps,
  tx: Tx,
  origin: RequestOrigin,
  row: SessionKeyRow,
  now: number,
): Promise<void> {
  await updateSessionKeySeen(tx, row.thumbprint, now, `network ${origin.address.coarse}`);
  if (row.generation === 0 || row.seenAt !== null) return;
  const ended = await updatePredecessorEnded(tx, row.thumbprint, row.family, row.generation, now);
  if (ended === undefined) return;
  await recordEvent(
    { tx, now, deps, origin },
    {
      kind: 'session_key.ended',
      agentId: row.agentId ?? undefined,
      accountId: row.accountId ?? undefined,
      subject: ended.thumbprint,
      details: { by: 'successor' },
    },
  );
}

/** Creates the failure for a token of a session key that is not valid; it does not say why. */
export function keyInvalid(cause?: unknown): Failure {
  return new Failure(
    'invalidToken',
    'The session key does not work here any more, or the token that it signed is not valid: sign a new one for each request, for exactly its URL.',
    {},
    cause,
  );
}
