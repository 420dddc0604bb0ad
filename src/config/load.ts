import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { normalizeAudienceUrl } from '../lib/audience-url.ts';
import { findDuplicateName } from '../lib/capability-names.ts';
import type { KeyShape } from '../lib/key-shapes.ts';
import { isLoopbackHost } from '../lib/loopback.ts';
import { OPENID_SCOPES, UNUSED_OPENID_SCOPES } from '../lib/openid-scopes.ts';
import { parseScope } from '../lib/scopes.ts';
import { readOrMakeSecret } from '../lib/secret-file.ts';
import { type ConfiguredCapability, readCapability } from './capabilities.ts';
import {
  type Branding,
  type ConfigFile,
  defaultPresets,
  fileSchema,
  type Preset,
  type Quota,
  type Resource,
  type Scope,
  type WorkspaceSettings,
} from './file.ts';
import { type FileSource, fileSettingsInForce } from './file-settings.ts';
import { readTrustedIssuers, type TrustedIssuer } from './issuers.ts';
import { readKeyShapes } from './key-shapes.ts';
import type { Limits } from './limits.ts';
import { type Environment, readSettings, type SettingInForce, settingsInForce } from './settings.ts';
import { type DiskShare, MAKE_SECRET, mailboxes, parseSecrets, readText } from './values.ts';

/** All that an operator can configure, checked. Built once at start and passed down; nothing else reads the environment. */
export interface Config {
  host: string;
  port: number;
  /** The issuer: scheme, host and port, no trailing slash. Every URL we write starts with it. */
  publicUrl: string;
  isLoopback: boolean;
  database: { kind: 'sqlite'; file: string } | { kind: 'postgres'; url: string; prepared: boolean };
  /** Newest first, at least 32 bytes each. */
  secrets: Buffer[];
  smtpUrl: string | undefined;
  mailFrom: string;
  claimExistingAccount: 'otp' | 'confirm';
  trustProxy: number;
  /** How long an idle connection stays open. */
  keepAliveMs: number;
  /** How long a stopping service reports that it is not ready, and still serves requests. */
  drainDelayMs: number;
  /** How long a start waits for a database that is not reachable yet. */
  startupTimeoutMs: number;
  /** What must be free on the disk of a SQLite database. */
  diskFreeMin: DiskShare;
  /** How many connections one address may hold at once; only without a proxy. */
  connectionsPerAddress: number;
  opsHost: string;
  opsPort: number;
  logLevel: string;
  limits: Limits;
  service: Branding;
  scopes: Map<string, Scope>;
  anonymousScopes: readonly string[];
  claimedScopes: readonly string[];
  /** What a human can let an app do. */
  humanScopes: readonly string[];
  /** Whether clients that registered themselves may connect devices without a browser (RFC 8628). */
  deviceForNewClients: boolean;
  /** How the keys look that are made now, and all that are read. */
  keys: { issued: KeyShape; accepted: readonly KeyShape[] };
  /** Sets of scopes that humans choose from for keys of their own, by name. */
  presets: Map<string, Preset>;
  /** Which tools of MCP servers need which scopes; the MCP servers load and enforce it. */
  policy: ConfigFile['policy'];
  /** How often an account may do an action per month at each resource server that counts it, by action. */
  quotas: Map<string, Quota>;
  /** A folder whose templates replace ours. */
  templatesDir: string | undefined;
  /** The audiences; the first is the default. */
  resources: readonly Resource[];
  /** Capabilities of the Agent Auth Protocol, in addition to those that are built in. */
  capabilities: readonly ConfiguredCapability[];
  /** The agent providers whose ID-JAGs we accept, by `iss`. */
  trustedIssuers: Map<string, TrustedIssuer>;
  /** The scopes that only look at things: a viewer of a workspace has no others. */
  lookingScopes: readonly string[];
  /** Shared workspaces: which roles do what, and what their nodes are. */
  workspaces: WorkspaceSettings;
  /** The mailboxes of those who may use the console, canonical. Those of the database are not in it. */
  operators: ReadonlySet<string>;
  inForce: SettingsInForce;
  /** How a claim at /agent/identity uses its code: the page reveals it to the human, or the human types it there. */
  claimMode: 'both' | 'reveal' | 'typed';
}

/** All settings with their values in force, without secrets: those of the environment, and those of the file. */
export interface SettingsInForce {
  environment: readonly SettingInForce[];
  file: readonly SettingInForce[];
}

