import { constants } from 'node:os';
import type { Config } from './config/load.ts';
import { PATHS } from './http/server/paths.ts';
import { type RunningService, startService } from './main.ts';

/** Runs the service until SIGTERM or SIGINT, then drains and exits; a second signal exits at once. */
export async function serve(config: Config): Promise<void> {
  let service: RunningService | undefined;
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    // An interrupted start is safe: the next one resumes it. The exit is explicit because the kernel applies no default
    // signal action to PID 1 of a container.
    if (service === undefined) process.exit(128 + constants.signals[signal]);
    if (stopping) process.exit(1);
    stopping = true;
    service.deps.log.info({ signal }, 'stopping');
    service.stop(config.drainDelayMs).then(
      () => process.exit(0),
      (error) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const started = await startService(config);
  service = started;
  printStartup(config, started);

  // After an uncaught exception the state in memory is unknown: log it, drain and exit. A restart begins from what is
  // on disk.
  process.on('uncaughtException', (error) => {
    started.deps.log.fatal({ err: error }, 'uncaught');
    started.deps.log.flush();
    process.exitCode = 1;
    started.stop().finally(() => process.exit(1));
  });
}

function printStartup(config: Config, service: RunningService): void {
  const url = config.publicUrl;
  const post = (path: string, body: object) =>
    `  curl -s -X POST ${url}${path} -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`;
  const lines = [
    `Vouchsafe serves at ${url} (metrics and health at http://${config.opsHost}:${service.opsPort})`,
  ];
  if (config.isLoopback) {
    lines.push(
      '',
      'Register an agent, have it claimed, complete with the code from the mail:',
      post(PATHS.register, { type: 'anonymous' }),
      post(PATHS.claim, { claim_token: 'ct_...', email: 'you@example.com' }),
      post(PATHS.complete, { claim_token: 'ct_...', otp: '123456' }),
      '',
      `All of it, for agents: ${url}${PATHS.authMd}`,
    );
    if (config.smtpUrl === undefined) lines.push(`Mail is caught at ${url}/dev/mailbox`);
    lines.push(`For people, their agents and keys: ${url}/account`);
  }
  console.log(`${lines.join('\n')}\n`);
}
