import { z } from 'zod';
import { revokeAppRefreshToken } from '../../domain/apps/revoke-refresh-token.ts';
import { revokePresentedCredential } from '../../domain/credentials/revoke-credential.ts';
import { isWellFormedSecret } from '../../lib/secrets.ts';
import { operation, urlencoded } from '../server/table.ts';

/** RFC 7009 section 2.1. The handler ignores `token_type_hint`, as that section permits. */
const revokeBody = z.object({ token: z.string().max(8192), token_type_hint: z.string().optional() });

/**
 * POST /oauth2/revoke: revokes the key or token of its holder. An invalid token gets the same empty 200 (RFC 7009
 * section 2.2).
 */
export const revokeToken = operation({
  caller: 'anyone',
  summary: 'Revoke the key that one holds (RFC 7009)',
  cors: true,
  body: urlencoded(revokeBody),
  async handle(call) {
    const { deps, origin, body } = call;
    if (isWellFormedSecret('ort', body.token)) await revokeAppRefreshToken(deps, origin, body.token);
    else await revokePresentedCredential(deps, origin, body.token);
    return { nothing: true };
  },
});
