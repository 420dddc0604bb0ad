import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { OPENID_SCOPES } from '../../lib/openid-scopes.ts';
import { hashSecret } from '../../lib/secrets.ts';
import { epochSeconds } from '../../lib/time.ts';
import {
  findDeviceCodeByMac,
  updateDeviceCodeDecided,
  updateDeviceCodePolled,
} from '../../store/device-codes.ts';
import { findOAuthState } from '../../store/oauth-states.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import type { Session } from '../accounts/sessions.ts';
import { type Audience, resolveAudience } from '../audiences/audience.ts';
import { useCase } from '../limits/use-case.ts';
import type { PlaceRequest } from '../workspaces/give-places.ts';
import { parseDetails } from './authorization-details.ts';
import { openState, sealPayload, userCodeMac } from './authorization-states.ts';
import { findClient, type OAuthClient } from './clients.ts';
import { giveConsent, recordDecline } from './consents.ts';
import { describeOffer, type Offer, OPTIONAL_OPENID_SCOPES } from './offers.ts';
import { toConsentPlaces } from './place-choices.ts';

/** Device authorization (RFC 8628): an app on a device without browser, whose human types its code here. */

const MODEL = 'DeviceCode';

/** How long a human may take to type the code and to decide. */
export const DEVICE_CODE_SECONDS = 600;
/** How much longer it is remembered, so that the device reads that it has expired. */
export const DEVICE_CODE_KEEP_SECONDS = 3600;
/** How long a device waits between two questions (RFC 8628 section 3.5). */
export const DEVICE_POLL_SECONDS = 5;

/** Clocks and networks are not exact. */
const LEEWAY_MS = 500;

/**
 * What a device asks for, and what its client has. What is destructive cannot be given to a device; what the client has
 * of it stays.
 */
export interface DeviceRequest extends Offer {
  /** For the forms of its page. */
  id: string;
  state: 'open' | 'decided' | 'over';
  client: OAuthClient;
  /** What the device shows, as `BCDF-GHJK`. */
  userCode: string;
  /** The coarse network from which the device asked. */
  network: string;
  /** Epoch ms. */
  askedAt: number;
  /** Undefined: it asks for scopes of OpenID Connect alone. */
  audience: Audience | undefined;
  /** Whether it names places (RFC 9396): then it is told of those that it got. */
  hasDetails: boolean;
}

/** Finds the device request of a code that a human typed. @returns its id; undefined: there is none that waits */
export async function findDeviceRequestByCode(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring'>,
  code: string,
): Promise<string | undefined> {
  const openUntil = deps.clock() + DEVICE_CODE_KEEP_SECONDS * 1000;
  const row = await findDeviceCodeByMac(deps.db, userCodeMac(deps, code), openUntil);
  return row === undefined ? undefined : Buffer.from(row.idHash).toString('hex');
}

/** Makes the token that lets a browser see a device request: a MAC over its id. */
export function deviceToken({ keyring }: Pick<Deps, 'keyring'>, id: string): string {
  return appendMac(keyring, 'device-request', id);
}

/** Reads the id of a device request from its token; undefined: it is not one. */
export function readDeviceToken({ keyring }: Pick<Deps, 'keyring'>, token: string): string | undefined {
  return verifyMac(keyring, 'device-request', token);
}

/** Reads a device request. @param viewerId the account that may approve it @throws Failure `notFound` */
export async function viewDeviceRequest(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring' | 'config'>,
  id: string,
  viewerId: string,
): Promise<DeviceRequest> {
  const found = await openRequest(deps, deps.db, id);
  const client = found && (await findClient(deps, String(found.payload.clientId)));
  if (found === undefined || client === undefined) throw deviceRequestNotFound();
  const { params = {}, deviceInfo = {}, userCode = '', accountId } = found.payload as DevicePayload;
  const { resource } = params;
  const audience = typeof resource === 'string' ? await resolveAudience(deps, resource) : undefined;
  const { authorization_details: details, scope = '' } = params;
  const places = details === undefined ? undefined : parseDetails(deps.config, details, audience?.url);
  const offer = await describeOffer(deps, { client, audience, scope, places }, viewerId);
  const isDecided = accountId !== undefined || found.consumedAt !== null;
  return {
    ...offer,
    id,
    state: isDecided ? 'decided' : found.isOver ? 'over' : 'open',
    client,
    userCode: `${userCode.slice(0, 4)}-${userCode.slice(4)}`,
    network: deviceInfo.network ?? '',
    askedAt: found.expiresAt - (DEVICE_CODE_SECONDS + DEVICE_CODE_KEEP_SECONDS) * 1000,
    audience,
    hasDetails: details !== undefined,
  };
}

/** What oidc-provider keeps of a device code. */
interface DevicePayload extends Record<string, unknown> {
  clientId: string;
  userCode?: string;
  /** `resource` is an empty list where it asks for scopes of OpenID Connect alone. */
  params?: { scope?: string; resource?: string | []; authorization_details?: string };
  deviceInfo?: { network?: string };
  accountId?: string;
}

async function openRequest(
  deps: Pick<Deps, 'clock' | 'keyring'>,
  db: Pick<Deps['db'], 'get'>,
  id: string,
): Promise<
  { payload: DevicePayload; consumedAt: number | null; expiresAt: number; isOver: boolean } | undefined
> {
  const state = openState(deps, await findOAuthState(db, MODEL, Buffer.from(id, 'hex')));
  if (state === undefined) return undefined;
  return {
    payload: state.payload as DevicePayload,
    consumedAt: state.consumedAt,
    expiresAt: state.expiresAt,
    isOver: isDeviceCodeOver(state.expiresAt, deps.clock()),
  };
}

