import { z } from 'zod';
import { revokeHeldKey } from '../../domain/credentials/api-keys.ts';
import { operation, urlencoded } from '../server/table.ts';

/** RFC 7009. Who holds a key may end it; unknown hints are ignored (2.1). */
const revokeBody = z.object({ token: z.string().max(8192), token_type_hint: z.string().optional() });

/** POST /oauth2/revoke: 200 and nothing else, whatever the token was (2.2). */
export const revoke = operation({
  caller: 'anyone',
  summary: 'Revoke the key that one holds (RFC 7009)',
  cors: true,
  body: urlencoded(revokeBody),
  async handle(call) {
    await revokeHeldKey(call.deps, call.origin, call.body.token);
    return { nothing: true };
  },
});
