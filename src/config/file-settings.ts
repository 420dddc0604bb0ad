import { type ConfigFile, defaultPresets } from './file.ts';
import type { Rate } from './limits.ts';
import type { SettingInForce } from './settings.ts';

/** What of the configuration file is in force, one line for each member, for `vouchsafe config` and the console. */

/** The texts that the settings of the file were read from. */
export interface FileSource {
  /** Its path; undefined: there is none. */
  path: string | undefined;
  /** What stands in it. */
  written: object;
  /** What stands in LIMITS, which counts before it. */
  limits: object;
}

/** Lists all members of the configuration file, also those that are not in it, with their values in force. */
export function fileSettingsInForce(file: ConfigFile, source: FileSource): SettingInForce[] {
  const { service, limits, scopes, presets, policy, quotas, workspaces } = file;
  const values: [name: string, value: string | number | undefined][] = [
    ...SERVICE_MEMBERS.map((name): [string, string | undefined] => [
      `service.${name}`,
      withoutUser(service[name]),
    ]),
    ['scopes', listOf(Object.keys(scopes))],
    ['anonymousScopes', listOf(file.anonymousScopes)],
    ['claimedScopes', listOf(file.claimedScopes)],
    ['humanScopes', listOf(file.humanScopes ?? Object.keys(scopes))],
    ['deviceForNewClients', String(file.deviceForNewClients)],
    ['presets', listOf(Object.keys(presets ?? defaultPresets(new Map(Object.entries(scopes)))))],
    ['policy', policy && listOf(Object.keys(policy.tools))],
    [
      'quotas',
      listOf(
        Object.entries(quotas).map(([name, { anonymous, claimed }]) => `${name} ${anonymous}/${claimed}`),
      ),
    ],
    ['service.keys.prefix', service.keys?.prefix],
    ['service.keys.form', service.keys?.form],
    ['service.keys.previous', listOf(service.keys?.previous ?? [])],
    ['resources', listOf(file.resources.map(({ url }) => withoutUser(url)!))],
    ['trustedIssuers', listOf(file.trustedIssuers.map(({ issuer }) => withoutUser(issuer)!))],
    ['capabilities', listOf(file.capabilities.map(({ name }) => name))],
    ['workspaces.keyIssuers', listOf(workspaces.keyIssuers)],
    ['workspaces.appApprovers', listOf(workspaces.appApprovers ?? workspaces.keyIssuers)],
    ['workspaces.appKinds', listOf(workspaces.appKinds)],
    ['workspaces.types', listOf(workspaces.types)],
    ['workspaces.signed', String(workspaces.signed)],
    ['workspaces.grantByTerminal', String(workspaces.grantByTerminal)],
    ['operators', listOf(file.operators)],
    ['claimMode', file.claimMode],
    ['claimExistingAccount', file.claimExistingAccount],
    ...Object.entries(limits).map(([name, limit]): [string, string | number] => [
      `limits.${name}`,
      typeof limit === 'number' ? limit : formatRate(limit),
    ]),
  ];
  return values.map(([name, value]) => ({
    name,
    value: value === '' ? undefined : value,
    from: sourceOf(name, source),
  }));
}

const SERVICE_MEMBERS = [
  'name',
  'keyBrand',
  'capPrefix',
  'contact',
  'logoUrl',
  'accent',
  'imprintUrl',
  'termsUrl',
  'privacyUrl',
] as const;

function sourceOf(name: string, { path, written, limits }: FileSource): string {
  const [group, member] = name.split('.') as [string, string | undefined];
  const has = (value: unknown, key: string) =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, key);
  if (group === 'limits' && has(limits, member!)) return 'LIMITS';
  const isWritten =
    member === undefined ? has(written, group) : has((written as Record<string, unknown>)[group], member);
  return isWritten && path !== undefined ? path : 'default';
}

function listOf(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : names.join(', ');
}

/** A rate as it is written: `10/h`, `100/15m`. */
function formatRate({ max, windowSeconds }: Rate): string {
  const [unit, seconds] = UNITS.find(([, each]) => windowSeconds % each === 0)!;
  const count = windowSeconds / seconds;
  return `${max}/${count === 1 ? '' : count}${unit}`;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/** A URL without user and password; any other text as it is. */
function withoutUser(text: string | undefined): string | undefined {
  if (text === undefined || !URL.canParse(text)) return text;
  const url = new URL(text);
  if (url.username === '' && url.password === '') return text;
  url.username = '';
  url.password = '';
  return url.href;
}
