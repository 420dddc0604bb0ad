import { listPublicKeys } from '../domain/signing-keys.ts';
import { jsonDocument } from './discovery.ts';
import type { Answer, Call } from './route.ts';

/** GET /.well-known/jwks.json: read anew each time, since keys come and go while the service runs. */
export async function keySet({ deps }: Call<undefined, 'anyone'>): Promise<Answer> {
  return jsonDocument(await listPublicKeys(deps));
}
