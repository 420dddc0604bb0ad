import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { z } from 'zod';
import { type Config, loadConfig } from '../config/load.ts';
import { EVENT_KINDS } from '../domain/audit/audit-log.ts';
import {
  describeRestored,
  repeatRevocations,
  revokeShortLivedCredentials,
} from '../domain/jobs/after-restore.ts';
import type { EventLine } from '../domain/jobs/event-lines.ts';
import { ConfigError, Failure } from '../errors.ts';
import { restoreDatabase } from '../store/engine/restore.ts';
import { onDatabase } from '../with-deps.ts';
import type { Shell } from './shell.ts';

const eventLine = z.object({
  id: z.string(),
  kind: z.enum(EVENT_KINDS),
  account_id: z.string().optional(),
  agent_id: z.string().optional(),
  workspace_id: z.string().optional(),
  subject: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

interface Options {
  revocations?: string;
  acceptRevived?: true;
}

/** Adds `restore`: replaces the database by a backup. */
export function addRestoreCommand(program: Command, shell: Shell): void {
  program
    .command('restore <file>')
    .description('put a backup in the place of the database; no service may run on it')
    .option(
      '--revocations <file>',
      'what "vouchsafe events" wrote of the time since the backup: what ended then ends again',
    )
    .option('--accept-revived', 'accept that what was revoked since the backup works again')
    .action((file: string, options: Options) => restore(shell, loadConfig(shell.env), file, options));
}

async function restore(shell: Shell, config: Config, file: string, options: Options): Promise<void> {
  const events = options.revocations === undefined ? [] : await readEvents(options.revocations);
  let keys = 0;
  let revoked = 0;
  const previousFile = await restoreDatabase(config.database, file, (db) =>
    onDatabase(config, db, async (deps) => {
      const state = await describeRestored(deps);
      if (options.revocations === undefined && options.acceptRevived === undefined) {
        throw new Failure('badRequest', refusalMessage(state));
      }
      revoked = await repeatRevocations(deps, shell.origin(), events);
      ({ keys } = await describeRestored(deps));
      await revokeShortLivedCredentials(deps, shell.origin(), { revoked });
    }),
  );
  const lines = [
    `Restored from ${file}. ${keys} keys work; sessions, codes, pending claims and refresh tokens have ended.`,
    ...(options.revocations === undefined ? [] : [`Revoked again: ${revoked}.`]),
    ...(previousFile === undefined
      ? []
      : [`The database that was there is now ${previousFile}. Delete it once all is well.`]),
  ];
  shell.say({ restored: file, keys, revoked, kept: previousFile }, lines.join('\n'));
}

function refusalMessage({ keys, newestAt }: { keys: number; newestAt: number | null }): string {
  const since = newestAt === null ? '' : ` --since ${new Date(newestAt - 60_000).toISOString()}`;
  return [
    `What was revoked after this backup was made would work again: up to ${keys} keys. Nothing was changed.`,
    `Write down what was, while the database is there: vouchsafe events${since} > revocations.jsonl`,
    `and restore with --revocations revocations.jsonl. If it is lost, restore with --accept-revived.`,
  ].join('\n');
}

async function readEvents(file: string): Promise<EventLine[]> {
  const events: EventLine[] = [];
  let number = 0;
  for await (const line of createInterface({
    input: createReadStream(file),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    number += 1;
    if (line.trim() === '') continue;
    const event = eventLine.safeParse(parseJson(line));
    if (!event.success) {
      throw new ConfigError(
        `--revocations: line ${number} of ${file} is no line of "vouchsafe events". Nothing was changed.`,
      );
    }
    events.push(event.data);
  }
  return events;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
