import { readFileSync } from 'node:fs';
import { ConfigError } from '../errors.ts';
import { isLoopbackHost } from '../lib/loopback.ts';
import { parseMailbox } from '../lib/mailbox.ts';
import { findTemplateFault } from '../lib/templates.ts';

/** Parsers for the values of settings. Their errors say what a value must be. */

/**
 * Reads a file that a setting names.
 *
 * @throws ConfigError naming the setting
 */
export function readText(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(`${name} names a file that cannot be read: ${path} (${code}).`);
  }
}

/** Creates a parser for whole numbers from `min` to `max`. The parser throws ConfigError for anything else. */
export function wholeNumber(min: number, max: number): (text: string, name: string) => number {
  return (text, name) => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < min || value > max) {
      throw new ConfigError(`${name} must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** Creates a parser for one of the words. The parser throws ConfigError for anything else. */
export function oneOf<const Word extends string>(
  words: readonly Word[],
): (text: string, name: string) => Word {
  const listed = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return (text, name) => {
    const word = words.find((each) => each === text);
    if (word === undefined) throw new ConfigError(`${name} must be ${listed}.`);
    return word;
  };
}

/** What a secret must be, as the end of an error message. */
export const MAKE_SECRET = 'It takes at least 32 random bytes. Make one with: openssl rand -hex 32';

const SECRET_BYTES_MIN = 32;

/**
 * Parses secrets, separated by line breaks, spaces or commas. Keeps their order: newest first.
 *
 * @param name the setting or file that holds them, for the message
 * @throws ConfigError if one is too short or too simple, or there is none
 */
export function parseSecrets(text: string, name: string): Buffer[] {
  const secrets = text.split(/[\s,]+/).filter((part) => part !== '');
  if (secrets.length === 0) throw new ConfigError(`${name} holds no secret. ${MAKE_SECRET}`);
  for (const secret of secrets) {
    if (Buffer.byteLength(secret) < SECRET_BYTES_MIN || new Set(secret).size < 8) {
      throw new ConfigError(`${name} holds a secret that is too short or too simple. ${MAKE_SECRET}`);
    }
  }
  return secrets.map((secret) => Buffer.from(secret));
}

/** Parses the issuer: an origin, https unless on this machine. @throws ConfigError that names `name` */
export function publicUrl(text: string, name: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.origin !== text.replace(/\/$/, '')) {
    throw new ConfigError(
      `${name} must be scheme, host and port alone, in lower case, such as https://id.example.com.`,
    );
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw new ConfigError(`${name} must start with https:// unless it is on this machine (localhost).`);
  }
  return url.origin;
}

/** Checks the URL of a database and returns it unchanged. @throws ConfigError that names `name` and repeats no password */
export function databaseUrl(text: string, name: string): string {
  const isPostgres = /^postgres(ql)?:\/\/./.test(text);
  if (isPostgres && !URL.canParse(text)) {
    throw new ConfigError(
      `${name} cannot be read as a URL. In user and password, write %40 for @, %2F for /, %3A for :, %23 for # and %25 for %.`,
    );
  }
  if (!isPostgres && !/^file:./.test(text)) {
    throw new ConfigError(`${name} must be file:PATH or postgres://user:password@host/database.`);
  }
  return text;
}

/** Checks the URL of a mail server and returns it unchanged. @throws ConfigError that names `name` and repeats no password */
export function smtpUrl(text: string, name: string): string {
  if (!/^smtps?:\/\/./.test(text) || !URL.canParse(text) || new URL(text).hostname === '') {
    throw new ConfigError(
      `${name} must be a URL such as smtps://user:password@mail.example.com. In user and password, write %40 for @, %2F for / and %3A for :.`,
    );
  }
  return text;
}

/** Checks a mail address without display name. @throws ConfigError that names `name` */
export function mailAddress(text: string, name: string): string {
  if (!/^[^\s<>@]+@[^\s<>@]+$/.test(text)) {
    throw new ConfigError(`${name} must be a bare mail address such as no-reply@example.com.`);
  }
  return text;
}

/** Parses mailboxes, separated by commas or spaces, into their canonical form. @throws ConfigError that names `name` */
export function mailboxes(text: string, name: string): string[] {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '');
  const parsed = parts.map(parseMailbox);
  const wrong = parts.find((_, index) => parsed[index] === undefined);
  if (wrong !== undefined) {
    throw new ConfigError(`${name} must be mail addresses separated by commas; ${wrong} is none.`);
  }
  return [...new Set(parsed as string[])];
}

/** Checks a folder of templates that replace ours. @throws ConfigError that names `name` and the fault in the folder */
export function templatesFolder(folder: string, name: string): string {
  const fault = findTemplateFault(folder);
  if (fault) throw new ConfigError(`${name} ${fault}.`);
  return folder;
}

/** An amount of disk space: `bytes`, or a `share` of the disk from 0 to 1. At least one of the two is 0. */
export interface DiskShare {
  /** As configured, such as `1%`. */
  text: string;
  bytes: number;
  share: number;
}

/** Parses `250MB`, `2GB` or `1%`; 0 for nothing. @throws ConfigError that names `name` */
export function diskShare(text: string, name: string): DiskShare {
  const match = /^([0-9]{1,9})(MB|GB|%)?$/i.exec(text);
  const amount = Number(match?.[1]);
  const unit = match?.[2]?.toUpperCase();
  if (match === null || (unit === undefined && amount !== 0) || (unit === '%' && amount > 99)) {
    throw new ConfigError(`${name} must be such as 100MB, 2GB or 1%, or 0.`);
  }
  if (unit === '%') return { text, bytes: 0, share: amount / 100 };
  return { text, bytes: amount * (unit === 'GB' ? 1e9 : 1e6), share: 0 };
}
