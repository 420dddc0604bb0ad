import { queueMail } from '../../src/domain/audit/queue-mail.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import { Failure } from '../../src/errors.ts';
import { localOrigin, type Work } from '../../src/work.ts';
import { countOf } from '../helpers/ceremony.ts';
import { startTestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const ORIGIN = localOrigin('test');
const WRONG = new Failure('wrongCode', 'The code is wrong.');

onEveryEngine('a use case', (engine, test) => {
  async function open(t: { teardown(end: () => Promise<void>): void }) {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const seen: string[] = [];
    const deps = {
      ...on.service.deps,
      wakeOutbox: () => void seen.push('woken'),
    };
    const queue = (work: Work, attemptId: string, nextAt?: number) =>
      queueMail(work, {
        kind: 'sign_in_code',
        attemptId,
        mailbox: 'ada@example.com',
        giveUpAt: work.now + 7_200_000,
        ...(nextAt !== undefined && { nextAt }),
      });
    const queued = (attemptId: string) => countOf(on, 'outbox WHERE attempt_id = ?', [attemptId]);
    return { on, deps, seen, queue, queued };
  }

  test('that fails leaves nothing, and sends nothing', async (t) => {
    const { deps, seen, queue, queued } = await open(t);
    const failed = useCase(deps, ORIGIN, {}, async (work) => {
      await queue(work, 'a');
      throw WRONG;
    });
    await t.throwsAsync(failed, { is: WRONG });
    t.is(await queued('a'), 0);
    t.deepEqual(seen, []);
  });

  test('that fails after the commit keeps what it wrote, and goes no further', async (t) => {
    const { deps, seen, queue, queued } = await open(t);
    const failed = useCase(deps, ORIGIN, {}, async (work) => {
      await queue(work, 'b');
      work.failAfterCommit(WRONG);
      await queue(work, 'b');
    });
    await t.throwsAsync(failed, { is: WRONG });
    t.is(await queued('b'), 1);
    t.deepEqual(seen, ['woken']);
  });

  test('wakes the outbox worker when its mail is committed, and not before', async (t) => {
    const { deps, queue, queued } = await open(t);
    const counted: Promise<number>[] = [];
    deps.wakeOutbox = () => void counted.push(queued('c'));
    await useCase(deps, ORIGIN, {}, async (work) => {
      await queue(work, 'c');
      await queue(work, 'c');
      t.is(counted.length, 0);
    });
    t.deepEqual(await Promise.all(counted), [2]);
  });

  test('that wrote no mail for which somebody waits leaves the worker to its next poll', async (t) => {
    const { deps, seen, queue, queued } = await open(t);
    t.is(await useCase(deps, ORIGIN, {}, async ({ now }) => now), deps.clock());
    await useCase(deps, ORIGIN, {}, (work) => queue(work, 'e', work.now + 3_600_000));
    t.is(await queued('e'), 1);
    t.deepEqual(seen, []);
  });

  test('is done once for an Idempotency-Key, and a failure after the commit is not its answer', async (t) => {
    const { deps, queue, queued } = await open(t);
    const idempotency = {
      key: 'one',
      owner: 'test',
      body: Buffer.from('{}'),
      ttlSeconds: 60,
      floodLimit: undefined,
    };
    let isWrong = true;
    const run = () =>
      useCase(deps, ORIGIN, { idempotency }, async (work) => {
        await queue(work, 'd');
        if (isWrong) return work.failAfterCommit(WRONG);
        return { at: work.now };
      });
    await t.throwsAsync(run(), { is: WRONG });
    isWrong = false;
    const first = await run();
    t.deepEqual(await run(), first);
    t.is(await queued('d'), 2);
  });
});
