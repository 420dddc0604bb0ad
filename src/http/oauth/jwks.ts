import { listPublicKeys } from '../../domain/credentials/signing-keys.ts';
import { jsonDocument } from '../discovery/metadata.ts';
import { operation } from '../server/table.ts';

/** GET /.well-known/jwks.json (RFC 7517): reads the signing keys for each request, since they change at run time. */
export const publishKeys = operation({
  caller: 'anyone',
  open: true,
  summary: 'RFC 7517',
  handle: async ({ deps }) => jsonDocument(await listPublicKeys(deps)),
});
