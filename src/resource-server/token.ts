/**
 * Whose a credential is: an unclaimed agent's (`anonymous`), a claimed agent's (`claimed`), a human's own (`personal`), that
 * of an app which a human lets use their account (`app`), of a workspace (`app_key`), or passed on by its holder
 * (`delegated`).
 */
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number];

/** The kinds that this kit knows. It refuses a credential of any other. */
export const CREDENTIAL_KINDS = ['anonymous', 'claimed', 'personal', 'app', 'app_key', 'delegated'] as const;

/** A long-lived key, or a short-lived token. */
export type CredentialForm = (typeof CREDENTIAL_FORMS)[number];

/** The forms that this kit knows. */
export const CREDENTIAL_FORMS = ['key', 'token'] as const;

/** One place: a workspace, or one node or path in it. Frozen. */
export interface Access {
  /** The id of a shared workspace, or the account whose personal one it is. */
  readonly workspace: string;
  /** Your own id of the thing that the place is, with all that is in it. */
  readonly node?: string;
  /** A path; what is below it only if it ends in `/`. Neither node nor path: the whole workspace. */
  readonly path?: string;
  /** Scopes, without what they imply. */
  readonly actions: readonly string[];
  /** The types of things; undefined: all. */
  readonly types?: readonly string[];
  /** Whether the person behind it manages the workspace. */
  readonly manages: boolean;
}

/** A credential that is valid for this resource, and whose it is. Frozen. */
export interface VerifiedToken {
  /**
   * The account that acts. Without `access` it is also where the data is: the credential may access that account’s own, and nothing
   * else.
   */
  readonly subject: string;
  /** Whose it is; undefined: the service is of a version that does not say. */
  readonly kind?: CredentialKind;
  /** Undefined: the service is of a version that does not say. */
  readonly form?: CredentialForm;
  /** The OAuth client, of an app's token alone. */
  readonly clientId?: string;
  /** The thumbprint of the key that every request must prove (DPoP, RFC 9449); undefined: it is a bearer token. */
  readonly keyThumbprint?: string;
  /** The agent that holds the credential; undefined for a human's own key, and for a token of an app. */
  readonly agentId: string | undefined;
  /** The id of the credential (`jti`). It is not a secret. */
  readonly keyId: string;
  /** What the credential may do. */
  readonly scopes: readonly string[];
  /** The URL of the resource that the credential was verified for. */
  readonly audience: string;
  /** Epoch seconds. */
  readonly expiresAt: number;
  /** The one workspace that all of `access` is in; undefined: there are several, or it has no places. */
  readonly workspace?: string;
  /** Where it may do what, see may(); undefined: what `scopes` say, in the workspace of `subject`. */
  readonly access?: readonly Access[];
  /** The account of the human who claimed the agent; undefined for an unclaimed agent. */
  readonly owner?: string;
  /**
   * Of a token for one action: the SHA-256 of its text, base64url. Do only that, once: such a token is asked about anew each
   * time.
   */
  readonly actionHash?: string;
  /** The agent's own account before the agent was merged into `subject`; undefined if it was not merged. */
  readonly mergedFrom?: string;
}
