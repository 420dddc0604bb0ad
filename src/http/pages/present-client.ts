import type { Deps } from '../../deps.ts';
import type { OAuthClient } from '../../domain/apps/clients.ts';
import { findOwnClient } from '../../domain/apps/manage-clients.ts';
import { parseScope } from '../../lib/scopes.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import type { Call, HandlerResult } from '../server/table.ts';
import { authOf, type ClientForm, type EnteredClient, usesOf } from './client-form.ts';
import type { Pages } from './pages.ts';
import { presentWhere, readWhere } from './where.ts';

/** What the pages of a human's OAuth clients share. */

export type UserCall<Body = unknown> = Call<Body, 'signedInUser'>;

/** Shows a client that was created or got a new secret, with the secret once. */
export function showSecret(
  pages: Pages,
  { deps, caller }: Pick<UserCall, 'deps' | 'caller'>,
  client: OAuthClient,
  how: 'made' | 'rotated',
  secret: string | undefined,
): HandlerResult {
  const { publicUrl, resources } = deps.config;
  return pages.show(caller, 'client-secret', {
    client: presentClient(client, deps.clock()),
    how,
    secret,
    issuer: publicUrl,
    resource: resources[0]!.url,
  });
}

/** Prepares the part of the form that says where a client may work at most; undefined: it is not shown. */
export async function presentClientWhere(
  deps: Deps,
  accountId: string,
  form: EnteredClient,
): Promise<object | undefined> {
  const where = await readWhere(deps, accountId, form);
  return where && presentWhere(deps, where, form, true);
}

/** Reports whether this browser already received the answer of the form that it sends. */
export function wasShown({
  caller,
  body,
}: Pick<UserCall<{ once?: string | undefined }>, 'caller' | 'body'>): boolean {
  return body.once !== undefined && caller.cookie('made') === body.once;
}

export function withoutOnce({ once: _, ...entered }: ClientForm): EnteredClient {
  return entered;
}

export function findOwn({
  deps,
  caller,
  params,
}: Pick<UserCall, 'deps' | 'caller' | 'params'>): Promise<OAuthClient> {
  return findOwnClient(deps, caller.session.accountId, params.id!);
}

/** Prepares a client for a page of its owner, times in epoch ms. */
export function presentClient(client: OAuthClient, now: number) {
  const { previousEndsAt, secretHash } = client;
  const facts = presentFacts(client);
  return {
    ...facts,
    isPublic: facts.auth === 'none',
    hasSecret: secretHash !== null,
    previousEndsAt: previousEndsAt !== null && previousEndsAt > now ? previousEndsAt : undefined,
  };
}

/** What the pages of owners and operators show alike. */
export function presentFacts({ id, name, metadata, scope, createdAt, usedAt, suspendedAt }: OAuthClient) {
  return {
    id,
    name: displayName(name ?? ''),
    auth: authOf(metadata),
    uses: usesOf(metadata),
    redirects: (metadata.redirect_uris ?? []) as string[],
    scopes: scope === null ? undefined : parseScope(scope),
    createdAt,
    usedAt: usedAt ?? undefined,
    suspendedAt: suspendedAt ?? undefined,
  };
}
