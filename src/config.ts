import { existsSync, readFileSync } from 'node:fs';
import { type OwnCapability, readCapability } from './config-capabilities.ts';
import {
  type ConfigFile,
  defaultPresets,
  fileSchema,
  type Preset,
  type Quota,
  type Resource,
  type Scope,
  type Service,
} from './config-file.ts';
import { readTrust, type TrustedIssuer } from './config-issuers.ts';
import { integer } from './config-numbers.ts';
import { nameTaken } from './domain/capabilities.ts';
import type { Limits } from './domain/limits.ts';
import { checkResourceUrl } from './domain/resource-servers.ts';
import { parseScope } from './domain/scopes.ts';
import { ConfigError } from './errors.ts';
import { isLoopbackHost } from './lib/loopback.ts';
import { readOrMakeSecret } from './lib/secret-file.ts';
import { findTemplateFault } from './lib/templates.ts';

/** Everything an operator can set, checked and typed. Built once at start and passed down; nothing else reads the environment. */
export interface Config {
  host: string;
  port: number;
  /** The issuer: scheme, host and port, no trailing slash. Every URL we write starts with it (rule 9). */
  publicUrl: string;
  isLoopback: boolean;
  database: { kind: 'sqlite'; file: string } | { kind: 'postgres'; url: string };
  /** Newest first, at least 32 bytes each. */
  secrets: Buffer[];
  smtpUrl: string | undefined;
  mailFrom: string;
  claimExistingAccount: 'otp' | 'confirm';
  trustProxy: number;
  /** How long a connection without a request is kept. */
  keepAliveMs: number;
  /** How long a service that is to stop says that it is not ready, and serves on. */
  drainDelayMs: number;
  /** Behind no proxy: so many connections of one address at once. */
  connectionsPerAddress: number;
  opsHost: string;
  opsPort: number;
  logLevel: string;
  limits: Limits;
  service: Service;
  scopes: Map<string, Scope>;
  anonymousScopes: readonly string[];
  claimedScopes: readonly string[];
  /** Named sets of scopes that humans choose from for keys of their own, by name. */
  presets: Map<string, Preset>;
  /** Which tools of MCP servers need which scopes; handed to those servers, which enforce it. */
  policy: ConfigFile['policy'];
  /** By action: how often a month an account may do it at the resource servers that count it. */
  quotas: Map<string, Quota>;
  /** A folder whose templates take the place of ours. */
  templatesDir: string | undefined;
  /** The first is the default one. */
  resources: readonly Resource[];
  /** What agents of the Agent Auth Protocol can be allowed beside what is built in. */
  capabilities: readonly OwnCapability[];
  /** By `iss`. */
  trustedIssuers: Map<string, TrustedIssuer>;
  /** Which way a code may go in the ceremony of /agent/identity: shown to the human, typed by the human. */
  claimMode: 'both' | 'reveal' | 'typed';
}

/** Longer than AWS and nginx (60 s), Traefik (90 s), Caddy (2 min) and Google (10 min, fixed) keep theirs by default. */
const KEEP_ALIVE_BEHIND_PROXY_SECONDS = 620;

type Environment = Record<string, string | undefined>;

/**
 * Reads the environment and the configuration file.
 *
 * @param env the environment; `NAME_FILE` gives the value of `NAME` from a file
 * @throws ConfigError naming the setting that is wrong
 */
