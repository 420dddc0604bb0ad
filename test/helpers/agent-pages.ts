import type { Browser } from './browser.ts';
import { newMailbox } from './common.ts';
import type { Home, Vouched } from './own-pages.ts';

/** The pages of a human's agents. */

export const pathOf = ({ agent_id }: Vouched, change?: string) =>
  `/agents/${agent_id}${change === undefined ? '' : `/${change}`}`;

/** Every change with what its form would send. */
export const CHANGES: Record<string, Record<string, string>> = {
  rename: { name: 'Mine now' },
  narrow: { 'scope:read': 'on' },
  unlink: {},
  undo: {},
  revoke: {},
};

/** The agents on the page of all, in its order. */
export async function listed(browser: Browser): Promise<string[]> {
  const { text } = await browser.get('/agents');
  return [...text.matchAll(/<h2>.*?href="\/agents\/(agt_[0-9A-Za-z]+)"/g)].map(([, id]) => id!);
}

/** What the page of an agent says under a name. */
export function fact(text: string, name: string): string | undefined {
  return new RegExp(`<dt>${name}</dt><dd>(.*?)</dd>`).exec(text)?.[1];
}

/** Opens the page of an agent and sends one of its forms. */
export async function change(browser: Browser, agent: Vouched, name: string, fields = CHANGES[name]!) {
  await browser.get(pathOf(agent));
  return browser.post(pathOf(agent, name), fields);
}

/** Humans with agents. @param of where their home is, asked for when it is needed */
export function agentPages(of: () => { home: Home }) {
  const me = async (key: string) => (await of().home.on.get('/api/me', key)).body.data;

  /** A human who is signed in, and an agent of theirs. */
  async function owned(input: Parameters<Home['vouched']>[1] = {}) {
    const mailbox = newMailbox();
    const agent = await of().home.vouched(mailbox, input);
    return { mailbox, agent, browser: await of().home.signIn(mailbox) };
  }

  return { me, owned };
}
