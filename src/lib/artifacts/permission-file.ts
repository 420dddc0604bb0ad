import { JsonRefused, parseStrictJson } from '../strict-json.ts';
import { withCode } from './artifact.ts';
import { AuthError, type AuthErrorCode } from './auth-error.ts';
import { parseService } from './capability-spec.ts';
import { parseLifetime } from './lifetime.ts';
import {
  ENTRIES_MAX,
  isPlace,
  isServiceName,
  type PermissionEntry,
  permissionEntry,
  sortWords,
} from './permission-entry.ts';
import { freeText, list, MemberFault, unknownMember } from './read-members.ts';

/** Files that name permissions: those made for it, and manifests of applications. */

const FILE_BYTES_MAX = 64 * 1024;
const FILE_SHAPE = { depthMax: 16, namesMax: 1024, allowControls: true } as const;

/** What entries of files may have beside those of requests. */
const ALIASES = ['expiry', 'description'];
const ENTRY_MEMBERS = [
  'service',
  'space',
  'path',
  'actions',
  'types',
  'reason',
  'lifetime_seconds',
  ...ALIASES,
];

/**
 * Reads a permission file, `{ "permissions": PermissionEntry[] }`. Entries may say `expiry` and `description` for
 * `lifetime_seconds` and `reason`; a space that is left out is `default`.
 *
 * @param prefix of services
 * @throws AuthError `INVALID_PERMISSION_FILE`, `INVALID_PATH`, `INVALID_EXPIRY`, `CAVEATS_UNSUPPORTED`, `UNKNOWN_SERVICE`
 */
export function readPermissionFile(bytes: Uint8Array, prefix?: string): PermissionEntry[] {
  const code = 'INVALID_PERMISSION_FILE';
  const file = parseFile(bytes, code);
  return withCode(code, () => {
    for (const name of Object.keys(file)) {
      if (name !== 'permissions') throw new MemberFault('', unknownMember(name));
    }
    return list(
      readAt(prefix, { space: 'default', isManifest: false }),
      1,
      ENTRIES_MAX,
    )(file.permissions, 'permissions');
  });
}

/** What a manifest asks for. */
export interface Manifest {
  /** The application's own name for itself. */
  name: string | undefined;
  permissions: PermissionEntry[];
}

/**
 * Reads the manifest of an application. Paths lie below its `app_id`, unless an entry says `skipPrefix` or names a node. Members
 * that are not known are ignored: a manifest is written for others, too.
 *
 * @param prefix of services
 * @throws AuthError `INVALID_MANIFEST`, `INVALID_PATH`, `INVALID_EXPIRY`, `CAVEATS_UNSUPPORTED`, `UNKNOWN_SERVICE`
 */
export function readManifest(bytes: Uint8Array, prefix?: string): Manifest {
  const code = 'INVALID_MANIFEST';
  const file = parseFile(bytes, code);
  return withCode(code, () => {
    const { app_id: appId, name, space = 'default', secrets } = file;
    if (secrets !== undefined) throw new MemberFault('secrets', 'Secrets cannot be asked for.');
    const isSegment =
      typeof appId === 'string' &&
      appId !== '' &&
      !/[/@]/.test(appId) &&
      isPlace(appId) &&
      appId.length <= 64;
    if (!isSegment) throw new MemberFault('app_id', 'It must be one segment of a path, such as "notes".');
    return {
      name: name === undefined ? undefined : freeText(64)(name, 'name'),
      permissions: list(
        readAt(prefix, { space, appId, isManifest: true }),
        1,
        ENTRIES_MAX,
      )(file.permissions, 'permissions'),
    };
  });
}

/**
 * Finds the text of a manifest in the argument of `--manifest`: `base64:` and JSON in base64, the name of a file, or JSON in
 * base64 or base64url.
 *
 * @param readFile returns the content of a file; undefined if there is none
 * @throws AuthError `INVALID_MANIFEST`
 */
export function findManifest(
  argument: string,
  readFile: (name: string) => Uint8Array | undefined,
): Uint8Array {
  if (argument.startsWith('base64:')) return decode(argument.slice('base64:'.length));
  return readFile(argument) ?? decode(argument);
}

function decode(text: string): Uint8Array {
  const bytes = /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (bytes !== undefined && /^\s*\{/.test(bytes.toString('utf8'))) return bytes;
  throw new AuthError('INVALID_MANIFEST', 'It is neither a file nor JSON in base64.');
}

function parseFile(bytes: Uint8Array, code: AuthErrorCode): Record<string, unknown> {
  if (bytes.length > FILE_BYTES_MAX) throw new AuthError(code, 'It has more than 64 KiB.');
  try {
    return parseStrictJson(bytes, FILE_SHAPE);
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    throw new AuthError(code, error.message.replace(/the body/i, 'It'));
  }
}

interface Surroundings {
  space: unknown;
  /** The segment that is put before paths. */
  appId?: string;
  isManifest: boolean;
}

function readAt(prefix: string | undefined, { space, appId, isManifest }: Surroundings) {
  return (value: unknown, where: string): PermissionEntry => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new MemberFault(where, 'It is no object.');
    }
    const entry: Record<string, unknown> = { space, ...value };
    if (entry.caveats !== undefined) {
      throw new AuthError(
        'CAVEATS_UNSUPPORTED',
        'Caveats cannot be asked for: without them it would be more.',
      );
    }
    const strange = Object.keys(entry).find(
      (name) => !ENTRY_MEMBERS.includes(name) && !(isManifest && name === 'skipPrefix'),
    );
    if (strange !== undefined && !isManifest) throw new MemberFault(where, unknownMember(strange));
    const known = Object.fromEntries(Object.entries(entry).filter(([name]) => ENTRY_MEMBERS.includes(name)));
    const { expiry, description, ...members } = known;
    if (expiry !== undefined) setOnce(members, 'lifetime_seconds', readExpiry(expiry, where), where);
    if (description !== undefined) setOnce(members, 'reason', description, where);
    if (typeof members.service === 'string' && isServiceName(members.service))
      members.service = parseService(members.service, prefix);
    for (const name of ['actions', 'types']) {
      const words = members[name];
      if (Array.isArray(words) && words.every((word) => typeof word === 'string'))
        members[name] = sortWords(words);
    }
    if (typeof members.reason === 'string') members.reason = members.reason.normalize('NFC');
    if (appId !== undefined && typeof members.path === 'string' && entry.skipPrefix !== true) {
      if (!members.path.startsWith('@')) members.path = `${appId}/${members.path}`;
    }
    return permissionEntry(members, where);
  };
}

function setOnce(members: Record<string, unknown>, name: string, value: unknown, where: string): void {
  if (members[name] !== undefined) throw new MemberFault(where, `It says "${name}" twice.`);
  members[name] = value;
}

function readExpiry(value: unknown, where: string): number {
  if (typeof value === 'string' || typeof value === 'number') return parseLifetime(String(value));
  throw new MemberFault(`${where}.expiry`, 'It must be a time such as "7d".');
}
