import { type Command, Option } from 'commander';
import { loadConfig } from '../config/load.ts';
import type { Deps } from '../deps.ts';
import {
  type FoundMail,
  findMails,
  MAIL_STATES,
  type MailState,
  retryAllMails,
  retryMails,
} from '../domain/operators/mail.ts';
import {
  allowMail,
  findSuppressedMailboxes,
  findSuppressionsOf,
  type SuppressedMailbox,
} from '../domain/operators/suppressed-mailboxes.ts';
import { ConfigError } from '../errors.ts';
import { maskMailbox } from '../lib/mailbox.ts';
import { DEFAULT_LOCALE, LOCALES, type Locale } from '../lib/translate.ts';
import { previewMails } from '../mail/preview.ts';
import { mailboxArgument } from './mailbox-argument.ts';
import { reasonOption, type Shell } from './shell.ts';

/** Adds `mail …`: lists and retries mail, lists and ends suppressions, and previews what mails look like. */
export function addMailCommands(program: Command, shell: Shell): void {
  const mail = program.command('mail').description('mail');
  mail
    .command('preview [folder]')
    .description('write every mail, filled with examples, into a folder; default: ./mail-preview')
    .addOption(new Option('--locale <locale>', 'the language').choices(LOCALES).default(DEFAULT_LOCALE))
    .action((folder: string | undefined, { locale }: { locale: Locale }) => {
      const files = previewMails(loadConfig(shell.env), folder ?? './mail-preview', Date.now(), locale);
      shell.say({ files }, files.join('\n'));
    });
  mail
    .command('list')
    .description('mail that waits, the next one first; or that could not be delivered, newest first')
    .addOption(new Option('--state <state>', 'which').choices(MAIL_STATES).default('waiting'))
    .option('--before <cursor>', 'go on there')
    .action((options: { state: MailState; before?: string }) =>
      shell.withDatabase(async (deps) => {
        const { mails, next } = await findMails(deps, options.state, options.before);
        const lines = mails.map(mailLine);
        if (next !== undefined) lines.push(`There are more. Go on with --before ${next}`);
        shell.say({ mails: mails.map(mailJson), next_before: next }, lines.join('\n') || 'None.');
      }),
    );
  mail
    .command('retry [ids...]')
    .description('send mail again that could not be delivered; a running service sends it within seconds')
    .option('--all', 'all that can still be of use')
    .addOption(reasonOption())
    .action((ids: string[], options: { all?: true; reason?: string }) => {
      if ((options.all === true) === ids.length > 0) throw new ConfigError('Name ids, or --all.');
      return shell.withDatabase((deps) => retry(shell, deps, ids, options.reason));
    });
  mail
    .command('suppressed')
    .description(
      'mailboxes that get no mail of any agent, newest first; or what is suppressed for one of them',
    )
    .argument('[mailbox]', 'an email address', mailboxArgument)
    .option('--before <cursor>', 'go on there')
    .action((mailbox: string | undefined, options: { before?: string }) =>
      shell.withDatabase(async (deps) => {
        const { suppressed, next } =
          mailbox === undefined
            ? await findSuppressedMailboxes(deps, options.before)
            : { suppressed: await findSuppressionsOf(deps, mailbox), next: undefined };
        const lines = suppressed.map(suppressedLine);
        if (next !== undefined) lines.push(`There are more. Go on with --before ${next}`);
        shell.say(
          { suppressed: suppressed.map(suppressedJson), next_before: next },
          lines.join('\n') || 'None.',
        );
      }),
    );
  mail
    .command('allow')
    .description('let agents mail a mailbox again')
    .argument('<mailbox>', 'an email address', mailboxArgument)
    .addOption(reasonOption())
    .action((mailbox: string, { reason }: { reason?: string }) =>
      shell.withDatabase(async (deps) => {
        const act = { accountId: undefined, reason };
        if (!(await allowMail(deps, shell.origin(), act, mailbox))) return shell.notFound('suppression');
        shell.say({ allowed: maskMailbox(mailbox) }, `Agents may mail ${maskMailbox(mailbox)} again.`);
      }),
    );
}

async function retry(
  shell: Shell,
  deps: Deps,
  ids: readonly string[],
  reason: string | undefined,
): Promise<void> {
  const act = { accountId: undefined, reason };
  if (ids.length === 0) {
    const count = await retryAllMails(deps, shell.origin(), act);
    return shell.say({ queued: count }, `Queued again: ${count}.`);
  }
  const queued = await retryMails(deps, shell.origin(), act, ids);
  const missing = ids.filter((id) => !queued.includes(id));
  if (queued.length > 0) shell.say({ queued }, queued.map((id) => `${id} is queued again.`).join('\n'));
  for (const id of missing) shell.notFound(`mail that can be sent again: ${id}`);
}

function mailJson(mail: FoundMail): object {
  const { id, kind, mailbox, tries, fault, canRetry } = mail;
  return {
    id,
    kind,
    mailbox,
    created_at: new Date(mail.createdAt).toISOString(),
    tries,
    next_at: mail.nextAt && new Date(mail.nextAt).toISOString(),
    given_up_at: mail.deadAt && new Date(mail.deadAt).toISOString(),
    reason: fault,
    can_retry: canRetry,
  };
}

function mailLine({ id, kind, mailbox, tries, fault }: FoundMail): string {
  return `${id}  ${kind.padEnd(12)}  ${mailbox}  tries ${tries}  ${fault ?? ''}`.trimEnd();
}

function suppressedJson({ mailbox, isForAll, since, endsAt }: SuppressedMailbox): object {
  return {
    mailbox,
    from: isForAll ? 'all agents' : 'one agent',
    since: new Date(since).toISOString(),
    until: endsAt && new Date(endsAt).toISOString(),
  };
}

function suppressedLine({ mailbox, isForAll, since }: SuppressedMailbox): string {
  return `${mailbox}  ${isForAll ? 'all agents' : 'one agent'}  since ${new Date(since).toISOString()}`;
}
