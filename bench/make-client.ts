import { loadConfig } from '../src/config/load.ts';
import { createClient } from '../src/domain/apps/create-client.ts';
import { withDeps } from '../src/with-deps.ts';
import { localOrigin } from '../src/work.ts';

/** Registers a client that gets tokens by its secret, in the database of the environment. Prints its id and secret as JSON. */
await withDeps(loadConfig(process.env), async (deps) => {
  const { client, secret } = await createClient(deps, localOrigin('bench'), {
    name: 'bench',
    redirectUris: [],
    authMethod: 'client_secret_basic',
    grantTypes: ['client_credentials'],
    scopes: ['read'],
  });
  console.log(JSON.stringify({ clientId: client.id, secret }));
});
