import type { JWK } from 'jose';
import { readPublicKey } from '../ed25519.ts';
import { sha256 } from '../hash.ts';
import { ARTIFACT_SKEW_MS, ARTIFACT_VERSION, checkArtifact, REQUEST_KIND } from './artifact.ts';
import { AuthError } from './auth-error.ts';
import { canonicalJson } from './canonical-json.ts';
import { LIFETIME_SECONDS } from './lifetime.ts';
import {
  ENTRIES_MAX,
  lifetimeNumber,
  type PermissionEntry,
  permissionEntry,
  sortEntries,
} from './permission-entry.ts';
import { signatureInvalid, signProof, verifyProof } from './proof.ts';
import {
  type Check,
  exactly,
  formatSeconds,
  freeText,
  list,
  MemberFault,
  members,
  pattern,
  timeText,
} from './read-members.ts';

/** The public Ed25519 key of a requester. */
export interface SessionPublicJwk {
  kty: 'OKP';
  crv: 'Ed25519';
  x: string;
}

/** A signed request for permissions. Nothing in it is secret. */
export interface PermissionRequest {
  kind: typeof REQUEST_KIND;
  version: typeof ARTIFACT_VERSION;
  /** `prq_` and a digest of the content: two requests that differ have different ids. */
  id: string;
  /** The URL of the service that it is for. */
  service: string;
  issued_at: string;
  /** How long it can be granted. */
  expires_at: string;
  /** Who asks. `name` is what the requester says of itself. */
  requester: { key: SessionPublicJwk; agent_id?: string; name?: string };
  /** What is asked for; absent exactly where `login` is there. */
  permissions?: PermissionEntry[];
  /** How long what is granted should work. */
  lifetime_seconds?: number;
  /** A person's terminal asks to act for them. */
  login?: true;
  /** The very thing that is to be allowed, where it is one action. */
  action?: string;
  /** The grant can be used once. */
  once?: true;
  proof: string;
}

export const REQUEST_PROOF_TYPE = 'vouchsafe-request+jws';
export const REQUEST_LIFE_MS = { max: 30 * 86_400_000, default: 7 * 86_400_000 } as const;
const ACTION_MAX = 300;
const NAME_MAX = 64;

/** What a request is made of. */
export interface RequestOptions {
  /** The URL of the service, as its operator writes it. */
  service: string;
  /** The private session key, Ed25519. */
  key: JWK;
  /** What is asked for. Absent: the request is a login. */
  permissions?: readonly PermissionEntry[] | undefined;
  name?: string | undefined;
  /** The agent whose session key it is. */
  agentId?: string | undefined;
  /** How long what is granted should work; absent: a week, or as long as the entry that lasts longest. */
  lifetimeSeconds?: number | undefined;
  /** How long the request can be granted; absent: a week. */
  requestLifeMs?: number | undefined;
  /** The very thing that is to be allowed: 1 to 300 characters on one line, with one permission of one action. */
  action?: string | undefined;
  /** The grant can be used once; only with `action`. */
  once?: boolean | undefined;
  /** Epoch ms; absent: now. */
  now?: number | undefined;
}

/**
 * Creates and signs a request for permissions.
 *
 * @throws AuthError `NO_CAPS_REQUESTED`, `INVALID_PERMISSION_FILE`, `INVALID_REQUEST_ARTIFACT`, `INVALID_PATH`, `NO_KEY`
 */
export async function createRequest(options: RequestOptions): Promise<PermissionRequest> {
  const { service, key, name, agentId, action } = options;
  const now = options.now ?? Date.now();
  const publicKey = readPublicKey({ kty: key.kty, crv: key.crv, x: key.x });
  if (typeof publicKey === 'string') throw new AuthError('NO_KEY', 'The session key is no Ed25519 key.');
  const { kty, crv, x } = JSON.parse(publicKey.jwk) as SessionPublicJwk;
  const content = {
    kind: REQUEST_KIND,
    version: ARTIFACT_VERSION,
    service,
    issued_at: formatSeconds(now),
    expires_at: formatSeconds(now + (options.requestLifeMs ?? REQUEST_LIFE_MS.default)),
    requester: { key: { kty, crv, x }, ...given({ agent_id: agentId, name: name?.normalize('NFC') }) },
    ...contentOf(options),
    ...given({ action: action?.normalize('NFC'), once: options.once || undefined }),
  } as const;
  const { kind, version, ...rest } = content;
  const unsigned = { kind, version, id: requestId(content), ...rest };
  // What cannot be read is not signed: the caller learns here what every reader would say.
  readRequest({ ...unsigned, proof: PLACEHOLDER });
  const header = { alg: 'EdDSA', kid: publicKey.thumbprint, typ: REQUEST_PROOF_TYPE } as const;
  return { ...unsigned, proof: await signProof(unsigned, header, key) } as PermissionRequest;
}

