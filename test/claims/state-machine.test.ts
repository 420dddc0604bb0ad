import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { findBearer } from '../../src/domain/credentials/bearer.ts';
import { localOrigin } from '../../src/work.ts';
import { ceremony, codeOf, said } from '../helpers/ceremony.ts';
import { assertProperty } from '../helpers/property.ts';
import {
  createTestClock,
  createTestDatabase,
  startTestService,
  type TestService,
  wrongCode,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/*
 * The claim as a state machine: fast-check makes up sequences of what agents, humans, operators and time can do, and after
 * each step compares every answer and every key with a model of a few lines, and the database with rules that always hold.
 * A failure prints the seed and the shortest sequence that still fails.
 */

const CODE_TTL = 600;
const CLAIM_TTL = 86_400;
const AGENT_TTL = 30 * 86_400;
const OLD_KEY_TTL = 600;
const TRIES = 5;
const CODES = 3;
const MAILBOXES = 2;

/** A key as it should be: its end in seconds, and whether it was revoked. */
interface Key {
  secret: string;
  scopes: string[];
  endsAt: number;
  isRevoked: boolean;
}

interface Attempt {
  mailbox: number;
  link: boolean;
  code: string;
  codeEndsAt: number;
  tries: number;
}

/** One registration as it should be. Times are seconds of the model. */
interface Agent {
  claimToken: string;
  /** Unknown before the claim where the agent named its mailbox. */
  id: string | undefined;
  accountId: string | undefined;
  claimEndsAt: number;
  codes: number;
  attempt: Attempt | undefined;
  oldCodes: string[];
  state: 'open' | 'claimed' | 'superseded' | 'revoked';
  key: Key | undefined;
  newKey: Key | undefined;
}

interface Model {
  now: number;
  agents: Agent[];
  /** The account of each mailbox, once one was proven. */
  owners: Map<number, string>;
}

/** The service of a run, which can be restarted, and what was last seen of its counters. */
interface Real {
  t: ExecutionContext;
  on: TestService;
  restart(): Promise<void>;
  mailboxOf(index: number): string;
  counters: Map<string, number>;
}

type Command = fc.AsyncCommand<Model, Real>;

function isOpen(agent: Agent, now: number): boolean {
  return agent.state === 'open' && agent.claimEndsAt > now;
}

/** What claim and complete say of a claim that is not open. */
function refusalOf(agent: Agent, now: number): string | undefined {
  if (agent.state === 'claimed') return '409 already_claimed';
  if (agent.state === 'superseded') return '410 claim_superseded';
  return isOpen(agent, now) ? undefined : '410 claim_expired';
}

function works(key: Key | undefined, agent: Agent, now: number): boolean {
  return key !== undefined && !key.isRevoked && agent.state !== 'revoked' && key.endsAt > now;
}

/** A step with its title, for the printed sequence. */
function command(title: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    async run(model, real) {
      await run(model, real);
      await assertInvariants(model, real);
    },
    toString: () => title,
  };
}

/** A step of one of the agents there are. */
function agentCommand(
  title: string,
  which: number,
  run: (agent: Agent, model: Model, real: Real) => Promise<void>,
): Command {
  const step = command(`${title} #${which}`, (model, real) =>
    run(model.agents[which % model.agents.length]!, model, real),
  );
  return { ...step, check: (model) => model.agents.length > 0 };
}

const register = command('register', async (model, { on }) => {
  const { data } = (await ceremony(on).register()).body;
  model.agents.push({
    claimToken: data.claim_token,
    id: data.agent_id,
    accountId: data.user_id,
    claimEndsAt: model.now + CLAIM_TTL,
    codes: 0,
    attempt: undefined,
    oldCodes: [],
    state: 'open',
    key: { secret: data.credential, scopes: ['read'], endsAt: model.now + AGENT_TTL, isRevoked: false },
    newKey: undefined,
  });
});

