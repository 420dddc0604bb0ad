import { decodeJwt } from 'jose';
import type { InteractionResults, default as Provider } from 'oidc-provider';
import type { Session } from '../../../domain/accounts/sessions.ts';
import { hasPassedSecondFactor } from '../../../domain/accounts/totp.ts';
import { Failure } from '../../../errors.ts';
import { ACR_VALUES } from '../../../lib/openid-scopes.ts';
import { epochSeconds } from '../../../lib/time.ts';
import { PATHS } from '../../server/paths.ts';
import { type ProviderCall, withProvider } from './call-provider.ts';
import { currentExchange, loginTimeOf } from './exchange.ts';
import { type CheckedRequest, needsSecondFactor, readParams } from './policy.ts';
import { acrValuesOf, maxAgeOf } from './step-up.ts';

/** An authorization request that waits for a human. */
export interface Interaction extends CheckedRequest {
  uid: string;
  /**
   * What it waits for. A request that waits for the consent of somebody who signed out, signed in again or as another one
   * meanwhile waits for the sign-in.
   */
  waitsFor: 'login' | 'consent';
  /** Epoch ms. */
  startedAt: number;
  /** Whether the app wants a sign-in that began after the request. */
  wantsFreshLogin: boolean;
  /** How old a sign-in may be, in seconds. */
  maxAge: number | undefined;
  needsSecondFactor: boolean;
  /** The account that the app means (`id_token_hint`); undefined: any. */
  hintedAccountId: string | undefined;
  /** The names of the boxes that the human ticked before they had to confirm that it is them. */
  ticks: readonly string[] | undefined;
}

type Details = InstanceType<Provider['Interaction']>;

/**
 * Finds the authorization request that this browser was sent to.
 *
 * @param session undefined: nobody is signed in
 * @throws Failure `notFound` also for that of another browser
 */
export async function findInteraction(
  call: ProviderCall,
  uid: string,
  session: Session | undefined,
): Promise<Interaction> {
  let found: Interaction | undefined;
  await run(call, uid, session, async (provider, details) => {
    const { prompt, params, lastSubmission } = details;
    const isBound = await isOfSession(provider, details, session);
    found = {
      ...readParams(params),
      uid,
      waitsFor: prompt.name === 'login' || !isBound ? 'login' : 'consent',
      startedAt: Number(prompt.details.startedAt),
      wantsFreshLogin: prompt.reasons.includes('login_prompt'),
      maxAge: maxAgeOf(params),
      needsSecondFactor: needsSecondFactor(acrValuesOf(params)),
      hintedAccountId:
        typeof params.id_token_hint === 'string' ? decodeJwt(params.id_token_hint).sub : undefined,
      ticks: lastSubmission?.ticks as string[] | undefined,
    };
  });
  return found!;
}

/** Whether a request belongs to the session of oidc-provider that the signed-in human has. */
async function isOfSession(
  provider: Provider,
  details: Details,
  session: Session | undefined,
): Promise<boolean> {
  const uid = details.session?.uid;
  if (uid === undefined || session === undefined) return false;
  return (await provider.Session.findByUid(uid))?.accountId === session.accountId;
}

/**
 * Connects a request with the signed-in human.
 *
 * @param ticks the names of the boxes that they ticked before they signed in again
 * @returns the path at which the request goes on
 */
export async function connectInteraction(
  call: ProviderCall,
  uid: string,
  session: Session,
  ticks?: readonly string[],
): Promise<`/${string}`> {
  const isSecond = (await hasPassedSecondFactor(call.deps, session)) === true;
  const login = {
    accountId: session.accountId,
    remember: false,
    ts: loginTimeOf(session),
    acr: isSecond ? ACR_VALUES.secondFactor : ACR_VALUES.mailbox,
    amr: isSecond ? ['otp', 'mfa'] : ['otp'],
  };
  await run(call, uid, session, async (_provider, details) => {
    details.session = undefined; // somebody else may have signed in before
    await saveResult(call, details, { login, ...(ticks && { ticks }) });
  });
  return resumePathOf(uid);
}

/**
 * Saves what the human decided; the audit notes if they declined.
 *
 * @returns the path at which the request goes on
 */
export async function finishInteraction(
  call: ProviderCall,
  uid: string,
  session: Session,
  result: InteractionResults,
): Promise<`/${string}`> {
  await run(call, uid, session, async (_provider, details) => {
    if ('error' in result) {
      details.session = undefined; // the app is told whoever declined
      const isRepeated = details.result?.error !== undefined;
      const [accountId, clientId] = [session.accountId, String(details.params.client_id)];
      if (!isRepeated) currentExchange().writes.push({ kind: 'recordDecline', accountId, clientId });
    }
    await saveResult(call, details, result);
  });
  return resumePathOf(uid);
}

/** Keeps the boxes that the human ticked, until they confirmed that it is them. */
export async function keepTicks(
  call: ProviderCall,
  uid: string,
  session: Session,
  ticks: readonly string[],
): Promise<void> {
  await run(call, uid, session, async (_provider, details) => {
    details.lastSubmission = { ...details.lastSubmission, ticks };
    await details.save(secondsLeft(call, details));
  });
}

function resumePathOf(uid: string): `/${string}` {
  return `${PATHS.authorize}/${uid}`;
}

async function saveResult(call: ProviderCall, details: Details, result: InteractionResults): Promise<void> {
  details.result = 'error' in result ? result : { ...details.lastSubmission, ...result };
  await details.save(secondsLeft(call, details));
}

function secondsLeft({ deps }: ProviderCall, { exp }: Details): number {
  return Math.max(1, exp - epochSeconds(deps.clock()));
}

/** Runs a function on a request that this browser was sent to. */
async function run(
  call: ProviderCall,
  uid: string,
  session: Session | undefined,
  act: (provider: Provider, details: Details) => Promise<void>,
): Promise<void> {
  const request = { method: 'GET', path: `${PATHS.interaction}/${uid}`, session } as const;
  await withProvider(call, request, async (provider, req, res) => {
    const cookie = provider
      .createContext(req, res)
      .cookies.get(provider.cookieName('interaction'), { signed: true });
    const details = cookie === uid ? await provider.Interaction.find(uid) : undefined;
    if (details === undefined) throw interactionNotFound();
    await act(provider, details);
  });
}

/** The failure of a request that is over, or that was not made in this browser. */
export function interactionNotFound(): Failure {
  return new Failure('notFound', 'There is no request of an app to decide about.', {
    hint: 'consent.notFound',
  });
}
