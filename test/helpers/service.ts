import { EventEmitter, once } from 'node:events';
import { loadConfig } from '../../src/config/load.ts';
import { DRAIN_TIMES } from '../../src/http/server/drain.ts';
import { createLog, type Log } from '../../src/lib/log.ts';
import { type RunningService, startService, type TestOverrides } from '../../src/main.ts';
import type {
  ApprovalMail,
  ClaimCodeMail,
  InvitationMail,
  NoticeMail,
  SignInLinkMail,
  SignInMail,
} from '../../src/ports/mailer.ts';
import { freePort } from './free-port.ts';
import { createMigratedDatabase, type Engine, type TestDatabase } from './test-database.ts';

export { createTestDatabase, ENGINES, type Engine, type TestDatabase } from './test-database.ts';

/** A clock that is moved by hand. */
export interface TestClock {
  (): number;
  advance(seconds: number): void;
}

export function createTestClock(start = Date.now()): TestClock {
  let now = start;
  return Object.assign(() => now, {
    advance(seconds: number) {
      now += seconds * 1000;
    },
  });
}

/** An answer, read to its end. `body` is parsed JSON, or the text where it is none. */
export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

/** Where the mails of a service arrive. */
interface Postbox {
  arrivals: EventEmitter;
  /** All mails handed over so far, oldest first. */
  mails: ClaimCodeMail[];
  /** All mails to sign in with, oldest first. */
  signInMails: SignInMail[];
  /** All mails with a link to sign in with, oldest first. */
  signInLinkMails: SignInLinkMail[];
  /** All mails about what happened in accounts, oldest first. */
  notices: NoticeMail[];
  /** All mails of agents under hosts that ask to be let in, oldest first. */
  approvalMails: ApprovalMail[];
  /** All invitations to workspaces, oldest first. */
  invitations: InvitationMail[];
}

export interface TestService extends Postbox {
  url: string;
  service: RunningService;
  clock: TestClock;
  database: TestDatabase;
  /** Every log line so far. */
  logged: string[];
  request(method: string, path: string, init?: RequestInit): Promise<Reply>;
  get(path: string, key?: string): Promise<Reply>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Reply>;
  form(path: string, body: Record<string, string>, headers?: Record<string, string>): Promise<Reply>;
  del(path: string, key: string): Promise<Reply>;
  /** An invitation to a mailbox, by default the first; waits for it. */
  invitationFor(mailbox: string, count?: number): Promise<InvitationMail>;
  /** The newest mail to a mailbox; waits for the mail. `beyond` skips that many older ones. */
  mailTo(mailbox: string, beyond?: number): Promise<ClaimCodeMail>;
  /** The code of that mail. */
  codeFor(mailbox: string, beyond?: number): Promise<string>;
  /** The code of the newest mail to sign in with; waits for the `count`-th one. */
  signInCodeFor(mailbox: string, count?: number): Promise<string>;
  /** The newest link to sign in with; waits for the `count`-th one. */
  signInLinkFor(mailbox: string, count?: number): Promise<string>;
  /** The `count`-th mail about what happened; waits for it. */
  noticeTo(mailbox: string, count?: number): Promise<NoticeMail>;
  /** Registers an anonymous agent; `data` of the answer. */
  register(): Promise<{ credential: string; user_id: string; agent_id: string; claim_token: string }>;
  /** Registers, claims and completes. */
  claimed(
    mailbox: string,
    link?: boolean,
  ): Promise<{ credential: string; user_id: string; agent_id: string; claim_token: string; old: string }>;
  /** Stops the service; drops the database unless it was given. */
  stop(): Promise<void>;
}

/** Budgets that no test but those of the budgets runs into. */
export const WIDE_LIMITS = {
  registerPerIp: '100000/h',
  registerPerService: '100000/h',
  clientsPerIp: '100000/h',
  pushedRequestsPerIp: '100000/h',
  deviceCodesPerIp: '100000/h',
  documentsPerIp: '100000/h',
  documentsPerHost: '100000/h',
  claimMailPerIp: '100000/h',
  claimMailPerAgent: '100000/d',
  codesPerClaim: 1000,
  codesPerMailboxHour: 1000,
  codesPerMailboxDay: 1000,
  wrongPerMailboxDay: 1000,
  wrongPerIpHour: 100000,
  wrongPerServiceDay: 100000,
  signInMailPerIp: '100000/h',
  signInMailPerMailbox: '100000/h',
  signInMailPerMailboxIp: '100000/h',
  signInWrongPerMailboxDay: 1000,
  signInWrongPerIpHour: 100000,
  secondFactorWrongPerMailboxDay: 1000,
  tokensPerAgent: '100000/h',
  tokensPerClient: '100000/h',
  assertionsPerIssuer: '100000/h',
};

export interface TestOptions {
  env?: Record<string, string>;
  /** Members of `limits`, over WIDE_LIMITS. */
  limits?: Record<string, string | number>;
  clock?: TestClock;
  /** A database that outlives this service. */
  database?: TestDatabase;
  /** That of another service on this database: either of the two may send what is to be mailed. */
  postbox?: Postbox;
  wrapDb?: NonNullable<TestOverrides['wrapDb']>;
  /** More that stands in the place of the real world. */
  overrides?: TestOverrides;
}

/** The operator of every test service. */
export const OPERATOR = 'operator@example.com';

export const TEST_SECRET = 'f3a1c45d9be27086f3a1c45d9be27086f3a1c45d';