/** Reads the settings in force. @throws ConfigError as loadConfig() does for what cannot be read */
export function readInForce(env: Environment): SettingsInForce {
  const settings = readSettings(env);
  const { file, source } = readFile(settings.CONFIG, settings.LIMITS);
  return { environment: settingsInForce(env, settings), file: fileSettingsInForce(file, source) };
}

/**
 * Reads and checks the environment and the configuration file.
 *
 * @param env `NAME_FILE` names a file that holds the value of `NAME`
 * @param makeSecret whether to create the file of the secret if there is none: `serve` does, the other commands do not
 * @throws ConfigError naming the setting that is wrong
 */
export function loadConfig(env: Environment, { makeSecret = false } = {}): Config {
  const settings = readSettings(env);
  const publicUrl = settings.PUBLIC_URL;
  const database = parseDatabaseUrl(settings.DATABASE_URL, settings.PG_PREPARED === 'on');
  const isLoopback = isLoopbackHost(new URL(publicUrl).hostname);
  const { file } = readFile(settings.CONFIG, settings.LIMITS);
  if (!isLoopback && settings.SMTP_URL === undefined) {
    throw new ConfigError(
      'SMTP_URL is required when PUBLIC_URL is not on this machine: claims need real mail. Example: smtps://user:password@mail.example.com.',
    );
  }

  const scopes = new Map(Object.entries(file.scopes));
  for (const name of scopes.keys()) {
    if (OPENID_SCOPES.has(name) || UNUSED_OPENID_SCOPES.has(name))
      throw new ConfigError(
        `The scope "${name}" under "scopes" has a name of OpenID Connect. Name it otherwise.`,
      );
  }
  const resources = file.resources.map((resource) => ({
    ...resource,
    url: resourceUrl(resource.url),
    shortName: resource.shortName,
    documentation: resource.documentation,
    scopes: resource.scopes ?? [...scopes.keys()],
  }));
  const shortNames = resources.map(({ shortName }, index) => shortName ?? (index === 0 ? 'api' : undefined));
  const twice = shortNames.find((name, index) => name !== undefined && shortNames.indexOf(name) !== index);
  if (twice !== undefined) throw new ConfigError(`Two of "resources" have the short name "${twice}".`);
  const presets = new Map(Object.entries(file.presets ?? defaultPresets(scopes)));
  if ([...presets.values()].filter((preset) => preset.recommended).length > 1) {
    throw new ConfigError('Only one of "presets" can be recommended.');
  }
  const usedBySets = [...resources, ...presets.values()].flatMap((each) => each.scopes);
  const implied = [...scopes.values()].flatMap((scope) => scope.implies ?? []);
  const usedByTools = Object.values(file.policy?.tools ?? {}).flatMap((rule) =>
    typeof rule === 'string' ? [rule] : [...Object.values(rule.scopes), rule.otherwise ?? []].flat(),
  );
  for (const name of [
    ...file.anonymousScopes,
    ...file.claimedScopes,
    ...(file.humanScopes ?? []),
    ...(file.policy?.lookingScopes ?? []),
    ...usedBySets,
    ...implied,
    ...usedByTools,
    ...file.capabilities.map(({ scope }) => scope),
  ]) {
    if (!scopes.has(name))
      throw new ConfigError(`The scope "${name}" is used but not listed under "scopes".`);
  }
  const duplicate = findDuplicateName({ scopes, capabilities: file.capabilities });
  if (duplicate !== undefined) {
    throw new ConfigError(
      `Two capabilities would be named "${duplicate}": each of "capabilities" and of "scopes" makes one, and "whoami" is taken.`,
    );
  }

  return {
    host: settings.HOST,
    port: settings.PORT,
    publicUrl,
    isLoopback,
    database,
    secrets: readSecrets(settings.SECRET, isLoopback, secretPath(database), makeSecret),
    smtpUrl: settings.SMTP_URL,
    mailFrom: settings.MAIL_FROM,
    claimExistingAccount: settings.CLAIM_EXISTING_ACCOUNT ?? file.claimExistingAccount,
    trustProxy: settings.TRUST_PROXY,
    keepAliveMs: 1000 * settings.KEEP_ALIVE_TIMEOUT,
    drainDelayMs: 1000 * settings.DRAIN_DELAY,
    startupTimeoutMs: 1000 * settings.STARTUP_TIMEOUT,
    diskFreeMin: settings.DISK_FREE_MIN,
    connectionsPerAddress: settings.CONNECTIONS_PER_ADDRESS,
    opsHost: settings.OPS_HOST,
    opsPort: settings.OPS_PORT,
    logLevel: settings.LOG_LEVEL,
    limits: file.limits,
    service: file.service,
    keys: readKeyShapes(file.service),
    presets,
    policy: file.policy,
    quotas: new Map(Object.entries(file.quotas)),
    templatesDir: settings.TEMPLATES_DIR,
    scopes,
    anonymousScopes: parseScope(file.anonymousScopes.join(' ')),
    claimedScopes: parseScope(file.claimedScopes.join(' ')),
    humanScopes: file.humanScopes ?? [...scopes.keys()],
    deviceForNewClients: file.deviceForNewClients,
    resources:
      resources.length > 0
        ? resources
        : [
            {
              url: publicUrl,
              name: file.service.name,
              shortName: undefined,
              scopes: [...scopes.keys()],
              documentation: undefined,
              tokens: 'opaque',
            },
          ],
    capabilities: file.capabilities.map((each) => readCapability(each, isLoopback)),
    trustedIssuers: readTrustedIssuers(file.trustedIssuers, publicUrl, isLoopback),
    lookingScopes: (file.policy?.lookingScopes ?? ['read']).filter((name) => scopes.has(name)),
    workspaces: {
      ...file.workspaces,
      appApprovers: file.workspaces.appApprovers ?? file.workspaces.keyIssuers,
    },
    operators: new Set(settings.OPERATORS ?? mailboxes(file.operators.join(','), '"operators"')),
    inForce: readInForce(env),
    claimMode: file.claimMode,
  };
}

