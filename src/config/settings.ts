import { ConfigError } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';
import { normalizeName, suggestName } from '../lib/spelling.ts';
import {
  type DiskShare,
  databaseUrl,
  diskShare,
  mailAddress,
  mailboxes,
  oneOf,
  parseSecrets,
  publicUrl,
  readText,
  smtpUrl,
  templatesFolder,
  wholeNumber,
} from './values.ts';

/** The environment variables of the process. */
export type Environment = Record<string, string | undefined>;

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** The settings of the environment, checked. `NAME_FILE` names a file that holds the value of `NAME`. */
export interface Settings {
  PORT: number;
  HOST: string;
  /** Scheme, host and port, no trailing slash. */
  PUBLIC_URL: string;
  DATABASE_URL: string;
  PG_PREPARED: 'on' | 'off';
  /** Newest first, at least 32 bytes each; undefined if none is set. */
  SECRET: Buffer[] | undefined;
  SMTP_URL: string | undefined;
  MAIL_FROM: string;
  /** undefined: the configuration file decides. */
  CLAIM_EXISTING_ACCOUNT: 'otp' | 'confirm' | undefined;
  TRUST_PROXY: number;
  /** Seconds. */
  KEEP_ALIVE_TIMEOUT: number;
  /** Seconds. */
  DRAIN_DELAY: number;
  /** Seconds. */
  STARTUP_TIMEOUT: number;
  CONNECTIONS_PER_ADDRESS: number;
  /** What must be free on the disk of a SQLite database. */
  DISK_FREE_MIN: DiskShare;
  /** Canonical mailboxes. undefined: the configuration file decides. */
  OPERATORS: readonly string[] | undefined;
  CONFIG: string | undefined;
  TEMPLATES_DIR: string | undefined;
  /** JSON; overrides `limits` of the configuration file. */
  LIMITS: string | undefined;
  OPS_PORT: number;
  OPS_HOST: string;
  LOG_LEVEL: (typeof LOG_LEVELS)[number];
}

/** One setting. README's table and `vouchsafe config` are printed from these. */
interface Setting<Value> {
  /** What it does, in a few words (Markdown). */
  doc: string;
  /** Describes the default if it is not a plain value (Markdown). */
  defaultDoc?: string;
  isSecret?: true;
  /** Parses the value. @throws ConfigError that says what `name` must be, and repeats no secret */
  parse(text: string, name: string): Value;
  /** Returns the default. @param earlier the settings that are listed before this one */
  fallback(earlier: Settings): Value;
}

const asWritten = (text: string): string => text;
const noDefault = (): undefined => undefined;

/** Longer than the default idle timeouts of AWS and nginx (60 s), Traefik (90 s), Caddy (2 min) and Google (10 min, fixed). */
const KEEP_ALIVE_BEHIND_PROXY_SECONDS = 620;

