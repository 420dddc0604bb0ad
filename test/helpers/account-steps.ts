import type { Browser } from './browser.ts';
import { ceremony, codeOf } from './ceremony.ts';
import { bearer } from './common.ts';
import { ensure } from './ensure.ts';
import type { TestService } from './service.ts';

/** What comes into an account. @param of the service, asked for when it is needed */
export function accountSteps(of: () => { on: TestService }) {
  const accountOf = async (mailbox: string, at = of().on) =>
    (await at.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]))!
      .id;

  /** Makes a key of one's own at a browser with a fresh session. */
  async function ownKey(browser: Browser, name: string): Promise<string> {
    await browser.get('/keys/new');
    const page = await browser.post('/keys/new', { name, preset: 'read-write', life: 'never' });
    return /<code id="key">([^<]*)</.exec(page.text)![1]!;
  }

  /** An agent with its human's yes. */
  async function vouched(mailbox: string, name: string, link = false) {
    const { claim_token, credential: old } = (
      await of().on.post('/agent/auth', { type: 'anonymous', agent_name: name })
    ).body.data;
    const { claim, complete } = ceremony(of().on);
    await claim(claim_token, mailbox, {}, link);
    const { data } = (await complete(claim_token, await codeOf(of().on, claim_token))).body;
    return { ...data, old } as { credential: string; agent_id: string; user_id: string; old: string };
  }

  /** Another key of an agent, made by itself. */
  async function agentKey(credential: string, name: string): Promise<string> {
    const reply = await of().on.post('/api/tokens', { name, scope: 'read' }, bearer(credential));
    ensure(reply.status === 200, reply.text);
    return reply.body.data.credential;
  }

  return { accountOf, ownKey, vouched, agentKey };
}
