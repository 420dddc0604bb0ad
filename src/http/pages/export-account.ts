import { findAccountName } from '../../domain/accounts/account-name.ts';
import { isAgentMailSuppressed } from '../../domain/accounts/mail-suppressions.ts';
import { listOtherSessions } from '../../domain/accounts/sessions.ts';
import { findAuthenticatorStatus } from '../../domain/accounts/totp.ts';
import { listConnectedApps } from '../../domain/apps/connected-apps.ts';
import { listOwnClients } from '../../domain/apps/list-clients.ts';
import { listNewestActivity } from '../../domain/audit/list-activity.ts';
import { listPersonalKeys } from '../../domain/credentials/personal-keys.ts';
import { listOwnedAgents } from '../../domain/owner/list-owned-agents.ts';
import { listLinkedProviders } from '../../domain/providers/linked-providers.ts';
import { writeActivity } from '../../lib/format-activity.ts';
import { allItems } from '../../lib/list-pages.ts';
import { renderKey } from '../api/api-tokens.ts';
import { operation } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';
import { isEnded } from './agents.ts';
import { exportApp, exportClient } from './export-apps.ts';
import { exportPermissions } from './export-permissions.ts';
import { exportWorkspaces } from './export-workspaces.ts';

/** The export of an account. */

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
    const [agents, keys, apps, providers, clients, others, authenticator, noMail, activity, workspaces] =
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
        exportWorkspaces(deps, session),
      ]);
    const text = JSON.stringify(
      {
        account: {
          user_id: accountId,
          mailbox: session.mailbox,
          authenticator: authenticator !== undefined,
          mail_of_agents: !noMail,
          language: session.locale ?? null,
          name: (await findAccountName(deps, session.accountId)) ?? null,
        },
        agents: agents.map((agent) => ({
          agent_id: agent.id,
          name: agent.name,
          mode: agent.mode,
          scopes: isEnded(agent) ? [] : agent.scopes,
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
        workspaces,
        permissions: await exportPermissions(deps, accountId),
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
          workspace: entry.workspaceName,
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
