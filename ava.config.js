/** What takes longest begins first, so that at the end no processor waits for it alone. */
const LONGEST = [
  'operating/crash',
  'operating/command-line',
  'apps/crash',
  'operating/restore',
  'storage/migrations',
  'operating/repeated-commands',
  'console/command-line',
  'apps/registered-ends',
  'operating/operations',
  'contract/fuzz',
  'browser/own',
  'browser/consent',
  'browser/claim',
];
const rankOf = (file) => {
  const rank = LONGEST.findIndex((name) => file.endsWith(`/test/${name}.test.ts`));
  return rank === -1 ? LONGEST.length : rank;
};

/** How the tests run; test/run.ts starts PostgreSQL and says which files. */
export default {
  files: ['test/**/*.test.ts'],
  extensions: ['ts'],
  // More than the two processors of the machines that it is meant for: files wait for the database, mails and processes.
  concurrency: 3,
  sortTestFiles: (one, other) => rankOf(one) - rankOf(other) || one.localeCompare(other),
  // In threads, chdir and umask throw, and a signal to oneself ends the run.
  workerThreads: false,
  // The resource-server package as its users write it, from source: see "exports" in package.json.
  nodeArguments: ['--conditions=vouchsafe-source'],
  // Ends a file of which no test has ended for so long.
  timeout: '5m',
};