/** All settings of the environment, in the order in which they are read: a default may depend on those before it. */
const SETTINGS: { [Name in keyof Settings]: Setting<Settings[Name]> } = {
  PORT: { doc: 'where to listen', parse: wholeNumber(0, 65_535), fallback: () => 3000 },
  HOST: {
    doc: 'the address to listen at; `0.0.0.0` for all of this machine',
    parse: asWritten,
    fallback: () => '127.0.0.1',
  },
  PUBLIC_URL: {
    doc: 'the issuer; every URL we write starts with it. https unless on this machine',
    defaultDoc: '`http://localhost:$PORT`',
    parse: publicUrl,
    fallback: ({ PORT }) => `http://localhost:${PORT}`,
  },
  DATABASE_URL: {
    doc: 'or `postgres://user:password@host/database`',
    isSecret: true,
    parse: databaseUrl,
    fallback: () => 'file:./data/vouchsafe.db',
  },
  PG_PREPARED: {
    doc: '`off` behind a pooler that shares connections between transactions, such as pgbouncer: no prepared statements, no startup parameters',
    parse: oneOf(['on', 'off']),
    fallback: () => 'on',
  },
  SECRET: {
    doc: 'at least 32 random bytes; several, newest first, while you rotate',
    defaultDoc:
      'on this machine made once, in the file `secret` beside the database (`./data/secret` with PostgreSQL)',
    isSecret: true,
    parse: parseSecrets,
    fallback: noDefault,
  },
  SMTP_URL: {
    doc: 'the mail server, such as `smtps://user:password@mail.example.com`; required with a public `PUBLIC_URL`',
    defaultDoc: 'none: mail is caught at `/dev/mailbox`',
    isSecret: true,
    parse: smtpUrl,
    fallback: noDefault,
  },
  MAIL_FROM: {
    doc: 'the address that mails come from',
    defaultDoc: '`no-reply@` and the host of `PUBLIC_URL`',
    parse: mailAddress,
    fallback: ({ PUBLIC_URL }) => `no-reply@${new URL(PUBLIC_URL).hostname}`,
  },
  CLAIM_EXISTING_ACCOUNT: {
    doc: '`confirm`: merging an agent into an account that exists also takes its owner, signed in',
    defaultDoc: '`otp`',
    parse: oneOf(['otp', 'confirm']),
    fallback: noDefault,
  },
  TRUST_PROXY: {
    doc: 'how many proxies of yours to count from the right of `X-Forwarded-For` or `Forwarded`',
    parse: wholeNumber(0, 10),
    fallback: () => 0,
  },
  KEEP_ALIVE_TIMEOUT: {
    doc: 'seconds that a connection without a request is kept; must be longer than your balancer keeps its own',
    defaultDoc: '5; 620 with `TRUST_PROXY`',
    parse: wholeNumber(1, 3900),
    // Closing an idle connection races with the peer's next request, so the proxy must close first (RFC 9112 section 9.5).
    fallback: ({ TRUST_PROXY }) => (TRUST_PROXY === 0 ? 5 : KEEP_ALIVE_BEHIND_PROXY_SECONDS),
  },
  DRAIN_DELAY: {
    doc: 'seconds that a service that is to stop serves on while `/readyz` says `503`',
    defaultDoc: '5; 0 on this machine',
    parse: wholeNumber(0, 300),
    fallback: ({ PUBLIC_URL }) => (isLoopbackHost(new URL(PUBLIC_URL).hostname) ? 0 : 5),
  },
  STARTUP_TIMEOUT: {
    doc: 'seconds that a start waits for a PostgreSQL that is not there yet',
    parse: wholeNumber(0, 3600),
    fallback: () => 60,
  },
  CONNECTIONS_PER_ADDRESS: {
    doc: 'how many connections one address may hold; behind a proxy that is the proxy’s to bound',
    parse: wholeNumber(1, 10_000),
    fallback: () => 1000,
  },
  DISK_FREE_MIN: {
    doc: 'what must be free on the disk of a SQLite database, such as `100MB` or `1%`; with less `/readyz` says `503`',
    parse: diskShare,
    fallback: () => ({ text: '100MB', bytes: 100_000_000, share: 0 }),
  },
  OPERATORS: {
    doc: 'the mailboxes of those who may use the console at `/console`, separated by commas, in place of the file’s `operators` ([more](docs/console.md))',
    defaultDoc: 'none',
    parse: mailboxes,
    fallback: noDefault,
  },
  CONFIG: {
    doc: 'the file with scopes, presets, rules of tools, quotas, resources, trusted agent providers, capabilities, limits, name and looks ([schema](docs/vouchsafe.config.schema.json))',
    defaultDoc: '`./vouchsafe.config.json` if there',
    parse: asWritten,
    fallback: noDefault,
  },
  TEMPLATES_DIR: {
    doc: 'a folder whose `pages/*.eta` and `mail/*.eta` take the place of ours',
    defaultDoc: 'none',
    parse: templatesFolder,
    fallback: noDefault,
  },
  LIMITS: {
    doc: 'JSON over the file’s `limits`, such as `{"registerPerIp":"100/h"}`',
    defaultDoc: 'none',
    parse: asWritten,
    fallback: noDefault,
  },
  OPS_PORT: { doc: '`/metrics`, `/livez`, `/readyz`', parse: wholeNumber(0, 65_535), fallback: () => 9464 },
  OPS_HOST: { doc: 'the address for them', parse: asWritten, fallback: () => '127.0.0.1' },
  LOG_LEVEL: {
    doc: `${LOG_LEVELS.slice(0, -1).join(', ')} or ${LOG_LEVELS.at(-1)}`,
    parse: oneOf(LOG_LEVELS),
    fallback: () => 'info',
  },
};

