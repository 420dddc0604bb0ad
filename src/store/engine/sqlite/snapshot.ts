import type Database from 'better-sqlite3';

/**
 * Shares one read transaction among all reads of a turn of the event loop. A read of its own would take and release the
 * file's locks, which costs several times as much as finding a row. The transaction begins after the requests of this
 * turn have arrived and ends before the next ones are read. So it shows everything that any process acknowledged before
 * those requests were sent.
 *
 * Commits are acknowledged late in a turn. From then until the end of the next turn each read is a transaction of its
 * own: a shared snapshot would outlive the arrival of new requests.
 *
 * @returns `open`: called before each read; `close`: ends the snapshot; `renounce`: ends it, and shares none until the
 * next turn is over
 */
export function sharedSnapshot(reader: Database.Database): { open(): void; close(): void; renounce(): void } {
  const begin = reader.prepare('BEGIN');
  const end = reader.prepare('COMMIT');
  let isOpen = false;
  let isShared = true;
  function close(): void {
    if (!isOpen) return;
    isOpen = false;
    end.run();
  }
  return {
    open() {
      if (isOpen || !isShared) return;
      begin.run();
      isOpen = true;
      setImmediate(close);
    },
    close,
    renounce() {
      close();
      isShared = false;
      setImmediate(() => {
        isShared = true;
      });
    },
  };
}
