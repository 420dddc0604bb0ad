#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { ConfigError, loadConfig } from './config.ts';
import type { Deps } from './deps.ts';
import { doctor } from './doctor.ts';
import * as agents from './domain/agents.ts';
import { localAsker } from './domain/events.ts';
import { revokeKeyById } from './domain/keys.ts';
import * as resources from './domain/resource-servers.ts';
import { parseScope } from './domain/scopes.ts';
import { Failure } from './errors.ts';
import { previewMails } from './mail/preview.ts';
import { serve } from './serve.ts';
import { listEvents } from './store/events.ts';
import { withDeps } from './with-deps.ts';

/** Exit codes: 0 done, 1 failed, 2 called or configured wrongly, 4 not found. */
const EXIT = { failed: 1, usage: 2, notFound: 4 } as const;

const PACKAGE = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('vouchsafe')
  .description('Agent identity service. Settings come from the environment and vouchsafe.config.json.')
  .version(PACKAGE.version)
  .option('--json', 'answer in JSON')
  .exitOverride()
  .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 called or configured wrongly, 4 not found.');

program
  .command('serve')
  .description('serve HTTP; migrates the database first')
  .action(() => serve(loadConfig(process.env)));

program
  .command('migrate')
  .description('bring the database up to the newest migration')
  .action(() =>
    withDatabase(async (_, applied) => {
      say({ applied }, applied.length === 0 ? 'Nothing to do.' : `Applied: ${applied.join(', ')}`);
    }),
  );

program
  .command('backup <file>')
  .description('copy the whole database into a new file, while others write')
  .action((file: string) =>
    withDatabase(async (deps) => {
      if (existsSync(file)) throw new Error(`The file ${file} exists already: name a new one.`);
      await deps.db.backup(file);
      say({ file }, `Copied to ${file}. It holds hashes of keys: keep it as you keep the database.`);
    }),
  );

const resource = program.command('resource').description('APIs and MCP servers that may introspect');
resource
  .command('add <url>')
  .description('let a resource server introspect; shows its secret once')
  .requiredOption('--name <name>', 'what it is called')
  .option('--scopes <scopes>', 'the scopes it knows, separated by commas; default: all')
  .action((url: string, options: { name: string; scopes?: string }) =>
    withDatabase(async (deps) => {
      const scopes = options.scopes === undefined ? undefined : parseScope(options.scopes);
      const { server, secret } = await resources.addResourceServer(deps, asker(), {
        url,
        name: options.name,
        scopes,
      });
      say(
        { client_id: server.id, client_secret: secret, ...resourceJson(server) },
        `client_id      ${server.id}\nclient_secret  ${secret}\nThe secret is shown this once.`,
      );
    }),
  );
resource
  .command('list')
  .description('those in service')
  .action(() =>
    withDatabase(async (deps) => {
      const servers = await resources.listResourceServers(deps);
      say(
        { resources: servers.map((server) => ({ client_id: server.id, ...resourceJson(server) })) },
        servers.map((server) => `${server.id}  ${server.url}  ${server.name}`).join('\n') || 'None yet.',
      );
    }),
  );
resource
  .command('remove <client_id>')
  .description('take a resource server out of service')
  .action((id: string) =>
    withDatabase(async (deps) => {
      if (!(await resources.removeResourceServer(deps, asker(), id))) return notFound('resource server');
      say({ removed: id }, `${id} may not introspect any more.`);
    }),
  );

const agent = program.command('agent').description('registered agents');
agent
  .command('list')
  .description('oldest first')
  .option('--after <id>', 'go on after this agent', '')
  .option('--limit <n>', 'at most so many', wholeNumber, 100)
  .action((options: { after: string; limit: number }) =>
    withDatabase(async (deps) => {
      const list = await agents.listAgents(deps, options.after, options.limit);
      say({ agents: list.map(agentJson) }, list.map(agentLine).join('\n') || 'None.');
    }),
  );
agent
  .command('show <id>')
  .description('one agent')
  .action((id: string) =>
    withDatabase(async (deps) => {
      const found = await agents.showAgent(deps, id);
      if (found === undefined) return notFound('agent');
      say(agentJson(found), JSON.stringify(agentJson(found), null, 2));
    }),
  );
agent
  .command('revoke <id>')
  .description('end an agent, its keys and its pending claim')
  .action((id: string) =>
    withDatabase(async (deps) => {
      if (!(await agents.revokeAgent(deps, asker(), id))) return notFound('agent');
      say({ revoked: id }, `${id} and its keys are revoked.`);
    }),
  );