const registerFor = (mailbox: number, link: boolean) =>
  command(`registerFor(${mailbox}, ${link})`, async (model, { on, mailboxOf }) => {
    const { data } = (await ceremony(on).assert(mailboxOf(mailbox), {}, { link })).body;
    const code = await mailed(on, mailboxOf(mailbox), data.claim_token);
    model.agents.push({
      claimToken: data.claim_token,
      id: undefined,
      accountId: undefined,
      claimEndsAt: model.now + CLAIM_TTL,
      codes: 1,
      attempt: { mailbox, link, code, codeEndsAt: model.now + CODE_TTL, tries: 0 },
      oldCodes: [],
      state: 'open',
      key: undefined,
      newKey: undefined,
    });
  });

const claim = (which: number, mailbox: number, link: boolean) =>
  agentCommand(`claim(${mailbox}, ${link})`, which, async (agent, model, { t, on, mailboxOf }) => {
    const reply = await ceremony(on).claim(agent.claimToken, mailboxOf(mailbox), {}, link);
    const refusal = refusalOf(agent, model.now) ?? (agent.codes === CODES ? '429 rate_limited' : undefined);
    t.is(said(reply), refusal ?? '200');
    if (refusal !== undefined) return;
    if (agent.attempt) agent.oldCodes.push(agent.attempt.code);
    agent.codes += 1;
    const code = await mailed(on, mailboxOf(mailbox), agent.claimToken);
    agent.attempt = { mailbox, link, code, codeEndsAt: model.now + CODE_TTL, tries: 0 };
  });

/** The code that was mailed; waits for the mail, so that the clock does not move while it is on its way. */
async function mailed(on: TestService, mailbox: string, claimToken: string): Promise<string> {
  const code = await codeOf(on, claimToken);
  for (let skip = 0; (await on.codeFor(mailbox, skip)) !== code; skip += 1);
  return code;
}

type Guess = 'right' | 'wrong' | 'old';

const complete = (which: number, guess: Guess) =>
  agentCommand(`complete(${guess})`, which, async (agent, model, { t, on }) => {
    const { attempt } = agent;
    const right = attempt?.code ?? '000000';
    const code = guess === 'right' ? right : guess === 'wrong' ? wrongCode(right) : agent.oldCodes.at(-1);
    if (code === undefined) return;
    const reply = await ceremony(on).complete(agent.claimToken, code);

    const refusal = refusalOf(agent, model.now);
    if (refusal !== undefined) return void t.is(said(reply), refusal);
    if (attempt === undefined) return void t.is(said(reply), '400 otp_not_generated');
    if (attempt.tries === TRIES || attempt.codeEndsAt <= model.now) {
      return void t.is(said(reply), '410 otp_expired');
    }
    attempt.tries += 1;
    if (code !== right) {
      t.is(said(reply), '401 otp_invalid');
      return void t.is(reply.body.error.attempts_remaining, TRIES - attempt.tries);
    }
    t.is(said(reply), '200');
    becomeClaimed(t, agent, attempt, reply.body.data, model);
  });

function becomeClaimed(
  t: ExecutionContext,
  agent: Agent,
  { mailbox, link }: Attempt,
  data: { credential: string; user_id: string; agent_id: string; scopes: string[]; mode: string },
  model: Model,
): void {
  t.deepEqual(data.scopes, ['read', 'write']);
  t.is(data.mode, link ? 'link' : 'merge');
  if (agent.id !== undefined) t.is(data.agent_id, agent.id);
  if (link && agent.accountId !== undefined) t.is(data.user_id, agent.accountId);
  if (!link) {
    t.is(data.user_id, model.owners.get(mailbox) ?? data.user_id);
    model.owners.set(mailbox, data.user_id);
  }
  agent.id = data.agent_id;
  agent.state = 'claimed';
  agent.newKey = { secret: data.credential, scopes: ['read', 'write'], endsAt: Infinity, isRevoked: false };
  if (agent.key) agent.key.endsAt = Math.min(agent.key.endsAt, model.now + OLD_KEY_TTL);
  for (const other of model.agents) {
    if (other.state === 'open' && other.attempt?.mailbox === mailbox) other.state = 'superseded';
  }
}

