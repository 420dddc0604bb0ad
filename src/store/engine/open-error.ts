import type { Config } from '../../config/load.ts';
import { DatabaseError, Failure } from '../../errors.ts';

/**
 * Explains why the database cannot be opened or migrated. The service and the commands throw the result in place of the
 * driver's error.
 *
 * @returns a DatabaseError that names the setting, where another value or the database's administrator can fix the
 * problem; else the error itself
 */
export function explainOpenError(database: Config['database'], error: unknown): unknown {
  const cause = error instanceof Failure && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error) || cause instanceof DatabaseError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const explanation = database.kind === 'sqlite' ? explainFile(code) : explainServer(code, cause.message);
  if (explanation === undefined) return error;
  const place = database.kind === 'sqlite' ? `the file ${database.file}` : describePlace(database.url);
  const isPassing =
    database.kind === 'postgres' && (TEMPORARY.has(code) || /timeout|terminated/i.test(cause.message));
  return new DatabaseError(`DATABASE_URL: ${place} ${explanation}.`, { isPassing, cause });
}

/** The lock of a database. Services and commands share it while they use the database; a restore holds it alone. */
export interface ServiceLock {
  release(): Promise<void>;
}

/** Creates the error of a restore that finds the database in use. */
export function inUse(): DatabaseError {
  return new DatabaseError(
    'DATABASE_URL: a service or a command works on this database. Stop it first; nothing was changed.',
  );
}

/** Creates the error of a service or a command that finds the database being restored. */
export function restoring(): DatabaseError {
  return new DatabaseError('DATABASE_URL: this database is being restored. Start when that is done.', {
    isPassing: true,
  });
}

/** Errors of a server that is starting, unreachable or out of connections: another setting would not help. */
const TEMPORARY = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND', // the name of a container resolves once it runs
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

/** Explains an error by its SQLSTATE (PostgreSQL documentation, appendix A) or the code of the socket. */
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
  // These errors of the driver have no code.
  if (/timeout|SSL|terminated|password must be|client password|synchronous_commit/i.test(message))
    return `cannot be used: ${message.replace(/\.$/, '')}`;
  return undefined;
}

/**
 * Whether a pooler caused the error. A pooler refuses or drops the startup parameters of a connection. A prepared
 * statement of one of its server connections is missing on the next (26000), or exists there already (42P05).
 */
function isPooler(code: string, message: string): boolean {
  return (
    code === '26000' ||
    code === '42P05' ||
    /unsupported startup parameter|a pooler keeps settings/i.test(message)
  );
}

/** Names the database and its server, without user and password. */
function describePlace(url: string): string {
  const { hostname, port, pathname, searchParams } = new URL(url);
  const host = searchParams.get('host') ?? (decodeURIComponent(hostname) || 'localhost');
  return `the database ${decodeURIComponent(pathname.slice(1)) || '(the user’s own)'} at ${host}:${port || 5432}`;
}
