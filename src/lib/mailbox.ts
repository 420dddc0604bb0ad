import { domainToASCII, domainToUnicode } from 'node:url';

/**
 * The canonical form of `local@domain`, or undefined where it is not an address that we write to (S-40, S-42).
 *
 * The local part is an ASCII dot-atom, lower-cased: no quotes, comments, groups, lists. Beyond ASCII only the domain may go,
 * and only where its A-label leads back to the same letters: letters that merely fold into others (full width, the Kelvin
 * sign) would let one person's address stand for another's.
 */
export function parseMailbox(text: string): string | undefined {
  const trimmed = text.trim();
  if (trimmed.length > 254) return undefined;
  const at = trimmed.lastIndexOf('@');
  const local = trimmed.slice(0, Math.max(at, 0));
  if (local.length > 64 || !DOT_ATOM.test(local)) return undefined;

  const given = trimmed.slice(at + 1);
  const written = given.toLowerCase();
  // What lower case turned into another letter does not come back: the Kelvin sign became a plain k.
  if (written.toUpperCase() !== given.toUpperCase()) return undefined;
  const domain = domainToASCII(written);
  if (domain.length > 253 || !HOST_NAME.test(domain)) return undefined;
  const isAscii = written === domain;
  if (!isAscii && domainToUnicode(domain) !== written.normalize('NFC')) return undefined;

  const mailbox = `${local.toLowerCase()}@${domain}`;
  return mailbox.length <= 254 ? mailbox : undefined;
}

const DOT_ATOM = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
// At least two labels, and the last one no number: neither a bare host nor an IP address is a mailbox's domain.
const HOST_NAME = new RegExp(`^(?:${LABEL}\\.)+(?![0-9]+$)${LABEL}$`);
const DOTLESS = new Set(['gmail.com', 'googlemail.com']);

/** What mail budgets count by: the mailbox without `+tag`, for Gmail without dots too (S-41). Never an identity. */
export function mailboxLimitKey(mailbox: string): string {
  const at = mailbox.lastIndexOf('@');
  const domain = mailbox.slice(at + 1);
  const local = mailbox.slice(0, at).replace(/(?<=.)\+.*$/s, '');
  return DOTLESS.has(domain) ? `${local.replaceAll('.', '')}@gmail.com` : `${local}@${domain}`;
}

/** `a***@example.com`: enough to recognise one's own mailbox, not enough to learn another's. */
export function maskMailbox(mailbox: string): string {
  const at = mailbox.lastIndexOf('@');
  return `${mailbox.slice(0, 1)}***${mailbox.slice(at)}`;
}