const use = (which: number, name: 'key' | 'newKey') =>
  agentCommand(`use(${name})`, which, async (agent, model, { t, on }) => {
    const key = agent[name];
    if (key === undefined) return;
    const reply = await on.get('/api/me', key.secret);
    if (!works(key, agent, model.now)) return void t.is(said(reply), '401 invalid_token');
    t.deepEqual(reply.body.data.scopes, key.scopes);
    if (name === 'newKey' && agent.key) agent.key.isRevoked = true;
  });

const revokeKey = (which: number, name: 'key' | 'newKey') =>
  agentCommand(`revokeKey(${name})`, which, async (agent, _model, { t, on }) => {
    const key = agent[name];
    if (key === undefined) return;
    t.is((await on.form('/oauth2/revoke', { token: key.secret })).status, 200);
    key.isRevoked = true;
  });

const revoke = (which: number) =>
  agentCommand('revokeAgent', which, async (agent, _model, { t, on }) => {
    if (agent.id === undefined) return;
    t.true(await revokeAgent(on.service.deps, localOrigin('test'), agent.id));
    // Who has claimed still hears "claimed"; only the keys tell.
    for (const key of [agent.key, agent.newKey]) if (key) key.isRevoked = true;
    if (agent.state === 'open') agent.state = 'revoked';
  });

const advance = (seconds: number) =>
  command(`advance(${seconds})`, async (model, { on }) => {
    on.clock.advance(seconds);
    model.now += seconds;
  });

const restart = command('restart', (_model, real) => real.restart());

async function assertInvariants(model: Model, { t, on, counters }: Real): Promise<void> {
  const { deps } = on.service;
  for (const agent of model.agents) {
    for (const key of [agent.key, agent.newKey]) {
      // Looking is no use of a key, so this changes nothing.
      const found = key && (await findBearer(deps, key.secret));
      const bearer = typeof found === 'string' ? undefined : found;
      t.deepEqual(bearer?.key.scopes, works(key, agent, model.now) ? key!.scopes : undefined);
      if (bearer?.key.scopes.includes('write')) t.is(agent.state, 'claimed');
    }
  }

  const rows = await Promise.all(NEVER.map(([, sql]) => deps.db.all(sql)));
  for (const [index, [rule]] of NEVER.entries()) t.deepEqual(rows[index], [], rule);

  const counted = await deps.db.all<{ name: string; used: number }>(COUNTERS);
  for (const { name, used } of counted) {
    t.true(used >= (counters.get(name) ?? 0), `${name} went back`);
    counters.set(name, used);
  }
}

/** What may never be found in the database. */
const NEVER: [rule: string, sql: string][] = [
  [
    'a registration has at most one live attempt',
    `SELECT registration_id FROM claim_attempts WHERE ended_at IS NULL GROUP BY registration_id HAVING COUNT(*) > 1`,
  ],
  [
    'a claim that is over has no live attempt',
    `SELECT t.id FROM claim_attempts t JOIN claims c ON c.registration_id = t.registration_id
     WHERE t.ended_at IS NULL AND (c.claimed_at IS NOT NULL OR c.ended_at IS NOT NULL)`,
  ],
  [
    'a claim was completed at most once, and its registration knows',
    `SELECT r.id FROM registrations r JOIN claims c ON c.registration_id = r.id
     WHERE (c.claimed_at IS NULL) <> (r.claimed_at IS NULL) OR
       (SELECT COUNT(*) FROM events e WHERE e.kind = 'claim.completed' AND e.subject = r.id) <>
       CASE WHEN c.claimed_at IS NULL THEN 0 ELSE 1 END`,
  ],
  [
    'mail waits only for a live attempt',
    `SELECT o.id FROM outbox o LEFT JOIN claim_attempts t ON t.id = o.attempt_id
     WHERE o.kind = 'claim_code' AND (t.id IS NULL OR (t.ended_at IS NOT NULL AND o.sent_at IS NULL AND o.dead_at IS NULL))`,
  ],
  [
    'an attempt and a claim belong to a registration',
    `SELECT t.id FROM claim_attempts t LEFT JOIN claims c ON c.registration_id = t.registration_id WHERE c.codes IS NULL`,
  ],
  [
    'a key belongs to an agent, an agent to an account and a registration that names it',
    `SELECT k.id FROM credentials k LEFT JOIN agents g ON g.id = k.agent_id
       LEFT JOIN accounts a ON a.id = g.account_id LEFT JOIN registrations r ON r.id = g.registration_id
     WHERE g.id IS NULL OR a.id IS NULL OR r.agent_id IS NULL OR r.agent_id <> g.id`,
  ],
  [
    'no agent works in an account that has ended',
    `SELECT g.id FROM agents g JOIN accounts a ON a.id = g.account_id WHERE a.ended_at IS NOT NULL`,
  ],
  [
    'an agent has one key before its claim and one more from it',
    `SELECT agent_id FROM credentials GROUP BY agent_id HAVING COUNT(*) > 2`,
  ],
  [
    'only the key from a claim writes',
    `SELECT k.id FROM credentials k JOIN agents g ON g.id = k.agent_id JOIN claims c ON c.registration_id = g.registration_id
     WHERE k.scope LIKE '%write%' AND (c.claimed_at IS NULL OR k.superseded_by IS NOT NULL)`,
  ],
  [
    'a mailbox has one account',
    `SELECT mailbox FROM accounts GROUP BY mailbox HAVING mailbox IS NOT NULL AND COUNT(*) > 1`,
  ],
];

