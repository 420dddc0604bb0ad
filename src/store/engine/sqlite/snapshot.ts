import type Database from 'better-sqlite3';

/** What reads of one turn of the event loop share. */

/**
 * One read transaction for all reads of a turn of the event loop: a read alone takes and drops the file's locks, which costs
 * several times what finding a row does. It is begun after the requests of this turn have arrived and given up before the
 * next ones are read, so it shows everything that was acknowledged, by whatever process, before any of them was sent. Commits
 * are told late in a turn: what is read from then on until the next turn is over stands alone, or its snapshot would outlive
 * the arrival of new requests.
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
