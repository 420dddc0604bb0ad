import { type ClientAgent, type Connect, type Host, openAgentClient } from './agent-client.ts';
import { type Api, addApi } from './api.ts';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { heading } from './claim-page.ts';
import { watchCommits } from './commits.ts';
import { ensure } from './ensure.ts';
import { violations } from './oracle.ts';
import {
  basic,
  createTestClock,
  type Engine,
  type Reply,
  startTestService,
  type TestOptions,
} from './service.ts';

/** A service, a client of the Agent Auth Protocol at it, a resource server, and the humans whom agents ask. */

export const ASKED = 'Approve these permissions?';
export const ASKED_FOR_NOTHING = 'Approve this agent?';
export const DECIDED = 'This request was decided already';
export const OVER = 'This request has ended';
export const IN = 'Approved';
export const TURNED_AWAY = 'Declined';

/** An answer in short: `200`, or status and code of a refusal such as `401 invalid_jwt`. */
export function said({ status, body }: Reply): string {
  return body?.error === undefined ? String(status) : `${status} ${body.error}`;
}

/** An answer that must have been 200; its body. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export function fine(reply: Reply): any {
  ensure(said(reply) === '200', reply.text);
  return reply.body;
}

/** The grants of an answer by capability, each with its state. */
export function grantsIn({ body }: Pick<Reply, 'body'>): Record<string, string> {
  return Object.fromEntries(
    body.agent_capability_grants.map((grant: { capability: string; status: string }) => [
      grant.capability,
      grant.status,
    ]),
  );
}

/** The names of the boxes on a page, and whether each is on. */
export function boxesOn({ text }: Page): Record<string, boolean> {
  const boxes = text.matchAll(/<input type="checkbox" name="([^"]*)" value="on"( checked)?[^>]*>/g);
  return Object.fromEntries([...boxes].map(([, name, isOn]) => [name!, isOn !== undefined]));
}

