import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { freePort } from '../helpers/free-port.ts';
import { createTestDatabase, TEST_SECRET } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Starts the service by npm, in a process group of its own, and waits until it serves. */
async function startByNpm(t: ExecutionContext, args: readonly string[]) {
  const database = await createTestDatabase('sqlite');
  t.teardown(() => database.drop());
  const port = await freePort();
  const npm = spawn('npm', args, {
    cwd: ROOT,
    detached: true,
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      PORT: String(port),
      OPS_PORT: '0',
      DATABASE_URL: database.url,
      SECRET: TEST_SECRET,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => {
    try {
      process.kill(-npm.pid!, 'SIGKILL');
    } catch {
      // nobody is left, as it should be
    }
  });
  let output = '';
  npm.stdout.on('data', (chunk) => {
    output += chunk;
  });
  while (!/serves at/.test(output)) await once(npm.stdout, 'data');
  return { npm, port };
}

for (const args of [['start'], ['run', 'vouchsafe', '--', 'serve']]) {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`"npm ${args.join(' ')}" ends on ${signal}, and leaves no process behind`, async (t) => {
      const { npm, port } = await startByNpm(t, args);
      // Its output closes when the last process ends that could write to it.
      const allEnded = once(npm, 'close');
      npm.kill(signal);
      const deadline = setTimeout(
        () => npm.stdout.destroy(new Error('somebody still holds the output')),
        15_000,
      );
      t.teardown(() => clearTimeout(deadline));
      await allEnded;
      t.throws(() => process.kill(-npm.pid!, 0), { code: 'ESRCH' }, 'a process is left');
      const [error] = await once(connect(port, '127.0.0.1'), 'error');
      t.is(error.code, 'ECONNREFUSED');
    });
  }
}

test('every script of package.json that runs a program hands its process over to it', (t) => {
  const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  for (const [name, script] of Object.entries<string>(scripts)) {
    // The shell that npm starts waits for the last command; signals that npm sends reach the shell alone.
    const last = script.split('&&').at(-1)!.trim();
    if (!/^npm run /.test(last)) t.regex(last, /^exec /, name);
  }
});
