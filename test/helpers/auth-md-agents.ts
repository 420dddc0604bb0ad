import { type AuthMd, confirm, succeeded, typeCode } from './auth-md.ts';
import { type Browser, openBrowser } from './browser.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';

/** By what an agent comes to be claimed: typed (v0.4 to v0.6), reveal (production), otp (v0.2, v0.3). */
export type Way = 'typed' | 'reveal' | 'otp';
export const WAYS: readonly Way[] = ['typed', 'reveal', 'otp'];

/** What an agent holds. */
export interface Held {
  assertion: string;
  refresh: string;
  token: string;
}

/** An agent with its human's yes. */
export interface Vouched extends Held {
  /** Of its registration. */
  id: string;
  claim_token: string;
  mailbox: string;
  /** What it held before its claim; undefined where it came with a mailbox. */
  before: Held | undefined;
  /** Its human, signed in. */
  human: Browser;
}

/** Registers an agent, and its human vouches for it in one of the ways. */
export async function vouchFor(
  world: AuthMd,
  way: Way,
  input: { mailbox?: string; anonymous?: boolean } = {},
): Promise<Vouched> {
  const { identity, claim, complete, poll, visit } = world;
  const { mailbox = newMailbox(), anonymous = true } = input;
  const { body: agent } = await identity(
    anonymous ? { type: 'anonymous' } : { type: 'service_auth', login_hint: mailbox },
  );
  const { id, claim_token } = agent;
  const before = anonymous ? await hold(world, agent.identity) : undefined;
  const mailed = world.on.mails.filter(({ to }) => to === mailbox).length;
  const asked =
    anonymous || way === 'otp' ? succeeded(await claim({ claim_token, email: mailbox })) : undefined;
  const { verification_uri, user_code } = asked?.claim_attempt ?? agent.claim;
  const human = await visit(verification_uri, mailbox);

  let given: { identity: { assertion: string; refresh_token: { value: string } } };
  if (way === 'typed') {
    await typeCode(human, user_code);
    given = succeeded(await poll(claim_token));
  } else if (way === 'reveal') {
    given = succeeded(await complete({ claim_token, user_code: await confirm(human) }));
  } else {
    const reader = openBrowser(world.on);
    await reader.get(await world.mailedPage(mailbox, mailed));
    given = succeeded(await complete({ claim_token, otp: await confirm(reader) }));
  }
  const held = await hold(world, given.identity);
  ensure((await world.scopeOf(held.token)) === 'read write', 'the token carries what was approved');
  return { id, claim_token, mailbox, before, human, ...held };
}

async function hold(
  world: AuthMd,
  { assertion, refresh_token }: { assertion: string; refresh_token: { value: string } },
): Promise<Held> {
  return { assertion, refresh: refresh_token.value, token: await world.tokenFor(assertion) };
}

/** The agent of a registration, and the account that it works in. */
export async function agentOf(
  world: AuthMd,
  registrationId: string,
): Promise<{ id: string; accountId: string }> {
  const found = await world.on.service.deps.db.get<{ id: string; accountId: string }>(
    'SELECT id, account_id AS "accountId" FROM agents WHERE registration_id = ?',
    [registrationId],
  );
  return found!;
}

/** Its owner does something with an agent on its page. */
export async function act(
  world: AuthMd,
  { id, human }: Pick<Vouched, 'id' | 'human'>,
  action: 'narrow' | 'undo' | 'revoke' | 'unlink',
  fields: Record<string, string> = {},
): Promise<void> {
  const agent = await agentOf(world, id);
  // Taking permissions away stands on its page; all else is asked for on a page of its own.
  const page = await human.get(action === 'narrow' ? `/agents/${agent.id}` : `/agents/${agent.id}/${action}`);
  ensure(page.status === 200, page.text);
  const done = await human.post(`/agents/${agent.id}/${action}`, fields);
  ensure(done.status === 200, done.text);
}
