import { type DestinationStream, type Logger, pino } from 'pino';

/** The logger of the service. */
export type Log = Logger;

/**
 * Creates a logger that writes JSON lines. Callers log only ids, rows of the route table, counts and kinds, never a body, a
 * header or a URL (S-107). Errors are reduced to the members that are known to be safe.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      base: null,
      serializers: { err: describeError },
    },
    destination ?? batchPerTurn(pino.destination(BUFFERED)),
  );
}

/** Lines are buffered for 200 ms at most. One large write costs half as much as four small ones. */
const BUFFERED = { sync: false, minLength: 64_000, maxWrite: 262_144, periodicFlush: 200 };

type FileStream = ReturnType<typeof pino.destination>;

/** Writes all lines of one turn of the event loop to the file at once: a write costs more than formatting a line. */
function batchPerTurn(file: FileStream): DestinationStream & Pick<FileStream, 'flush'> {
  let lines = '';
  function flushLines(): void {
    if (lines !== '') file.write(lines);
    lines = '';
  }
  return {
    write(line) {
      if (lines === '') setImmediate(flushLines);
      lines += line;
    },
    flush(done) {
      flushLines();
      file.flush(done);
    },
  };
}

// Errors may also carry SQL parameters or SMTP commands. Only these members are safe.
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack } = error;
  const code = (error as NodeJS.ErrnoException).code;
  const cause = error.cause === undefined ? undefined : describeError(error.cause);
  return { name, message, code, stack, cause };
}