/** The real service in this process, on a free port and a database of its own, with a clock to move. */
export async function startTestService(engine: Engine, options: TestOptions = {}): Promise<TestService> {
  const database = options.database ?? (await createMigratedDatabase(engine));
  const clock = options.clock ?? createTestClock();
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const config = loadConfig({
    PORT: String(port),
    OPS_PORT: '0',
    DATABASE_URL: database.url,
    SECRET: TEST_SECRET,
    // Where there is an operator, the console answers people who are not signed in as all pages do.
    OPERATORS: OPERATOR,
    LIMITS: JSON.stringify({ ...WIDE_LIMITS, ...options.limits }),
    ...options.env,
  });
  const logged: string[] = [];
  const log: Log = createLog('trace', { write: (line: string) => void logged.push(line) });
  const service = await startService(config, {
    clock,
    log,
    // What the tests' own kept connections would send at the end is nothing.
    drainTimes: { ...DRAIN_TIMES, idleMs: 0 },
    ...(options.wrapDb && { wrapDb: options.wrapDb }),
    ...options.overrides,
  });

  const postbox: Postbox = options.postbox ?? {
    arrivals: new EventEmitter().setMaxListeners(0),
    mails: [],
    signInMails: [],
    signInLinkMails: [],
    notices: [],
    approvalMails: [],
    invitations: [],
  };
  const { arrivals, mails, signInMails, signInLinkMails, notices, approvalMails, invitations } = postbox;
  const { mailer } = service.deps;
  const { send } = mailer;
  mailer.send = async (mail) => {
    const delivery = await send(mail);
    if (delivery.kind === 'accepted') {
      if (mail.kind === 'claim-code') mails.push(mail);
      else if (mail.kind === 'sign-in-code') signInMails.push(mail);
      else if (mail.kind === 'sign-in-link') signInLinkMails.push(mail);
      else if (mail.kind === 'agent-approval') approvalMails.push(mail);
      else if (mail.kind === 'invitation') invitations.push(mail);
      else notices.push(mail);
      arrivals.emit('mail');
    }
    return delivery;
  };

  async function request(method: string, path: string, init: RequestInit = {}): Promise<Reply> {
    const response = await fetch(url + path, { redirect: 'manual', ...init, method });
    const text = await response.text();
    let body: unknown = text;
    try {
      body = JSON.parse(text);
    } catch {
      // some answers are no JSON
    }
    return { status: response.status, headers: response.headers, text, body };
  }
  const bearer = (key?: string): Record<string, string> => (key ? { Authorization: `Bearer ${key}` } : {});
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    request('POST', path, {
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', ...headers },
    });

  async function mailTo(mailbox: string, beyond = 0): Promise<ClaimCodeMail> {
    for (;;) {
      const found = mails.filter((mail) => mail.to === mailbox);
      if (found.length > beyond) return found.at(-1)!;
      await once(arrivals, 'mail');
    }
  }

  async function invitationFor(mailbox: string, count = 1): Promise<InvitationMail> {
    for (;;) {
      const found = invitations.filter((mail) => mail.to === mailbox);
      if (found.length >= count) return found[count - 1]!;
      await once(arrivals, 'mail');
    }
  }

  async function codeFor(mailbox: string, beyond = 0): Promise<string> {
    const { proof } = await mailTo(mailbox, beyond);
    if (proof.kind !== 'code') throw new Error('the mail carries a link instead of a code');
    return proof.code;
  }

  async function signInCodeFor(mailbox: string, count = 1): Promise<string> {
    for (;;) {
      const found = signInMails.filter((mail) => mail.to === mailbox);
      if (found.length >= count) return found.at(-1)!.code;
      await once(arrivals, 'mail');
    }
  }

  async function signInLinkFor(mailbox: string, count = 1): Promise<string> {
    for (;;) {
      const found = signInLinkMails.filter((mail) => mail.to === mailbox);
      if (found.length >= count) return found.at(-1)!.linkUrl;
      await once(arrivals, 'mail');
    }
  }

  async function noticeTo(mailbox: string, count = 1): Promise<NoticeMail> {
    for (;;) {
      const found = notices.filter((mail) => mail.to === mailbox);
      if (found.length >= count) return found[count - 1]!;
      await once(arrivals, 'mail');
    }
  }

  async function register() {
    return (await post('/agent/auth', { type: 'anonymous' })).body.data;
  }

  return {
    url,
    service,
    clock,
    database,
    arrivals,
    mails,
    signInMails,
    signInLinkMails,
    notices,
    approvalMails,
    invitations,
    logged,
    request,
    get: (path, key) => request('GET', path, { headers: bearer(key) }),
    post,
    form: (path, body, headers = {}) =>
      request('POST', path, { body: new URLSearchParams(body), headers: { ...headers } }),
    del: (path, key) => request('DELETE', path, { headers: bearer(key) }),
    mailTo,
    codeFor,
    invitationFor,
    signInCodeFor,
    signInLinkFor,
    noticeTo,
    register,
    async claimed(mailbox, link = false) {
      const { claim_token, credential: old } = await register();
      const seen = mails.filter((mail) => mail.to === mailbox).length;
      await post('/agent/auth/claim', { claim_token, email: mailbox, link });
      const otp = await codeFor(mailbox, seen);
      const { data } = (await post('/agent/auth/claim/complete', { claim_token, otp })).body;
      return { ...data, claim_token, old };
    },
    async stop() {
      await service.stop();
      if (options.database === undefined) await database.drop();
    },
  };
}

/** A resource server's Basic header, for introspection. */
export function basic(id: string, secret: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` };
}

/** Some code that is not the right one. */
export function wrongCode(right: string): string {
  return String((Number(right) + 1) % 1_000_000).padStart(6, '0');
}
