import {
  ARTIFACT_SKEW_MS,
  ARTIFACT_VERSION,
  checkArtifact,
  DENIAL_KIND,
  GRANT_KIND,
  LOGIN_KIND,
} from './artifact.ts';
import { AuthError } from './auth-error.ts';
import {
  actionList,
  ENTRIES_MAX,
  isSpace,
  type PermissionEntry,
  pathText,
  serviceText,
  spaceText,
  typeList,
} from './permission-entry.ts';
import {
  agentIdText,
  proofText,
  requestIdText,
  serviceUrl,
  thumbprintText,
  wrongService,
} from './permission-request.ts';
import { type ProofKey, readProofHeader, signatureInvalid, signProof, verifyProof } from './proof.ts';
import {
  type Check,
  exactly,
  freeText,
  list,
  MemberFault,
  members,
  pattern,
  timeText,
} from './read-members.ts';

/** What the service signs in answer to a request: a grant, a denial, or that a terminal acts for a person. */

/** What was granted at a place, with services and workspaces resolved. */
export interface GrantedPermission {
  service: string;
  /** The URL of the API. */
  resource: string;
  /** `wsp_…` or `usr_…`. */
  space: string;
  path: string;
  /** Names of scopes, sorted, each once. */
  actions: string[];
  types?: string[];
  /** Where it ends before the grant does. */
  expires_at?: string;
}

/** Whom a grant or denial is for. `agent_id` is absent for a person's own terminal. */
export interface Audience {
  thumbprint: string;
  agent_id?: string;
}

/** What a person granted, signed by the service. It is no secret: without the session key it gives nothing. */
export interface PermissionGrant {
  kind: typeof GRANT_KIND;
  version: typeof ARTIFACT_VERSION;
  id: string;
  request_id: string;
  service: string;
  issued_at: string;
  expires_at: string;
  audience: Audience;
  granted_by: { kind: 'human'; account: string };
  /** What counts. Never empty. */
  permissions: GrantedPermission[];
  /** What was asked for and not granted, for presentation. */
  withheld?: PermissionEntry[];
  /** The very thing that was allowed. */
  action?: string;
  /** It can be used once. */
  once?: true;
  proof: string;
}

/** A refusal, signed by the service. */
export interface PermissionDenial {
  kind: typeof DENIAL_KIND;
  version: typeof ARTIFACT_VERSION;
  request_id: string;
  service: string;
  issued_at: string;
  audience: Audience;
  proof: string;
}

/** That a terminal acts for a person, signed by the service. It is no secret: without the session key it gives nothing. */
export interface TerminalLogin {
  kind: typeof LOGIN_KIND;
  version: typeof ARTIFACT_VERSION;
  request_id: string;
  service: string;
  issued_at: string;
  expires_at: string;
  audience: Audience;
  account: string;
  /** What the terminal may grant, and where. */
  bound: { scopes: string[]; workspaces: string[] };
  proof: string;
}

/** What the service signs in answer to a request. */
export type SignedAnswer = PermissionGrant | PermissionDenial | TerminalLogin;

const PROOF_TYPES = {
  [GRANT_KIND]: 'vouchsafe-grant+jws',
  [DENIAL_KIND]: 'vouchsafe-denial+jws',
  [LOGIN_KIND]: 'vouchsafe-login+jws',
} as const;

/** Of scopes, and of workspaces, that a terminal may grant. */
const BOUND_MAX = 1000;

const resolvedSpace: Check<string> = (value, where) => {
  if (typeof value === 'string' && value !== 'default' && isSpace(value)) return value;
  throw new MemberFault(where, 'It must be the id of a workspace.');
};

const accountText = pattern(/^usr_[A-Za-z0-9]{1,64}$/, 'the id of an account');
const audience: Check<Audience> = members({ thumbprint: thumbprintText }, { agent_id: agentIdText });

const head = {
  version: exactly(ARTIFACT_VERSION),
  request_id: requestIdText,
  service: serviceUrl,
  issued_at: timeText,
  audience,
};

const grantShape = members(
  {
    kind: exactly(GRANT_KIND),
    id: pattern(/^grt_[A-Za-z0-9]{1,64}$/, 'the id of a grant'),
    ...head,
    expires_at: timeText,
    granted_by: members({ kind: exactly('human'), account: accountText }),
    permissions: list(
      members(
        {
          service: serviceText,
          resource: serviceUrl,
          space: resolvedSpace,
          path: pathText,
          actions: actionList,
        },
        { types: typeList, expires_at: timeText },
      ),
      1,
      ENTRIES_MAX,
    ),
  },
  {
    withheld: list(
      members(
        { service: serviceText, space: spaceText, path: pathText, actions: actionList },
        { types: typeList },
      ),
      0,
      ENTRIES_MAX,
    ),
    action: freeText(300),
    once: exactly(true),
    proof: proofText,
  },
);

