import { test } from '../helpers/suite.ts';

/** What people import from the package: a name that goes away breaks their agents. */
const EXPORTED = [
  'ARTIFACT_BYTES_MAX',
  'ARTIFACT_READ_BYTES_MAX',
  'AuthError',
  'ConnectedProfile',
  'EXIT_CODES',
  'Profile',
  'canonicalJson',
  'claim',
  'covers',
  'createRequest',
  'endAgent',
  'exchange',
  'findManifest',
  'formatCap',
  'isWithinRequest',
  'listMissing',
  'listProfiles',
  'newSessionKey',
  'parseArtifact',
  'parseCap',
  'parseLifetime',
  'poll',
  'readAgentStatus',
  'readDenial',
  'readGrant',
  'readLogin',
  'readManifest',
  'readPermissionFile',
  'readRequest',
  'registerAgent',
  'signKeyToken',
  'verifyAnswer',
  'verifyDenial',
  'verifyGrant',
  'verifyRequest',
];

test('vouchsafe/client exports these names, and no others', async (t) => {
  const module = await import('../../src/client/index.ts');
  t.deepEqual(Object.keys(module).sort(), EXPORTED);
});
