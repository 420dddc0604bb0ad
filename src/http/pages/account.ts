import { z } from 'zod';
import { setWantsMail, wantsNoMail } from '../../domain/mail-refusals.ts';
import { endSession, listSessions } from '../../domain/sessions.ts';
import { formatTime } from '../../lib/display.ts';
import type { Answer, Call } from '../route.ts';
import { form } from './forms.ts';
import { type Pages, redirect } from './pages.ts';

/** What a signed-in human sees of their own account. */

export const endSessionForm = form({ session: z.string().max(64) });
export const wantsMailForm = form({ wanted: z.enum(['yes', 'no']) });

type Visit<Form = undefined> = Call<Form, 'human'>;

/** GET /account */
export function accountPage(pages: Pages): (call: Visit) => Promise<Answer> {
  return async ({ deps, caller }) => {
    const { session } = caller;
    const sessions = await listSessions(deps, session.accountId);
    return pages.show(caller, 'account', {
      mailbox: session.mailbox,
      noMail: await wantsNoMail(deps, session),
      sessions: sessions.map(({ id, origin, createdAt, seenAt }) => ({
        id,
        origin,
        createdAt: formatTime(createdAt),
        seenAt: formatTime(seenAt),
        isThis: id === session.id,
      })),
    });
  };
}

/** POST /account/sessions/end */
export async function endOneSession(call: Visit<z.output<typeof endSessionForm>>): Promise<Answer> {
  const { deps, asker, caller, body } = call;
  await endSession(deps, asker, caller.session.accountId, body.session);
  return redirect(deps.config, '/account');
}

/** POST /account/mail */
export async function changeMail(call: Visit<z.output<typeof wantsMailForm>>): Promise<Answer> {
  const { deps, asker, caller, body } = call;
  await setWantsMail(deps, asker, caller.session, body.wanted === 'yes');
  return redirect(deps.config, '/account');
}
