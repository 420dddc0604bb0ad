import type { ConnectedProfile } from '../../client/connected-profile.ts';
import type { RequestState } from '../../client/permission-calls.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import type { PermissionRequest } from '../../lib/artifacts/permission-request.ts';

/**
 * Asks the service how a request stands.
 *
 * @throws AuthError `REQUEST_DENIED`, `REQUEST_EXPIRED`
 */
export async function readOpenState(connected: ConnectedProfile, id: string): Promise<RequestState> {
  const answer = await connected.readRequestState(id);
  if (answer.state === 'denied') throw requestDenied();
  if (answer.state === 'expired') {
    throw new AuthError('REQUEST_EXPIRED', 'Nobody decided in time.', {
      hint: 'Ask again: vouchsafe auth request',
    });
  }
  return answer;
}

/** Creates the error for a request to which a person said no. */
export function requestDenied(): AuthError {
  return new AuthError('REQUEST_DENIED', 'The request was refused. Nothing was granted.');
}

/**
 * Waits until a request is decided, and says so at a terminal meanwhile.
 *
 * @param note prints a line, where stderr is no terminal
 * @returns the state `granted`, with what was granted
 * @throws AuthError `REQUEST_DENIED`, `REQUEST_EXPIRED`
 */
export async function waitForDecision(
  connected: ConnectedProfile,
  request: PermissionRequest,
  note: (line: string) => void,
): Promise<RequestState> {
  const progress = startProgress('Waiting for a person to decide', note);
  try {
    // It waits itself where the last question was a moment ago.
    for (;;) {
      const answer = await readOpenState(connected, request.id);
      if (answer.state !== 'pending') return answer;
    }
  } finally {
    progress.end();
  }
}

/** Shows that something goes on: a line that counts the time at a terminal, and one line elsewhere. */
function startProgress(what: string, note: (line: string) => void): { end(): void } {
  const { stderr } = process;
  if (!stderr.isTTY) {
    note(`${what}.`);
    return { end() {} };
  }
  const startedAt = performance.now();
  const show = () => {
    const seconds = Math.floor((performance.now() - startedAt) / 1000);
    stderr.write(
      `\r${what} … ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} (Ctrl-C ends)`,
    );
  };
  show();
  const timer = setInterval(show, 1000);
  return {
    end() {
      clearInterval(timer);
      stderr.write('\r\x1b[K');
    },
  };
}
