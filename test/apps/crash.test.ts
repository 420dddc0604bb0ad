import { createHash } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import type { Db } from '../../src/store/engine/db.ts';
import {
  type App,
  type Asked,
  answerOf,
  askFor,
  redeem,
  refresh,
  registerApp,
} from '../helpers/app-client.ts';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { bearer } from '../helpers/common.ts';
import { type Crashing, lookInto, startCrashing } from '../helpers/crashing.ts';
import { ensure } from '../helpers/ensure.ts';
import { signIn } from '../helpers/human.ts';
import {
  createTestDatabase,
  ENGINES,
  type Reply,
  type TestDatabase,
  type TestService,
} from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

/** How far apart the clocks of two lives of a server are: more than the grace of ten seconds, much less than the minute of a code. */
const LIFE_MS = 11_000;

/** A service in another process, wherever it listens in this life. */
class Remote {
  url = '';
  /** That of every crashing server. */
  publicUrl = 'http://localhost:3000';
  signInMails: { to: string }[] = [];

  request = async (method: string, path: string, init: RequestInit = {}): Promise<Reply> => {
    const response = await fetch(this.url + path, { redirect: 'manual', ...init, method });
    const text = await response.text();
    const body = text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text;
    return { status: response.status, headers: response.headers, text, body };
  };
  get = (path: string) => this.request('GET', path);
  post = (path: string, body: unknown) =>
    this.request('POST', path, {
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json' },
    });
  form = (path: string, body: Record<string, string>) =>
    this.request('POST', path, { body: new URLSearchParams(body) });
  /** From the development mailbox. */
  signInCodeFor = async (): Promise<string> => {
    for (;;) {
      const { text } = await this.get('/dev/mailbox.json');
      const code = /\b\d{6}\b/.exec(text)?.[0];
      if (code !== undefined) return code;
    }
  };
}

type On = Remote & TestService;

/** What is cut down at every step. */
interface Operation {
  /** Which of its transactions does it; default the first. */
  transactions?: number;
  prepare(lane: Lane): Promise<Prepared>;
}

interface Prepared {
  send(): Promise<Reply | Page>;
  /** Checks what is there after the cut, and what the repeated request gets. @param isDone the commit was over */
  check(t: ExecutionContext, isDone: boolean): Promise<void>;
}

interface Lane {
  name: string;
  operation: Operation;
  database: TestDatabase;
  on: On;
  browser: Browser;
  app: App;
  steps: string[];
  faults: string[];
}

const APPROVED = { decision: 'approve' };

/** Asks for the scopes of OpenID Connect alone: whether a token works, userinfo then says. */
async function askToApprove({ browser, app }: Lane): Promise<{ asked: Asked; page: Page }> {
  const asked = askFor(app, { scope: 'openid', prompt: 'consent' });
  const page = await browser.get(asked.path);
  ensure(page.path.startsWith('/authorize/'), page.path + page.text);
  return { asked, page };
}

async function codeFor(lane: Lane): Promise<{ code: string; asked: Asked }> {
  const { asked, page } = await askToApprove(lane);
  const back = await lane.browser.post(page.path, APPROVED);
  const { code } = answerOf(back);
  ensure(code, back.path);
  return { code, asked };
}

const worksAt = async ({ on }: Lane, token: string): Promise<boolean> =>
  (await on.request('GET', '/oauth2/userinfo', { headers: bearer(token) })).status === 200;

const stateOf = (db: Db, model: string, id: string) =>
  db.get<{ consumedAt: number | null }>(
    'SELECT consumed_at AS "consumedAt" FROM oauth_states WHERE model = ? AND id_hash = ?',
    [model, createHash('sha256').update(id).digest()],
  );

/** The access tokens and refresh tokens that live. */
const tokensIn = async (db: Db): Promise<number> =>
  Number(
    (await db.get<{ n: number }>(
      `SELECT (SELECT COUNT(*) FROM credentials WHERE client_id IS NOT NULL AND revoked_at IS NULL)
        + (SELECT COUNT(*) FROM oauth_states WHERE model = 'RefreshToken' AND consumed_at IS NULL) AS n`,
    ))!.n,
  );

/** Sends it as often as it is told to try again: the database may still hold locks of the process that was killed. */
async function untilAnswered<Answer extends { status: number }>(
  send: () => Promise<Answer>,
): Promise<Answer> {
  for (;;) {
    const answer = await send();
    if (answer.status !== 503) return answer;
  }
}

/** Uses a code or token: it is used and its tokens are stored, or neither. */
function exchange(
  lane: Lane,
  model: string,
  id: string,
  send: () => Promise<Reply>,
  before: number,
): Prepared {
  return {
    send,
    async check(t, isDone) {
      const url = lane.database.url;
      const state = await lookInto(url, (db) => stateOf(db, model, id));
      t.is(state!.consumedAt !== null, isDone, 'it is used');
      t.is((await lookInto(url, tokensIn)) > before, isDone, 'and its tokens are stored');
      const again = await untilAnswered(send);
      if (isDone) {
        // Whoever asks again after more than ten seconds may as well have stolen it: all of it ends.
        t.deepEqual([again.status, again.body.error], [400, 'invalid_grant']);
        t.is(await lookInto(url, tokensIn), 0);
        return;
      }
      t.is(again.status, 200, again.text);
      t.true(await worksAt(lane, again.body.access_token));
    },
  };
}

