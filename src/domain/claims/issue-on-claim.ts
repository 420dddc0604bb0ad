import { Failure } from '../../errors.ts';
import { formatScope } from '../../lib/scopes.ts';
import {
  updateCredentialsSuperseded,
  updateKeysOfAgentScope,
  updateTokensOfAgentRevoked,
} from '../../store/credentials.ts';
import { updateFamiliesOfRegistrationEnded } from '../../store/refresh-tokens.ts';
import { incrementGeneration, type RegistrationRow } from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { resolveAudience } from '../audiences/audience.ts';
import { issueAccessToken, tokenEnd } from '../credentials/access-tokens.ts';
import type { EffectiveAccess } from '../credentials/effective-access.ts';
import { type Identity, mintIdentity } from '../credentials/identity-assertions.ts';
import { issueKey } from '../credentials/issue.ts';

/**
 * What an agent gets by being claimed, which each version of auth.md has its own way with:
 * - `key`: a fresh key, which makes its older ones end (the tinysend profile)
 * - `wider_keys`: its keys, widened in place (v0.1, anonymous)
 * - `token`: an access token (v0.1, where it asked for one)
 * - `same_identity`: an identity, beside the assertions from before, which get the new scopes (v0.2, v0.3)
 * - `identity`: an identity; assertions and tokens from before are dead (v0.4 to production)
 * - `nothing`: what it gets is asked for by itself; see giveMore
 */
export type IssuancePlan = 'key' | 'wider_keys' | 'token' | 'same_identity' | 'identity' | 'nothing';

export type IssuedCredential =
  /** `expiresAt` in epoch ms, null without end; undefined in an answer that an earlier version has kept. */
  | { kind: 'key'; credential: string; id: string; expiresAt?: number | null }
  | { kind: 'nothing' }
  | { kind: 'token'; credential: string; id: string; expiresAt: number; scopes: readonly string[] }
  | { kind: 'identity'; identity: Identity };

/** How long the key from before the claim still reads, unless the new one is used first. */
const OLD_KEY_GRACE_MS = 600_000;

/** Gives an agent what its claim gives, in the caller's transaction. */
export async function issueOnClaim(
  work: Work,
  of: {
    registration: RegistrationRow;
    agentId: string;
    accountId: string;
    mailbox: string;
    gives: IssuancePlan;
  },
): Promise<IssuedCredential> {
  const { tx, now, deps } = work;
  const { registration, agentId, accountId, mailbox, gives } = of;
  const { claimedScopes: scopes } = deps.config;
  let { generation } = registration;
  if (gives !== 'same_identity') {
    generation += 1;
    await incrementGeneration(tx, registration.id);
    await updateFamiliesOfRegistrationEnded(tx, registration.id, now);
    await updateTokensOfAgentRevoked(tx, agentId, now);
  }
  switch (gives) {
    case 'key': {
      const key = await issueKey(work, { agentId, accountId, scopes, retiresOthers: true });
      await updateCredentialsSuperseded(tx, agentId, key.id, now + OLD_KEY_GRACE_MS);
      return { kind: 'key', ...key };
    }
    case 'wider_keys':
      await updateKeysOfAgentScope(tx, agentId, { scope: formatScope(scopes), accountId }, now);
      return { kind: 'nothing' };
    case 'nothing':
      await updateCredentialsSuperseded(tx, agentId, registration.id, now + OLD_KEY_GRACE_MS);
      return { kind: 'nothing' };
    case 'token':
      return giveToken(work, { agentId, accountId, scopes, endsAt: Infinity });
    case 'same_identity':
    case 'identity': {
      await updateCredentialsSuperseded(tx, agentId, registration.id, now + OLD_KEY_GRACE_MS);
      const identity = await mintIdentity(work, {
        registration: { id: registration.id, generation },
        mailbox,
        endsAt: undefined,
        refreshable: true,
      });
      return { kind: 'identity', identity };
    }
  }
}

/** A token for the default resource. */
async function giveToken(
  work: Work,
  of: { agentId: string; accountId: string; scopes: readonly string[]; endsAt: number },
): Promise<IssuedCredential> {
  const { now, deps } = work;
  const audience = await resolveAudience(deps, undefined);
  const scopes = of.scopes.filter((scope) => audience.scopes?.includes(scope) ?? true);
  if (scopes.length === 0)
    throw new Failure('invalidScope', 'The default resource knows none of its scopes.');
  const expiresAt = tokenEnd(deps, audience, now, of.endsAt);
  const grant = { ...of, scopes, audience, issuedAt: now, expiresAt };
  const { id, value } = await issueAccessToken(work, grant);
  return { kind: 'token', credential: value, id, expiresAt, scopes };
}

/**
 * One more of what an agent has already, beside the others, on the word of its provider. It is renewed by another such word
 * alone.
 *
 * @param bound the scopes that its provider lets it have; undefined: all
 * @returns it, and the scopes that it has
 */
export async function issueAdditional(
  work: Work,
  standing: EffectiveAccess,
  gives: 'key' | 'token' | 'identity',
  bound: string[] | undefined,
): Promise<{ given: IssuedCredential; scopes: readonly string[] }> {
  const scopes = standing.scopes.filter((scope) => bound === undefined || bound.includes(scope));
  if (scopes.length === 0) {
    throw new Failure('invalidAssertion', 'The "scope" of the assertion leaves the agent nothing here.', {
      fault: 'malformed',
    });
  }
  const given = await giveBound(work, { ...standing, scopes }, gives, bound);
  return { given, scopes: given.kind === 'token' ? given.scopes : scopes };
}

async function giveBound(
  work: Work,
  { registration, agentId, accountId, mailbox, scopes, endsAt }: EffectiveAccess,
  gives: 'key' | 'token' | 'identity',
  bound: string[] | undefined,
): Promise<IssuedCredential> {
  switch (gives) {
    case 'key':
      return { kind: 'key', ...(await issueKey(work, { agentId, accountId, scopes })) };
    case 'token':
      return giveToken(work, { agentId, accountId, scopes, endsAt });
    case 'identity': {
      const terms = { registration, mailbox, endsAt: undefined, refreshable: false, scopes: bound };
      return { kind: 'identity', identity: await mintIdentity(work, terms) };
    }
  }
}