function resourceUrl(text: string): string {
  try {
    return normalizeAudienceUrl(text);
  } catch (error) {
    throw new ConfigError(`In "resources", ${text}: ${(error as Error).message}`);
  }
}

function parseDatabaseUrl(text: string, prepared: boolean): Config['database'] {
  if (!text.startsWith('file:')) return { kind: 'postgres', url: text, prepared };
  return { kind: 'sqlite', file: text.slice('file:'.length).replace(/^\/\/(?=\/)/, '') };
}

function readFile(
  path: string | undefined,
  limitsText: string | undefined,
): { file: ConfigFile; source: FileSource } {
  const fallback = './vouchsafe.config.json';
  const name = path ?? (existsSync(fallback) ? fallback : undefined);
  const written: { limits?: object } =
    name === undefined ? {} : parseJson(`The file ${name} (CONFIG)`, readText('CONFIG', name));
  const limits = limitsText === undefined ? {} : parseJson('LIMITS', limitsText);
  const content =
    limitsText === undefined ? written : { ...written, limits: { ...written.limits, ...limits } };
  const parsed = fileSchema.safeParse(content);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const where = issue.path.join('.') || 'the file';
    throw new ConfigError(`In the configuration (CONFIG, LIMITS), ${where}: ${issue.message}.`);
  }
  return { file: parsed.data, source: { path: name, written, limits } };
}

function parseJson(name: string, text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The message of JSON.parse quotes its input, which may hold a secret.
    throw new ConfigError(`${name} is not JSON.`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new ConfigError(`${name} must be a JSON object.`);
}

/** Returns where a service on this machine keeps the secret that it creates: beside a SQLite database, else in `./data`. */
function secretPath(database: Config['database']): string {
  const inDataFolder = './data/secret';
  if (database.kind !== 'sqlite') return inDataFolder;
  const beside = join(dirname(database.file), 'secret');
  // Earlier versions always kept it in `./data`, and an existing database was sealed with that secret.
  const isOlder = !existsSync(beside) && existsSync(database.file) && existsSync(inDataFolder);
  return isOlder ? inDataFolder : beside;
}

/** Returns the secrets as set. On this machine they may come from a file that `serve` creates; none if it does not exist yet. */
function readSecrets(
  configured: Buffer[] | undefined,
  isLoopback: boolean,
  path: string,
  makeSecret: boolean,
): Buffer[] {
  if (configured !== undefined) return configured;
  if (!isLoopback) throw new ConfigError(`SECRET or SECRET_FILE is required. ${MAKE_SECRET}`);
  if (makeSecret) return parseSecrets(readOrMakeSecret(path), path);
  return existsSync(path) ? parseSecrets(readText('SECRET', path), path) : [];
}
