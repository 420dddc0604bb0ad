import type { ExecutionContext } from 'ava';
import type { ClaimCodeMail } from '../../src/ports/mailer.ts';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { countOf } from './ceremony.ts';
import { watchCommits } from './commits.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import { violations } from './oracle.ts';
import { type Engine, startTestService, type TestOptions } from './service.ts';

/** Everything that looking must not change. */
const TABLES = ['claims', 'claim_attempts', 'counters', 'outbox', 'events', 'mail_refusals'];

export interface Agent {
  claim_token: string;
  agent_id: string;
  user_id: string;
  credential: string;
}

/** A service, its agents, and what they and their humans do. */
export async function openHouse(engine: Engine, options: TestOptions = {}) {
  const watch = watchCommits();
  const on = await startTestService(engine, { ...options, wrapDb: watch.wrapDb });
  const { db } = on.service.deps;

  async function register(name?: string): Promise<Agent> {
    const reply = await on.post('/agent/auth', { type: 'anonymous', agent_name: name });
    ensure(reply.status === 200, reply.text);
    return reply.body.data;
  }

  /** Waits until every mail for a mailbox has left, or was kept back. */
  const settled = (mailbox: string) =>
    watch.until(
      async () =>
        (await countOf(on, 'outbox WHERE mailbox = ? AND sent_at IS NULL AND dead_at IS NULL', [mailbox])) ===
        0,
    );

  /** An agent asks a human, who has the mail now. */
  async function ask(input: { agent?: Agent; mailbox?: string; link?: boolean; name?: string } = {}) {
    const agent = input.agent ?? (await register(input.name));
    const mailbox = input.mailbox ?? newMailbox();
    const { claim_token } = agent;
    const reply = await on.post('/agent/auth/claim', {
      claim_token,
      email: mailbox,
      link: input.link ?? false,
    });
    ensure(reply.status === 200, reply.text);
    await settled(mailbox);
    const mail = on.mails.findLast(({ to }) => to === mailbox)!;
    return { ...agent, mailbox, mail, viewUrl: reply.body.data.verification_uri as string };
  }

  const poll = (claim_token: string, headers?: Record<string, string>) =>
    on.post('/agent/auth/claim/complete', { claim_token }, headers);
  const complete = (claim_token: string, otp: string) =>
    on.post('/agent/auth/claim/complete', { claim_token, otp });

  /** Opens a link in a fresh browser. */
  async function open(url: string): Promise<Browser> {
    const browser = openBrowser(on);
    const page = await browser.get(url);
    ensure(page.status === 200, page.text);
    return browser;
  }

  /** What stands in the tables, once no mail is due or under way. */
  async function rows(): Promise<unknown[]> {
    const open = `outbox WHERE sent_at IS NULL AND dead_at IS NULL
      AND (next_at <= ${on.clock()} OR (tries > 0 AND error IS NULL))`;
    await watch.until(async () => (await countOf(on, open)) === 0);
    return Promise.all(TABLES.map((table) => db.all(`SELECT * FROM ${table} ORDER BY 1`)));
  }

  const approvals = async (agent: Agent) =>
    countOf(on, `events WHERE kind = 'claim.approved' AND subject = ?`, [await registrationOf(agent)]);
  const registrationOf = async ({ agent_id }: Agent) =>
    (await db.get<{ id: string }>('SELECT id FROM registrations WHERE agent_id = ?', [agent_id]))!.id;

  /** Ends the service, once nothing in its database contradicts itself. */
  async function stop(): Promise<void> {
    const found = await violations(db);
    await on.stop();
    ensure(found.length === 0, found.join('\n'));
  }

  return {
    on,
    register,
    ask,
    settled,
    until: watch.until,
    poll,
    complete,
    open,
    rows,
    approvals,
    registrationOf,
    stop,
  };
}
export type House = Awaited<ReturnType<typeof openHouse>>;

export function codeIn(mail: ClaimCodeMail): string {
  ensure(mail.proof.kind === 'code', `mailed: ${mail.proof.kind}`);
  return mail.proof.kind === 'code' ? mail.proof.code : '';
}

export function approveUrlIn(mail: ClaimCodeMail): string {
  ensure(mail.proof.kind === 'link', `mailed: ${mail.proof.kind}`);
  return mail.proof.kind === 'link' ? mail.proof.approveUrl : '';
}

export const tokenIn = (url: string) => new URL(url).searchParams.get('t')!;

/** The page's one heading, without what isolates or strikes through a name in it. */
export const heading = ({ text }: Page) =>
  /<h1>((?:[^<]|<\/?(?:b|bdi|s)>)*)<\/h1>/.exec(text)?.[1]?.replaceAll(/<[^>]*>/g, '');

/** The heading of each state. */
export const WAITING = 'Approve this agent?';
export const APPROVED = 'Approved';
export const REPLACED = 'This request was replaced';
export const CODE_OVER = 'This code has expired';
export const LINK_OVER = 'This link has expired';
export const DENIED = 'Declined';
export const CLAIMED = 'This agent is approved already';
export const ENDED = 'This request has ended';

export function assertPage(
  t: ExecutionContext,
  page: Pick<Page, 'status' | 'headers' | 'text'>,
  status: number,
  about = '',
): void {
  t.is(page.status, status, `${about} ${page.text}`);
  t.is(page.headers.get('content-type'), 'text/html; charset=utf-8', about);
  t.regex(page.text, /^<!doctype html>/, about);
}
