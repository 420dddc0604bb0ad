import { randomBytes, randomInt } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import {
  findLastAttempt,
  updateAttemptApproved,
  updateAttemptRevealed,
} from '../../src/store/claim-attempts.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { type Crashing, codeIn, lookInto, startCrashing } from '../helpers/crashing.ts';
import { violations } from '../helpers/oracle.ts';
import { test } from '../helpers/suite.ts';
import { createMigratedDatabase, ENGINES, type TestDatabase } from '../helpers/test-database.ts';

const REGISTER = '/agent/auth';
const CLAIM = '/agent/auth/claim';
const COMPLETE = '/agent/auth/claim/complete';
const IDENTITY = '/agent/identity';
const TOKEN = '/oauth2/token';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  data: any;
}

async function post(url: string, path: string, body: object, idempotencyKey?: string): Promise<Answer> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      ...(idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey }),
    },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { data?: unknown };
  return { status: response.status, data: answer.data ?? answer };
}

async function me(url: string, key: string): Promise<Answer> {
  const response = await fetch(`${url}/api/me`, { headers: { Authorization: `Bearer ${key}` } });
  return { status: response.status, data: ((await response.json()) as { data?: unknown }).data };
}

async function register(url: string): Promise<{ credential: string; claim_token: string }> {
  return (await post(url, REGISTER, { type: 'anonymous' })).data;
}

const newMailbox = () => `${randomBytes(6).toString('hex')}@example.com`;

const exchange = (url: string, assertion: string) => post(url, TOKEN, { grant_type: JWT_BEARER, assertion });

/** The scope of what an assertion is exchanged for, as the service sees it when it is used; or the refusal. */
async function scopesBy(t: ExecutionContext, url: string, assertion: string): Promise<unknown> {
  const { status, data } = await exchange(url, assertion);
  if (status !== 200) return data.error;
  const seen = await me(url, data.access_token);
  t.is(seen.status, 200);
  return seen.data.scopes;
}

/** An agent that waits for its human, who has been told where to go. */
async function hinted(url: string): Promise<{ claim_token: string; registration_id: string }> {
  return (await post(url, IDENTITY, { type: 'service_auth', login_hint: newMailbox() })).data;
}

/** What a human does on the page, done in their place. */
const inTheirPlace = (database: string, registrationId: string, how: 'confirm' | 'type') =>
  lookInto(database, async (db) => {
    const attempt = (await findLastAttempt(db, registrationId))!;
    const now = Date.now();
    await db.tx((tx) =>
      how === 'type'
        ? updateAttemptApproved(tx, attempt, { confirmedBy: null, scope: null }, now)
        : updateAttemptRevealed(tx, attempt.id, { confirmedBy: null, scope: null }, now),
    );
  });

/** An answer without the signatures in it, of which no two are the same. */
function unsigned(answer: Answer): unknown {
  return JSON.parse(JSON.stringify(answer).replace(/(eyJ[\w-]+\.eyJ[\w-]+)\.[\w-]+/g, '$1'));
}

/** One request that is cut down at every step, and what its sender does to find out. */
interface Operation {
  /** What has to be there before it. */
  prepare(url: string, database: string): Promise<{ path: string; body: object }>;
  /** Checks the answer that the repeated request got from the restarted service. */
  check(t: ExecutionContext, url: string, answer: Answer, database: string, body: object): Promise<void>;
  repeatable: boolean;
  /** What a repetition says where the answer alone was lost; default: it succeeds. */
  whenLost?: string;
}

function completion(link: boolean): Operation {
  return {
    repeatable: true,
    async prepare(url, database) {
      const { claim_token } = await register(url);
      await post(url, CLAIM, { claim_token, email: newMailbox(), link });
      return {
        path: COMPLETE,
        body: { claim_token, otp: await lookInto(database, (db) => codeIn(db, claim_token)) },
      };
    },
    check: checkCompleted(link ? 'link' : 'merge'),
  };
}

function checkCompleted(mode: string): Operation['check'] {
  return async (t, url, { data }) => {
    t.is(data.mode, mode);
    const seen = await me(url, data.credential);
    t.is(seen.status, 200);
    t.deepEqual(seen.data.scopes, ['read', 'write']);
    t.is(seen.data.claim.status, 'claimed');
    t.is(seen.data.user_id, data.user_id);
  };
}

