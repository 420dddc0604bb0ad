import { z } from 'zod';
import { setAccountLocale } from '../../domain/accounts/account-locale.ts';
import { findAccountName, setAccountName } from '../../domain/accounts/account-name.ts';
import {
  areInvitationsSuppressed,
  isAgentMailSuppressed,
  setAgentMailAllowed,
  setInvitationsAllowed,
} from '../../domain/accounts/mail-suppressions.ts';
import { endOtherSessions, endSession, listOtherSessions } from '../../domain/accounts/sessions.ts';
import { findAuthenticatorStatus } from '../../domain/accounts/totp.ts';
import { deleteAccount } from '../../domain/owner/delete-account.ts';
import { listLiveTerminals } from '../../domain/permissions/terminals.ts';
import { listWorkspacesHeldAlone } from '../../domain/workspaces/leave-all-workspaces.ts';
import { Failure } from '../../errors.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { LOCALES, nameLocale } from '../../lib/translate.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { newBrowserCookie } from '../server/browser-session.ts';
import { clearCookie } from '../server/cookies.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { formSchema, type Problem } from './forms.ts';
import { type ListView, presentPaging, readMark } from './lists.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import { presentTerminal } from './session-keys.ts';

/** The pages of an account for its signed-in human. */

const endSessionForm = formSchema({ session: z.string().max(64) });

/** The human types the mailbox of the account to confirm the deletion. */
const deleteForm = formSchema({ mailbox: z.string().max(254).default('') });

const wantsMailForm = formSchema({ wanted: z.enum(['yes', 'no']) });

export const LANGUAGE_PATH = `${PAGES.account}/language`;
export const NAME_PATH = `${PAGES.account}/name`;
const nameForm = formSchema({ name: z.string().trim().max(64).default('') });

/** What the form sends for no language of the account's own. */
const SAME_AS_BROWSER = 'browser';
const languageForm = formSchema({ locale: z.enum([SAME_AS_BROWSER, ...LOCALES]) });

/** GET /account: shows the account and its sessions. */
export function accountPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My account and my sessions',
    handle: (call) => showAccount(pages, call),
  });
}

/** @param problem what is wrong with the name that was typed */
async function showAccount(
  pages: Pages,
  { deps, caller, query }: Pick<Call<unknown, 'signedInUser'>, 'deps' | 'caller' | 'query'>,
  typed = caller.draft(NAME_PATH)?.name,
  problem?: Problem,
): Promise<HandlerResult> {
  const { session } = caller;
  const others = await listOtherSessions(deps, session, { at: readMark(query) });
  const authenticator = await findAuthenticatorStatus(deps, session.accountId);
  const isFirstPage = others.previous === undefined;
  const sessions = isFirstPage ? [session, ...others.items] : others.items;
  const view: ListView = { path: PAGES.account, query, parameters: [], anchor: 'sessions' };
  return pages.show(caller, 'account', {
    mailbox: session.mailbox,
    accountId: session.accountId,
    recoveryCodesLeft: authenticator?.recoveryCodesLeft,
    isMailWanted: !(await isAgentMailSuppressed(deps, session)),
    areInvitationsWanted: session.hasWorkspaces
      ? !(await areInvitationsSuppressed(deps, session.mailbox))
      : undefined,
    locale: caller.draft(LANGUAGE_PATH)?.locale ?? session.locale ?? SAME_AS_BROWSER,
    languages: LOCALES.map((locale) => ({ locale, name: nameLocale(locale) })),
    sessions: sessions.map(({ id, origin, createdAt, seenAt }) => ({
      id,
      origin,
      createdAt,
      seenAt,
      isThis: id === session.id,
    })),
    terminals: (await listLiveTerminals(deps, session.accountId)).map(presentTerminal),
    hasSeveralOthers: others.items.length > 1 || !isFirstPage,
    paging: presentPaging(view, others, { isByTime: true }),
    name: typed ?? (await findAccountName(deps, session.accountId)) ?? '',
    ...(problem && { problem }),
  });
}

/** GET /account/delete: shows what the deletion removes, and what stands in its way. */
export function deletePage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What deleting it means',
    handle: (call) => showDeletion(pages, call, call.caller.draft(PAGES.deleteAccount)?.mailbox),
  });
}

