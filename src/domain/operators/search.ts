import { type KeyShape, readKeyStart } from '../../lib/key-shapes.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { isWellFormedSecret, type SecretPrefix, secretHints } from '../../lib/secrets.ts';

/** What operators search by: one field takes an id, a mailbox, the start of a key, a network or the start of a name. */

/** What a search text means. */
export type SearchText =
  | { by: 'nothing' }
  /** The start of an id. */
  | { by: 'id'; prefix: string; start: string }
  | { by: 'mailbox'; mailbox: string }
  /** What is stored of the start of a key. */
  | { by: 'key'; prefix: string }
  /** The start of a coarse network, `203.0.x.x` or `2001:db8::/32`. */
  | { by: 'network'; start: string }
  /** The URL of an agent provider. */
  | { by: 'issuer'; issuer: string }
  | { by: 'name'; start: string }
  /** A whole secret, which belongs into no search: a URL keeps it. */
  | { by: 'secret' };

const SECRETS: readonly SecretPrefix[] = [
  'sk',
  'at',
  'ak',
  'art',
  'ct',
  'clm',
  'rss',
  'ses',
  'ort',
  'cs',
  'rat',
];

/** What a whole key of any prefix looks like. */
const KEY = /^[a-z][a-z0-9]{0,15}(?:_[a-z0-9]{1,16}){0,2}_(?:[\w-]{43}|[0-9A-Za-z]{49})$/;

/** Finds out what a search text means. @param keys how keys look, where they are looked for */
export function readSearchText(text: string, keys: readonly KeyShape[] = []): SearchText {
  // Pages shorten ids and keys in the middle.
  const typed = text.trim().replace(/….*$/, '');
  if (typed === '') return { by: 'nothing' };
  if (
    SECRETS.some((prefix) => isWellFormedSecret(prefix, typed)) ||
    KEY.test(typed) ||
    /^eyJ[\w-]+\.eyJ/.test(typed)
  ) {
    return { by: 'secret' };
  }
  if (/^https?:\/\/\S+$/.test(typed)) return { by: 'issuer', issuer: typed };
  const mailbox = typed.includes('@') ? parseMailbox(typed) : undefined;
  if (mailbox !== undefined) return { by: 'mailbox', mailbox };
  const id = /^(agt|usr|key|tok|rs|hst|evt|cli|con|wsp)_[0-9A-Za-z]{0,64}$/.exec(typed);
  if (id !== null) return { by: 'id', prefix: id[1]!, start: typed };
  const start = readKeyStart(keys, typed);
  if (start !== undefined) return { by: 'key', prefix: start };
  // Of a key four random characters are stored; of a longer start the rest says nothing.
  if (/^(?:sk|at|ak)_(?:[a-z0-9]{1,16}_)?[0-9A-Za-z]{4,48}$/.test(typed)) {
    return { by: 'key', prefix: secretHints(typed).prefix };
  }
  const network = networkStart(typed);
  return network === undefined
    ? { by: 'name', start: typed.slice(0, 64) }
    : { by: 'network', start: network };
}

/**
 * Returns how the coarse form of a network starts, for a network or an address as people write it: `203.0`, `203.0.x.x`,
 * `203.0.113.7`, `2001:db8::1`.
 */
function networkStart(text: string): string | undefined {
  const v4 = /^(\d{1,3})\.(?:(\d{1,3})(?:\.(?:\d{1,3}|x)?(?:\.(?:\d{1,3}|x)?)?)?)?$/i.exec(text);
  if (v4 !== null) {
    const [, first, second] = v4;
    // Without a dot after it the second number may go on: 203.1 is the start of 203.18, too.
    return second === undefined ? `${first}.` : `${first}.${second}${/^\d+\.\d+\./.test(text) ? '.' : ''}`;
  }
  const v6 = /^([0-9a-f]{1,4}):(?:([0-9a-f]{1,4}))?(:.*)?$/i.exec(text);
  if (v6 === null) return undefined;
  const [, first, second, rest] = v6;
  const start = `${first!.toLowerCase()}:${second?.toLowerCase() ?? ''}`;
  return second !== undefined && rest !== undefined ? `${start}:` : start;
}
