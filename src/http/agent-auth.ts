import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { MAILED_CODE } from '../domain/ceremonies.ts';
import { POLL_SECONDS } from '../domain/claim-state.ts';
import { type OpenedAttempt, startClaim } from '../domain/claims.ts';
import { completeClaim } from '../domain/completion.ts';
import type { Given } from '../domain/giving.ts';
import type { Repeatable } from '../domain/idempotency.ts';
import { registerAnonymous, registerWithMailbox } from '../domain/registration.ts';
import { Failure } from '../errors.ts';
import { normalizeCode } from '../lib/code-text.ts';
import { parseMailbox } from '../lib/mailbox.ts';
import { hashSecret } from '../lib/secrets.ts';
import type { ClaimMode } from '../store/registrations.ts';
import { afterCompletion, afterMail, afterRegistration } from './next-steps.ts';
import type { Answer, Call } from './route.ts';
import { iso, isoOrNull, toIso } from './wire-times.ts';

/** The tinysend profile of auth.md: register, claim, complete (seeds/tinysend-auth-md, design 3). */

export const agentName = z
  .string()
  .max(64)
  .describe('How the agent calls itself; shown to the human as not verified')
  .optional();
const email = z.string().max(254).describe('The mailbox of the human who should vouch for the agent');
const link = z
  .boolean()
  .describe(
    "true: the agent keeps its own account, linked to the human. false: it merges into the human's account",
  )
  .default(false);
export const claimToken = z.string().min(1).max(128).describe('The claim_token from the registration');
/** As people say it, in small letters, with spaces or without the hyphen; what can be no code costs no try (security.md 4). */
export const readOutCode = z
  .string()
  .max(64)
  .overwrite(normalizeCode)
  .refine(
    (code) => /^(?:[0-9]{6}|[A-Za-z]{8})$/.test(code),
    'it must be the six digits or eight letters of the code.',
  )
  .describe('The code that the human reads to the agent');
const scopes = z.array(z.string());
const next = z.string().describe('What to do next, in words');
const expiresAt = iso.nullable().describe('When the key ends; null: it does not').optional();
const verification = z
  .object({
    method: z
      .enum(['code', 'link'])
      .describe('What is in the mail: six digits, or a link by which the human agrees'),
    expires_at: iso.describe('Until when it can be used; then ask for another'),
    interval: z.int().describe('Seconds between two polls'),
  })
  .optional();
const verificationUri = z
  .url()
  .describe('The page on which the human reviews the claim and can type the code');

export const registerBody = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('anonymous'), agent_name: agentName }).meta({ title: 'anonymous' }),
    z
      .object({
        type: z.literal('identity_assertion'),
        assertions: z.tuple([z.object({ type: z.literal('verified_email'), email })]),
        link,
        agent_name: agentName,
      })
      .meta({ title: 'identity_assertion' }),
  ],
  { error: 'it must be "anonymous" or "identity_assertion".' },
);
export const registerAnswer = z.union([
  z.object({
    credential: z.string(),
    user_id: z.string(),
    agent_id: z.string(),
    claim_token: z.string(),
    claim_token_expires_at: iso,
    verification_uri: verificationUri,
    scopes,
    expires_at: expiresAt,
    next,
  }),
  z.object({
    claim_token: z.string(),
    claim_token_expires_at: iso,
    verification_required: z.literal(true),
    verification_uri: verificationUri,
    message: z.string(),
    verification,
    next,
  }),
]);

export const claimBody = z.object({ claim_token: claimToken, email, link });
export const claimAnswer = z.object({
  verification_required: z.literal(true),
  verification_uri: verificationUri,
  message: z.string(),
  verification,
  next,
});

export const completeBody = z.object({
  claim_token: claimToken,
  otp: z
    .string()
    .max(64)
    .overwrite(normalizeCode)
    .refine((code) => /^[0-9]{6}$/.test(code), 'it must be the six digits of the mail, as a string.')
    .describe('Without it: asks whether the human has approved at verification_uri')
    .optional(),
});
export const completeAnswer = z.object({
  credential: z.string(),
  user_id: z.string(),
  agent_id: z.string(),
  scopes,
  mode: z.enum(['merge', 'link']),
  expires_at: expiresAt,
  next,
});

const REGISTER_REPLAY_SECONDS = 86_400;
const COMPLETE_REPLAY_SECONDS = 600;

