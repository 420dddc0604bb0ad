import { domainToASCII, domainToUnicode } from 'node:url';

/**
 * Parses `local@domain` into the canonical form of the mailbox (S-40, S-42).
 *
 * The local part is an ASCII dot-atom, lower-cased: no quotes, comments, groups or lists. Only the domain may be non-ASCII,
 * and only if its A-label converts back to the same letters. Letters that fold into others (full width, the Kelvin sign)
 * would make one person's address equal another's.
 *
 * @returns undefined if the text is not an address that we send mail to
 */
export function parseMailbox(text: string): string | undefined {
  const trimmed = text.trim();
  if (trimmed.length > 254) return undefined;
  const at = trimmed.lastIndexOf('@');
  const local = trimmed.slice(0, Math.max(at, 0));
  if (local.length > 64 || !DOT_ATOM.test(local)) return undefined;

  const domainText = trimmed.slice(at + 1);
  const lowered = domainText.toLowerCase();
  // Lower-casing turns some letters into others: the Kelvin sign becomes a plain k.
  if (lowered.toUpperCase() !== domainText.toUpperCase()) return undefined;
  const domain = domainToASCII(lowered);
  if (domain.length > 253 || !HOST_NAME.test(domain)) return undefined;
  const isAscii = lowered === domain;
  if (!isAscii && domainToUnicode(domain) !== lowered.normalize('NFC')) return undefined;

  const mailbox = `${local.toLowerCase()}@${domain}`;
  return mailbox.length <= 254 ? mailbox : undefined;
}

const DOT_ATOM = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
// At least two labels, and the last is not a number: neither a bare host name nor an IP address.
const HOST_NAME = new RegExp(`^(?:${LABEL}\\.)+(?![0-9]+$)${LABEL}$`);
const DOT_INSENSITIVE_DOMAINS = new Set(['gmail.com', 'googlemail.com']);

/** Returns what mail limits count by: the mailbox without `+tag`, for Gmail also without dots (S-41). Never an identity. */
export function mailboxLimitKey(mailbox: string): string {
  const at = mailbox.lastIndexOf('@');
  const domain = mailbox.slice(at + 1);
  const local = mailbox.slice(0, at).replace(/(?<=.)\+.*$/s, '');
  return DOT_INSENSITIVE_DOMAINS.has(domain)
    ? `${local.replaceAll('.', '')}@gmail.com`
    : `${local}@${domain}`;
}

/** Masks a mailbox as `a***@example.com`: its owner recognizes it, others do not learn it. */
export function maskMailbox(mailbox: string): string {
  const at = mailbox.lastIndexOf('@');
  return `${mailbox.slice(0, 1)}***${mailbox.slice(at)}`;
}