const NAMES = Object.keys(SETTINGS) as (keyof Settings)[];

/** A setting and its value in force. */
export interface SettingInForce {
  /** The variable, or the member of the configuration file. */
  name: string;
  /** undefined: there is none. A secret is replaced by NOT_SHOWN. */
  value: string | number | undefined;
  /** The variable or file that sets it, or `default`. */
  from: string;
}

/** Stands for the value of a secret that is set. */
export const NOT_SHOWN = '(set, not shown)';

/**
 * Reads and checks the environment.
 *
 * @throws ConfigError naming the setting that is wrong, set twice, or misspelled
 */
export function readSettings(env: Environment): Settings {
  refuseMisspelled(env);
  const settings = {} as Settings;
  for (const name of NAMES) readInto(settings, name, env);
  return settings;
}

function readInto<Name extends keyof Settings>(settings: Settings, name: Name, env: Environment): void {
  const setting = SETTINGS[name];
  const from = sourceOf(name, env);
  if (from === undefined) {
    settings[name] = setting.fallback(settings);
    return;
  }
  const value = from === name ? env[name]! : readText(from, env[from]!).trim();
  // An error in a file names the setting NAME_FILE.
  settings[name] = setting.parse(value, from);
}

/** Returns the variable that sets a setting: `NAME` or `NAME_FILE`. An empty variable counts as not set. */
function sourceOf(name: keyof Settings, env: Environment): string | undefined {
  const file = `${name}_FILE`;
  if (env[name] && env[file])
    throw new ConfigError(`${name} and ${file} are both set. Leave one of them out.`);
  return env[name] ? name : env[file] ? file : undefined;
}

/** Refuses a misspelled name, which would silently leave the default in force. Skips short names: other programs use them. */
function refuseMisspelled(env: Environment): void {
  const known = new Set<string>(NAMES.flatMap((name) => [name, `${name}_FILE`]));
  const longNames = NAMES.filter((name) => normalizeName(name).length >= 7);
  for (const name of Object.keys(env)) {
    if (!env[name] || known.has(name) || name !== name.toUpperCase()) continue;
    const suggestion = suggestName(normalizeName(name.replace(/_FILE$/, '')), longNames);
    if (suggestion !== undefined) throw new ConfigError(`${name} is not known. Did you mean ${suggestion}?`);
  }
}

/** Formats a value as it is written in the environment. */
function formatValue(value: Settings[keyof Settings]): string | number | undefined {
  if (Array.isArray(value)) return value.join(', ');
  return typeof value === 'object' && 'text' in value ? value.text : (value as string | number | undefined);
}

/** Lists all settings of the environment with their values in force. @param settings what readSettings() read of it */
export function settingsInForce(env: Environment, settings: Settings): SettingInForce[] {
  return NAMES.map((name) => {
    const from = sourceOf(name, env) ?? 'default';
    const isHidden = SETTINGS[name].isSecret === true && from !== 'default';
    const value = isHidden ? NOT_SHOWN : formatValue(settings[name]);
    return { name, value, from };
  });
}

/** Renders README's table of settings, in Markdown. */
export function settingsTable(): string {
  const rows = NAMES.map((name) => {
    const { doc, defaultDoc, fallback } = SETTINGS[name];
    return `| \`${name}\` | ${defaultDoc ?? `\`${formatValue(fallback({} as Settings))}\``} | ${doc} |`;
  });
  return ['| Name | Default | Meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
