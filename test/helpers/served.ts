import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { BARE_ENVIRONMENT } from './bare-environment.ts';
import { freePort } from './free-port.ts';
import { TEST_SECRET, WIDE_LIMITS } from './service.ts';

export interface Served {
  child: ChildProcess;
  port: number;
  opsPort: number;
  /** All it printed until it served. */
  greeting: string;
  /** Waits until its output holds this. */
  says(pattern: RegExp): Promise<void>;
  /** Exit code and signal. */
  ended: Promise<unknown[]>;
}

/** The program, without waiting for it. */
export function spawnServe(env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [fileURLToPath(new URL('../../src/cli.ts', import.meta.url)), 'serve'], {
    env: {
      ...BARE_ENVIRONMENT,
      SECRET: TEST_SECRET,
      LIMITS: JSON.stringify(WIDE_LIMITS),
      OPS_PORT: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** The program as an operator starts it. */
export async function serve(t: ExecutionContext, env: Record<string, string>): Promise<Served> {
  const port = await freePort();
  const child = spawnServe({ PORT: String(port), ...env });
  const ended = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout!.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr!.pipe(process.stderr);
  const says = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const settle = (then: () => void) => {
        child.stdout!.off('data', look).off('end', fail);
        then();
      };
      const look = () => pattern.test(output) && settle(resolve);
      const fail = () => settle(() => reject(new Error(`It ended without saying ${pattern}:\n${output}`)));
      child.stdout!.on('data', look).on('end', fail);
      if (child.stdout!.readableEnded) fail();
      else look();
    });
  // Lines of the log may come along with the greeting, which is one write.
  await says(/Vouchsafe serves at [\s\S]*\n\n/);
  const opsPort = Number(/health at http:\/\/127\.0\.0\.1:(\d+)\)/.exec(output)?.[1]);
  return { child, port, opsPort, greeting: output, says, ended };
}
