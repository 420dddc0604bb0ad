import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { unavailable } from '../../../errors.ts';
import type { Db, Tx } from '../db.ts';
import { sharedSnapshot } from './snapshot.ts';
import { statements } from './statements.ts';
import { MIGRATION_WAIT_MS, openWriter } from './writer.ts';

/** How long a transaction waits for those of other processes before it fails. */
const WAIT_MS = 2000;

/** How many transactions share a commit at most. */
const BATCH_MAX = 128;

/** With more transactions queued, a new one fails at once: it would only wait and fail later. */
const QUEUE_MAX = 10_000;

interface Job {
  work: (tx: Tx) => Promise<unknown>;
  giveUpAt: number;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  outcome: { kind: 'waiting' } | { kind: 'done'; value: unknown } | { kind: 'failed'; error: unknown };
}

/**
 * Opens a SQLite database in WAL mode; every commit is synced to disk before it is acknowledged.
 *
 * One connection writes and has a queue. Another one reads; its reads share a snapshot per turn of the event loop. The
 * writer runs the queue in one `BEGIN IMMEDIATE … COMMIT` and acknowledges after the commit. So all transactions that
 * were queued during the last commit share one sync, which costs far more than anything else. Without the queue, a
 * statement of another request could get into an open transaction between two of its awaits, and be lost in its
 * rollback.
 *
 * @param onBroken called on corruption and I/O errors
 */
export async function openSqlite(file: string, onBroken: (cause: unknown) => void): Promise<Db> {
  if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const writer = await openWriter(file);
  const reader = new Database(file, { readonly: true, timeout: WAIT_MS });
  reader.pragma('cache_size = -65536');

  const queue: Job[] = [];
  let isDraining = false;
  /** How many jobs at the head of the queue were in a batch that failed, and run again. */
  let retryCount = 0;
  /** Whether a transaction is open: to ask SQLite before each statement would cost as much as a short statement. */
  let isOpen = false;
  const writes = statements(writer, translateAndNote, assertInTransaction);
  const snapshot = sharedSnapshot(reader);
  const reads = statements(reader, translate, snapshot.open);
  const begin = writer.prepare('BEGIN IMMEDIATE');
  const commit = writer.prepare('COMMIT');
  const savepoint = writer.prepare('SAVEPOINT job');
  const release = writer.prepare('RELEASE job');
  const rollbackToSavepoint = writer.prepare('ROLLBACK TO job');

  /** A statement after the end of its transaction would be committed alone. */
  function assertInTransaction(): void {
    if (!isOpen) throw unavailable('the transaction is over');
  }

  /** On a full disk SQLite rolls back by itself. It does so only in a statement that fails. */
  function translateAndNote(error: unknown): unknown {
    isOpen &&= writer.inTransaction;
    return translate(error);
  }

  function translate(error: unknown): unknown {
    const code = error instanceof Database.SqliteError ? error.code : '';
    if (/^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(code)) onBroken(error);
    return /^SQLITE_(BUSY|LOCKED|FULL|READONLY|CANTOPEN|IOERR|CORRUPT|NOTADB)/.test(code)
      ? unavailable(error)
      : error;
  }

  /** The connection of `read`, whose snapshot must not end with the turn's shared one. It runs one `read` at a time. */
  let snapshotReader: Database.Database | undefined;
  let snapshotReads: Tx | undefined;
  let lastRead: Promise<unknown> = Promise.resolve();
  async function readSnapshot<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    snapshotReader ??= new Database(file, { readonly: true, timeout: WAIT_MS });
    snapshotReads ??= statements(snapshotReader, translate);
    snapshotReader.exec('BEGIN');
    try {
      return await work(snapshotReads);
    } finally {
      snapshotReader.exec('COMMIT');
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
      if (isDraining) return;
      isDraining = true;
      // Not synchronously, so that all requests that the event loop reads in this turn share a commit.
      setImmediate(drain);
    });
  }

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      if (await beginTransaction()) await runBatch();
    }
    isDraining = false;
  }

  /** Returns whether the transaction began; otherwise rejects the jobs that cannot wait any longer. */
  async function beginTransaction(): Promise<boolean> {
    try {
      begin.run();
      isOpen = true;
      return true;
    } catch (error) {
      const isBusy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
      const now = performance.now();
      const failed = queue.filter((job) => !isBusy || job.giveUpAt <= now);
      for (const job of failed) {
        queue.splice(queue.indexOf(job), 1);
        job.reject(translate(error));
      }
      // Another process holds the lock. Waiting inside SQLite would block this whole process, reads included.
      if (queue.length > 0) await sleep(5 + Math.floor(Math.random() * 15));
      return false;
    }
  }

  /**
   * Runs and commits a batch. Savepoints cost as much as the statements between them, so a batch first runs without. If
   * one of its jobs fails, the batch is rolled back and runs again with a savepoint for each job; Db.tx allows `work`
   * to run again.
   */
  async function runBatch(): Promise<void> {
    const needsSavepoints = retryCount > 0 || queue.length === 1;
    const batch = queue.splice(0, retryCount || BATCH_MAX);
    retryCount = 0;
    try {
      if (needsSavepoints) await runWithSavepoints(batch);
      else if (!(await runWithoutSavepoints(batch))) {
        writer.exec('ROLLBACK');
        queue.unshift(...batch);
        retryCount = batch.length;
        return;
      }
      commit.run();
    } catch (error) {
      if (writer.inTransaction) writer.exec('ROLLBACK');
      const failure = translate(error);
      for (const job of batch) job.reject(failure);
      return;
    } finally {
      isOpen = false;
    }
    // A request that is notified of the commit must be able to read it.
    snapshot.renounce();
    for (const job of batch) {
      if (job.outcome.kind === 'done') job.resolve(job.outcome.value);
      else if (job.outcome.kind === 'failed') job.reject(job.outcome.error);
    }
  }

  async function runWithoutSavepoints(batch: readonly Job[]): Promise<boolean> {
    for (const job of batch) if (!(await runJob(job))) return false;
    return true;
  }

  async function runWithSavepoints(batch: readonly Job[]): Promise<void> {
    for (const job of batch) {
      savepoint.run();
      if (!(await runJob(job))) rollbackToSavepoint.run();
      release.run();
    }
  }

  /** Runs a job and stores its outcome; returns whether it succeeded. */
  async function runJob(job: Job): Promise<boolean> {
    try {
      job.outcome = { kind: 'done', value: await job.work(writes) };
      return true;
    } catch (error) {
      // On a full disk SQLite has rolled back the whole transaction; then nothing of this batch is left to commit.
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
      const result = lastRead.then(() => readSnapshot(work));
      lastRead = result.catch(() => {});
      return result;
    },

    async migrate(work) {
      const step = (tx: Tx) =>
        work({
          ...tx,
          // Migrations contain text for SQLite alone in comments of the form /*sqlite …*/.
          script: async (sql) => void writer.exec(sql.replace(/\/\*sqlite (.*?)\*\//g, '$1')),
        });
      while (await enqueue(step, MIGRATION_WAIT_MS));
    },

    async backup(target) {
      snapshot.close();
      reader.prepare('VACUUM INTO ?').run(target);
    },

    now: async () => Date.now(),

    async close() {
      while (isDraining) await sleep(1);
      await lastRead;
      snapshot.close();
      snapshotReader?.close();
      reader.close();
      writer.close();
    },
  };
}