const denialShape = members({ kind: exactly(DENIAL_KIND), ...head }, { proof: proofText });

const loginShape = members(
  {
    kind: exactly(LOGIN_KIND),
    ...head,
    expires_at: timeText,
    account: accountText,
    bound: members({
      scopes: list(pattern(/^[\x21-\x7e]{1,256}$/, 'a scope'), 1, BOUND_MAX),
      workspaces: list(resolvedSpace, 1, BOUND_MAX),
    }),
  },
  { proof: proofText },
);

/** Reads a grant. Nothing is verified yet. @throws AuthError `INVALID_GRANT_ARTIFACT`, `UNSUPPORTED_VERSION`, `INVALID_PATH` */
export function readGrant(value: unknown): PermissionGrant {
  return readSigned(value, GRANT_KIND, grantShape) as PermissionGrant;
}

/** Reads a denial. Nothing is verified yet. @throws AuthError `INVALID_GRANT_ARTIFACT`, `UNSUPPORTED_VERSION` */
export function readDenial(value: unknown): PermissionDenial {
  return readSigned(value, DENIAL_KIND, denialShape) as PermissionDenial;
}

/** Reads a login. Nothing is verified yet. @throws AuthError `INVALID_GRANT_ARTIFACT`, `UNSUPPORTED_VERSION` */
export function readLogin(value: unknown): TerminalLogin {
  return readSigned(value, LOGIN_KIND, loginShape) as TerminalLogin;
}

function readSigned<Value extends { proof?: string }>(
  value: unknown,
  kind: string,
  shape: Check<Value>,
): Value {
  const read = checkArtifact(value, { kind, code: 'INVALID_GRANT_ARTIFACT' }, shape);
  if (read.proof === undefined) throw signatureInvalid('It is not signed.');
  return read;
}

/** Signs an answer. @param key of the service, with its id in the key set */
export async function signByService<Answer extends SignedAnswer>(
  answer: Omit<Answer, 'proof'> & { kind: Answer['kind'] },
  { kid, privateKey }: { kid: string; privateKey: ProofKey },
): Promise<Answer> {
  const header = { alg: 'ES256', kid, typ: PROOF_TYPES[answer.kind] } as const;
  return { ...answer, proof: await signProof(answer, header, privateKey) } as unknown as Answer;
}

/** What an answer is checked against. */
export interface GrantExpectation {
  /** The URL of the service that it must be from. */
  service: string;
  /** The thumbprints of the keys that it may be for: the present one, and those it succeeded. */
  thumbprints: readonly string[];
  /** Returns the public key of a `kid` of the service; undefined if it publishes none. */
  findKey(kid: string): Promise<ProofKey | undefined> | ProofKey | undefined;
  /** Epoch ms; absent: now. */
  now?: number | undefined;
}

/**
 * Verifies a grant: service, audience, signature, and that it has not expired. Whether it still holds only the service knows.
 *
 * @throws AuthError `WRONG_SERVICE`, `WRONG_AUDIENCE`, `SIGNATURE_INVALID`, `REQUEST_EXPIRED`
 */
export async function verifyGrant(grant: PermissionGrant, expected: GrantExpectation): Promise<void> {
  await verifyAnswer(grant, expected);
}

/** Verifies a denial: service, audience and signature. @throws AuthError as `verifyGrant` */
export async function verifyDenial(denial: PermissionDenial, expected: GrantExpectation): Promise<void> {
  await verifyAnswer(denial, expected);
}

/** Verifies any answer, each as its kind is verified. @throws AuthError as `verifyGrant` */
export async function verifyAnswer(
  answer: SignedAnswer,
  { service, thumbprints, findKey, now = Date.now() }: GrantExpectation,
): Promise<void> {
  if (answer.service !== service) throw wrongService();
  if (!thumbprints.includes(answer.audience.thumbprint)) {
    throw new AuthError('WRONG_AUDIENCE', 'It was granted to another key than this profile’s.', {
      hint: 'Import it into the profile that asked for it.',
    });
  }
  const end = answer.kind === DENIAL_KIND ? Infinity : Date.parse(answer.expires_at);
  if (end <= now - ARTIFACT_SKEW_MS) {
    throw new AuthError('REQUEST_EXPIRED', 'What was granted has expired.', { hint: 'Ask again.' });
  }
  const { kid } = readProofHeader(answer.proof);
  const key = await findKey(kid);
  if (key === undefined) throw signatureInvalid('The service publishes no such key.');
  await verifyProof(answer, { alg: 'ES256', kid, typ: PROOF_TYPES[answer.kind] }, key);
}
