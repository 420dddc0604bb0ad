import type { Config } from '../../config/load.ts';
import { DatabaseError, Failure } from '../../errors.ts';

/**
 * Why the database cannot be used, as a sentence that names its setting: thrown in place of what the driver says when the
 * service, or a command, opens it or brings it up to date.
 *
 * @returns a DatabaseError for what another value, or the database's administrator, mends; anything else as it is
 */
export function explainOpenError(database: Config['database'], error: unknown): unknown {
  const cause = error instanceof Failure && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error) || cause instanceof DatabaseError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const said = database.kind === 'sqlite' ? explainFile(code) : explainServer(code, cause.message);
  if (said === undefined) return error;
  const place = database.kind === 'sqlite' ? `the file ${database.file}` : placeOf(database.url);
  const isPassing =
    database.kind === 'postgres' && (PASSING.has(code) || /timeout|terminated/i.test(cause.message));
  return new DatabaseError(`DATABASE_URL: ${place} ${said}.`, { isPassing, cause });
}

/** Whoever works on a database holds its lock together with all others who do; a restore holds it alone. */
export interface ServiceLock {
  release(): Promise<void>;
}

/** For a restore that a service, or a command, is in the way of. */
export function inUse(): DatabaseError {
  return new DatabaseError(
    'DATABASE_URL: a service or a command works on this database. Stop it first; nothing was changed.',
  );
}

/** For whoever comes while it is restored. */
export function restoring(): DatabaseError {
  return new DatabaseError('DATABASE_URL: this database is being restored. Start when that is done.', {
    isPassing: true,
  });
}

/** What a server that is starting, or that stands in a crowd, answers; another value of the setting would not help. */
const PASSING = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND', // a container's name is known once it runs
  'EAI_AGAIN',
  '53300',
  '57P01',
  '57P02',
  '57P03',
]);

function explainFile(code: string): string | undefined {
  if (code === 'SQLITE_NOTADB') return 'is no SQLite database';
  if (code.startsWith('SQLITE_CORRUPT')) return 'is damaged: restore a backup';
  if (code.startsWith('SQLITE_READONLY')) return 'or its folder is not writable for this user';
  if (code.startsWith('SQLITE_FULL')) return 'has no room left on its disk';
  if (code.startsWith('SQLITE_BUSY')) return 'is locked by another process';
  if (/^(SQLITE_|E[A-Z]+$)/.test(code)) {
    return `cannot be opened or made (${code}): is it a path of a file that this user may write?`;
  }
  return undefined;
}

/** By SQLSTATE (PostgreSQL, appendix A) or the code of the connection. */
function explainServer(code: string, message: string): string | undefined {
  const byCode: Record<string, string> = {
    ECONNREFUSED: 'refuses connections: is PostgreSQL running there',
    ENOTFOUND: 'is on a host that is not known',
    EAI_AGAIN: 'is on a host whose name cannot be looked up now',
    '28P01': 'does not accept this user and password',
    '28000': 'does not let this user in',
    '3D000': 'does not exist on its server: create it',
    '42501': 'does not let this user create tables: grant CREATE on its schema public',
    '53300': 'has no connection left: raise max_connections',
    '57P03': 'is still starting',
  };
  if (byCode[code] !== undefined) return byCode[code];
  if (isPooler(code, message)) return 'is behind a pooler such as pgbouncer: set PG_PREPARED=off';
  if (/^(E[A-Z]+|[0-9A-Z]{5}|[A-Z_]*(CERT|SSL|TLS|SIGNATURE)[A-Z_]*)$/.test(code))
    return `answers: ${message} (${code})`;
  // The driver gives these no code.
  if (/timeout|SSL|terminated|password must be|client password|synchronous_commit/i.test(message))
    return `cannot be used: ${message.replace(/\.$/, '')}`;
  return undefined;
}

/**
 * A pooler refuses what a connection asks for at its start, or keeps it to itself; and a statement that was prepared on one connection
 * of its own is not there on the next, or is there already.
 */
function isPooler(code: string, message: string): boolean {
  return (
    code === '26000' ||
    code === '42P05' ||
    /unsupported startup parameter|a pooler keeps settings/i.test(message)
  );
}

/** Where it is, without user and password. */
function placeOf(url: string): string {
  const { hostname, port, pathname, searchParams } = new URL(url);
  const host = searchParams.get('host') ?? (decodeURIComponent(hostname) || 'localhost');
  return `the database ${decodeURIComponent(pathname.slice(1)) || '(the user’s own)'} at ${host}:${port || 5432}`;
}