/** What only ever grows, row by row. */
const COUNTERS = `
  SELECT 'codes ' || registration_id AS name, codes AS used FROM claims UNION ALL
  SELECT 'guesses ' || registration_id, guesses FROM claims UNION ALL
  SELECT 'tries ' || id, tries FROM claim_attempts UNION ALL
  SELECT 'code number ' || id, counter FROM claim_attempts`;

const which = fc.nat({ max: 3 });
const mailbox = fc.nat({ max: MAILBOXES - 1 });
const keyName = fc.constantFrom('key' as const, 'newKey' as const);
const steps: fc.Arbitrary<Command>[] = [
  fc.constant(register),
  fc.tuple(mailbox, fc.boolean()).map((given) => registerFor(...given)),
  fc.tuple(which, mailbox, fc.boolean()).map((given) => claim(...given)),
  fc.tuple(which, mailbox, fc.boolean()).map((given) => claim(...given)),
  fc.tuple(which, fc.constantFrom<Guess>('right', 'wrong', 'old')).map((given) => complete(...given)),
  fc.tuple(which, fc.constantFrom<Guess>('right', 'wrong', 'wrong')).map((given) => complete(...given)),
  fc.tuple(which, keyName).map((given) => use(...given)),
  fc.tuple(which, keyName).map((given) => revokeKey(...given)),
  which.map(revoke),
  fc.constantFrom(1, 299, 301, 599, 600, 3600, CLAIM_TTL - 600).map(advance),
  fc.constant(restart),
];

onEveryEngine('the claim as a state machine', (engine, test) => {
  test('whatever happens in whatever order, only the mailed code gives write, once, and nothing that ended works', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const start = () => startTestService(engine, { database, clock, limits: { codesPerClaim: CODES } });
    let on = await start();
    t.teardown(async () => {
      await on.stop();
      await database.drop();
    });

    // Not fast-check's own interruption: it abandons a sequence half-way, which then goes on behind the next test's back.
    const giveUpAt = performance.now() + 12_000;
    let run = 0;
    await assertProperty(
      t,
      [fc.commands(steps, { maxCommands: 40, size: 'max' })],
      async (t, commands) => {
        if (performance.now() > giveUpAt) return t.pass();
        const ours = ++run;
        const real: Real = {
          t,
          on,
          async restart() {
            await on.stop();
            on = await start();
            real.on = on;
          },
          mailboxOf: (index) => `human${index}@run${ours}.example`,
          counters: new Map(),
        };
        const model: Model = { now: 0, agents: [], owners: new Map() };
        await fc.asyncModelRun(() => ({ model, real }), commands);
        await assertInvariants(model, real);
      },
      { numRuns: 60, endOnFailure: false },
    );
    t.true(run > 0);
    t.log(`${run} sequences`);
  });
});
