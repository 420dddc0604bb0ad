import { z } from 'zod';
import { describeGrants, listGrantsOfKey, revokeGrantByKey } from '../../domain/permissions/grants.ts';
import { type KeyHolder, keyInvalid, type SigningKey } from '../../domain/permissions/key-holders.ts';
import { endSessionKey, rotateSessionKey } from '../../domain/permissions/rotate-key.ts';
import { Failure } from '../../errors.ts';
import { PATHS } from '../server/paths.ts';
import { json, operation } from '../server/table.ts';
import { iso, toIso } from '../server/wire-times.ts';

/** What a session key holds, and its replacement (docs/permissions.md). */

const permission = z.object({
  service: z.string(),
  resource: z.string().describe('The URL of the API'),
  space: z.string(),
  path: z.string(),
  actions: z.array(z.string()),
  types: z.array(z.string()).optional(),
  expires_at: z.string().optional(),
});

const holderShape = z.object({
  kind: z.enum(['agent', 'human']),
  agent_id: z.string().optional(),
  account: z.string(),
  owner: z.string().optional().describe('The account of the human behind the agent'),
  thumbprint: z.string(),
  expires_at: iso.optional().describe('Left out: the key does not end by itself'),
  bound: z
    .object({ scopes: z.array(z.string()), workspaces: z.array(z.string()) })
    .optional()
    .describe('What a terminal may grant'),
});

const grantsAnswer = z.object({
  key: holderShape,
  grants: z.array(
    z.object({
      id: z.string(),
      request_id: z.string(),
      granted_by: z.string(),
      issued_at: iso,
      expires_at: iso,
      once: z.boolean(),
      action: z.string().optional(),
      permissions: z.array(permission).describe('What it allows now'),
      grant: z.record(z.string(), z.unknown()).describe('As this service signed it'),
    }),
  ),
});

const keyBody = z.object({
  key: z.record(z.string(), z.unknown()).optional().describe('The public JWK of the new key'),
  proof: z
    .string()
    .max(8192)
    .optional()
    .describe('A token for this URL by the new key, with the old thumbprint as "old"'),
  end: z.boolean().optional().describe('true: the key ends'),
  end_grants: z.boolean().optional().describe('Whether what a terminal granted ends with it'),
});

const keyAnswer = z.union([
  z.object({ thumbprint: z.string(), old_thumbprint: z.string(), old_ends_at: iso }),
  z.object({ ended: z.literal(true), thumbprint: z.string() }),
]);

/** GET /agent/permissions: whose a session key is, and what was granted to it. */
export const listGrants = operation({
  caller: 'sessionKey',
  summary: 'What this session key holds now',
  answer: grantsAnswer,
  async handle({ deps, caller }) {
    const holder = requireHolder(caller);
    const rows = await listGrantsOfKey(deps.db, holder, deps.clock());
    const grants = await describeGrants(deps, rows);
    const { agentId, accountId, ownerId, thumbprint, endsAt, bound } = holder;
    return {
      data: {
        key: {
          kind: agentId === undefined ? 'human' : 'agent',
          agent_id: agentId,
          account: accountId,
          owner: agentId === undefined ? undefined : ownerId,
          thumbprint,
          expires_at: endsAt === Infinity ? undefined : toIso(endsAt),
          bound,
        },
        grants: grants.map(({ row, artifact, permissions }) => ({
          id: row.id,
          request_id: row.requestId,
          granted_by: row.grantedBy,
          issued_at: toIso(row.createdAt),
          expires_at: toIso(row.expiresAt),
          once: row.once === 1,
          action: artifact.action,
          permissions,
          grant: artifact as unknown as Record<string, unknown>,
        })),
      },
    };
  },
});

/** DELETE /agent/permissions/grants/:id: ends a grant, by its holder or who gave it. */
export const endGrant = operation({
  caller: 'sessionKey',
  summary: 'End a grant that this session key holds, or that its human gave',
  answer: z.object({ id: z.string(), revoked: z.literal(true) }),
  async handle({ deps, origin, params, caller }) {
    await revokeGrantByKey(deps, origin, requireHolder(caller), params.id!);
    return { data: { id: params.id, revoked: true } };
  },
});

/** POST /agent/session-key: replaces a session key, or ends it. */
export const changeKey = operation({
  caller: 'sessionKey',
  summary: 'Replace this session key by another one, or end it',
  body: json(keyBody),
  answer: keyAnswer,
  async handle({ deps, origin, body, caller }) {
    const holder = requireHolder(caller);
    if (body.end === true) {
      if (body.key !== undefined)
        throw new Failure('badRequest', 'Send "key" or "end", not both.', { field: 'end' });
      await endSessionKey(deps, origin, holder, { endsGrants: body.end_grants === true });
      return { data: { ended: true, thumbprint: holder.thumbprint } };
    }
    const { key, proof } = body;
    if (key === undefined)
      throw new Failure('badRequest', 'Send the new "key", or "end": true.', { field: 'key' });
    if (proof === undefined)
      throw new Failure('badRequest', 'Send the "proof" by the new key.', { field: 'proof' });
    const audience = deps.config.publicUrl + PATHS.sessionKey;
    const rotated = await rotateSessionKey(deps, origin, holder, { key, proof }, audience);
    return {
      data: {
        thumbprint: rotated.thumbprint,
        old_thumbprint: rotated.oldThumbprint,
        old_ends_at: toIso(rotated.oldEndsAt),
      },
    };
  },
});

/** @throws Failure `invalidToken` for the key of a terminal that nobody let act for them yet */
function requireHolder({ holder }: SigningKey): KeyHolder {
  if (holder === undefined) throw keyInvalid();
  return holder;
}
