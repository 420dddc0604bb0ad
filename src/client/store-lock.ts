import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { AuthError } from '../lib/artifacts/auth-error.ts';

/** One process at a time changes a folder: whoever has `.lock` in it. */

const WAIT_MS = 2000;
const RETRY_MS = 20;
/** After which the lock of an owner that cannot be judged is taken over: of another machine, or of no readable name. */
const UNKNOWN_OWNER_MS = 30_000;

/** Who holds a lock. The start time tells a process from a later one of the same number. */
interface Owner {
  pid: number;
  started: string;
  host: string;
  token: string;
}

/**
 * Runs `work` while no other process does so in the same folder.
 *
 * @throws AuthError `STORE_BUSY` if another one goes on for more than two seconds
 */
export async function withLock<Result>(
  folder: string,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  const lock = join(folder, '.lock');
  const token = await acquire(lock);
  try {
    return await work();
  } finally {
    release(lock, token);
  }
}

async function acquire(lock: string): Promise<string> {
  const owner = { pid: process.pid, started: startOf(process.pid) ?? '', host: host(), token: randomToken() };
  const own = `${lock}.${owner.token}`;
  make(own);
  const until = performance.now() + WAIT_MS;
  try {
    writeFileSync(join(own, 'owner.json'), `${JSON.stringify(owner)}\n`, { mode: 0o600, flag: 'wx' });
    for (;;) {
      if (isTaken(own, lock)) break;
      if (removeAbandoned(lock)) continue;
      if (performance.now() > until) {
        throw new AuthError('STORE_BUSY', 'Another process changes this profile at the moment.', {
          hint: `Try again. If no other runs, remove ${lock}`,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  } catch (error) {
    rmSync(own, { recursive: true, force: true });
    throw error;
  }
  sweepAside(lock);
  return owner.token;
}

/**
 * Takes the lock by renaming a folder that names its owner: a lock is there as a whole or not at all, wherever a process is
 * killed. No folder takes the place of one that is not empty.
 */
function isTaken(own: string, lock: string): boolean {
  try {
    renameSync(own, lock);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Windows says EPERM.
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'EPERM') return false;
    throw new AuthError('STORE_PERMISSIONS', `${lock} cannot be made: ${code}.`, { cause: error });
  }
}

/** Removes what processes left beside the lock that were killed before they took it, or while they removed it. */
function sweepAside(lock: string): void {
  const folder = dirname(lock);
  for (const name of readdirSync(folder).filter((each) => each.startsWith(`${basename(lock)}.`))) {
    const aside = join(folder, name);
    const seen = inodeOf(aside);
    if (seen !== undefined && isAbandoned(readOwner(aside), seen.changedAt)) {
      rmSync(aside, { recursive: true, force: true });
    }
  }
}

/** Releases a lock by its own token only: if it was taken over meanwhile, it is another's. */
function release(lock: string, token: string): void {
  if (readOwner(lock)?.token !== token) return;
  remove(lock);
}

/** Renames first: whoever looks meanwhile sees a whole lock or none. */
function remove(lock: string): void {
  const aside = `${lock}.${randomToken()}`;
  renameSync(lock, aside);
  rmSync(aside, { recursive: true, force: true });
}

/**
 * Removes a lock whose owner is dead. Two processes may find that at once, and one of them may have made a lock of its own when
 * the other comes to remove: so it is removed only by who made `takeover` in it, and saw the same owner afterwards.
 *
 * @returns whether it is worth trying again at once
 */
function removeAbandoned(lock: string): boolean {
  const owner = readOwner(lock);
  const seen = inodeOf(lock);
  if (seen === undefined) return true;
  if (!isAbandoned(owner, seen.changedAt)) return false;
  const guard = join(lock, 'takeover');
  if (!make(guard)) {
    // Somebody was killed between two lines of this function.
    const guarded = inodeOf(guard);
    if (guarded !== undefined && Date.now() - guarded.changedAt > UNKNOWN_OWNER_MS) removeEmpty(guard);
    return false;
  }
  if (inodeOf(lock)?.inode === seen.inode && readOwner(lock)?.token === owner?.token) {
    remove(lock);
    return true;
  }
  removeEmpty(guard);
  return false;
}

function isAbandoned(owner: Owner | undefined, changedAt: number): boolean {
  if (owner === undefined || owner.host !== host()) return Date.now() - changedAt > UNKNOWN_OWNER_MS;
  return startOf(owner.pid) !== owner.started;
}

function make(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // ENOENT: the guard of a lock that is gone. Others mean that nobody can write here.
    if (code === 'EEXIST' || (code === 'ENOENT' && folder.endsWith('takeover'))) return false;
    throw new AuthError('STORE_PERMISSIONS', `${folder} cannot be made: ${code}.`, { cause: error });
  }
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Another one did it.
  }
}

function readOwner(lock: string): Owner | undefined {
  try {
    const owner = JSON.parse(readFileSync(join(lock, 'owner.json'), 'utf8')) as Partial<Owner>;
    const isWhole =
      Number.isSafeInteger(owner.pid) &&
      owner.pid! > 0 &&
      [owner.started, owner.host, owner.token].every((each) => typeof each === 'string');
    return isWhole ? (owner as Owner) : undefined;
  } catch {
    return undefined;
  }
}

function inodeOf(path: string): { inode: number; changedAt: number } | undefined {
  try {
    const { ino, mtimeMs } = statSync(path);
    return { inode: ino, changedAt: mtimeMs };
  } catch {
    return undefined;
  }
}

/** Names this machine, and on Linux the space of its process numbers: containers may share a name and a folder. */
function host(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

const ownStart = new Map<number, string | undefined>();

/** Returns when a process was started, as the system writes it; undefined if there is none. */
function startOf(pid: number): string | undefined {
  if (pid !== process.pid) return askStart(pid);
  if (!ownStart.has(pid)) ownStart.set(pid, askStart(pid));
  return ownStart.get(pid);
}

function askStart(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name stands in parentheses and may hold anything; behind it the state is field 3, the start time field 22.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined;
  }
  if (process.platform === 'win32') return '';
  try {
    return execFileSync('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

function randomToken(): string {
  return randomBytes(12).toString('hex');
}
