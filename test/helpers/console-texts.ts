import { EVENT_KINDS } from '../../src/domain/audit/audit-log.ts';
import { AGENT_STATUSES, AGENT_TYPES } from '../../src/domain/operators/agents.ts';
import { KEY_HOLDERS, KEY_STATUSES } from '../../src/domain/operators/keys.ts';
import { MAIL_STATES } from '../../src/domain/operators/mail.ts';
import { CLIENT_ORIGINS, CLIENT_STATUSES } from '../../src/domain/operators/oauth-clients.ts';
import { WORKSPACE_STATUSES } from '../../src/domain/operators/workspaces.ts';
import { TIME_MENU } from '../../src/http/pages/console/lists.ts';
import { CONSOLE } from '../../src/lib/page-paths.ts';

/** Texts of the operator's console whose names the program puts together, as the test of the catalogue lists them. */

const nameEach = (prefix: string, names: readonly string[], suffix = '') =>
  names.map((name) => `${prefix}${name}${suffix}`);

const ACCOUNT_ACTS = ['endSessions', 'revokeKeys', 'stopMail', 'allowMail'];
const ATTENTION = ['secret', 'guesses', 'resourceServer', 'bounces', 'queue', 'signingKey', 'cleanup'];
const SERVER_ACTS = ['rotate', 'remove'];
const CLIENT_ACTS = ['suspend', 'resume', 'remove'];
const MENUS = {
  status: AGENT_STATUSES,
  type: AGENT_TYPES,
  keyStatus: KEY_STATUSES,
  holder: KEY_HOLDERS,
  clientStatus: CLIENT_STATUSES,
  origin: CLIENT_ORIGINS,
  workspaceStatus: WORKSPACE_STATUSES,
  time: TIME_MENU.choices.map((choice) => choice.value).filter((value) => value !== ''),
};
const COLUMNS = [
  'id',
  'name',
  'owner',
  'type',
  'status',
  'firstSeen',
  'network',
  'lastUsed',
  'lastUsedFrom',
  'key',
  'agent',
  'workspace',
  'permissions',
  'created',
  'expires',
  'mailbox',
  'lastSeen',
  'authenticator',
  'deleted',
  'time',
  'kind',
  'who',
  'account',
  'onWhat',
  'request',
  'details',
];
const menus = [...Object.keys(MENUS), 'kind'];

export const CONSOLE_TEXTS: Record<string, readonly string[]> = {
  'audit.*': nameEach('audit.', EVENT_KINDS),
  'console.*.title': nameEach('console.', Object.keys(CONSOLE), '.title'),
  'console.accounts.*': nameEach('console.accounts.', ACCOUNT_ACTS),
  'console.accounts.*Text': nameEach('console.accounts.', ACCOUNT_ACTS, 'Text'),
  'console.accounts.*Title': nameEach('console.accounts.', ACCOUNT_ACTS, 'Title'),
  'console.accounts.*Final': nameEach('console.accounts.', ACCOUNT_ACTS, 'Final'),
  'console.accounts.*Open': nameEach('console.accounts.', ['stopMail', 'allowMail'], 'Open'),
  'console.agents.limit.*': nameEach('console.agents.limit.', ['claimMailPerAgent', 'tokensPerAgent']),
  'console.attention.*': nameEach('console.attention.', ATTENTION),
  'console.attention.*Open': nameEach('console.attention.', ATTENTION, 'Open'),
  'console.attention.**Text': nameEach('console.attention.', [...ATTENTION, 'guessesLimited'], 'Text'),
  'console.csv.*': nameEach('console.csv.', COLUMNS),
  'console.filter.*': nameEach('console.filter.', menus),
  'console.filter.*.any': nameEach('console.filter.', menus, '.any'),
  'console.filter.*.': Object.entries(MENUS).flatMap(([menu, values]) =>
    nameEach(`console.filter.${menu}.`, values),
  ),
  'console.filter.clientStatus.*': nameEach('console.filter.clientStatus.', CLIENT_STATUSES),
  'console.filter.origin.*': nameEach('console.filter.origin.', CLIENT_ORIGINS),
  'console.oauthClients.*': nameEach('console.oauthClients.', CLIENT_ACTS),
  'console.oauthClients.*Text': nameEach('console.oauthClients.', CLIENT_ACTS, 'Text'),
  'console.oauthClients.*Open': nameEach('console.oauthClients.', CLIENT_ACTS, 'Open'),
  'console.oauthClients.*Final': nameEach('console.oauthClients.', CLIENT_ACTS, 'Final'),
  'console.oauthClients.*Title': nameEach('console.oauthClients.', CLIENT_ACTS, 'Title'),
  'console.filter.type.*': nameEach('console.filter.type.', AGENT_TYPES),
  'console.mail.from.*': nameEach('console.mail.from.', ['all', 'one']),
  'console.mail.kind.*': nameEach('console.mail.kind.', [
    'claim_code',
    'sign_in_code',
    'notice',
    'approval',
    'invitation',
  ]),
  'console.mail.none.*': nameEach('console.mail.none.', MAIL_STATES),
  'console.mail.state.*': nameEach('console.mail.state.', MAIL_STATES),
  'console.resourceServers.*': nameEach('console.resourceServers.', SERVER_ACTS),
  'console.resourceServers.*Text': nameEach('console.resourceServers.', SERVER_ACTS, 'Text'),
  'console.resourceServers.*Open': nameEach('console.resourceServers.', SERVER_ACTS, 'Open'),
  'console.resourceServers.*Final': nameEach('console.resourceServers.', SERVER_ACTS, 'Final'),
  'console.resourceServers.*Title': nameEach(
    'console.resourceServers.',
    [...SERVER_ACTS, 'made', 'rotated'],
    'Title',
  ),
  'console.resourceServers.overlap.*': nameEach('console.resourceServers.overlap.', [
    '1h',
    '1d',
    '7d',
    'now',
  ]),
  'console.resourceServers.status.*': nameEach('console.resourceServers.status.', [
    'connected',
    'quiet',
    'away',
    'never',
    'removed',
  ]),
  'console.settings.*': nameEach('console.settings.', ['environment', 'file']),
  'console.settings.*Hint': nameEach('console.settings.', ['environment', 'file'], 'Hint'),
  'console.settings.key.*': nameEach('console.settings.key.', ['current', 'next', 'old']),
};
