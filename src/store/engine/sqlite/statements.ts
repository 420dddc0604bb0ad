import type { Tx, Value } from '../db.ts';

interface Statement {
  get(...params: Value[]): unknown;
  all(...params: Value[]): unknown[];
  run(...params: Value[]): { changes: number };
}

/**
 * Returns the statements of one connection; each text is prepared once.
 *
 * @param translate maps an error of SQLite to the error to throw
 * @param beforeEach called before each statement
 */
export function statements(
  connection: { prepare(sql: string): Statement },
  translate: (error: unknown) => unknown,
  beforeEach: () => void = () => {},
): Tx {
  const cache = new Map<string, Statement>();

  function prepare(sql: string): Statement {
    let statement = cache.get(sql);
    if (statement === undefined) {
      statement = connection.prepare(sql);
      cache.set(sql, statement);
    }
    return statement;
  }

  const execute = <Result>(query: () => Result): Promise<Result> => {
    try {
      beforeEach();
      return Promise.resolve(query());
    } catch (error) {
      return Promise.reject(translate(error));
    }
  };

  return {
    get: <Row>(sql: string, params: readonly Value[] = []) =>
      execute(() => prepare(sql).get(...params) as Row | undefined),
    all: <Row>(sql: string, params: readonly Value[] = []) =>
      execute(() => prepare(sql).all(...params) as Row[]),
    run: (sql, params = []) => execute(() => prepare(sql).run(...params).changes),
  };
}
