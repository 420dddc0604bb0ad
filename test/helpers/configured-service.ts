import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, startTestService, type TestService } from './service.ts';

/** A service with resources and a trusted agent provider in its configuration file. */

export const WORD_OF_A_STRANGER = [
  '{"alg":"ES256","typ":"oauth-id-jag+jwt"}',
  '{"iss":"https://stranger.example"}',
  'x',
]
  .map((part) => Buffer.from(part).toString('base64url'))
  .join('.');

export const RESOURCES = [
  {
    url: 'https://api.example.com/mcp',
    name: 'API',
    scopes: ['read'],
    documentation: 'https://docs.example.com/api',
  },
  { url: 'https://files.example.com/v1/files', name: 'Files' },
  { url: 'https://other.example.com/mcp', name: 'Other' }, // its document would be where the first one's is
];

export const TRUSTED = { issuer: 'https://agents.example', displayName: 'Agents' };

/** A service with this configuration file. */
export async function startWith(
  file: object,
  env: Record<string, string> = {},
  engine: Engine = 'sqlite',
): Promise<TestService> {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
  try {
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify(file));
    return await startTestService(engine, { env: { CONFIG: path, ...env } });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