const OPERATIONS: Record<string, Operation> = {
  'a registration': {
    repeatable: true,
    prepare: async () => ({ path: REGISTER, body: { type: 'anonymous' } }),
    async check(t, url, { data }) {
      const seen = await me(url, data.credential);
      t.is(seen.status, 200);
      t.is(seen.data.user_id, data.user_id);
    },
  },
  'a registration that names a mailbox': {
    repeatable: true,
    prepare: async () => ({
      path: REGISTER,
      body: { type: 'identity_assertion', assertions: [{ type: 'verified_email', email: newMailbox() }] },
    }),
    async check(t, url, { data }, database) {
      const otp = await lookInto(database, (db) => codeIn(db, data.claim_token));
      t.is((await post(url, COMPLETE, { claim_token: data.claim_token, otp })).status, 200);
    },
  },
  'the start of a claim': {
    repeatable: false,
    async prepare(url) {
      const { claim_token } = await register(url);
      return { path: CLAIM, body: { claim_token, email: newMailbox() } };
    },
    async check(t, url, _answer, database, body) {
      const { claim_token } = body as { claim_token: string };
      const otp = await lookInto(database, (db) => codeIn(db, claim_token));
      t.is((await post(url, COMPLETE, { claim_token, otp })).status, 200);
    },
  },
  'a claim that is completed by merging': completion(false),
  'a claim that is completed by linking': completion(true),
  'the claim of an agent that named its mailbox': {
    repeatable: true,
    async prepare(url, database) {
      const assertions = [{ type: 'verified_email', email: newMailbox() }];
      const { data } = await post(url, REGISTER, { type: 'identity_assertion', assertions });
      const { claim_token } = data;
      return {
        path: COMPLETE,
        body: { claim_token, otp: await lookInto(database, (db) => codeIn(db, claim_token)) },
      };
    },
    check: checkCompleted('merge'),
  },
  'an identity': {
    repeatable: true,
    prepare: async () => ({ path: IDENTITY, body: { type: 'anonymous' } }),
    async check(t, url, { data }) {
      t.deepEqual(await scopesBy(t, url, data.identity_assertion), ['read']);
      const { value: refresh_token } = data.identity.refresh_token;
      t.is((await post(url, IDENTITY, { type: 'refresh', refresh_token })).status, 200);
    },
  },
  'an exchange for an access token': {
    repeatable: false,
    async prepare(url) {
      const { identity_assertion } = (await post(url, IDENTITY, { type: 'anonymous' })).data;
      return { path: TOKEN, body: { grant_type: JWT_BEARER, assertion: identity_assertion } };
    },
    async check(t, url, { data }) {
      t.deepEqual((await me(url, data.access_token)).data.scopes, ['read']);
    },
  },
  'the renewal of an identity': {
    repeatable: false,
    // Whoever asks again after more than ten seconds may as well have stolen the token.
    whenLost: 'invalid_refresh_token',
    async prepare(url) {
      const { identity } = (await post(url, IDENTITY, { type: 'anonymous' })).data;
      return { path: IDENTITY, body: { type: 'refresh', refresh_token: identity.refresh_token.value } };
    },
    async check(t, url, { data }) {
      t.deepEqual(await scopesBy(t, url, data.identity.assertion), ['read']);
      const { value: refresh_token } = data.identity.refresh_token;
      t.is((await post(url, IDENTITY, { type: 'refresh', refresh_token })).status, 200);
    },
  },
  'a claim that is completed with the code from the page': {
    repeatable: true,
    async prepare(url, database) {
      const { claim_token, registration_id } = await hinted(url);
      await inTheirPlace(database, registration_id, 'confirm');
      const user_code = await lookInto(database, (db) => codeIn(db, claim_token));
      return { path: `${IDENTITY}/claim/complete`, body: { claim_token, user_code } };
    },
    async check(t, url, { data }) {
      t.deepEqual(await scopesBy(t, url, data.identity.assertion), ['read', 'write']);
    },
  },
  'a claim that is collected at the token endpoint': {
    repeatable: false,
    async prepare(url, database) {
      const { claim_token, registration_id } = await hinted(url);
      await inTheirPlace(database, registration_id, 'type');
      return { path: TOKEN, body: { grant_type: 'urn:workos:agent-auth:grant-type:claim', claim_token } };
    },
    async check(t, url, { data }) {
      t.deepEqual((await me(url, data.access_token)).data.scopes, ['read', 'write']);
      t.deepEqual(await scopesBy(t, url, data.identity_assertion), ['read', 'write']);
    },
  },
};