program
  .command('key')
  .description('keys')
  .command('revoke <id>')
  .description('end a key for good')
  .action((id: string) =>
    withDatabase(async (deps) => {
      if (!(await revokeKeyById(deps, asker(), id))) return notFound('key');
      say({ revoked: id }, `${id} is revoked.`);
    }),
  );

program
  .command('mail')
  .description('mail')
  .command('preview [folder]')
  .description('write every mail, filled with examples, into a folder; default: ./mail-preview')
  .action((folder = './mail-preview') => {
    const files = previewMails(loadConfig(process.env), folder, Date.now());
    say({ files }, files.join('\n'));
  });

program
  .command('events')
  .description('the audit, oldest first, as JSON lines')
  .option('--kind <kind>', 'only these, such as claim.completed')
  .option('--agent <id>', 'only of this agent')
  .option('--account <id>', 'only of this account')
  .option('--since <time>', 'only from this ISO 8601 time on', isoTime)
  .option('--after <id>', 'go on after this event')
  .option('--limit <n>', 'at most so many', wholeNumber, 1000)
  .action(
    (options: {
      kind?: string;
      agent?: string;
      account?: string;
      since?: number;
      after?: string;
      limit: number;
    }) =>
      withDatabase(async (deps) => {
        const filter = { ...options, agentId: options.agent, accountId: options.account };
        for (const event of await listEvents(deps.db, filter, options.limit)) {
          const { id, at, kind, accountId, agentId, subject, address, requestId, details } = event;
          const line = {
            id,
            at: new Date(at).toISOString(),
            kind,
            account_id: accountId ?? undefined,
            agent_id: agentId ?? undefined,
            subject: subject ?? undefined,
            address: address ?? undefined,
            request_id: requestId ?? undefined,
            details: details === null ? undefined : JSON.parse(details),
          };
          console.log(JSON.stringify(line));
        }
      }),
  );

program
  .command('doctor')
  .description('check configuration, database, mail server and clock')
  .action(async () => {
    const findings = await doctor(process.env);
    const bad = findings.some((finding) => !finding.ok);
    say(
      { ok: !bad, findings },
      findings.map(({ ok, name, says }) => `${ok ? 'ok  ' : 'BAD '} ${name}: ${says}`).join('\n'),
    );
    if (bad) process.exitCode = EXIT.failed;
  });

function resourceJson(server: resources.ResourceServer): object {
  return { url: server.url, name: server.name, scopes: server.scopes };
}

function agentJson(found: agents.Agent): object {
  const { claim } = found;
  return {
    agent_id: found.id,
    user_id: found.accountId,
    name: found.name ?? undefined,
    registered_as: found.registrationKind,
    claim: claim.kind === 'pending' ? { status: claim.kind, mail: claim.mail } : { status: claim.kind },
    mode: found.mode,
    owner: found.owner?.id,
    merged_from: found.mergedFrom,
    created_at: new Date(found.createdAt).toISOString(),
    revoked_at: found.revokedAt === undefined ? undefined : new Date(found.revokedAt).toISOString(),
  };
}

function agentLine(found: agents.Agent): string {
  const state = found.revokedAt === undefined ? found.claim.kind : 'revoked';
  return `${found.id}  ${state.padEnd(9)}  ${found.accountId}  ${found.name ?? ''}`.trimEnd();
}

function say(json: object, text: string): void {
  console.log(program.opts<{ json?: boolean }>().json ? JSON.stringify(json) : text);
}

function notFound(what: string): void {
  console.error(`There is no such ${what}.`);
  process.exitCode = EXIT.notFound;
}

function asker() {
  return localAsker('cli');
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new ConfigError('--limit takes a whole number from 1.');
  return value;
}

function isoTime(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new ConfigError('--since takes a time such as 2026-01-31T12:00:00Z.');
  return at;
}

function withDatabase(work: (deps: Deps, applied: string[]) => Promise<void>): Promise<void> {
  return withDeps(loadConfig(process.env), work);
}

// `--json` may stand before or behind the command.
function optionEverywhere(command: Command): void {
  for (const sub of command.commands) {
    sub.option('--json', 'answer in JSON').exitOverride();
    sub.on('option:json', () => program.setOptionValue('json', true));
    optionEverywhere(sub);
  }
}
optionEverywhere(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
  } else if (error instanceof ConfigError) {
    console.error(error.message);
    process.exitCode = EXIT.usage;
  } else {
    const cause = error instanceof Failure && error.cause instanceof Error ? `: ${error.cause.message}` : '';
    console.error(`${error instanceof Error ? error.message : String(error)}${cause}`);
    process.exitCode = error instanceof Failure && error.kind === 'badRequest' ? EXIT.usage : EXIT.failed;
  }
}
