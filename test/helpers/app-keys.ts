import { randomUUID } from 'node:crypto';
import { createAppKey } from '../../src/domain/credentials/app-keys.ts';
import { asker } from './api-keys.ts';
import type { TestService } from './service.ts';

/** Makes a key of a thing, as its page does. @param nodeId our id of the thing */
export function makeAppKey(
  on: TestService,
  accountId: string,
  workspaceId: string,
  nodeId: string,
  days?: number,
) {
  return createAppKey(
    on.service.deps,
    asker,
    accountId,
    { workspaceId, nodeId, name: 'robot', days },
    { key: randomUUID(), owner: 'test', body: Buffer.alloc(0), ttlSeconds: 60, floodLimit: undefined },
  );
}
