/** The paths of the pages that links and other pages point to. app.ts builds its route table from the same constants. */
export const PAGES = {
  claim: '/claim',
  claimState: '/claim/state',
  denyClaim: '/claim/deny',
  connect: '/connect',
  denyConnection: '/connect/deny',
  reviewConnection: '/connect/review',
  reviewDevice: '/connect/device',
  hosts: '/hosts',
  signIn: '/sign-in',
  signInAgain: '/sign-in/again',
  signInCode: '/sign-in/code',
  signInLink: '/sign-in/link',
  signOut: '/sign-out',
  agents: '/agents',
  /** A tab of the agents. */
  environments: '/agents?show=environments',
  keys: '/keys',
  newKey: '/keys/new',
  apps: '/apps',
  links: '/apps/links',
  providers: '/apps/providers',
  clients: '/apps/clients',
  newClient: '/apps/clients/new',
  workspaces: '/workspaces',
  newWorkspace: '/workspaces/new',
  invitation: '/invitation',
  declineInvitation: '/invitation/decline',
  account: '/account',
  activity: '/account/activity',
  authenticator: '/account/authenticator',
  deleteAccount: '/account/delete',
} as const;

/** The sections of the operator's console. */
export const CONSOLE = {
  overview: '/console',
  agents: '/console/agents',
  accounts: '/console/accounts',
  keys: '/console/keys',
  resourceServers: '/console/resource-servers',
  oauthClients: '/console/oauth-clients',
  trustedIssuers: '/console/trusted-issuers',
  mail: '/console/mail',
  auditLog: '/console/audit-log',
  settings: '/console/settings',
} as const;
export type ConsoleSection = keyof typeof CONSOLE;