/** Longer than a dead holder of an Idempotency-Key is waited for. */
const LATER_MS = 20_000;

/** One operation on one engine, on a database of its own. */
interface Lane {
  name: string;
  operation: Operation;
  database: TestDatabase;
  /** The steps it was killed at. */
  steps: string[];
  faults: string[];
  isDone: boolean;
}

test.describe('a process that is killed at any step of a request', (test) => {
  const lanes: Lane[] = [];
  test.before(async (t) => {
    // Each life of the process takes a while: together longer than ava waits for the end of a test.
    t.timeout(20 * 60_000);
    for (const engine of ENGINES) {
      for (const [name, operation] of Object.entries(OPERATIONS)) {
        const database = await createMigratedDatabase(engine);
        lanes.push({
          name: `${name} (${engine})`,
          operation,
          database,
          steps: [],
          faults: [],
          isDone: false,
        });
      }
    }
    await killAtEveryStep(t, lanes);
  });
  test.after(() => Promise.all(lanes.map(({ database }) => database.drop())));

  for (const engine of ENGINES) {
    for (const name of Object.keys(OPERATIONS)) {
      test(`${name} is all there or not at all, and asking again succeeds (${engine})`, (t) => {
        const lane = lanes.find((each) => each.name === `${name} (${engine})`)!;
        t.deepEqual(lane.faults, []);
        t.true(lane.steps.includes('commit') && lane.steps.includes('answer'), lane.steps.join('\n'));
        t.true(lane.steps.length >= 10, `only ${lane.steps.length} steps`);
      });
    }
  }
});

/** All lanes advance one step a round, so that one killed process serves them all. */
async function killAtEveryStep(t: ExecutionContext, lanes: Lane[]): Promise<void> {
  const start = (serving: Lane[], step: number) =>
    startCrashing(
      serving.map(({ database }) => database.url),
      step * LATER_MS,
    );
  let serving = lanes;
  let server = await start(serving, 0);
  for (let step = 1; serving.some(({ isDone }) => !isDone); step += 1) {
    t.true(step < 100, 'a request has fewer steps than that');
    const cuts = new Map<Lane, Cut>();
    await Promise.all(
      serving.map(async (lane, index) => {
        if (!lane.isDone) cuts.set(lane, await cutDown(server, lane, index, step));
      }),
    );
    await server.kill();
    serving = [...cuts.keys()];
    server = await start(serving, step);
    await Promise.all(
      serving.map((lane, index) =>
        lookAfter(t, server.urls[index]!, lane, cuts.get(lane)!).catch((error: Error) => {
          lane.faults.push(`killed before "${lane.steps.at(-1)}": ${error.message}`);
        }),
      ),
    );
  }
  await server.kill();
}

interface Cut {
  path: string;
  body: object;
  idempotencyKey: string | undefined;
  registrations: number;
  /** Undefined: the process was stopped before it answered. */
  answer: Answer | undefined;
}

async function cutDown(server: Crashing, lane: Lane, index: number, step: number): Promise<Cut> {
  const url = server.urls[index]!;
  const { path, body } = await lane.operation.prepare(url, lane.database.url);
  const registrations = await lookInto(lane.database.url, countRegistrations);
  const idempotencyKey = lane.operation.repeatable ? randomBytes(12).toString('hex') : undefined;
  await server.arm(index, step);
  const stopped = server.stopped(index);
  const answered = post(url, path, body, idempotencyKey);
  const outcome = await Promise.race([stopped, answered]);
  stopped.catch(() => {});
  answered.catch(() => {});
  if (typeof outcome === 'string') lane.steps.push(outcome);
  else lane.isDone = true;
  const answer = typeof outcome === 'string' ? undefined : outcome;
  return { path, body, idempotencyKey, registrations, answer };
}

