import { EventEmitter, once } from 'node:events';
import type { Db, Tx } from '../../src/store/engine/db.ts';

/** Lets a test wait for what services write: it looks again after each of their commits, and never sleeps. */
export interface CommitWatch {
  /** For `startTestService`; several services may share one watch. */
  wrapDb(db: Db): Db;
  /** How many statements like this were committed. */
  committed(pattern: RegExp): number;
  until(check: () => boolean | Promise<boolean>): Promise<void>;
}

export function watchCommits(): CommitWatch {
  const events = new EventEmitter().setMaxListeners(0);
  const statements: string[] = [];
  return {
    wrapDb: (db) => ({
      ...db,
      async tx(work) {
        let asked: string[] = [];
        const result = await db.tx((tx) => {
          asked = []; // a transaction may run again
          return work(noting(tx, (sql) => asked.push(sql)));
        });
        statements.push(...asked);
        events.emit('commit');
        return result;
      },
    }),
    committed: (pattern) => statements.filter((sql) => pattern.test(sql)).length,
    async until(check) {
      for (;;) {
        const next = once(events, 'commit');
        if (await check()) return;
        await next;
      }
    },
  };
}

/** A Tx that tells of each statement before it runs. */
export function noting(tx: Tx, note: (sql: string) => void): Tx {
  return {
    get(sql, params) {
      note(sql);
      return tx.get(sql, params);
    },
    all(sql, params) {
      note(sql);
      return tx.all(sql, params);
    },
    run(sql, params) {
      note(sql);
      return tx.run(sql, params);
    },
  };
}
