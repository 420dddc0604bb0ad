import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * JSON lines. What may be in them is decided where they are written: ids, rows of the route table, counts, kinds; never a
 * body, a header or a URL (S-107). Errors are cut down to what is known to be safe.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      base: null,
      serializers: { err: describeError },
    },
    destination ?? inTurns(pino.destination(BUFFERED)),
  );
}

/** Lines wait for 200 ms at most. One large write costs half of what four small ones do. */
const BUFFERED = { sync: false, minLength: 64_000, maxWrite: 262_144, periodicFlush: 200 };

type FileStream = ReturnType<typeof pino.destination>;

/** Hands all lines of one turn of the event loop to the file as one: taking a line costs it more than making one. */
function inTurns(file: FileStream): DestinationStream & Pick<FileStream, 'flush'> {
  let lines = '';
  function hand(): void {
    if (lines !== '') file.write(lines);
    lines = '';
  }
  return {
    write(line) {
      if (lines === '') setImmediate(hand);
      lines += line;
    },
    flush(done) {
      hand();
      file.flush(done);
    },
  };
}

// Parameters of statements and commands of an SMTP dialogue are further members of errors; only these few are safe.
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack } = error;
  const code = (error as NodeJS.ErrnoException).code;
  const cause = error.cause === undefined ? undefined : describeError(error.cause);
  return { name, message, code, stack, cause };
}