/** POST /agent/auth */
export async function register(call: Call<z.output<typeof registerBody>, 'anyone'>): Promise<Answer> {
  const { deps, asker, body } = call;
  const repeatable = registerOnce(call, 'register');
  if (body.type === 'anonymous') {
    const input = { agentName: body.agent_name, token: 'ct', gives: 'key' } as const;
    const registered = await registerAnonymous(deps, asker, input, repeatable);
    const key = keyOf(registered.given);
    return {
      budget: registered.budgets[0],
      data: {
        credential: key.credential,
        user_id: registered.userId,
        agent_id: registered.agentId,
        claim_token: registered.claimToken,
        claim_token_expires_at: toIso(registered.claimExpiresAt),
        verification_uri: registered.verificationUri,
        scopes: registered.scopes,
        expires_at: endOf(key),
        next: afterRegistration(deps.config),
      },
    };
  }
  const mailbox = mailboxOf(body.assertions[0].email, 'assertions.0.email');
  const input = {
    agentName: body.agent_name,
    token: 'ct',
    kind: 'identity_assertion',
    mailbox,
    mode: modeOf(body.link),
    ceremony: MAILED_CODE,
  } as const;
  const registered = await registerWithMailbox(deps, asker, input, repeatable);
  return {
    budget: registered.budgets[0],
    data: {
      claim_token: registered.claimToken,
      claim_token_expires_at: toIso(registered.claimExpiresAt),
      ...codeSent(deps, registered),
    },
  };
}

/** POST /agent/auth/claim */
export async function claim(call: Call<z.output<typeof claimBody>, 'agentIfAny'>): Promise<Answer> {
  const { deps, asker, body, caller } = call;
  const started = await startClaim(deps, asker, {
    claimToken: body.claim_token,
    mailbox: mailboxOf(body.email, 'email'),
    mode: modeOf(body.link),
    ceremony: MAILED_CODE,
    companion: caller,
  });
  return { data: codeSent(deps, started) };
}

/** POST /agent/auth/claim/complete */
export async function complete(call: Call<z.output<typeof completeBody>, 'agentIfAny'>): Promise<Answer> {
  const { deps, asker, body, caller } = call;
  const how = { claimToken: body.claim_token, code: body.otp, gives: 'key', companion: caller } as const;
  const completed = await completeClaim(deps, asker, how, completeOnce(call, body.claim_token));
  const key = keyOf(completed.given);
  return {
    data: {
      credential: key.credential,
      user_id: completed.userId,
      agent_id: completed.agentId,
      scopes: completed.scopes,
      mode: completed.mode,
      expires_at: endOf(key),
      next: afterCompletion(deps.config),
    },
  };
}

type GivenKey = Extract<Given, { kind: 'key' }>;

/** The key that was given: here it always is one. */
function keyOf(given: Given): GivenKey {
  if (given.kind === 'key') return given;
  throw new Error('a key was to be given');
}

function endOf({ expiresAt }: GivenKey): string | null | undefined {
  return expiresAt === undefined ? undefined : isoOrNull(expiresAt);
}

function codeSent(
  { config }: Deps,
  sent: Pick<OpenedAttempt, 'mailbox' | 'verificationUri' | 'proof' | 'codeExpiresAt'>,
): z.output<typeof claimAnswer> {
  const method = sent.proof === 'link' ? 'link' : 'code';
  return {
    verification_required: true,
    verification_uri: sent.verificationUri,
    message: `Verification code sent to ${sent.mailbox}`,
    verification:
      sent.proof === undefined
        ? undefined
        : { method, expires_at: toIso(sent.codeExpiresAt), interval: POLL_SECONDS },
    next: afterMail(config, method),
  };
}

/** A mail address in the form that is compared. @throws Failure `badEmail` */
export function mailboxOf(text: string, field: string): string {
  const mailbox = parseMailbox(text);
  if (mailbox === undefined) {
    throw new Failure('badEmail', 'This is not a mail address that a code can be sent to.', { field });
  }
  return mailbox;
}

function modeOf(linked: boolean): ClaimMode {
  return linked ? 'link' : 'merge';
}

/** What makes the completion of a claim repeatable: its key belongs to the claim token. @throws Failure as repeatableOf */
export function completeOnce(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes'>,
  claimToken: string,
): Repeatable | undefined {
  const owner = `complete:${hashSecret(claimToken).toString('hex')}`;
  return repeatableOf(call, { owner, ttlSeconds: COMPLETE_REPLAY_SECONDS, limit: 'wrongPerIpHour' });
}

/** What makes a registration repeatable: its key belongs to the client address. @throws Failure as repeatableOf */
export function registerOnce(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes' | 'asker'>,
  path: 'register' | 'identity',
): Repeatable | undefined {
  return repeatableOf(call, {
    owner: `${path}:${call.asker.address.limitKey}`,
    ttlSeconds: REGISTER_REPLAY_SECONDS,
    limit: 'registerPerIp',
  });
}

/** What makes a request repeatable, if its sender wants it so. @throws Failure `badRequest` for a key that is none */
function repeatableOf(
  call: Pick<Call<unknown, 'anyone'>, 'header' | 'bytes'>,
  terms: Pick<Repeatable, 'owner' | 'ttlSeconds' | 'limit'>,
): Repeatable | undefined {
  const key = call.header('idempotency-key');
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new Failure('badRequest', 'An Idempotency-Key is 1 to 255 visible ASCII characters.');
  }
  return { key, body: call.bytes, ...terms };
}
