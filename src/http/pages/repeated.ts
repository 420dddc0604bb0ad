import { withIdempotencyWait } from '../../domain/limits/idempotency.ts';
import { Failure } from '../../errors.ts';
import type { BrowserContext } from '../server/browser-session.ts';
import { setCookie } from '../server/cookies.ts';
import type { Call, HandlerResult } from '../server/table.ts';

/** How long a second submission of a form gets the first response: a double click on a slow network. */
const REPEATED_SECONDS = 30;

type FormCall = Omit<Call<unknown, 'browser'>, 'caller'> & { caller: BrowserContext };

/**
 * Runs the action of a form once if a browser submits the form twice. Both submissions get the same response, since
 * the browser shows the later one. A form that is submitted again after its response was shown acts again: a secret is
 * shown once (S-22).
 *
 * @param act the action of the form
 * @throws Failure `inProgress`, and whatever `act` throws
 */
export async function runFormOnce(
  call: FormCall,
  act: () => Promise<HandlerResult> | HandlerResult,
): Promise<HandlerResult> {
  const { deps, origin, caller, bytes } = call;
  const { once } = (call.body ?? {}) as { once?: string };
  const browser = caller.cookie('browser');
  if (!once || browser === undefined || caller.cookie('made') === once) return act();
  const request = {
    key: once,
    owner: `form:${browser}`,
    body: bytes,
    ttlSeconds: REPEATED_SECONDS,
    floodLimit: undefined,
  };
  try {
    return await withIdempotencyWait(deps, request, origin, async () => markShown(call, once, await act()));
  } catch (error) {
    // The human went back and submitted other values: this is another action.
    if (error instanceof Failure && error.kind === 'idempotencyMismatch') return act();
    throw error;
  }
}

/** Adds the cookie by which a later submission knows that this browser received the page. */
function markShown({ deps }: FormCall, once: string, result: HandlerResult): HandlerResult {
  if (!('text' in result) || (result.status ?? 200) !== 200) return result;
  return { ...result, cookies: [...(result.cookies ?? []), setCookie(deps.config, 'made', once)] };
}