async function showDeletion(
  pages: Pages,
  { deps, caller }: Pick<Call<unknown, 'recentlyVerifiedUser'>, 'deps' | 'caller'>,
  typed?: string,
  problem?: Problem,
): Promise<HandlerResult> {
  const { accountId, mailbox } = caller.session;
  const held = await listWorkspacesHeldAlone(deps, accountId);
  const workspaces = held.map(({ workspaceId, name }) => ({
    path: `${PAGES.workspaces}/${workspaceId}`,
    name: displayName(name),
  }));
  const values = { mailbox, typed, workspaces, problem };
  return pages.show(caller, 'delete-account', values);
}

/** POST /account/delete: deletes the account and signs its human out. */
export function submitDeletion(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Delete it',
    form: deleteForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const { accountId, mailbox } = caller.session;
      if (parseMailbox(body.mailbox) !== mailbox) {
        const problem: Problem = { key: 'deleteAccount.wrong', values: { mailbox }, field: 'mailbox' };
        return showDeletion(pages, call, body.mailbox, problem);
      }
      try {
        await deleteAccount(deps, origin, accountId);
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'lastOwner') throw error;
        return showDeletion(pages, call, body.mailbox, { key: 'deleteAccount.onlyOwner' });
      }
      const cookies = [clearCookie(deps.config, 'session'), newBrowserCookie(deps)];
      return { ...pages.show({ ...caller, session: undefined }, 'deleted', {}), cookies };
    },
  });
}

/** POST /account/sessions/end: ends one session of the account. */
export const endOneSession = formOperation({
  caller: 'signedInUser',
  summary: 'End a session',
  form: endSessionForm,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    await endSession(deps, origin, caller.session.accountId, body.session);
    return redirect(deps.config, PAGES.account, [], 'sessionEnded');
  },
});

/** POST /account/sessions/end-others: ends all sessions of the account but the one of this browser. */
export const endAllOtherSessions = formOperation({
  caller: 'signedInUser',
  summary: 'End all other sessions',
  form: formSchema({}),
  async handle({ deps, origin, caller }) {
    const { accountId, id } = caller.session;
    await endOtherSessions(deps, origin, accountId, id);
    return redirect(deps.config, PAGES.account, [], 'sessionsEnded');
  },
});

/** POST /account/mail: suppresses or allows mail that agents cause. */
export const changeMailPreference = formOperation({
  caller: 'signedInUser',
  summary: 'Have mail of agents, or not',
  form: wantsMailForm,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    await setAgentMailAllowed(deps, origin, caller.session, body.wanted === 'yes');
    return redirect(deps.config, PAGES.account, [], 'mailChanged');
  },
});

/** POST /account/invitations: suppresses or allows invitations to workspaces. */
export const changeInvitationPreference = formOperation({
  caller: 'signedInUser',
  summary: 'Have invitations to workspaces, or not',
  form: wantsMailForm,
  async handle({ deps, origin, caller, body }) {
    await setInvitationsAllowed(deps, origin, caller.session, body.wanted === 'yes');
    return redirect(deps.config, PAGES.account, [], 'mailChanged');
  },
});

/** POST /account/name: sets what the members of one's workspaces, and apps that may, see one by. An address as a name could be another one's. */
export function changeName(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Choose a name',
    form: nameForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const name = displayName(body.name);
      if (name.includes('@')) {
        return showAccount(pages, call, body.name, { key: 'account.nameWrong', field: 'name' });
      }
      await setAccountName(deps, origin, caller.session.accountId, name === '' ? undefined : name);
      return redirect(deps.config, PAGES.account, [], 'nameChanged');
    },
  });
}

/** POST /account/language: sets the language of pages and mail. */
export const changeLanguage = formOperation({
  caller: 'signedInUser',
  summary: 'Choose a language',
  form: languageForm,
  async handle({ deps, origin, caller, body }) {
    const locale = body.locale === SAME_AS_BROWSER ? undefined : body.locale;
    await setAccountLocale(deps, origin, caller.session.accountId, locale);
    return redirect(deps.config, PAGES.account, [], 'languageChanged');
  },
});
