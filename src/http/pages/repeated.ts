import { withIdempotencyWait } from '../../domain/limits/idempotency.ts';
import { Failure } from '../../errors.ts';
import type { BrowserContext } from '../server/browser-session.ts';
import { setCookie } from '../server/cookies.ts';
import type { Call, HandlerResult } from '../server/table.ts';

/** A click that lasts, on a network that is slow. */
const REPEATED_SECONDS = 30;

type Sent = Omit<Call<unknown, 'browser'>, 'caller'> & { caller: BrowserContext };

/**
 * A form that a browser sends twice acts once, and both get the one answer: of two that are under way a browser shows the last. Not so
 * one that is sent again after its page was shown: what that page shows is shown once (S-22).
 *
 * @param act what the form asks for
 */
export async function repeatedForm(
  call: Sent,
  act: () => Promise<HandlerResult> | HandlerResult,
): Promise<HandlerResult> {
  const { deps, origin, caller, bytes } = call;
  const { once } = (call.body ?? {}) as { once?: string };
  const browser = caller.cookie('browser');
  if (!once || browser === undefined || caller.cookie('made') === once) return act();
  const sent = {
    key: once,
    owner: `form:${browser}`,
    body: bytes,
    ttlSeconds: REPEATED_SECONDS,
    limit: undefined,
  };
  try {
    return await withIdempotencyWait(deps, sent, origin, async () => markShown(call, once, await act()));
  } catch (error) {
    // Filled in otherwise, after going back: another action.
    if (error instanceof Failure && error.kind === 'idempotencyMismatch') return act();
    throw error;
  }
}

function markShown({ deps }: Sent, once: string, answer: HandlerResult): HandlerResult {
  if (!('text' in answer) || (answer.status ?? 200) !== 200) return answer;
  return { ...answer, cookies: [...(answer.cookies ?? []), setCookie(deps.config, 'made', once)] };
}
