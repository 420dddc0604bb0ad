import type { JWK } from 'jose';
import { AuthError } from '../lib/artifacts/auth-error.ts';
import { canonicalJson } from '../lib/artifacts/canonical-json.ts';
import type { Capability } from '../lib/artifacts/capability-spec.ts';
import { isWithinRequest } from '../lib/artifacts/coverage.ts';
import {
  type PermissionGrant,
  readGrant,
  readLogin,
  type SignedAnswer,
  verifyAnswer,
} from '../lib/artifacts/permission-grant.ts';
import type { PermissionRequest } from '../lib/artifacts/permission-request.ts';
import { readProofHeader } from '../lib/artifacts/proof.ts';
import { readPublicKey } from '../lib/ed25519.ts';
import * as calls from './permission-calls.ts';
import { Profile } from './profile.ts';
import type { ProfileInfo } from './profile-files.ts';
import type { ProfilePlace } from './profile-home.ts';
import { ServiceClient, type ServiceOptions } from './service-client.ts';
import { type SessionKey, signKeyToken } from './session-key.ts';
import { toDetails } from './token-details.ts';

/** How long the service wants between two questions about a request. */
const POLL_MS = 5000;

/** How a profile is opened that speaks with its service. */
export interface ConnectOptions extends ProfilePlace, ServiceOptions {
  /** The URL of the service; needed where the profile is made. */
  service?: string | undefined;
  /** Make the profile and its key if there is none. */
  create?: boolean;
}

/** A profile and its service: asks, grants and gets tokens by the session key. */
export class ConnectedProfile {
  readonly profile: Profile;
  readonly client: ServiceClient;
  #keySet: Promise<JWK[]> | undefined;

  constructor(profile: Profile, options: ServiceOptions = {}) {
    this.profile = profile;
    this.client = new ServiceClient(profile.info().service, options);
  }

  /** Opens a profile. Nothing is asked of the service yet. @throws AuthError as `Profile.open` and `Profile.openOrCreate` */
  static async open(options: ConnectOptions = {}): Promise<ConnectedProfile> {
    const { create = false, service } = options;
    const profile = create ? await Profile.openOrCreate(options) : Profile.open(options);
    if (!create && service !== undefined) await Profile.openOrCreate({ ...options, name: profile.name });
    if (create) await profile.keyOrNew();
    const connected = new ConnectedProfile(profile, options);
    // What is signed without asking the service is signed by the key that it knows, if it can be reached.
    if (profile.nextKey() !== undefined) await connected.#settle().catch(ignoreUnreachable);
    return connected;
  }

  /** Asks the service what comes before the names of services in capabilities, and remembers it. */
  async fetchCapPrefix(): Promise<string> {
    const prefix = await calls.fetchCapPrefix(this.client);
    await this.profile.updateInfo({ cap_prefix: prefix });
    return prefix;
  }

  /** Hands a request to the service; an agent's key goes with it and binds the session key to the agent. */
  async sendRequest(request: PermissionRequest): Promise<calls.RequestState> {
    await this.#settle();
    const isOwn = thumbprintOf(request) === this.profile.key().thumbprint && request.login !== true;
    const credential = isOwn ? this.profile.credential()?.credential : undefined;
    const state = await calls.submitRequest(this.client, request, credential);
    const { verification_uri, user_code, expires_at } = state;
    if (verification_uri !== undefined && user_code !== undefined) {
      await this.profile.artifacts.updateRequest(request.id, {
        sent: { verification_uri, user_code, expires_at },
      });
    }
    return state;
  }

  /** Asks how far a request has come. Waits first if the last question was less than five seconds ago. */
  async readRequestState(id: string): Promise<calls.RequestState> {
    await this.#settle();
    const { artifacts } = this.profile;
    const asked = artifacts.requests().find(({ request }) => request.id === id)?.asked_at ?? 0;
    await sleep(Math.min(POLL_MS, asked + POLL_MS - Date.now()));
    for (;;) {
      await artifacts.updateRequest(id, { asked_at: Date.now() });
      const state = await calls.pollRequest(this.client, this.profile.key(), id);
      if (typeof state !== 'number') return state;
      await sleep(state * 1000);
    }
  }

