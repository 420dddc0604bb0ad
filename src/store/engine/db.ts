/**
 * The interface to the database engines. SQL is written once, with `?` for parameters, TEXT, BIGINT
 * and BYTEA for types, epoch milliseconds for time. No rule lives here; no error but `Failure` of kind `unavailable` is made.
 */
export type Value = string | number | null | Uint8Array;

/** Statements. On a Db each stands alone and reads what is committed; inside `tx` they stand or fall together. */
export interface Tx {
  /** The first row, or undefined. Also for writes with RETURNING. */
  get<Row>(sql: string, params?: readonly Value[]): Promise<Row | undefined>;
  all<Row>(sql: string, params?: readonly Value[]): Promise<Row[]>;
  /** Runs a write; returns how many rows it touched. */
  run(sql: string, params?: readonly Value[]): Promise<number>;
}

export interface Db {
  engine: 'sqlite' | 'postgres';
  get: Tx['get'];
  all: Tx['all'];
  /**
   * Runs `work` in one transaction and resolves once that is on disk. An error thrown by `work` undoes all of it and
   * is passed on. `work` may run again (PostgreSQL: serialisation failures and deadlocks), so it changes nothing outside, and
   * it awaits nothing but its own statements: on SQLite every other writer stands behind it.
   *
   * @param length `brief`: few statements for which many requests wait; on PostgreSQL it has a connection when the others are taken
   * @throws Failure `unavailable` when the database cannot take it; nothing was written
   */
  tx<Result>(work: (tx: Tx) => Promise<Result>, length?: 'brief'): Promise<Result>;
  /**
   * Reads that show one moment, and that wait for nobody: neither for a writer nor for a row. `work` awaits nothing but its own
   * statements.
   *
   * @throws Failure `unavailable` when the database cannot be read
   */
  read<Result>(work: (tx: Pick<Tx, 'get' | 'all'>) => Promise<Result>): Promise<Result>;
  /** One transaction that excludes every other migration, waiting up to a minute for it. `script` runs many statements. */
  migrate(work: (tx: Tx & { script(sql: string): Promise<void> }) => Promise<void>): Promise<void>;
  /** Copies the whole database, as of one moment, into a new file while others write. */
  backup(file: string): Promise<void>;
  /** Now by the database's clock, epoch ms: what all replicas agree on. */
  now(): Promise<number>;
  close(): Promise<void>;
}
