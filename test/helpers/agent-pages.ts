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
  return [...rowsOn(text)].map((row) => /href="\/agents\/(agt_[0-9A-Za-z]+)"/.exec(row)![1]!);
}

/** The agents in the table of all, a row of HTML each. */
export const rowsOn = (text: string) =>
  [...text.matchAll(/<tr role="row"[^>]*>\s*<td[\s\S]*?<\/tr>/g)]
    .map(([row]) => row)
    .filter((row) => row.includes('href="/agents/'));

/** HTML as it reads: without tags, spaces where they were. */
export const plainText = (html: string) =>
  html
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();

/** What the page of an agent says under a name. */
export function fact(text: string, name: string): string | undefined {
  const html = new RegExp(`<dt>${name}</dt><dd>(.*?)</dd>`).exec(text)?.[1];
  return html && plainText(html);
}

/** The id on the page of an agent. */
export const idOn = (text: string) => /<code id="id">([^<]*)<\/code>/.exec(text)?.[1];

/** The scopes on the page of an agent. */
export function permissionsOn(text: string): string[] {
  const card = /<section class="card" id="permissions"[\s\S]*?<\/section>/.exec(text)![0];
  return [...card.matchAll(/<span class="chip">([^<]*)<\/span>/g)].map(([, scope]) => scope!);
}

/** The scopes that are struck through on a page, or in a row of a table. */
export const struckOn = (html: string) =>
  [...html.matchAll(/<span class="chip"><s>([^<]*)<\/s><\/span>/g)].map(([, scope]) => scope!);

/** The page on which the form of a change stands: the page of the agent, or one of its own. */
export const formPageOf = (agent: Vouched, name: string) =>
  name === 'narrow' ? pathOf(agent) : pathOf(agent, name);

/** Opens the page of a change of an agent and sends its form. */
export async function change(browser: Browser, agent: Vouched, name: string, fields = CHANGES[name]!) {
  await browser.get(formPageOf(agent, name));
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
