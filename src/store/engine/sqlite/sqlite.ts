import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { unavailable } from '../../../errors.ts';
import type { Db, Tx } from '../db.ts';
import { sharedSnapshot } from './snapshot.ts';
import { statements } from './statements.ts';
import { MIGRATION_WAIT_MS, openWriter } from './writer.ts';

/** How long a transaction waits for another process's before it is refused. */
const WAIT_MS = 2000;
/** So many transactions share a commit at most. */
const BATCH_MAX = 128;
/** Past this queue a request is refused at once: it would only wait to be refused later. */
const QUEUE_MAX = 10_000;

interface Job {
  work: (tx: Tx) => Promise<unknown>;
  giveUpAt: number;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  outcome: { kind: 'waiting' } | { kind: 'done'; value: unknown } | { kind: 'failed'; error: unknown };
}

/**
 * SQLite, WAL, every commit synced to disk before it is acknowledged.
 *
 * There is one writer connection with a queue, and a second connection for reads, which share a snapshot per turn of the event
 * loop. The writer drains its queue into one `BEGIN IMMEDIATE … COMMIT` and acknowledges after the commit: the sync, by far the
 * dearest part, is shared by all who came while the last one ran. Without the queue another request's statement would slip
 * into an open transaction between two of its awaits, and be lost when that rolls back.
 *
 * @param onBroken called on corruption and I/O errors
 */
export async function openSqlite(file: string, onBroken: (cause: unknown) => void): Promise<Db> {
  if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const writer = await openWriter(file);
  const reader = new Database(file, { readonly: true, timeout: WAIT_MS });
  reader.pragma('cache_size = -65536');

  const queue: Job[] = [];
  let draining = false;
  /** So many jobs at the head of the queue have been in a batch that failed. */
  let suspects = 0;
  const writes = statements(writer, translate, refuseAlone);
  const snapshot = sharedSnapshot(reader);
  const reads = statements(reader, translate, snapshot.open);
  const begin = writer.prepare('BEGIN IMMEDIATE');
  const commit = writer.prepare('COMMIT');
  const savepoint = writer.prepare('SAVEPOINT job');
  const release = writer.prepare('RELEASE job');
  const undo = writer.prepare('ROLLBACK TO job');

  /** On a full disk SQLite undoes all by itself; what the same transaction asks after that would stand alone. */
  function refuseAlone(): void {
    if (!writer.inTransaction) throw unavailable('the transaction is over');
  }

  function translate(error: unknown): unknown {
    const code = error instanceof Database.SqliteError ? error.code : '';
    if (/^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(code)) onBroken(error);
    return /^SQLITE_(BUSY|LOCKED|FULL|READONLY|CANTOPEN|IOERR|CORRUPT|NOTADB)/.test(code)
      ? unavailable(error)
      : error;
  }

  /** Apart from the reads of all others: those end the snapshot of a turn when they please. One at a time. */
  let viewer: Database.Database | undefined;
  let views: Tx | undefined;
  let looking: Promise<unknown> = Promise.resolve();
  async function look<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    viewer ??= new Database(file, { readonly: true, timeout: WAIT_MS });
    views ??= statements(viewer, translate);
    viewer.exec('BEGIN');
    try {
      return await work(views);
    } finally {
      viewer.exec('COMMIT');
    }
  }

  function enqueue<Result>(work: (tx: Tx) => Promise<Result>, waitMs: number): Promise<Result> {
    if (queue.length >= QUEUE_MAX) return Promise.reject(unavailable('the write queue is full'));
    return new Promise<Result>((resolve, reject) => {
      queue.push({
        work,
        giveUpAt: performance.now() + waitMs,
        resolve: resolve as (value: unknown) => void,
        reject,
        outcome: { kind: 'waiting' },
      });
      if (draining) return;
      draining = true;
      // Not at once: all requests that the event loop reads in this turn get into the same commit.
      setImmediate(drain);
    });
  }

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      if (await beganTransaction()) await runBatch();
    }
    draining = false;
  }

  async function beganTransaction(): Promise<boolean> {
    try {
      begin.run();
      return true;
    } catch (error) {
      const busy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
      const now = performance.now();
      const tooLate = queue.filter((job) => !busy || job.giveUpAt <= now);
      for (const job of tooLate) {
        queue.splice(queue.indexOf(job), 1);
        job.reject(translate(error));
      }
      // Another process holds the lock. Waiting inside SQLite would stop this whole process, reads included.
      if (queue.length > 0) await sleep(5 + Math.floor(Math.random() * 15));
      return false;
    }
  }

  /** Savepoints cost as much as the statements between them, so a batch first runs without. If one of its jobs fails, all of
   * it is undone and runs again with a savepoint around each; that `work` may run again is in its contract. */
  async function runBatch(): Promise<void> {
    const apart = suspects > 0 || queue.length === 1;
    const batch = queue.splice(0, suspects || BATCH_MAX);
    suspects = 0;
    try {
      if (apart) await runApart(batch);
      else if (!(await runTogether(batch))) {
        writer.exec('ROLLBACK');
        queue.unshift(...batch);
        suspects = batch.length;
        return;
      }
      commit.run();
    } catch (error) {
      if (writer.inTransaction) writer.exec('ROLLBACK');
      const failure = translate(error);
      for (const job of batch) job.reject(failure);
      return;
    }
    // Whoever is told of the commit must read it.
    snapshot.renounce();
    for (const job of batch) {
      if (job.outcome.kind === 'done') job.resolve(job.outcome.value);
      else if (job.outcome.kind === 'failed') job.reject(job.outcome.error);
    }
  }

  async function runTogether(batch: readonly Job[]): Promise<boolean> {
    for (const job of batch) if (!(await succeeds(job))) return false;
    return true;
  }

  async function runApart(batch: readonly Job[]): Promise<void> {
    for (const job of batch) {
      savepoint.run();
      if (!(await succeeds(job))) undo.run();
      release.run();
    }
  }

  async function succeeds(job: Job): Promise<boolean> {
    try {
      job.outcome = { kind: 'done', value: await job.work(writes) };
      return true;
    } catch (error) {
      // SQLite itself undoes everything on a full disk; then nothing of this batch is left to commit.
      if (!writer.inTransaction) throw error;
      job.outcome = { kind: 'failed', error };
      return false;
    }
  }

  return {
    engine: 'sqlite',
    get: reads.get,
    all: reads.all,
    tx: (work) => enqueue(work, WAIT_MS),
    read(work) {
      const answer = looking.then(() => look(work));
      looking = answer.catch(() => {});
      return answer;
    },

    migrate: (work) =>
      enqueue(
        (tx) =>
          work({
            ...tx,
            // What only SQLite reads stands in the migrations as /*sqlite …*/ comments.
            script: async (sql) => void writer.exec(sql.replace(/\/\*sqlite (.*?)\*\//g, '$1')),
          }),
        MIGRATION_WAIT_MS,
      ),

    async backup(target) {
      snapshot.close();
      reader.prepare('VACUUM INTO ?').run(target);
    },

    now: async () => Date.now(),

    async close() {
      while (draining) await sleep(1);
      await looking;
      snapshot.close();
      viewer?.close();
      reader.close();
      writer.close();
    },
  };
}
