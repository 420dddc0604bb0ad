/**
 * The Vouchsafe client for agents and their operators: permission requests and grants as signed files, the profile that keeps
 * them, and registration.
 */

export {
  ARTIFACT_BYTES_MAX,
  ARTIFACT_READ_BYTES_MAX,
  parseArtifact,
} from '../lib/artifacts/artifact.ts';
export { AuthError, type AuthErrorCode, EXIT_CODES } from '../lib/artifacts/auth-error.ts';
export { canonicalJson } from '../lib/artifacts/canonical-json.ts';
export { type Capability, formatCap, parseCap } from '../lib/artifacts/capability-spec.ts';
export {
  covers,
  type Implied,
  isWithinRequest,
  listMissing,
  type Permission,
} from '../lib/artifacts/coverage.ts';
export { parseLifetime } from '../lib/artifacts/lifetime.ts';
export type { PermissionEntry } from '../lib/artifacts/permission-entry.ts';
export {
  findManifest,
  type Manifest,
  readManifest,
  readPermissionFile,
} from '../lib/artifacts/permission-file.ts';
export {
  type GrantExpectation,
  type GrantedPermission,
  type PermissionDenial,
  type PermissionGrant,
  readDenial,
  readGrant,
  readLogin,
  type SignedAnswer,
  type TerminalLogin,
  verifyAnswer,
  verifyDenial,
  verifyGrant,
} from '../lib/artifacts/permission-grant.ts';
export {
  createRequest,
  type PermissionRequest,
  type RequestExpectation,
  type RequestOptions,
  readRequest,
  verifyRequest,
} from '../lib/artifacts/permission-request.ts';
export {
  type AgentStatus,
  type ClaimOptions,
  claim,
  type ExchangedToken,
  endAgent,
  exchange,
  poll,
  type RegisterOptions,
  readAgentStatus,
  registerAgent,
} from './agent.ts';
export type { Agent, Dialect } from './agent-state.ts';
export { ConnectedProfile, type ConnectOptions } from './connected-profile.ts';
export type {
  AccessToken,
  Bound,
  GrantBody,
  KeyHolder,
  RequestState,
  RotatedKey,
} from './permission-calls.ts';
export { Profile } from './profile.ts';
export type { ProfileArtifacts } from './profile-artifacts.ts';
export type {
  ProfileInfo,
  StoredCommand,
  StoredCredential,
  StoredGrant,
  StoredRequest,
} from './profile-files.ts';
export { listProfiles, type ProfilePlace } from './profile-home.ts';
export { newSessionKey, type SessionKey, signKeyToken } from './session-key.ts';