  /**
   * Grants a request by this terminal, and checks what the service says that it granted.
   *
   * @throws AuthError `GRANT_NOT_ALLOWED` if no person let this profile act for them; `GRANT_BROADENED` if the service granted
   * more than it was told to
   */
  async grantRequest(request: PermissionRequest, body: calls.GrantBody): Promise<PermissionGrant> {
    await this.#settle();
    const state = await calls.grantRequest(this.client, this.profile.key(), request.id, body);
    const grant = readGrant(state.grant);
    await this.#verify(grant, [thumbprintOf(request)]);
    const left = body.permissions.map(({ index, actions, space }) => {
      const asked = request.permissions![index]!;
      return { ...asked, actions, space: space ?? asked.space };
    });
    if (grant.request_id === request.id && isWithinRequest(grant.permissions, left)) return grant;
    throw new AuthError('GRANT_BROADENED', 'The service granted more than it was told to.', {
      hint: `End it: ${this.client.service}/permissions`,
    });
  }

  /** Denies a request by this terminal. */
  async denyRequest(id: string): Promise<void> {
    await this.#settle();
    await calls.denyRequest(this.client, this.profile.key(), id);
  }

  /** Lists what the session key holds now, by the word of the service. */
  async listLiveGrants(): Promise<PermissionGrant[]> {
    await this.#settle();
    return (await calls.listGrants(this.client, this.profile.key())).grants;
  }

  /** Ends a grant that this profile holds or gave. */
  async endGrant(id: string): Promise<void> {
    await this.#settle();
    await calls.endGrant(this.client, this.profile.key(), id);
  }

  /**
   * Verifies an answer of the service that is for this profile. If the service does not publish its key any more, the service is
   * asked for the same grant or denial, and must answer it to the letter.
   *
   * @throws AuthError `WRONG_SERVICE`, `WRONG_AUDIENCE`, `SIGNATURE_INVALID`, `REQUEST_EXPIRED`
   */
  async verify(answer: SignedAnswer): Promise<void> {
    await this.#verify(answer, this.profile.thumbprints());
  }

  /**
   * Takes in that this terminal acts for a person, as the service signed it. It is for the present session key, and for none
   * before it.
   *
   * @throws AuthError `INVALID_GRANT_ARTIFACT`, `UNSUPPORTED_VERSION` and as `verify`
   */
  async takeLogin(artifact: unknown): Promise<void> {
    const login = readLogin(artifact);
    await this.#verify(login, [this.profile.key().thumbprint]);
    const { account, expires_at } = login;
    await this.saveHolder({ kind: 'human', account, expires_at });
  }

  /** Replaces the session key. The old one works for some minutes more. @throws AuthError `SESSION_KEY_ENDED`, `NO_KEY` */
  async rotateKey(): Promise<calls.RotatedKey> {
    await this.#settle();
    return this.profile.rotateKey((old, next) => calls.rotateKey(this.client, old, next));
  }

  /**
   * Gets an access token.
   *
   * @throws AuthError `PERMISSIONS_MISSING` for what is not held, `SESSION_KEY_ENDED`
   */
  async token({
    resource,
    caps,
    grantId,
  }: {
    resource?: string | undefined;
    caps?: readonly Capability[] | undefined;
    grantId?: string | undefined;
  } = {}): Promise<calls.AccessToken> {
    await this.#settle();
    const details =
      caps &&
      toDetails(
        caps,
        (await this.listLiveGrants()).flatMap(({ permissions }) => permissions),
      );
    return calls.getToken(this.client, this.profile.key(), { resource, details, grantId });
  }