async function lookAfter(t: ExecutionContext, url: string, lane: Lane, cut: Cut): Promise<void> {
  const { path, body, idempotencyKey, answer } = cut;
  const database = lane.database.url;
  t.deepEqual(await lookInto(database, violations), []);
  if (answer !== undefined) {
    t.is(answer.status, 200);
    await lane.operation.check(t, url, answer, database, body);
    return;
  }
  const again = await post(url, path, body, idempotencyKey);
  const { whenLost } = lane.operation;
  if (whenLost !== undefined && lane.steps.at(-1) === 'answer') {
    t.deepEqual([again.status, again.data.error], [400, whenLost]);
    return;
  }
  t.is(again.status, 200, 'the repeated request succeeds');
  if (idempotencyKey !== undefined) {
    const repeated = await post(url, path, body, idempotencyKey);
    t.deepEqual(unsigned(repeated), unsigned(again), 'and has one answer');
  }
  const isNew = path === REGISTER || (path === IDENTITY && whenLost === undefined) ? 1 : 0;
  t.is(await lookInto(database, countRegistrations), cut.registrations + isNew, 'and happened once');
  await lane.operation.check(t, url, again, database, body);
  t.deepEqual(await lookInto(database, violations), []);
}

async function countRegistrations(db: Db): Promise<number> {
  return (await db.get<{ n: number }>('SELECT COUNT(*) AS n FROM registrations'))!.n;
}

const KILLS = 12;
const CLIENTS = 4;

test.describe('a service that is killed again and again', (test) => {
  for (const engine of ENGINES)
    test.concurrent(`it forgets nothing that it has acknowledged, and leaves no orphans (${engine})`, async (t) => {
      const database = await createMigratedDatabase(engine);
      t.teardown(() => database.drop());
      const ledger: Entry[] = [];
      for (let life = 0; life < KILLS; life += 1) {
        const server = await startCrashing([database.url]);
        await lookInto(database.url, async (db) => {
          let left = randomInt(8, 80);
          let kill: Promise<void> | undefined;
          const answered = () => {
            left -= 1;
            if (left <= 0) kill ??= server.kill();
          };
          await Promise.all(
            Array.from({ length: CLIENTS }, () => liveOn(t, server.urls[0]!, db, ledger, answered)),
          );
          await kill;
        });
      }

      const server = await startCrashing([database.url]);
      t.teardown(() => server.kill());
      const url = server.urls[0]!;
      const seen = { registered: 0, completed: 0, revoked: 0 };
      for (const { registered, completed, revoked } of ledger) {
        const key = completed?.credential ?? registered.credential;
        const { status, data } = await me(url, key);
        if (revoked === 'unknown') continue;
        t.is(status, revoked ? 401 : 200, JSON.stringify({ completed: !!completed, revoked }));
        seen.registered += 1;
        if (revoked) seen.revoked += 1;
        else if (completed) {
          seen.completed += 1;
          t.deepEqual(data.scopes, ['read', 'write']);
          t.is(data.user_id, completed.user_id);
        } else t.deepEqual(data.scopes, ['read']);
      }
      t.deepEqual(await lookInto(database.url, violations), []);
      t.log(JSON.stringify(seen));
      for (const count of Object.values(seen)) t.true(count > 0, JSON.stringify(seen));
    });
});

/** What a client was told about one agent. */
interface Entry {
  registered: { credential: string; claim_token: string };
  completed?: { credential: string; user_id: string };
  /** 'unknown': it was asked for, and no answer came. */
  revoked?: true | 'unknown';
}

/** Registers, claims, completes and revokes until the service is gone, and writes down what was acknowledged. */
async function liveOn(
  t: ExecutionContext,
  url: string,
  db: Db,
  ledger: Entry[],
  answered: () => void,
): Promise<void> {
  const succeed = async (path: string, body: object) => {
    const { status, data } = await post(url, path, body);
    t.is(status, 200);
    return data;
  };
  try {
    for (let round = 0; ; round += 1) {
      const entry: Entry = { registered: await succeed(REGISTER, { type: 'anonymous' }) };
      ledger.push(entry);
      answered();
      const { claim_token } = entry.registered;
      await succeed(CLAIM, { claim_token, email: newMailbox(), link: round % 2 === 0 });
      answered();
      entry.completed = await succeed(COMPLETE, { claim_token, otp: await codeIn(db, claim_token) });
      answered();
      if (round % 3 === 2) continue;
      entry.revoked = 'unknown';
      const token = entry.completed!.credential;
      const revoked = await fetch(`${url}/oauth2/revoke`, {
        method: 'POST',
        body: new URLSearchParams({ token }),
      });
      await revoked.arrayBuffer();
      t.is(revoked.status, 200);
      entry.revoked = true;
      answered();
    }
  } catch (error) {
    // What `fetch` throws when the service is gone in the middle of a request.
    if (!(error instanceof TypeError)) throw error;
  }
}
