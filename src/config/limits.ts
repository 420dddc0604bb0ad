/** At most `max` in `windowSeconds`. The window starts at the first use. */
export interface Rate {
  max: number;
  windowSeconds: number;
}

/** Limits and lifetimes, under the names that an operator sets them by. docs/operating.md says what each counts. */
export interface Limits {
  registerPerIp: Rate;
  registerPerService: Rate;
  clientsPerIp: Rate;
  clientsPerService: Rate;
  documentsPerIp: Rate;
  documentsPerHost: Rate;
  pushedRequestsPerIp: Rate;
  deviceCodesPerIp: Rate;
  claimMailPerIp: Rate;
  claimMailPerAgent: Rate;
  codeTtlSeconds: number;
  triesPerCode: number;
  codesPerClaim: number;
  codesPerMailboxHour: number;
  codesPerMailboxDay: number;
  wrongPerMailboxDay: number;
  wrongPerIpHour: number;
  wrongPerServiceDay: number;
  signInMailPerIp: Rate;
  signInMailPerMailbox: Rate;
  signInMailPerMailboxIp: Rate;
  signInWrongPerMailboxDay: number;
  signInWrongPerIpHour: number;
  secondFactorWrongPerMailboxDay: number;
  claimTtlSeconds: number;
  unclaimedTtlSeconds: number;
  assertionTtlSeconds: number;
  accessTokenTtlSeconds: number;
  signedTokenTtlSeconds: number;
  refreshTtlSeconds: number;
  tokensPerAgent: Rate;
  tokensPerClient: Rate;
  keysPerAccount: number;
  clientsPerAccount: number;
  assertionsPerIssuer: Rate;
  agentsPerHost: Rate;
  agentIdleSeconds: number;
  agentLifetimeSeconds: number;
  agentAbsoluteSeconds: number;
  workspacesPerAccount: Rate;
  workspacesOwned: number;
  membersPerWorkspace: number;
  openInvitations: number;
  invitesPerWorkspace: Rate;
  invitesPerAccount: Rate;
  invitationTtlSeconds: number;
  placedKeysPerWorkspace: number;
  nodeBatches: Rate;
  nodesPerWorkspace: number;
  nodesPerResourceServer: number;
  treesPerResourceServer: Rate;
  permissionsPerIp: Rate;
  permissionSeconds: number;
  openPermissionRequests: number;
  sessionKeysPerAgent: number;
}
