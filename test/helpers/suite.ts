import ava, { type ExecutionContext } from 'ava';
import { ENGINES, type Engine } from './service.ts';

type Run = (t: ExecutionContext) => unknown;

/**
 * ava's `test`, one after another as a file declares them, since those of a file share a service and its clock. What a
 * `describe` holds carries its title in front: ava knows no groups, and takes no title twice in a file.
 */
export interface Test {
  (title: string, run: Run): void;
  /** Runs beside the others of its kind, after all that run one by one. */
  concurrent(title: string, run: Run): void;
  /** Before the first test of the file. */
  before(run: Run): void;
  /** After the last test of the file, whatever came of it. */
  after(run: Run): void;
  describe(title: string, tests: (test: Test) => void): void;
  /** @param why what the machine lacks; what this returns then skips its tests, and says so in their titles */
  skipIf(why: string | false | undefined): Test;
}

export const test: Test = declare('', undefined);

/** The same guarantees on every engine. */
export function onEveryEngine(title: string, tests: (engine: Engine, test: Test) => void): void {
  for (const engine of ENGINES) test.describe(`${title} (${engine})`, (test) => tests(engine, test));
}

function declare(group: string, why: string | undefined): Test {
  const titled = (title: string) => group + title + (why === undefined ? '' : ` (skipped: ${why})`);
  const ended = (run: Run) => async (t: ExecutionContext) => {
    await run(t);
  };
  const [serial, concurrent] = why === undefined ? [ava.serial, ava] : [ava.serial.skip, ava.skip];
  return Object.assign((title: string, run: Run) => serial(titled(title), ended(run)), {
    concurrent: (title: string, run: Run) => concurrent(titled(title), ended(run)),
    before: (run: Run) => why ?? ava.serial.before(ended(run)),
    after: (run: Run) => why ?? ava.serial.after.always(ended(run)),
    describe: (title: string, tests: (test: Test) => void) => tests(declare(`${group}${title} › `, why)),
    skipIf: (why: string | false | undefined) => declare(group, why || undefined),
  });
}