export function loadConfig(env: Environment): Config {
  const setting = (name: string): string | undefined => {
    const direct = env[name] === '' ? undefined : env[name];
    const file = env[`${name}_FILE`];
    if (direct !== undefined || !file || name === 'SECRET') return direct;
    return readText(`${name}_FILE`, file).trim();
  };

  const port = integer('PORT', setting('PORT'), 3000, 0, 65_535);
  const publicUrl = checkPublicUrl(setting('PUBLIC_URL') ?? `http://localhost:${port}`);
  const isLoopback = isLoopbackHost(new URL(publicUrl).hostname);
  const file = readFile(setting('CONFIG'), setting('LIMITS'));
  const smtpUrl = setting('SMTP_URL');
  if (smtpUrl !== undefined && !(/^smtps?:\/\/./.test(smtpUrl) && URL.canParse(smtpUrl))) {
    throw new ConfigError('SMTP_URL must be a URL such as smtps://user:password@mail.example.com.');
  }
  if (!isLoopback && smtpUrl === undefined) {
    throw new ConfigError(
      'SMTP_URL is required when PUBLIC_URL is not on this machine: claims need real mail. Example: smtps://user:password@mail.example.com.',
    );
  }
  const mailFrom = setting('MAIL_FROM') ?? `no-reply@${new URL(publicUrl).hostname}`;
  if (!/^[^\s<>@]+@[^\s<>@]+$/.test(mailFrom)) {
    throw new ConfigError('MAIL_FROM must be a bare mail address such as no-reply@example.com.');
  }
  const existing = setting('CLAIM_EXISTING_ACCOUNT') ?? file.claimExistingAccount;
  if (existing !== 'otp' && existing !== 'confirm') {
    throw new ConfigError('CLAIM_EXISTING_ACCOUNT must be "otp" or "confirm".');
  }
  const logLevel = setting('LOG_LEVEL') ?? 'info';
  if (!['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].includes(logLevel)) {
    throw new ConfigError('LOG_LEVEL must be trace, debug, info, warn, error, fatal or silent.');
  }

  const scopes = new Map(Object.entries(file.scopes));
  const resources = file.resources.map((resource) => ({
    ...resource,
    url: resourceUrl(resource.url),
    documentation: resource.documentation,
    scopes: resource.scopes ?? [...scopes.keys()],
  }));
  const presets = new Map(Object.entries(file.presets ?? defaultPresets(scopes)));
  if ([...presets.values()].filter((preset) => preset.recommended).length > 1) {
    throw new ConfigError('Only one of "presets" can be recommended.');
  }
  const sets = [...resources, ...presets.values()].flatMap((each) => each.scopes);
  const implied = [...scopes.values()].flatMap((scope) => scope.implies ?? []);
  const ruled = Object.values(file.policy?.tools ?? {}).flatMap((rule) =>
    typeof rule === 'string' ? [rule] : [...Object.values(rule.scopes), rule.otherwise ?? []].flat(),
  );
  for (const name of [
    ...file.anonymousScopes,
    ...file.claimedScopes,
    ...sets,
    ...implied,
    ...ruled,
    ...file.capabilities.map(({ scope }) => scope),
  ]) {
    if (!scopes.has(name))
      throw new ConfigError(`The scope "${name}" is used but not listed under "scopes".`);
  }
  const taken = nameTaken({ scopes, capabilities: file.capabilities });
  if (taken !== undefined) {
    throw new ConfigError(
      `Two capabilities would be named "${taken}": each of "capabilities" and of "scopes" makes one, and "whoami" is taken.`,
    );
  }

  const trustProxy = integer('TRUST_PROXY', setting('TRUST_PROXY'), 0, 0, 10);
  // Whoever closes an idle connection races the other's next request, so it must be the proxy (RFC 9112 section 9.5).
  const keepAlive = trustProxy === 0 ? 5 : KEEP_ALIVE_BEHIND_PROXY_SECONDS;

  const connections = integer('CONNECTIONS_PER_ADDRESS', setting('CONNECTIONS_PER_ADDRESS'), 1000, 1, 10_000);
  const templatesDir = setting('TEMPLATES_DIR');
  const fault = templatesDir && findTemplateFault(templatesDir);
  if (fault) throw new ConfigError(`TEMPLATES_DIR ${fault}.`);

  return {
    host: setting('HOST') ?? '127.0.0.1',
    port,
    publicUrl,
    isLoopback,
    database: parseDatabaseUrl(setting('DATABASE_URL') ?? 'file:./data/vouchsafe.db'),
    secrets: readSecrets(env, isLoopback),
    smtpUrl,
    mailFrom,
    claimExistingAccount: existing,
    trustProxy,
    keepAliveMs: 1000 * integer('KEEP_ALIVE_TIMEOUT', setting('KEEP_ALIVE_TIMEOUT'), keepAlive, 1, 3900),
    drainDelayMs: 1000 * integer('DRAIN_DELAY', setting('DRAIN_DELAY'), isLoopback ? 0 : 5, 0, 300),
    connectionsPerAddress: connections,
    opsHost: setting('OPS_HOST') ?? '127.0.0.1',
    opsPort: integer('OPS_PORT', setting('OPS_PORT'), 9464, 0, 65_535),
    logLevel,
    limits: file.limits,
    service: file.service,
    presets,
    policy: file.policy,
    quotas: new Map(Object.entries(file.quotas)),
    templatesDir,
    scopes,
    anonymousScopes: parseScope(file.anonymousScopes.join(' ')),
    claimedScopes: parseScope(file.claimedScopes.join(' ')),
    resources:
      resources.length > 0
        ? resources
        : [
            {
              url: publicUrl,
              name: file.service.name,
              scopes: [...scopes.keys()],
              documentation: undefined,
              tokens: 'opaque',
            },
          ],
    capabilities: file.capabilities.map((each) => readCapability(each, isLoopback)),
    trustedIssuers: readTrust(file.trustedIssuers, publicUrl, isLoopback),
    claimMode: file.claimMode,
  };
}

function resourceUrl(text: string): string {
  try {
    return checkResourceUrl(text);
  } catch (error) {
    throw new ConfigError(`In "resources", ${text}: ${(error as Error).message}`);
  }
}

function checkPublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.origin !== text.replace(/\/$/, '')) {
    throw new ConfigError(
      'PUBLIC_URL must be scheme, host and port alone, in lower case, such as https://id.example.com.',
    );
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw new ConfigError('PUBLIC_URL must start with https:// unless it is on this machine (localhost).');
  }
  return url.origin;
}

