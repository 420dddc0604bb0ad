/**
 * The interface to the database engines. SQL is written once for both: `?` for parameters, the types TEXT, BIGINT and
 * BYTEA, and epoch milliseconds for time. The engines know no rules of the domain; the only Failure that they create is
 * `unavailable`.
 */

/** A parameter of a statement. */
export type Value = string | number | null | Uint8Array;

/** Runs statements. On a Db each is a transaction of its own; inside `tx` all are committed or rolled back together. */
export interface Tx {
  /** Returns the first row, or undefined. Also for writes with RETURNING. */
  get<Row>(sql: string, params?: readonly Value[]): Promise<Row | undefined>;
  /** Returns all rows. Also for writes with RETURNING. */
  all<Row>(sql: string, params?: readonly Value[]): Promise<Row[]>;
  /** Runs a write; returns the number of rows that it changed. */
  run(sql: string, params?: readonly Value[]): Promise<number>;
}

/** Runs the statements of a migration. */
export interface MigrationTx extends Tx {
  /** Runs a text of several statements. */
  script(sql: string): Promise<void>;
}

/** An open database. */
export interface Db {
  engine: 'sqlite' | 'postgres';
  get: Tx['get'];
  all: Tx['all'];
  /**
   * Runs `work` in one transaction and resolves once the commit is on disk. An error thrown by `work` rolls back the
   * transaction and is rethrown. `work` may run more than once: on PostgreSQL after a serialization failure or
   * deadlock, on SQLite after a failure of another transaction in its batch. So it changes nothing outside the
   * transaction. It awaits only its own statements, since on SQLite every other writer waits for it.
   *
   * @param length `brief`: few statements, for which many requests wait; on PostgreSQL these transactions have
   * connections of their own
   * @throws Failure `unavailable` when the database cannot run the transaction; nothing was written
   */
  tx<Result>(work: (tx: Tx) => Promise<Result>, length?: 'brief'): Promise<Result>;
  /**
   * Runs reads on one snapshot. They wait neither for a writer nor for a locked row. `work` awaits only its own
   * statements.
   *
   * @throws Failure `unavailable` when the database cannot be read
   */
  read<Result>(work: (tx: Pick<Tx, 'get' | 'all'>) => Promise<Result>): Promise<Result>;
  /**
   * Runs `work` in a transaction that excludes every other migration, and again in another one until it returns false;
   * waits up to a minute for a migration of another process.
   */
  migrate(work: (tx: MigrationTx) => Promise<boolean>): Promise<void>;
  /** Copies one snapshot of the whole database into a new file while others write. */
  backup(file: string): Promise<void>;
  /** Returns the time of the database's clock, on which all replicas agree, epoch ms. */
  now(): Promise<number>;
  close(): Promise<void>;
}
