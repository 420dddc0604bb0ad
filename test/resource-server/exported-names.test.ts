import { test } from '../helpers/suite.ts';

/** What people import from the package: a name that goes away breaks their servers. */
const EXPORTED = {
  index: [
    'SyncRefused',
    'VerificationError',
    'challenge',
    'covers',
    'createGuard',
    'createPolicy',
    'createVerifier',
    'kindOf',
    'loadPolicy',
    'may',
    'protectedResourceMetadata',
    'syncNodes',
  ],
  koa: ['protect', 'protectedResourceMetadata'],
  express: ['protect', 'protectedResourceMetadata'],
  fastify: ['protect', 'protectedResourceMetadata'],
  fetch: ['protect', 'protectedResourceMetadata'],
  mcp: ['JSON_RPC', 'createMcpGuard', 'createSessionOwners', 'rpcError', 'tokenVerifier'],
};

for (const [entry, names] of Object.entries(EXPORTED)) {
  test(`the kit exports these names, and no others: ${entry}`, async (t) => {
    const module = await import(`../../src/resource-server/${entry}.ts`);
    t.deepEqual(Object.keys(module).sort(), names);
  });
}