  /** Returns the session key for a login: this one, or a new one if the service knows this one as somebody's. */
  async freshKey(): Promise<SessionKey> {
    await this.#settle();
    const key = await this.profile.keyOrNew();
    const isKnown = this.profile.info().kind !== undefined || (await this.#isHeld(key));
    return isKnown ? this.profile.replaceKey() : key;
  }

  /** Stores whom the session key is signed in as. */
  async saveHolder(holder: Pick<ProfileInfo, 'kind' | 'account' | 'agent_id' | 'expires_at'>): Promise<void> {
    const none = { kind: undefined, account: undefined, agent_id: undefined, expires_at: undefined };
    await this.profile.updateInfo({ ...none, ...holder });
  }

  /** Asks the service whose the session key is, and stores what it says. @throws AuthError `SESSION_KEY_ENDED` */
  async refresh(): Promise<calls.KeyHolder> {
    await this.#settle();
    const { key } = await calls.listGrants(this.client, this.profile.key());
    const { kind, account, agent_id, expires_at } = key;
    await this.saveHolder({
      kind,
      account,
      ...(agent_id !== undefined && { agent_id }),
      ...(expires_at !== undefined && { expires_at }),
    });
    return key;
  }

  /**
   * Signs the profile out: ends the session key at the service, and forgets it with the agent's key. A service that does not know
   * the key, or cannot be reached, does not keep anybody from signing out.
   *
   * @param endGrants whether what this terminal granted ends, too
   * @returns whether the service ended the key
   */
  async forget({ endGrants = false } = {}): Promise<boolean> {
    let isEnded = true;
    try {
      await this.#settle();
      await calls.endKey(this.client, this.profile.key(), { endGrants });
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      if (!['SESSION_KEY_ENDED', 'NETWORK_ERROR', 'SERVICE_ERROR', 'NO_KEY'].includes(error.code))
        throw error;
      isEnded = error.code === 'SESSION_KEY_ENDED' || error.code === 'NO_KEY';
    }
    await this.profile.forgetSecrets();
    await this.saveHolder({});
    return isEnded;
  }

  /** Signs a token for one request to this service by the session key. */
  signToken(path: string): Promise<string> {
    return signKeyToken(this.profile.key(), this.client.service + path);
  }

  /** Ends a rotation that was cut off: asks which of the two keys the service knows. */
  async #settle(): Promise<void> {
    await this.profile.settleRotation((next) => this.#isHeld(next));
  }

  async #isHeld(key: SessionKey): Promise<boolean> {
    try {
      await calls.listGrants(this.client, key);
      return true;
    } catch (error) {
      if (error instanceof AuthError && error.code === 'SESSION_KEY_ENDED') return false;
      throw error;
    }
  }

  async #verify(answer: SignedAnswer, thumbprints: readonly string[]): Promise<void> {
    const { service } = this.client;
    const keys = await this.#keys();
    const { kid } = readProofHeader(answer.proof);
    const key = keys.find((each) => each.kid === kid);
    const fault = await verifyAnswer(answer, { service, thumbprints, findKey: () => key }).catch(
      (error: unknown) => error,
    );
    if (fault === undefined) return;
    const isUnpublished =
      key === undefined && fault instanceof AuthError && fault.code === 'SIGNATURE_INVALID';
    // What could be checked without the key was: nothing is asked about what is not ours.
    if (!isUnpublished || !(await this.#isAnswered(answer))) throw fault;
  }

  async #isAnswered(answer: SignedAnswer): Promise<boolean> {
    const state = await this.readRequestState(answer.request_id).catch(() => undefined);
    const theirs = state?.grant ?? state?.denial;
    return theirs !== undefined && canonicalJson(theirs as never) === canonicalJson(answer as never);
  }

  #keys(): Promise<JWK[]> {
    this.#keySet ??= calls.fetchKeySet(this.client);
    return this.#keySet;
  }
}

function thumbprintOf({ requester }: PermissionRequest): string {
  const key = readPublicKey(requester.key);
  return typeof key === 'string' ? '' : key.thumbprint;
}

function ignoreUnreachable(error: unknown): void {
  const isUnreachable = error instanceof AuthError && ['NETWORK_ERROR', 'SERVICE_ERROR'].includes(error.code);
  if (!isUnreachable) throw error;
}

async function sleep(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
