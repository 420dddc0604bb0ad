import { type Command, InvalidArgumentError } from 'commander';
import {
  endAccountSessions,
  type FoundAccount,
  findAccounts,
  findPerson,
  revokeAccountKeys,
  setAccountMail,
  showAccount,
} from '../domain/operators/accounts.ts';
import { deleteAccount } from '../domain/owner/delete-account.ts';
import { listWorkspacesHeldAlone, type Succession } from '../domain/workspaces/leave-all-workspaces.ts';
import { Failure } from '../errors.ts';
import { displayName } from '../lib/untrusted-text.ts';
import { reasonOption, type Shell } from './shell.ts';

/** Adds `account …`: finds and shows people's accounts, with their mailboxes masked, and ends what they hold. */
export function addAccountCommands(program: Command, shell: Shell): void {
  const account = program.command('account').description('people’s accounts; their mailboxes are masked');
  account
    .command('find [text]')
    .description('newest first: by an id or its start, or a mailbox in full')
    .option('--before <id>', 'go on before this account')
    .action((text: string | undefined, { before }: { before?: string }) =>
      shell.withDatabase(async (deps) => {
        const { accounts, next } = await findAccounts(deps, { search: text ?? '', since: undefined, before });
        const lines = accounts.map(({ id, mailbox }) => `${id}  ${mailbox ?? '-'}`);
        if (next !== undefined) lines.push(`There are more. Go on with --before ${next}`);
        shell.say({ accounts: accounts.map(accountJson), next_before: next }, lines.join('\n') || 'None.');
      }),
    );
  account
    .command('show <id>')
    .description('one account, of a person or an agent')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        const found = await showAccount(deps, id);
        if (found === undefined) return shell.notFound('account');
        const json = {
          ...accountJson(found.account),
          agents: found.agents.count,
          active_keys: found.keys.count,
          sessions: found.sessions.count,
          mail_of_agents: found.isMailWanted,
        };
        shell.say(json, JSON.stringify(json, null, 2));
      }),
    );
  /** Does something to an account, or says that there is none. */
  const act = async (work: () => Promise<unknown>, json: object, text: string) => {
    try {
      await work();
    } catch (error) {
      if (error instanceof Failure && error.kind === 'notFound') return shell.notFound('account');
      throw error;
    }
    shell.say(json, text);
  };
  account
    .command('end-sessions <id>')
    .description('sign it out in every browser')
    .addOption(reasonOption())
    .action((id: string, { reason }: { reason?: string }) =>
      shell.withDatabase((deps) =>
        act(
          () => endAccountSessions(deps, shell.origin(), { accountId: undefined, reason }, id),
          { account: id },
          `The sessions of ${id} have ended.`,
        ),
      ),
    );
  account
    .command('revoke-keys <id>')
    .description('revoke all its keys and tokens, those of merged agents, too')
    .addOption(reasonOption())
    .action((id: string, { reason }: { reason?: string }) =>
      shell.withDatabase((deps) =>
        act(
          () => revokeAccountKeys(deps, shell.origin(), { accountId: undefined, reason }, id),
          { account: id },
          `The keys of ${id} are revoked.`,
        ),
      ),
    );
  account
    .command('mail')
    .description('let agents mail it, or not')
    .argument('<id>')
    .argument('<wanted>', 'on or off', (text: string) => {
      if (text !== 'on' && text !== 'off') throw new InvalidArgumentError('It takes on or off.');
      return text;
    })
    .addOption(reasonOption())
    .action((id: string, wanted: 'on' | 'off', { reason }: { reason?: string }) =>
      shell.withDatabase((deps) =>
        act(
          () => setAccountMail(deps, shell.origin(), { accountId: undefined, reason }, id, wanted === 'on'),
          { account: id, mail_of_agents: wanted === 'on' },
          `Mail of agents to ${id} is ${wanted}.`,
        ),
      ),
    );
  account
    .command('delete <account>')
    .description('delete a person’s account, named by its mailbox or id, as they could themselves')
    .option('--to <member>', 'who owns the workspaces that it alone owns, named by mailbox or id')
    .option('--force', 'delete the workspaces that it alone owns, also while others are in them')
    .addOption(reasonOption())
    .action((named: string, options: DeleteOptions) =>
      shell.withDatabase(async (deps) => {
        const found = await findPerson(deps, named);
        if (found === undefined) return shell.notFound('account');
        const to = options.to === undefined ? undefined : await findPerson(deps, options.to);
        if (options.to !== undefined && to === undefined) return shell.notFound('account of a member');
        if (to?.id === found.id) throw new Failure('badRequest', '--to takes another account.');
        const succession: Succession =
          to !== undefined ? { to: to.id } : options.force === true ? 'delete' : 'refuse';
        const act = { accountId: undefined, reason: options.reason };
        try {
          await deleteAccount(deps, shell.origin(), found.id, { succession, act });
        } catch (error) {
          if (!(error instanceof Failure) || error.kind !== 'lastOwner') throw error;
          const held = await listWorkspacesHeldAlone(deps, found.id);
          shell.note(
            [
              `${found.id} is the only owner of workspaces with other members. Nothing was changed.`,
              ...held.map(({ workspaceId, name }) => `${workspaceId}  ${displayName(name)}`),
              'Name a member who owns them from now on by --to, or delete them by --force.',
            ].join('\n'),
          );
          return shell.failed();
        }
        shell.say({ deleted: found.id }, `${found.id} is deleted.`);
      }),
    );
}

interface DeleteOptions {
  to?: string;
  force?: true;
  reason?: string;
}

function accountJson(found: FoundAccount): object {
  return {
    user_id: found.id,
    mailbox: found.mailbox,
    kind: found.isHuman ? 'human' : 'agent',
    authenticator: found.hasAuthenticator,
    created_at: new Date(found.createdAt).toISOString(),
    ended_at: found.endedAt && new Date(found.endedAt).toISOString(),
    last_seen_at: found.seenAt && new Date(found.seenAt).toISOString(),
  };
}