const PLACEHOLDER = 'e30..AA';

function contentOf({ permissions, lifetimeSeconds }: RequestOptions): object {
  if (permissions === undefined) return { login: true };
  if (permissions.length === 0) {
    throw new AuthError('NO_CAPS_REQUESTED', 'Nothing is asked for.', {
      hint: 'Name a permission by --cap, --permission or --manifest.',
    });
  }
  const longest = Math.max(...permissions.map((each) => each.lifetime_seconds ?? 0));
  if (lifetimeSeconds !== undefined && longest > lifetimeSeconds) {
    throw new AuthError(
      'INVALID_PERMISSION_FILE',
      'A permission would last longer than the request asks for.',
    );
  }
  return {
    permissions: sortEntries(permissions),
    lifetime_seconds: lifetimeSeconds ?? Math.max(LIFETIME_SECONDS.default, longest),
  };
}

/** Computes the id of a request from its content. `id` and `proof` are no part of it. */
export function requestId(request: object): string {
  const { id, proof, ...content } = request as Record<string, never>;
  return `prq_${sha256(canonicalJson(content)).toString('base64url').slice(0, 32)}`;
}

/** Drops members that are undefined. */
function given<Members extends object>(optional: Members): Partial<Members> {
  return Object.fromEntries(
    Object.entries(optional).filter(([, value]) => value !== undefined),
  ) as Partial<Members>;
}

const sessionKey: Check<SessionPublicJwk> = (value, where) => {
  const key = readPublicKey(value);
  if (key === 'private' || (typeof value === 'object' && value !== null && 'd' in value)) {
    throw new MemberFault(where, 'It has a private key ("d"). Never send one; make a new key.');
  }
  if (typeof key === 'string') throw new MemberFault(where, 'It is no public Ed25519 key.');
  const names = Object.keys(value as object);
  if (names.length !== 3) throw new MemberFault(where, 'It has members beside "kty", "crv" and "x".');
  const { kty, crv, x } = JSON.parse(key.jwk) as SessionPublicJwk;
  return { kty, crv, x };
};

const ONE_LINE = /^[^\p{C}\p{Zl}\p{Zp}]+$/u;
const actionText: Check<string> = (value, where) => {
  const text = freeText(ACTION_MAX)(value, where);
  if (!ONE_LINE.test(text)) throw new MemberFault(where, 'It must be one line of visible characters.');
  return text;
};

export const proofText = pattern(/^[\w-]{2,512}\.\.[\w-]{2,512}$/, 'a detached signature');
export const serviceUrl = pattern(/^https?:\/\/[\x21-\x7e]{1,240}$/, 'the URL of a service');
export const requestIdText = pattern(/^prq_[\w-]{32}$/, 'the id of a request');
export const agentIdText = pattern(/^agt_[A-Za-z0-9]{1,64}$/, 'the id of an agent');
export const thumbprintText = pattern(/^[\w-]{43}$/, 'the thumbprint of a key');

const requestShape = members(
  {
    kind: exactly(REQUEST_KIND),
    version: exactly(ARTIFACT_VERSION),
    id: requestIdText,
    service: serviceUrl,
    issued_at: timeText,
    expires_at: timeText,
    requester: members({ key: sessionKey }, { agent_id: agentIdText, name: freeText(NAME_MAX) }),
  },
  {
    permissions: list(permissionEntry, 1, ENTRIES_MAX),
    lifetime_seconds: lifetimeNumber,
    login: exactly(true),
    action: actionText,
    once: exactly(true),
    proof: proofText,
  },
);