/** Whether a device code has expired, which is still remembered. @param expiresAt of its row, epoch ms */
export function isDeviceCodeOver(expiresAt: number, now: number): boolean {
  return expiresAt - DEVICE_CODE_KEEP_SECONDS * 1000 <= now;
}

/**
 * Lets a device use the account of a human. The caller has checked that the human has just verified a mailed code. The
 * device gets of what it asked for; the consent of its client is replaced (O-10), and keeps what is destructive.
 *
 * @param allowed names of scopes of the API and of OpenID Connect; what the client has and is not allowed here ends
 * @returns the id of the consent
 * @throws Failure `notFound`; `codeExpired` if it was decided or has expired; `badRequest` if nothing is given
 */
export async function approveDevice(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
  allowed: { scopes: readonly string[]; openidScopes: readonly string[] },
): Promise<string> {
  const asked = await viewDeviceRequest(deps, id, session.accountId);
  const scopes = asked.scopes.filter(({ name, isDestructive, isHeld }) =>
    isDestructive ? isHeld : allowed.scopes.includes(name),
  );
  const openidScopes = asked.openidScopes.filter(
    ({ name }) => !OPTIONAL_OPENID_SCOPES.has(name) || allowed.openidScopes.includes(name),
  );
  const ofDevice = [
    ...openidScopes.filter(({ isAsked }) => isAsked),
    ...scopes.filter(({ isAsked, isDestructive }) => isAsked && !isDestructive),
  ].map(({ name }) => name);
  if (!ofDevice.some((name) => name === 'openid' || !OPENID_SCOPES.has(name))) {
    throw new Failure('badRequest', 'Nothing is selected. Select something, or decline.');
  }
  const resource = asked.audience?.url;
  const names = scopes.map(({ name }) => name);
  const isOpenId = resource === undefined || names.length === 0;
  const places = isOpenId ? [] : placesOfDevice(deps, session.accountId, resource, asked, names);
  if (places === undefined) throw new Failure('badRequest', 'There is no place where a device may work.');
  return useCase(deps, origin, {}, async (work) => {
    const clientId = asked.client.id;
    const grantId = await giveConsent(work, {
      accountId: session.accountId,
      clientId,
      redirectUri: '', // none: such a consent is never remembered
      resource: resource ?? null,
      scopes: names,
      openidScopes: openidScopes.map(({ name }) => name),
      places,
    });
    await decide(work, id, session, {
      grantId,
      scope: ofDevice.join(' '),
      authTime: epochSeconds(session.createdAt),
      ...(resource !== undefined && { resource }),
      ...(asked.hasDetails && { rar: [] }),
    });
    return grantId;
  });
}

/**
 * Returns where a device works: in what is the human's own. Shared workspaces are let in on the page of a browser alone; one that
 * its client has stays, with no scope more than it has there.
 *
 * @returns undefined: nowhere
 */
function placesOfDevice(
  { config }: Pick<Deps, 'config'>,
  accountId: string,
  resource: string,
  { where: { choices } }: DeviceRequest,
  scopes: readonly string[],
): PlaceRequest[] | undefined {
  const own = choices.filter(({ isOwn, isAsked }) => isOwn && isAsked);
  if (own.length === 0) return undefined;
  const shared = choices
    .filter(({ isOwn, isHeld }) => !isOwn && isHeld)
    .map((choice) => ({ ...choice, actions: choice.heldActions }));
  return toConsentPlaces(config, accountId, resource, [...own, ...shared], scopes);
}

/** Declines what a device asks for; the audit log notes it. @throws Failure `notFound`, `codeExpired` as approveDevice() */
export async function denyDevice(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { clientId } = await decide(work, id, session, {
      error: 'access_denied',
      errorDescription: 'the human declined',
    });
    await recordDecline(work, { accountId: session.accountId, clientId });
  });
}

/** Decides by one guarded statement: of two decisions at once one counts. @returns what is known of the request */
async function decide(
  work: Work,
  id: string,
  { accountId }: Session,
  decision: Record<string, unknown> & { grantId?: string },
): Promise<DevicePayload> {
  const { tx, now, deps } = work;
  const idHash = Buffer.from(id, 'hex');
  const found = await openRequest(deps, tx, id);
  if (found === undefined) throw deviceRequestNotFound();
  const row = {
    idHash,
    payload: sealPayload(deps, MODEL, idHash, { ...found.payload, accountId, ...decision }),
    grantId: decision.grantId ?? null,
    accountId,
  };
  if ((await updateDeviceCodeDecided(tx, row, now + DEVICE_CODE_KEEP_SECONDS * 1000)) !== 1) {
    throw new Failure('codeExpired', 'This request is over. Let the device ask again.');
  }
  return found.payload;
}

/**
 * Counts a question of a device. One that comes too early changes no row.
 *
 * @throws Failure `pollTooFast`
 */
export async function pollDeviceCode(deps: Pick<Deps, 'db' | 'clock'>, deviceCode: string): Promise<void> {
  const idHash = hashSecret(deviceCode);
  if ((await findOAuthState(deps.db, MODEL, idHash)) === undefined) return;
  const now = deps.clock();
  const before = now - DEVICE_POLL_SECONDS * 1000 + LEEWAY_MS;
  if ((await deps.db.tx((tx) => updateDeviceCodePolled(tx, idHash, now, before))) === 1) return;
  throw new Failure('pollTooFast', `Wait ${DEVICE_POLL_SECONDS} seconds between two requests.`, {
    retryAfterSeconds: DEVICE_POLL_SECONDS,
  });
}

/** The failure for a device request that is unknown. */
export function deviceRequestNotFound(): Failure {
  return new Failure('notFound', 'There is no such request. It may be over: let the device ask again.', {
    hint: 'device.notFound',
  });
}
