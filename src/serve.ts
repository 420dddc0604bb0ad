import { constants } from 'node:os';
import type { Config } from './config/load.ts';
import { PATHS } from './http/server/paths.ts';
import { type RunningService, startService } from './main.ts';

/** Serves until SIGTERM or SIGINT, drains, and ends the process; a second signal ends it at once. */
export async function serve(config: Config): Promise<void> {
  let service: RunningService | undefined;
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    // A start leaves nothing that the next one would not go on with. Said outright, for the first process of a container: its
    // signals have no default action.
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
  greet(config, started);

  // Whatever got here left something half done: say what, and start again from what is on disk.
  process.on('uncaughtException', (error) => {
    started.deps.log.fatal({ err: error }, 'uncaught');
    started.deps.log.flush();
    process.exitCode = 1;
    started.stop().finally(() => process.exit(1));
  });
}

function greet(config: Config, service: RunningService): void {
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
