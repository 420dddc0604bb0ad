import { type ceremony, countOf } from './ceremony.ts';
import { ensure } from './ensure.ts';
import type { TestService } from './service.ts';

/** What tests of claims do, and look at. @param of the service and the ceremony at it, asked for when they are needed */
export function claimSteps(of: () => { on: TestService; call: ReturnType<typeof ceremony> }) {
  /** An agent whose human has a code. */
  async function pending(mailbox: string, link = false) {
    const agent = await of().on.register();
    const seen = of().on.mails.filter((mail) => mail.to === mailbox).length;
    const reply = await of().call.claim(agent.claim_token, mailbox, {}, link);
    ensure(reply.status === 200, reply.text);
    return { ...agent, otp: await of().on.codeFor(mailbox, seen) };
  }

  /** The scopes of a key that works, without the key noticing. */
  async function scopesOf(key: string): Promise<string[] | 'dead'> {
    const me = await of().on.get('/api/me', key);
    return me.status === 401 ? 'dead' : me.body.data.scopes;
  }

  const account = (id: string) =>
    of().on.service.deps.db.get<Record<string, unknown>>(
      `SELECT kind, mailbox, parent_id AS "parentId", merged_into AS "mergedInto", ended_at AS "endedAt"
       FROM accounts WHERE id = ?`,
      [id],
    );

  const humansAt = (mailbox: string) => countOf(of().on, 'accounts WHERE mailbox = ?', [mailbox]);

  return { pending, scopesOf, account, humansAt };
}
