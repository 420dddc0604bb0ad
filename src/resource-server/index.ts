/**
 * The Vouchsafe kit for APIs and MCP servers. It verifies credentials, challenges clients, consumes quotas, and decides by policy
 * which tools may be called.
 */

export { may, type PlaceOfCall } from './access.ts';
export type { AuthorizationServerOptions } from './authorization-server-client.ts';
export {
  challenge,
  protectedResourceMetadata,
  type Refusal,
  type ResourceMetadata,
  type ResourceOptions,
} from './challenge.ts';
export { type Configured, loadPolicy } from './configured.ts';
export { covers, type Implies } from './covers.ts';
export { VerificationError } from './errors.ts';
export type { Cursor, ResourceEvent } from './follow-events.ts';
export { createGuard, type Decision, type Guard, type GuardOptions } from './guard.ts';
export {
  type Args,
  createPolicy,
  type EffectiveScopes,
  kindOf,
  type Policy,
  type PolicyOptions,
  type Reason,
  type ScopeCatalogue,
  type ToolRule,
  type Verdict,
} from './policy.ts';
export type { PresentedProof } from './proof.ts';
export type { QuotaResult } from './quota.ts';
export {
  type SyncedNodes,
  type SyncNodesOptions,
  SyncRefused,
  syncNodes,
  type TreeNode,
} from './sync-nodes.ts';
export type { Access, CredentialForm, CredentialKind, VerifiedToken } from './token.ts';
export { createVerifier, type Verifier, type VerifierOptions } from './verifier.ts';