function parseDatabaseUrl(text: string): Config['database'] {
  if (/^postgres(ql)?:\/\/./.test(text)) return { kind: 'postgres', url: text };
  if (/^file:./.test(text))
    return { kind: 'sqlite', file: text.slice('file:'.length).replace(/^\/\/(?=\/)/, '') };
  throw new ConfigError('DATABASE_URL must be file:PATH or postgres://user:password@host/database.');
}

function readFile(path: string | undefined, limitsText: string | undefined): ConfigFile {
  const fallback = './vouchsafe.config.json';
  let content: unknown = {};
  if (path !== undefined || existsSync(fallback)) {
    const name = path ?? fallback;
    content = parseJson(`The file ${name} (CONFIG)`, readText('CONFIG', name));
  }
  if (limitsText !== undefined) {
    const over = parseJson('LIMITS', limitsText);
    const below = (content as { limits?: object }).limits;
    content = { ...(content as object), limits: { ...below, ...(over as object) } };
  }
  const parsed = fileSchema.safeParse(content);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const where = issue.path.join('.') || 'the file';
    throw new ConfigError(`In the configuration (CONFIG, LIMITS), ${where}: ${issue.message}.`);
  }
  return parsed.data;
}

function parseJson(name: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // falls through to the same sentence: where it broke is less use than what was expected
  }
  throw new ConfigError(`${name} must be a JSON object.`);
}

function readText(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new ConfigError(`${name} names a file that cannot be read: ${path}.`);
  }
}

const SECRET_BYTES_MIN = 32;

/** The service secrets: from SECRET, from SECRET_FILE, or on this machine from `./data/secret`, made once. */
function readSecrets(env: Environment, isLoopback: boolean): Buffer[] {
  let text = env.SECRET ?? '';
  let name = 'SECRET';
  if (text === '' && env.SECRET_FILE) {
    name = 'SECRET_FILE';
    text = readText(name, env.SECRET_FILE);
  } else if (text === '' && isLoopback) {
    name = './data/secret';
    text = readOrMakeSecret(name);
  }
  const secrets = text.split(/[\s,]+/).filter((part) => part !== '');
  if (secrets.length === 0) {
    throw new ConfigError(
      `SECRET or SECRET_FILE is required: at least ${SECRET_BYTES_MIN} random bytes. Make one with: openssl rand -hex 32`,
    );
  }
  for (const secret of secrets) {
    if (Buffer.byteLength(secret) < SECRET_BYTES_MIN || new Set(secret).size < 8) {
      throw new ConfigError(
        `${name} holds a secret that is too short or too simple: at least ${SECRET_BYTES_MIN} random bytes each. Make one with: openssl rand -hex 32`,
      );
    }
  }
  return secrets.map((secret) => Buffer.from(secret));
}
