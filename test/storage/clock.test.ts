import fc from 'fast-check';
import { createDatabaseClock } from '../../src/domain/jobs/database-clock.ts';
import { createSteadyClock } from '../../src/lib/steady-clock.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { assertProperty } from '../helpers/property.ts';
import { createTestClock, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const BEGIN = Date.UTC(2026, 0, 1);

/** A service's clock beside another one that steps, over time that passes by hand. */
function besideSteps(mark?: number) {
  let passed = 0;
  let step = 0;
  const there = () => BEGIN + passed + step;
  const steady = createSteadyClock(there(), mark, () => passed);
  const look = () => {
    const byMs = steady.observe(there());
    if (byMs !== 0) steady.set(byMs);
    return byMs;
  };
  return {
    steady,
    there,
    step: (ms: number) => {
      step += ms;
    },
    /** Time passes, with a look each fifteen seconds; returns by how much time was set on the way. */
    pass(ms: number): number {
      let byMs = 0;
      for (const end = passed + ms; passed < end; ) {
        passed = Math.min(end, passed + 15 * SECOND);
        byMs += look();
      }
      return byMs;
    },
    error: () => steady.now() - there(),
  };
}

test.describe('time beside a clock that steps', (test) => {
  test('a step that lasts a minute changes nothing, however far and whichever way', (t) => {
    for (const step of [40 * DAY, -40 * DAY, HOUR, -HOUR, 61 * SECOND + 1000, -62 * SECOND]) {
      const at = besideSteps();
      at.pass(5 * MINUTE);
      at.step(step);
      const before = at.steady.now();
      t.is(at.pass(MINUTE), 0);
      t.is(at.steady.now() - before, MINUTE, `${step}`);
      at.step(-step);
      t.is(at.pass(HOUR), 0);
      t.true(Math.abs(at.error()) < 5, `${step}`);
      t.true(at.steady.mayDelete());
    }
  });

  test('a step that lasts is believed after ten minutes, and not before', (t) => {
    for (const step of [DAY, -DAY, 2 * MINUTE, -2 * MINUTE]) {
      const at = besideSteps();
      at.step(step);
      t.is(at.pass(10 * MINUTE), 0);
      t.is(at.error(), -step);
      t.is(at.pass(15 * SECOND), step);
      t.is(at.error(), 0);
    }
  });

  test('a clock that shows something else each time is not believed', (t) => {
    const at = besideSteps();
    for (let round = 0; round < 40; round += 1) {
      at.step(2 * MINUTE);
      t.is(at.pass(MINUTE), 0);
    }
    t.is(at.steady.now() - BEGIN, 40 * MINUTE);
  });

  test('after a leap of more than a day nothing is deleted for an hour', (t) => {
    const at = besideSteps();
    at.step(DAY + HOUR);
    at.pass(11 * MINUTE);
    t.false(at.steady.mayDelete());
    at.pass(58 * MINUTE);
    t.false(at.steady.mayDelete());
    at.pass(2 * MINUTE);
    t.true(at.steady.mayDelete());
  });

  test('a start does not begin before the latest known time, and deletes nothing at once where that is long ago', (t) => {
    t.is(besideSteps(BEGIN + HOUR).steady.now(), BEGIN + HOUR);
    t.is(besideSteps(BEGIN - HOUR).steady.now(), BEGIN);
    t.true(besideSteps(BEGIN - HOUR).steady.mayDelete());
    t.false(besideSteps(BEGIN - 2 * DAY).steady.mayDelete());
    t.true(besideSteps().steady.mayDelete());
  });

  test('whatever small steps there are, time goes on, never back, and stays near', async (t) => {
    const small = fc.integer({ min: -20 * SECOND, max: 20 * SECOND });
    await assertProperty(t, [fc.array(small, { maxLength: 40 })], (t, steps) => {
      const at = besideSteps();
      let sum = 0;
      for (const step of steps) {
        if (Math.abs(sum + step) > 25 * SECOND) continue;
        sum += step;
        at.step(step);
        const before = at.steady.now();
        at.pass(15 * SECOND);
        t.true(at.steady.now() - before > 10 * SECOND);
      }
      t.is(at.pass(20 * MINUTE), 0);
      t.true(Math.abs(at.error()) < 5);
    });
  });
});

onEveryEngine('the clock of a database', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, { clock: createTestClock(BEGIN) });
  });
  test.after(() => on.stop());

  /** The service's clock over its database, whose host's, or server's, clock is set by hand. */
  async function clockBeside(at: { there: number; passed: number }, set: number[] = []) {
    const db: Db = { ...on.service.deps.db, now: async () => at.there + at.passed };
    const system = () => at.there + at.passed;
    const options = { monotonic: () => at.passed, onSet: (byMs: number) => void set.push(byMs) };
    return createDatabaseClock(db, system, options);
  }
  async function pass(clock: { look(): Promise<void> }, at: { passed: number }, ms: number): Promise<void> {
    for (let step = 0; step < ms; step += MINUTE) {
      at.passed += MINUTE;
      await clock.look();
    }
  }

  test('goes on over a restart with a clock that was set back', async (t) => {
    const at = { there: BEGIN, passed: 0 };
    const first = await clockBeside(at);
    await pass(first, at, 5 * MINUTE);
    first.stop();
    at.there -= 3 * HOUR;
    const second = await clockBeside(at);
    t.true(second.clock() >= BEGIN + 4 * MINUTE, new Date(second.clock()).toISOString());
    second.stop();
  });

  test('an expired code stays expired, when the clock is set back and when that is believed', async (t) => {
    const { claim_token } = await on.register();
    await on.post('/agent/auth/claim', { claim_token, email: `clock-${engine}@example.com` });
    const otp = await on.codeFor(`clock-${engine}@example.com`);
    on.clock.advance(601);
    const complete = () => on.post('/agent/auth/claim/complete', { claim_token, otp });
    t.is((await complete()).body.error.code, 'otp_expired');

    const at = { there: on.clock(), passed: 0 };
    const set: number[] = [];
    const { look, clock, stop } = await clockBeside(at, set);
    at.there -= HOUR;
    const expired = clock();
    await pass({ look }, at, 9 * MINUTE);
    t.true(clock() > expired);
    t.deepEqual(set, []);
    await pass({ look }, at, 3 * MINUTE);
    t.is(set.length, 1);
    t.true(clock() < expired);
    stop();

    on.clock.advance((clock() - on.clock()) / 1000); // the service's own time is set back as well
    t.is((await complete()).body.error.code, 'otp_expired');
  });

  test('is not set back before the codes are ended: a database that is away is asked again', async (t) => {
    const at = { there: on.clock(), passed: 0 };
    let isAway = false;
    const { db } = on.service.deps;
    const failing: Db = {
      ...db,
      now: async () => at.there + at.passed,
      tx: (work, length) => (isAway ? Promise.reject(new Error('away')) : db.tx(work, length)),
    };
    const options = { monotonic: () => at.passed };
    const { look, clock, stop } = await createDatabaseClock(failing, () => at.there + at.passed, options);
    at.there -= HOUR;
    await pass({ look }, at, 9 * MINUTE);
    isAway = true;
    const before = clock();
    await pass({ look: () => look().catch(() => {}) }, at, 5 * MINUTE);
    t.true(clock() > before);
    isAway = false;
    await pass({ look }, at, MINUTE);
    t.true(clock() < before);
    stop();
  });

  test('has no other source than the one of its engine', async (t) => {
    const db: Db = { ...on.service.deps.db, now: async () => BEGIN + 50 * DAY };
    const { clock, stop } = await createDatabaseClock(db, () => BEGIN + 60 * DAY, { monotonic: () => 0 });
    t.is(clock(), BEGIN + (engine === 'sqlite' ? 60 : 50) * DAY);
    stop();
  });
});
