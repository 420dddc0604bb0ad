import { listPublicKeys } from '../../domain/credentials/signing-keys.ts';
import { jsonDocument } from '../discovery/metadata.ts';
import { operation } from '../server/table.ts';

/** GET /.well-known/jwks.json: read anew each time, since keys come and go while the service runs. */
export const publishKeys = operation({
  caller: 'anyone',
  open: true,
  summary: 'RFC 7517',
  handle: async ({ deps }) => jsonDocument(await listPublicKeys(deps)),
});
