import { Failure } from '../../errors.ts';
import { formatScope } from '../../lib/scopes.ts';
import { updateKeysOfAgentScope, updateTokensOfAgentRevoked } from '../../store/credentials.ts';
import { updateFamiliesOfRegistrationEnded } from '../../store/refresh-tokens.ts';
import { incrementGeneration, type RegistrationRow } from '../../store/registrations.ts';
import { updateCredentialsSuperseded } from '../../store/superseded-credentials.ts';
import type { Work } from '../../work.ts';
import { resolveAudience } from '../audiences/audience.ts';
import { issueAccessToken, tokenExpiry } from '../credentials/access-tokens.ts';
import type { EffectiveAccess } from '../credentials/effective-access.ts';
import { type Identity, mintIdentity } from '../credentials/identity-assertions.ts';
import { issueKey } from '../credentials/issue.ts';
import { narrowCredentials } from '../credentials/narrow-credentials.ts';

/**
 * What a completed claim issues, by version of auth.md (docs/dialects.md):
 * - `key`: a new key; the older ones expire (the tinysend profile)
 * - `wider_keys`: no new credential; the agent's keys get the claimed scopes (v0.1, anonymous)
 * - `token`: an access token (v0.1, for an agent that requested one)
 * - `same_identity`: an identity; earlier assertions stay valid and get the claimed scopes (v0.2, v0.3)
 * - `identity`: an identity; earlier assertions and tokens are revoked (v0.4 to production)
 * - `nothing`: no credential; the caller issues one by issueAdditional()
 */
export type IssuancePlan = 'key' | 'wider_keys' | 'token' | 'same_identity' | 'identity' | 'nothing';

/** A credential that was just issued; `credential` is the plain secret. `expiresAt` is in epoch ms. */
export type IssuedCredential =
  /** `expiresAt` is null for a key that does not expire, and undefined in a response that an earlier version stored. */
  | { kind: 'key'; credential: string; id: string; expiresAt?: number | null }
  | { kind: 'nothing' }
  | { kind: 'token'; credential: string; id: string; expiresAt: number; scopes: readonly string[] }
  | { kind: 'identity'; identity: Identity };

/** How long credentials from before the claim stay valid with their old scopes, unless the agent uses its new key first. */
const OLD_KEY_GRACE_MS = 600_000;

/**
 * Issues the credential of a completed claim and ends earlier credentials as planned, in the caller's transaction.
 *
 * @param input.mailbox the owner's mailbox, canonical
 * @param input.scopes all that the agent may have from now on
 * @param input.isNarrowed whether its human chose them: then earlier credentials lose all others, too
 * @throws Failure for an access token: `invalidScope` when the default audience accepts no scope of the agent; `limited`
 */
export async function issueOnClaim(
  work: Work,
  input: {
    registration: RegistrationRow;
    agentId: string;
    accountId: string;
    mailbox: string;
    scopes: readonly string[];
    isNarrowed: boolean;
    gives: IssuancePlan;
  },
): Promise<IssuedCredential> {
  const { tx, now } = work;
  const { registration, agentId, accountId, mailbox, scopes, isNarrowed, gives: plan } = input;
  let { generation } = registration;
  if (plan !== 'same_identity') {
    generation += 1;
    await incrementGeneration(tx, registration.id);
    await updateFamiliesOfRegistrationEnded(tx, registration.id, now);
    await updateTokensOfAgentRevoked(tx, agentId, now);
  }
  if (isNarrowed && plan !== 'wider_keys') await narrowCredentials(work, agentId, scopes, (key) => key);
  switch (plan) {
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
      return issueDefaultToken(work, { agentId, accountId, scopes, endsAt: Infinity });
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

/** Issues an access token for the default audience. */
async function issueDefaultToken(
  work: Work,
  terms: { agentId: string; accountId: string; scopes: readonly string[]; endsAt: number },
): Promise<IssuedCredential> {
  const { now, deps } = work;
  const audience = await resolveAudience(deps, undefined);
  const scopes = terms.scopes.filter((scope) => audience.scopes?.includes(scope) ?? true);
  if (scopes.length === 0)
    throw new Failure('invalidScope', 'The default resource accepts none of the scopes of this agent.');
  const expiresAt = tokenExpiry(deps, audience, now, terms.endsAt);
  const token = { ...terms, scopes, audience, issuedAt: now, expiresAt };
  const { id, value } = await issueAccessToken(work, token);
  return { kind: 'token', credential: value, id, expiresAt, scopes };
}

/**
 * Issues one more credential to an agent, beside those it has, for an ID-JAG of its provider. An identity comes without a refresh
 * token: only another ID-JAG renews it.
 *
 * @param allowedScopes the `scope` of the ID-JAG; undefined: it has none, and all scopes of the agent are allowed
 * @returns the credential and its scopes
 * @throws Failure `invalidAssertion` when no scope is left; `invalidScope` or `limited` as issueOnClaim()
 */
export async function issueAdditional(
  work: Work,
  access: EffectiveAccess,
  kind: 'key' | 'token' | 'identity',
  allowedScopes: string[] | undefined,
): Promise<{ given: IssuedCredential; scopes: readonly string[] }> {
  const scopes = access.scopes.filter(
    (scope) => allowedScopes === undefined || allowedScopes.includes(scope),
  );
  if (scopes.length === 0) {
    throw new Failure('invalidAssertion', 'The "scope" of the assertion names no scope of this agent.', {
      fault: 'malformed',
    });
  }
  const issued = await issueWithinScopes(work, { ...access, scopes }, kind, allowedScopes);
  return { given: issued, scopes: issued.kind === 'token' ? issued.scopes : scopes };
}

async function issueWithinScopes(
  work: Work,
  { registration, agentId, accountId, mailbox, scopes, endsAt }: EffectiveAccess,
  kind: 'key' | 'token' | 'identity',
  allowedScopes: string[] | undefined,
): Promise<IssuedCredential> {
  switch (kind) {
    case 'key':
      return { kind: 'key', ...(await issueKey(work, { agentId, accountId, scopes })) };
    case 'token':
      return issueDefaultToken(work, { agentId, accountId, scopes, endsAt });
    case 'identity': {
      const terms = { registration, mailbox, endsAt: undefined, refreshable: false, scopes: allowedScopes };
      return { kind: 'identity', identity: await mintIdentity(work, terms) };
    }
  }
}
