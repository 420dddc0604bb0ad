import { z } from 'zod';
import { setAccountLocale } from '../../domain/accounts/account-locale.ts';
import { isAgentMailSuppressed, setAgentMailAllowed } from '../../domain/accounts/mail-suppressions.ts';
import { endOtherSessions, endSession, listOtherSessions } from '../../domain/accounts/sessions.ts';
import { findAuthenticatorStatus } from '../../domain/accounts/totp.ts';
import { listConnectedApps } from '../../domain/apps/connected-apps.ts';
import { listOwnClients } from '../../domain/apps/list-clients.ts';
import { listNewestActivity } from '../../domain/audit/list-activity.ts';
import { listPersonalKeys } from '../../domain/credentials/personal-keys.ts';
import { deleteAccount } from '../../domain/owner/delete-account.ts';
import { listOwnedAgents } from '../../domain/owner/list-owned-agents.ts';
import { listLinkedProviders } from '../../domain/providers/linked-providers.ts';
import { writeActivity } from '../../lib/format-activity.ts';
import { allItems } from '../../lib/list-pages.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { LOCALES, nameLocale } from '../../lib/translate.ts';
import { renderKey } from '../api/api-tokens.ts';
import { newBrowserCookie } from '../server/browser-session.ts';
import { clearCookie } from '../server/cookies.ts';
import { operation } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';
import { exportApp, exportClient } from './export-apps.ts';
import { formSchema, type Problem } from './forms.ts';
import { type ListView, presentPaging, readMark } from './lists.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** The pages of an account for its signed-in human. */

const endSessionForm = formSchema({ session: z.string().max(64) });

/** The human types the mailbox of the account to confirm the deletion. */
const deleteForm = formSchema({ mailbox: z.string().max(254).default('') });

const wantsMailForm = formSchema({ wanted: z.enum(['yes', 'no']) });

export const LANGUAGE_PATH = `${PAGES.account}/language`;
/** What the form sends for no language of the account's own. */
const SAME_AS_BROWSER = 'browser';
const languageForm = formSchema({ locale: z.enum([SAME_AS_BROWSER, ...LOCALES]) });

/** GET /account: shows the account and its sessions. */
export function accountPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My account and my sessions',
    async handle({ deps, caller, query }) {
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
        locale: caller.draft(LANGUAGE_PATH)?.locale ?? session.locale ?? SAME_AS_BROWSER,
        languages: LOCALES.map((locale) => ({ locale, name: nameLocale(locale) })),
        sessions: sessions.map(({ id, origin, createdAt, seenAt }) => ({
          id,
          origin,
          createdAt,
          seenAt,
          isThis: id === session.id,
        })),
        hasSeveralOthers: others.items.length > 1 || !isFirstPage,
        paging: presentPaging(view, others, { isByTime: true }),
      });
    },
  });
}

const EVENTS_MAX = 10_000;

/**
 * GET /account/export: exports the data of a human as JSON. It contains no secret: a key cannot be read back from its
 * hash.
 */
export const exportAccount = operation({
  caller: 'signedInUser',
  summary: 'All of it as JSON',
  async handle({ deps, caller }) {
    const translator = deps.translators[caller.locale];
    const { session } = caller;
    const { accountId } = session;
    const [agents, keys, apps, providers, clients, others, authenticator, noMail, activity] =
      await Promise.all([
        Array.fromAsync(allItems((query) => listOwnedAgents(deps, accountId, { ...query, sort: 'name' }))),
        Array.fromAsync(allItems((query) => listPersonalKeys(deps, accountId, query))),
        Array.fromAsync(allItems((query) => listConnectedApps(deps, accountId, query))),
        listLinkedProviders(deps, accountId),
        Array.fromAsync(allItems((query) => listOwnClients(deps, accountId, query))),
        Array.fromAsync(allItems((query) => listOtherSessions(deps, session, query))),
        findAuthenticatorStatus(deps, accountId),
        isAgentMailSuppressed(deps, session),
        listNewestActivity(deps, accountId, EVENTS_MAX),
      ]);
    const text = JSON.stringify(
      {
        account: {
          user_id: accountId,
          mailbox: session.mailbox,
          authenticator: authenticator !== undefined,
          mail_of_agents: !noMail,
          language: session.locale ?? null,
        },
        agents: agents.map((agent) => ({
          agent_id: agent.id,
          name: agent.name,
          mode: agent.mode,
          scopes: agent.scopes,
          registered_at: toIso(agent.registeredAt),
          owned_at: toIso(agent.ownedAt),
          last_used_at: agent.lastUse && toIso(agent.lastUse.at),
          last_used_from: agent.lastUse?.from,
          revoked_at: agent.revokedAt && toIso(agent.revokedAt),
          over_at: agent.overAt && toIso(agent.overAt),
        })),
        keys: keys.map(renderKey),
        apps: apps.map(exportApp),
        providers: providers.map(({ name, linkedAt }) => ({ name, linked_at: toIso(linkedAt) })),
        oauth_clients: clients.map(exportClient),
        sessions: [session, ...others].map(({ id, origin, createdAt, seenAt }) => ({
          id,
          from: origin,
          created_at: toIso(createdAt),
          seen_at: toIso(seenAt),
        })),
        activity: activity.map((entry) => ({
          at: toIso(entry.at),
          kind: entry.kind,
          what: writeActivity(translator, entry),
          agent: entry.agentName,
          key: entry.keyName,
          app: entry.appName,
          from: entry.origin,
        })),
      },
      null,
      2,
    );
    return {
      type: 'application/json; charset=utf-8',
      headers: { 'Content-Disposition': 'attachment; filename="account.json"' },
      text,
    };
  },
});

/** GET /account/delete: shows what the deletion removes. */
export function deletePage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What deleting it means',
    handle({ caller }) {
      const typed = caller.draft(PAGES.deleteAccount)?.mailbox;
      return pages.show(caller, 'delete-account', { mailbox: caller.session.mailbox, typed });
    },
  });
}

/** POST /account/delete: deletes the account and signs its human out. */
export function submitDeletion(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Delete it',
    form: deleteForm,
    async handle({ deps, origin, caller, body }) {
      const { accountId, mailbox } = caller.session;
      if (parseMailbox(body.mailbox) !== mailbox) {
        const problem: Problem = { key: 'deleteAccount.wrong', values: { mailbox }, field: 'mailbox' };
        return pages.show(caller, 'delete-account', { mailbox, typed: body.mailbox, problem }, 400);
      }
      await deleteAccount(deps, origin, accountId);
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