export async function openAgentWorld(engine: Engine, options: TestOptions = {}) {
  const watch = watchCommits();
  // Tokens count in seconds: on a whole one, their edges are where they are said to be.
  const clock = options.clock ?? createTestClock(Math.floor(Date.now() / 1000) * 1000);
  const on = await startTestService(engine, { ...options, clock, wrapDb: watch.wrapDb });
  const client = openAgentClient(on);
  const api = await addApi(on);

  const introspect = (token: string, { clientId, clientSecret }: Api = api) =>
    on.post('/agent/introspect', { token }, basic(clientId, clientSecret));

  /** What an API hears about a bearer. */
  async function introspectBearer(token: string, { clientId, clientSecret }: Api = api) {
    const reply = await on.form('/oauth2/introspect', { token }, basic(clientId, clientSecret));
    ensure(reply.status === 200, reply.text);
    return reply.body;
  }

  /** Opens the link of an approval, and signs in where the page asks for it. The page that this leads to. */
  async function open(link: string, mailbox: string, browser: Browser = openBrowser(on)): Promise<Page> {
    const page = await browser.get(link);
    if (heading(page) === 'Sign in') return signInHere(browser, mailbox);
    return page;
  }

  /** Asks for a code on the page for it, and types the one that is mailed. */
  async function signInHere(browser: Browser, mailbox: string): Promise<Page> {
    const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
    const asked = await browser.post('/sign-in', { email: mailbox });
    ensure(heading(asked) === 'Check your email', asked.text);
    return browser.post('/sign-in/code', { code: await on.signInCodeFor(mailbox, earlier + 1) });
  }

  /** Decides what the browser shows. @param allowed which capabilities stay on; undefined: all of them */
  async function decide(
    browser: Browser,
    page: Page,
    decision: 'approve' | 'deny',
    allowed?: readonly string[],
  ): Promise<Page> {
    ensure([ASKED, ASKED_FOR_NOTHING].includes(heading(page) ?? ''), page.text);
    const boxes = Object.keys(boxesOn(page)).filter(
      (name) => allowed === undefined || allowed.includes(name.slice('allow:'.length)),
    );
    const on = Object.fromEntries(boxes.map((name) => [name, 'on']));
    return browser.post('/connect/review', { ...on, decision });
  }

  /** What a human does with what an agent asks: opens its link, signs in, says yes or no. */
  async function answer(
    link: string,
    mailbox: string,
    decision: 'approve' | 'deny' = 'approve',
    allowed?: readonly string[],
    browser: Browser = openBrowser(on),
  ): Promise<Browser> {
    const done = await decide(browser, await open(link, mailbox, browser), decision, allowed);
    ensure(heading(done) === (decision === 'approve' ? IN : TURNED_AWAY), done.text);
    return browser;
  }

  /** An agent that works for a human; its host is theirs. */
  async function letIn(
    mailbox: string,
    ask: Connect = {},
    allowed?: readonly string[],
    host: Host = client.newHost(),
  ): Promise<ClientAgent & { browser: Browser; userId: string }> {
    const { agent, reply } = await client.connect(host, {
      capabilities: ['whoami', 'read', 'write'],
      ...ask,
      mode: 'delegated',
    });
    const link = fine(reply).approval.verification_uri_complete;
    const browser = await answer(link, mailbox, 'approve', allowed);
    const userId = fine(await client.status(agent)).user_id;
    return { ...agent, browser, userId };
  }

  /** An agent that works alone. */
  async function autonomous(host: Host = client.newHost(), ask: Connect = {}): Promise<ClientAgent> {
    const { agent, reply } = await client.connect(host, { ...ask, mode: 'autonomous' });
    ensure(fine(reply).status === 'active', reply.text);
    return agent;
  }

  /** A bearer that an agent gets by using a capability. */
  async function bearerOf(agent: ClientAgent, scope: string, args?: object): Promise<string> {
    return fine(await client.execute(agent, scope, args)).data.access_token;
  }

  /** The mail by which an agent asks; waits for it. */
  async function approvalMailTo(mailbox: string, count = 1) {
    const found = () => on.approvalMails.filter(({ to }) => to === mailbox);
    await watch.until(() => found().length >= count);
    return found()[count - 1]!;
  }

  const count = async (sql: string, values: readonly string[] = []) =>
    (await on.service.deps.db.get<{ n: number }>(`SELECT COUNT(*) AS n FROM ${sql}`, [...values]))!.n;
  const eventsOf = (kind: string, about: string) =>
    count('events WHERE kind = ? AND (agent_id = ? OR subject = ?)', [kind, about, about]);

  /** Ends the service, once nothing in its database contradicts itself. */
  async function stop(age: 'young' | 'swept' = 'young'): Promise<void> {
    const found = await violations(on.service.deps.db, age).finally(() => on.stop());
    ensure(found.length === 0, found.join('\n'));
  }

  return {
    on,
    client,
    api,
    introspect,
    introspectBearer,
    open,
    signInHere,
    decide,
    answer,
    letIn,
    autonomous,
    bearerOf,
    approvalMailTo,
    count,
    eventsOf,
    until: watch.until,
    stop,
  };
}
export type AgentWorld = Awaited<ReturnType<typeof openAgentWorld>>;

/** Agents that wait for their human. @param of the world, asked for when it is needed */
export function waitingAgents(of: () => { world: AgentWorld }) {
  /** An agent that waits, and the link that it shows. */
  async function waiting(capabilities: string[] = ['read', 'write'], host = of().world.client.newHost()) {
    const { agent, reply } = await of().world.client.connect(host, { capabilities });
    const { verification_uri_complete: link, user_code: code } = fine(reply).approval;
    return { agent, link: link as string, code: code as string };
  }

  const stateOf = async (agent: Parameters<AgentWorld['client']['status']>[0]) =>
    fine(await of().world.client.status(agent)).status;

  return { waiting, stateOf };
}