const OPERATIONS: Record<string, Operation> = {
  'a code that is redeemed': {
    async prepare(lane) {
      const got = await codeFor(lane);
      const before = await lookInto(lane.database.url, tokensIn);
      return exchange(lane, 'AuthorizationCode', got.code, () => redeem(lane.on, lane.app, got), before);
    },
  },
  'a refresh token that is used': {
    async prepare(lane) {
      const { body } = await redeem(lane.on, lane.app, await codeFor(lane));
      const token: string = body.refresh_token;
      const before = await lookInto(lane.database.url, tokensIn);
      // The one that is used no longer counts.
      return exchange(lane, 'RefreshToken', token, () => refresh(lane.on, lane.app, token), before);
    },
  },
  'a device code that is redeemed': {
    transactions: 2, // that it was asked for is noted first
    async prepare(lane) {
      const { on, browser, app } = lane;
      const asked = { client_id: app.clientId, scope: 'openid' };
      const { body, text } = await on.form('/oauth2/device_authorization', asked);
      ensure(body.user_code, text);
      await browser.get('/connect');
      await browser.post('/connect', { code: body.user_code });
      await browser.post('/connect/device', { ...browser.form('/connect/device'), ...APPROVED });
      const form = { grant_type: DEVICE_GRANT, device_code: body.device_code, client_id: app.clientId };
      const before = await lookInto(lane.database.url, tokensIn);
      return exchange(lane, 'DeviceCode', body.device_code, () => on.form('/oauth2/token', form), before);
    },
  },
  'a consent that is given': {
    async prepare(lane) {
      const { asked, page } = await askToApprove(lane);
      const form = { ...lane.browser.wholeForm(page.path), ...APPROVED };
      const send = () => lane.browser.send(page.path, form);
      return {
        send,
        async check(t, isDone) {
          const back = await untilAnswered(send);
          const isOver = !back.path.includes('code=');
          // Its code was lost with the answer: the human begins anew in the app.
          if (isOver) ensure(isDone && back.status === 404, back.path + back.text);
          const got = isOver ? await codeFor(lane) : { code: answerOf(back).code!, asked };
          const reply = await redeem(lane.on, lane.app, got);
          t.is(reply.status, 200, reply.text);
          t.true(await worksAt(lane, reply.body.access_token));
          const live = await lookInto(lane.database.url, (db) =>
            db.get<{ n: number }>('SELECT COUNT(*) AS n FROM oauth_grants WHERE revoked_at IS NULL'),
          );
          t.is(Number(live!.n), 1, 'one consent');
        },
      };
    },
  },
};

test.describe('a process that is killed while an app connects', (test) => {
  const lanes: Lane[] = [];
  test.before(async (t) => {
    // Each life of the process takes a while: together longer than ava waits for the end of a test.
    t.timeout(20 * 60_000);
    for (const engine of ENGINES) {
      for (const [name, operation] of Object.entries(OPERATIONS)) {
        const database = await createTestDatabase(engine);
        const on = new Remote() as On;
        const lane = { name: `${name} (${engine})`, operation, database, on, browser: openBrowser(on) };
        lanes.push({ ...lane, app: undefined as never, steps: [], faults: [] });
      }
    }
    await killAtEveryStep(t, lanes);
  });
  test.after(() => Promise.all(lanes.map(({ database }) => database.drop())));

  for (const engine of ENGINES) {
    for (const name of Object.keys(OPERATIONS)) {
      test(`${name} is all there or not at all (${engine})`, (t) => {
        const lane = lanes.find((each) => each.name === `${name} (${engine})`)!;
        t.deepEqual(lane.faults, []);
        t.true(lane.steps.includes('commit') && lane.steps.includes('answer'), lane.steps.join('\n'));
      });
    }
  }
});

/** All lanes advance one step a life of the process, so that one killed process serves them all. */
async function killAtEveryStep(t: ExecutionContext, lanes: readonly Lane[]): Promise<void> {
  let server = await startLife(lanes, 0);
  await Promise.all(
    lanes.map(async (lane) => {
      await signIn(lane.on, 'owner@example.com', { browser: lane.browser });
      lane.app = await registerApp(lane.on, {
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
      });
    }),
  );
  let serving = lanes;
  for (let step = 1; serving.length > 0; step += 1) {
    t.true(step < 60, 'a request has fewer steps than that');
    const cuts = await Promise.all(serving.map((lane, index) => cutDown(server, lane, index, step)));
    await server.kill();
    serving = serving.filter((_, index) => cuts[index] !== undefined);
    if (serving.length === 0) return;
    server = await startLife(serving, step);
    const left = cuts.filter((cut) => cut !== undefined);
    await Promise.all(
      left.map(async (cut, index) => {
        const { operation, steps, faults } = serving[index]!;
        const last = steps.at(-1);
        const answers = steps.filter((each) => each === 'answer').length;
        await cut
          .check(t, last === 'answer' && answers >= (operation.transactions ?? 1))
          .catch((error: Error) => {
            faults.push(`killed before "${last}" (step ${step}): ${error.message}`);
          });
      }),
    );
  }
}

async function startLife(lanes: readonly Lane[], life: number): Promise<Crashing> {
  const urls = lanes.map(({ database }) => database.url);
  const server = await startCrashing(urls, life * LIFE_MS);
  for (const [index, lane] of lanes.entries()) lane.on.url = server.urls[index]!;
  return server;
}

/** @returns what was cut down; undefined: the request was answered first */
async function cutDown(
  server: Crashing,
  lane: Lane,
  index: number,
  step: number,
): Promise<Prepared | undefined> {
  const prepared = await lane.operation.prepare(lane);
  await server.arm(index, step);
  const stopped = server.stopped(index);
  const sent = prepared.send();
  const outcome = await Promise.race([stopped, sent]);
  stopped.catch(() => {});
  sent.catch(() => {});
  if (typeof outcome !== 'string') return undefined;
  lane.steps.push(outcome);
  return prepared;
}
