import type { ExecutionContext } from 'ava';
import fc from 'fast-check';

/**
 * Checks by fast-check that something holds for whatever the arbitraries make. Each example is an attempt of its own, which
 * ava forgets: what it reports is the smallest example that fails, and what failed in it. An
 * example of which nothing is to be said says so by `t.pass`.
 */
export async function assertProperty<Values extends [unknown, ...unknown[]]>(
  t: ExecutionContext,
  arbitraries: { [Index in keyof Values]: fc.Arbitrary<Values[Index]> },
  holds: (t: ExecutionContext, ...values: Values) => unknown,
  parameters: fc.Parameters<Values> = {},
): Promise<void> {
  const property = fc.asyncProperty<Values>(...arbitraries, async (...values) => {
    let thrown: unknown;
    const attempt = await t.try(async (t) => {
      try {
        await holds(t, ...values);
      } catch (error) {
        thrown = error;
      }
    });
    attempt.discard();
    if (!attempt.passed || thrown !== undefined) throw thrown ?? attempt.errors[0];
  });
  const outcome = await fc.check(property, parameters);
  if (outcome.counterexample !== null) {
    t.log(fc.defaultReportMessage(outcome), String(outcome.errorInstance));
    // Once more, and this time it counts: ava says what differs.
    await holds(t, ...outcome.counterexample);
  }
  t.false(outcome.failed, 'it fails for some examples');
}