/**
 * Reads a request: its shape, and what its members say of each other. Nothing is verified yet.
 *
 * @throws AuthError `INVALID_REQUEST_ARTIFACT`, `UNSUPPORTED_VERSION`, `INVALID_PATH`; `SIGNATURE_INVALID` if it is not signed
 */
export function readRequest(value: unknown): PermissionRequest {
  const code = 'INVALID_REQUEST_ARTIFACT';
  return checkArtifact(value, { kind: REQUEST_KIND, code }, (given) => {
    const { proof, ...request } = requestShape(given, '');
    assertConsistent(request);
    if (proof === undefined) throw signatureInvalid('The request is not signed.');
    return { ...request, proof } as PermissionRequest;
  });
}

function assertConsistent(request: Omit<PermissionRequest, 'proof' | 'id'>): void {
  const { permissions, login, action, once, lifetime_seconds: life = LIFETIME_SECONDS.default } = request;
  if ((permissions === undefined) !== (login === true)) {
    throw new MemberFault('permissions', 'They are there exactly where "login" is not.');
  }
  if (login && request.lifetime_seconds !== undefined) {
    throw new MemberFault('lifetime_seconds', 'A login has none: the person chooses it.');
  }
  if (action !== undefined && (permissions?.length !== 1 || permissions[0]?.actions.length !== 1)) {
    throw new MemberFault('action', 'It needs exactly one permission of one action.');
  }
  if (once && action === undefined) throw new MemberFault('once', 'It needs an "action".');
  const requestLife = Date.parse(request.expires_at) - Date.parse(request.issued_at);
  if (requestLife <= 0 || requestLife > REQUEST_LIFE_MS.max) {
    throw new MemberFault('expires_at', 'It must be after "issued_at", by 30 days at most.');
  }
  const forms = permissions?.map((entry) => canonicalJson({ ...entry })) ?? [];
  forms.forEach((form, index) => {
    if (index > 0 && forms[index - 1]! >= form) {
      throw new MemberFault('permissions', 'They must be sorted by canonical form, each once.');
    }
    if ((permissions?.[index]?.lifetime_seconds ?? 0) > life) {
      throw new MemberFault(`permissions[${index}]`, 'It would last longer than the request asks for.');
    }
  });
}

/** What a request is checked against. */
export interface RequestExpectation {
  /** The URL of the service that it must be for; absent: any. */
  service?: string | undefined;
  /** Epoch ms; absent: now. */
  now?: number | undefined;
  /** How far clocks may differ; absent: 60 s. */
  skewMs?: number | undefined;
}

/**
 * Verifies a request: service, times, id and signature.
 *
 * @returns the thumbprint of its key
 * @throws AuthError `WRONG_SERVICE`, `INVALID_REQUEST_ARTIFACT` if it is from the future, `REQUEST_EXPIRED`, `SIGNATURE_INVALID`
 */
export async function verifyRequest(
  request: PermissionRequest,
  { service, now = Date.now(), skewMs = ARTIFACT_SKEW_MS }: RequestExpectation = {},
): Promise<string> {
  if (service !== undefined && request.service !== service) throw wrongService();
  if (Date.parse(request.issued_at) > now + skewMs) {
    throw new AuthError('INVALID_REQUEST_ARTIFACT', 'It was issued in the future.', {
      hint: 'Compare the clocks of the two machines.',
    });
  }
  if (Date.parse(request.expires_at) <= now - skewMs) {
    throw new AuthError('REQUEST_EXPIRED', 'The request has expired.', { hint: 'Ask for a new one.' });
  }
  const key = readPublicKey(request.requester.key);
  if (typeof key === 'string') throw signatureInvalid();
  if (requestId(request) !== request.id) throw signatureInvalid('The id is not that of its content.');
  const header = { alg: 'EdDSA', kid: key.thumbprint, typ: REQUEST_PROOF_TYPE } as const;
  await verifyProof(request, header, JSON.parse(key.jwk));
  return key.thumbprint;
}

/** Creates the error for an artifact of another service. */
export function wrongService(): AuthError {
  return new AuthError('WRONG_SERVICE', 'It is for another service than this profile’s.', {
    hint: 'Choose the profile of that service by --profile, or make one with --service.',
  });
}
