import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * JSON lines. What may be in them is decided where they are written (ids, paths of the route table, counts); this censors the
 * names under which a secret could slip in with an error's details (S-107).
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
      serializers: { err: describeError },
    },
    destination ?? pino.destination({ sync: false, minLength: 4096, periodicFlush: 200 }),
  );
}

const SECRET_NAMES = [
  'authorization',
  'credential',
  'claim_token',
  'otp',
  'client_secret',
  'password',
  'token',
];

// Parameters of statements and commands of an SMTP dialogue hang on errors as further members; only these few are safe.
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack } = error;
  const code = (error as NodeJS.ErrnoException).code;
  const cause = error.cause === undefined ? undefined : describeError(error.cause);
  return { name, message, code, stack, cause };
}
