/**
 * What a helper's step needs in order to go on; the guarantees themselves a test asserts by ava's `t`.
 *
 * @param about says what came instead: the answer's text, where there is one
 * @throws Error where it does not hold, which fails the test that took the step
 */
export function ensure(holds: unknown, about: string): asserts holds {
  if (!holds) throw new Error(`A step did not come to what it is for. ${about}`);
}
