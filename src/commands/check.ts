import type { Command } from 'commander';
import { checkService } from '../check/check.ts';
import { printReport } from '../check/report.ts';
import type { Shell } from './shell.ts';

/** Adds `check <url>`: examines what any service offers by auth.md, from outside. Needs no settings and no database. */
export function addCheckCommand(program: Command, shell: Shell): void {
  program
    .command('check <url>')
    .description('examine what any service offers to agents (auth.md), changing nothing there')
    .action(async (url: string) => {
      const report = await checkService(url);
      shell.say(report, printReport(report));
      if (!report.ok) shell.failed();
    });
}
