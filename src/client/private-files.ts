import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { AuthError } from '../lib/artifacts/auth-error.ts';

/**
 * Files that nobody else may read or write: 0600 in folders of 0700, never through a link, changed as a whole or not at all. On
 * Windows modes and owners are not checked: the folder of a user is closed to others there.
 */

const BYTES_MAX = 16 * 1024 * 1024;
const TEMPORARY = /^\.[a-z.]+\.[0-9a-f]{16}\.tmp$/;

// Windows has neither.
const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<typeof constants>;

/**
 * Creates a folder if there is none, and checks it.
 *
 * @throws AuthError `STORE_PERMISSIONS`
 */
export function makePrivateFolder(path: string, { mayBeLink = false } = {}): void {
  try {
    mkdirSync(path, { mode: 0o700 });
    syncFolder(dirname(path));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw unwritable(path, error);
  }
  checkPrivateFolder(path, { mayBeLink });
}

/**
 * Checks that a folder belongs to this user, and that nobody else may read or change it.
 *
 * @param mayBeLink of the folder that a user chose; none below it may be
 * @returns false if there is none
 * @throws AuthError `STORE_PERMISSIONS`
 */
export function checkPrivateFolder(path: string, { mayBeLink = false } = {}): boolean {
  const found = statOf(path, mayBeLink);
  if (found === undefined) return false;
  if (!found.isDirectory()) throw storePermissions(path, 'is no folder', undefined);
  assertPrivate(path, found, 'chmod 700');
  return true;
}

/**
 * Reads a file.
 *
 * @returns undefined if there is none
 * @throws AuthError `STORE_PERMISSIONS` before anything is read, `STORE_CORRUPT` if it is too large
 */
export function readPrivateFile(path: string): Buffer | undefined {
  let file: number;
  try {
    // Without O_NONBLOCK a pipe in its place would make us wait for somebody who writes.
    file = openSync(path, constants.O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unreadable(path, error);
  }
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw storePermissions(path, 'is no plain file', undefined);
    assertPrivate(path, found, 'chmod 600');
    if (found.size > BYTES_MAX) throw storeCorrupt(path, 'is too large');
    return readAll(file, found.size);
  } finally {
    closeSync(file);
  }
}

/** Reads exactly what fstat promised, so that a file that grows meanwhile cannot fill the memory. */
function readAll(file: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const read = readSync(file, bytes, length, size - length, length);
    if (read === 0) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

/**
 * Writes a file as a whole: under another name first, then renamed, with everything on the disk before this returns.
 *
 * @throws AuthError `STORE_PERMISSIONS` if what is there is not ours
 */
export function writePrivateFile(path: string, text: string): void {
  assertReplaceable(path);
  const temporary = join(
    dirname(path),
    `.${path.slice(dirname(path).length + 1)}.${randomBytes(8).toString('hex')}.tmp`,
  );
  try {
    createSynced(temporary, text);
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    removePrivateFile(temporary);
    throw error instanceof AuthError ? error : unwritable(path, error);
  }
}

/** Renames a file over another, with the change on the disk before this returns. @throws AuthError `STORE_PERMISSIONS` */
export function renamePrivateFile(from: string, to: string): void {
  assertReplaceable(to);
  try {
    renameSync(from, to);
    syncFolder(dirname(to));
  } catch (error) {
    throw unwritable(to, error);
  }
}

/** Removes a file; a link is removed, not what it points to. It may be gone already. */
export function removePrivateFile(path: string): void {
  try {
    unlinkSync(path);
    syncFolder(dirname(path));
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw unwritable(path, error);
  }
}

/** Removes what writers left behind that were killed. Only under the lock of the folder: nobody else writes then. */
export function sweepTemporaryFiles(folder: string): void {
  for (const name of readdirSync(folder)) if (TEMPORARY.test(name)) removePrivateFile(join(folder, name));
}

/** Creates the error for a file that cannot be understood. It is never overwritten, and never taken for empty. */
export function storeCorrupt(path: string, why: string): AuthError {
  return new AuthError('STORE_CORRUPT', `${path} ${why}.`, {
    hint: 'Nothing was changed. Move the file away, or bring it back from a copy.',
  });
}

function createSynced(path: string, text: string): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | O_NOFOLLOW;
  const file = openSync(path, flags, 0o600);
  try {
    const bytes = Buffer.from(text);
    for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  // Windows cannot open folders.
  if (process.platform === 'win32') return;
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function assertReplaceable(path: string): void {
  const found = statOf(path, false);
  if (found === undefined) return;
  if (!found.isFile()) throw storePermissions(path, 'is no plain file', undefined);
  assertPrivate(path, found, 'chmod 600');
}

function statOf(path: string, mayBeLink: boolean): Stats | undefined {
  let found: Stats;
  try {
    found = mayBeLink ? statSync(path) : lstatSync(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unreadable(path, error);
  }
  if (found.isSymbolicLink()) throw storePermissions(path, 'is a symbolic link', undefined);
  return found;
}

function assertPrivate(path: string, { uid, mode }: Stats, remedy: string): void {
  if (process.platform === 'win32') return;
  if (uid !== process.getuid?.()) throw storePermissions(path, 'belongs to another user', undefined);
  if ((mode & 0o077) !== 0) throw storePermissions(path, 'is open to others', `${remedy} ${quote(path)}`);
}

function storePermissions(path: string, why: string, remedy: string | undefined): AuthError {
  return new AuthError('STORE_PERMISSIONS', `${path} ${why}, so it is not used.`, {
    hint: remedy ?? 'Look who put it there, and move it away.',
  });
}

function unreadable(path: string, cause: unknown): AuthError {
  const isLink = codeOf(cause) === 'ELOOP' || codeOf(cause) === 'EMLINK';
  return isLink
    ? storePermissions(path, 'is a symbolic link', undefined)
    : new AuthError('STORE_PERMISSIONS', `${path} cannot be read.`, { cause });
}

function unwritable(path: string, cause: unknown): AuthError {
  return new AuthError('STORE_PERMISSIONS', `${path} cannot be written: ${codeOf(cause) ?? 'unknown'}.`, {
    cause,
  });
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

function quote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
