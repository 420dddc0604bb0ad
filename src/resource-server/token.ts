/** A credential that works for this resource, and who stands behind it. Frozen. */
export interface VerifiedToken {
  /** The account it works in: whose data it may touch. */
  readonly subject: string;
  /** Undefined: the key is a human's own. */
  readonly agentId: string | undefined;
  readonly keyId: string;
  readonly scopes: readonly string[];
  /** The resource that it was verified for. */
  readonly audience: string;
  /** Epoch seconds. */
  readonly expiresAt: number;
  /** The account of the human behind the agent, once claimed. */
  readonly owner?: string;
  /** The account that the agent had of its own before it was merged. */
  readonly mergedFrom?: string;
}
