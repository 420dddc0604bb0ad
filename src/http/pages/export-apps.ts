import type { OAuthClient } from '../../domain/apps/clients.ts';
import type { ConnectedApp } from '../../domain/apps/connected-apps.ts';
import { parseScope } from '../../lib/scopes.ts';
import { toIso } from '../server/wire-times.ts';

/** What the export of an account says of apps. */

/** Renders an app that may use the account. */
export function exportApp(app: ConnectedApp): object {
  return {
    id: app.id,
    client_id: app.clientId,
    name: app.name,
    resource: app.resource,
    scopes: [...app.scopes, ...app.openidScopes],
    approved_at: toIso(app.createdAt),
    approved_through: app.provider,
    expires_at: toIso(app.expiresAt),
    last_used_at: app.lastUse && toIso(app.lastUse.at),
    last_used_from: app.lastUse?.from,
  };
}

/** Renders an OAuth client that the account registered, without its secret. */
export function exportClient({ id, metadata, scope, createdAt, usedAt, suspendedAt }: OAuthClient): object {
  return {
    client_id: id,
    ...metadata,
    scopes: scope === null ? undefined : parseScope(scope),
    created_at: toIso(createdAt),
    last_used_at: usedAt === null ? undefined : toIso(usedAt),
    suspended_at: suspendedAt === null ? undefined : toIso(suspendedAt),
  };
}
