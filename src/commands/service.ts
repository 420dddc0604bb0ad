import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { loadConfig, readInForce } from '../config/load.ts';
import { type SettingInForce, settingsTable } from '../config/settings.ts';
import { DatabaseError } from '../errors.ts';
import { missingFile } from '../store/engine/database-file.ts';
import type { Shell } from './shell.ts';

/** Adds `serve`, `migrate`, `backup`, `doctor` and `config`: the commands for the service as a whole. */
export function addServiceCommands(program: Command, shell: Shell): void {
  program
    .command('serve')
    .description('serve HTTP; migrates the database first')
    .action(async () => {
      // The service is most of the program, and the other commands do without it.
      const { serve } = await import('../serve.ts');
      await serve(loadConfig(shell.env, { makeSecret: true }));
    });

  program
    .command('migrate')
    .description('bring the database up to the newest migration')
    .action(() =>
      shell.withDatabase(async (_, applied) => {
        shell.say({ applied }, applied.length === 0 ? 'Nothing to do.' : `Applied: ${applied.join(', ')}`);
      }),
    );

  program
    .command('backup <file>')
    .description('copy the whole database into a new file, while others write')
    .action((file: string) => {
      const missing = missingFile(loadConfig(shell.env).database);
      if (missing !== undefined) throw new DatabaseError(`DATABASE_URL: there is no file ${missing}.`);
      return shell.withDatabase(async (deps) => {
        if (existsSync(file)) throw new Error(`The file ${file} exists already: name a new one.`);
        await deps.db.backup(file);
        shell.say({ file }, `Copied to ${file}. It holds hashes of keys: keep it as you keep the database.`);
      });
    });

  program
    .command('doctor')
    .description('check configuration, database, mail server and clock')
    .action(async () => {
      const { runChecks } = await import('../doctor.ts');
      const findings = await runChecks(shell.env);
      const bad = findings.some((finding) => !finding.ok);
      shell.say(
        { ok: !bad, findings },
        findings.map(({ ok, name, says }) => `${ok ? 'ok  ' : 'BAD '} ${name}: ${says}`).join('\n'),
      );
      if (bad) shell.failed();
    });

  program
    .command('config')
    .description('the settings in force and where each comes from; secrets are not shown')
    .option('--markdown', 'all settings with their defaults, as a table')
    .action(({ markdown }: { markdown?: boolean }) => {
      const { environment: settings, file } = readInForce(shell.env);
      const width = Math.max(...[...settings, ...file].map(({ name }) => name.length));
      const linesOf = (listed: readonly SettingInForce[]) =>
        listed.map(
          ({ name, value, from }) =>
            `${name.padEnd(width)}  ${value ?? '-'}${from === 'default' ? '' : `  (${from})`}`,
        );
      const lines = [...linesOf(settings), '', ...linesOf(file)];
      shell.say({ settings, file }, markdown ? settingsTable() : lines.join('\n'));
    });
}
