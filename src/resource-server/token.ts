/** A credential that is valid for this resource, and whose it is. Frozen. */
export interface VerifiedToken {
  /** The account that the credential works in, and whose data it may access. */
  readonly subject: string;
  /** The agent that holds the credential; undefined for a human's own key. */
  readonly agentId: string | undefined;
  /** The id of the credential (`jti`). It is not a secret. */
  readonly keyId: string;
  /** What the credential may do. */
  readonly scopes: readonly string[];
  /** The URL of the resource that the credential was verified for. */
  readonly audience: string;
  /** Epoch seconds. */
  readonly expiresAt: number;
  /** The account of the human who claimed the agent; undefined for an unclaimed agent. */
  readonly owner?: string;
  /** The agent's own account before the agent was merged into `subject`; undefined if it was not merged. */
  readonly mergedFrom?: string;
}
