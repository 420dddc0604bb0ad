/**
 * The environment of a program that is to see none of ours: where programs are found, and where this run keeps compiled ones. What
 * it runs of src/ is not counted, which Node would have it write down at each end: as much work again as a short command.
 */
export const BARE_ENVIRONMENT: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['PATH', 'NODE_COMPILE_CACHE'].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  ),
  NODE_V8_COVERAGE: '',
};
