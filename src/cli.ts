#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

// Files that a command creates (databases, their WAL files, backups) are readable by their owner alone, in any folder.
process.umask(0o077);

// The next start finds its modules compiled, and takes half the time. Not in the system's folder for temporary files, where
// Node would keep them: who else can write there, could have their code run. A folder that cannot be written is no error.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'vouchsafe'));

// The reader closed the pipe, as `| head` does: exit without an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

// Imported only now, so that it is kept, too.
const { runProgram } = await import('./commands/program.ts');
await runProgram(process.argv.slice(2), process.env);
