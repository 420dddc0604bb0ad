import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { DatabaseError } from '../../../errors.ts';
import { restoring, type ServiceLock } from '../open-error.ts';
import { type PostgresPlace, refusePooler, SERVICE_LOCK, STATEMENT_MS } from './connection.ts';

const RETRY_MS = 1000;
const RELEASE_MS = 2000;

/**
 * Takes the shared lock of services and commands on a database: an advisory lock, which the server releases when the
 * process ends. If its connection is lost, as by a restart of the server, it is taken again.
 *
 * @param onLost called when a restore has taken the lock meanwhile
 * @throws DatabaseError while the database is being restored
 */
export async function lockPostgres(
  place: PostgresPlace,
  onLost: (cause: unknown) => void,
): Promise<ServiceLock> {
  let isReleased = false;
  let client = await connect();
  let retry: NodeJS.Timeout | undefined;

  async function connect(): Promise<pg.Client> {
    const fresh = new pg.Client({
      connectionString: place.url,
      connectionTimeoutMillis: 2000,
      keepAlive: true,
      ...(place.prepared && { statement_timeout: STATEMENT_MS }),
      application_name: 'vouchsafe lock',
    });
    fresh.on('error', () => {}); // 'end' follows
    try {
      await fresh.connect();
      await lockShared(fresh, place.prepared);
    } catch (error) {
      await fresh.end().catch(() => {});
      throw error;
    }
    fresh.on('end', scheduleReconnect);
    return fresh;
  }

  function scheduleReconnect(): void {
    if (isReleased) return;
    retry = setTimeout(async () => {
      try {
        client = await connect();
        if (isReleased) await client.end();
      } catch (error) {
        if (error instanceof DatabaseError) onLost(error);
        else scheduleReconnect();
      }
    }, RETRY_MS);
    retry.unref();
  }

  return {
    async release() {
      isReleased = true;
      clearTimeout(retry);
      // Behind a pooler, the server would notice the end of the connection, and release the lock, only a moment later.
      if (!place.prepared) await client.query('ROLLBACK').catch(() => {});
      // Do not wait for a server that no longer responds: it releases the lock when it loses the connection.
      await Promise.race([client.end().catch(() => {}), sleep(RELEASE_MS, undefined, { ref: false })]);
    },
  };
}

/**
 * Takes the lock. A pooler keeps a server connection for a client only during a transaction. So behind one the lock
 * belongs to a transaction, which stays open until the release.
 */
async function lockShared(client: pg.Client, prepared: boolean): Promise<void> {
  if (prepared) await refusePooler(client);
  else await client.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0');
  const { rows } = await client.query<{ locked: boolean }>(
    `SELECT ${prepared ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_xact_lock_shared'}(${SERVICE_LOCK}) AS locked`,
  );
  if (!rows[0]?.locked) throw restoring();
}
