/**
 * A process that runs one command of `vouchsafe` after another, each with an environment and a folder of its own: the start of
 * a process costs more than most commands. Run by vouchsafe() in cli.ts; talks to it over the process channel.
 */
import { runProgram } from '../../src/commands/program.ts';

export interface ToCommands {
  args: readonly string[];
  cwd: string;
  env: Record<string, string>;
}
export type FromCommands = { kind: 'stdout' | 'stderr'; text: string } | { kind: 'ended'; code: number };

const send = (message: FromCommands) => process.send!(message);

process.umask(0o077);
for (const kind of ['stdout', 'stderr'] as const) {
  process[kind].write = (chunk: string | Uint8Array) => {
    send({ kind, text: Buffer.from(chunk as string).toString('utf8') });
    return true;
  };
}
process.on('message', async ({ args, cwd, env }: ToCommands) => {
  process.chdir(cwd);
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, env);
  process.argv.splice(2, Number.POSITIVE_INFINITY, ...args);
  process.exitCode = undefined;
  await runProgram(args, process.env);
  send({ kind: 'ended', code: Number(process.exitCode ?? 0) });
});
process.on('disconnect', () => process.exit(0));
