import type { TestClock } from './service.ts';

/** The clock of this machine, for services that are asked by programs with a clock of their own. It cannot be moved. */
export const REAL_CLOCK: TestClock = Object.assign(() => Date.now(), {
  advance() {
    throw new Error('nobody moves this clock');
  },
});
