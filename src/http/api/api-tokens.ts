import { z } from 'zod';
import { createKey, listKeys } from '../../domain/credentials/api-keys.ts';
import type { Key } from '../../domain/credentials/issue.ts';
import { revokeOwnKey } from '../../domain/credentials/revoke-credential.ts';
import { Failure } from '../../errors.ts';
import { normalizeAudienceUrl } from '../../lib/audience-url.ts';
import { formatScope, parseScope } from '../../lib/scopes.ts';
import { json, operation } from '../server/table.ts';
import { iso, isoOrNull, toIso } from '../server/wire-times.ts';

/** The key endpoints of a claimed agent (docs/dialects/tinysend.md). */

/** A key on the wire; it never contains the secret. */
export const keyShape = z.object({
  id: z.string(),
  name: z.string().optional(),
  prefix: z.string(),
  last_four: z.string(),
  scopes: z.array(z.string()),
  resources: z.array(z.string()).optional(),
  created_at: iso,
  expires_at: iso.nullable().describe('null: it does not end'),
  last_used_at: iso.optional(),
  revoked_at: iso.optional(),
});

const tokensAnswer = z.object({ tokens: z.array(keyShape) });

const createTokenBody = z.object({
  name: z.string().min(1).max(64),
  scope: z.string().min(1).max(1024).describe('Scope words, separated by spaces or commas'),
  expires_in: z
    .int()
    .min(1)
    .max(31_622_400)
    .describe('Seconds; without it as long as the key that asks')
    .optional(),
  resources: z
    .array(z.string().max(2048))
    .min(1)
    .max(16)
    .describe('URLs of the resource servers that it is for; without it for all')
    .optional(),
});
const createTokenAnswer = keyShape.extend({ credential: z.string() });
const revokeTokenAnswer = z.object({ id: z.string(), revoked: z.literal(true), revoked_at: iso });

/** GET /api/tokens: lists the keys of a claimed agent. */
export const listTokens = operation({
  caller: 'agent',
  summary: 'The keys of a claimed agent',
  answer: tokensAnswer,
  async handle(call) {
    const keys = await listKeys(call.deps, call.caller);
    return { data: { tokens: keys.map(renderKey) } };
  },
});

/** POST /api/tokens: issues another key, with no scope that the presented key lacks. The secret is returned once. */
export const createToken = operation({
  caller: 'agent',
  summary: 'Make another key for a claimed agent, no wider than the one that asks',
  body: json(createTokenBody),
  answer: createTokenAnswer,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    const scopes = parseScope(body.scope);
    if (scopes.length === 0 || !scopes.every((scope) => deps.config.scopes.has(scope))) {
      throw new Failure(
        'badRequest',
        `The scopes here are: ${formatScope([...deps.config.scopes.keys()])}.`,
        {
          field: 'scope',
        },
      );
    }
    const { key, credential } = await createKey(deps, origin, caller, {
      name: body.name,
      scopes,
      resources: body.resources?.map((url) => normalizeAudienceUrl(url, 'resources')),
      expiresInSeconds: body.expires_in,
    });
    return { data: { credential, ...renderKey(key) } };
  },
});

/** DELETE /api/tokens/:id: revokes a key of the same agent that allows no more than the presented key. */
export const revokeToken = operation({
  caller: 'agent',
  summary: 'Revoke a key',
  answer: revokeTokenAnswer,
  async handle(call) {
    const key = await revokeOwnKey(call.deps, call.origin, call.caller, call.params.id ?? '');
    return { data: { id: key.id, revoked: true, revoked_at: optionalIso(key.revokedAt) } };
  },
});

/** Returns a key as its holder sees it, without its secret. */
export function renderKey(key: Key): z.input<typeof keyShape> {
  return {
    id: key.id,
    name: key.name ?? undefined,
    prefix: key.prefix,
    last_four: key.lastFour,
    scopes: key.scopes,
    resources: key.resources,
    created_at: toIso(key.createdAt),
    expires_at: isoOrNull(key.expiresAt),
    last_used_at: optionalIso(key.lastUsedAt),
    revoked_at: optionalIso(key.revokedAt),
  };
}

function optionalIso(at: number | null): string | undefined {
  return at === null ? undefined : toIso(at);
}
