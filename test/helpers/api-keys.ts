import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/work.ts';
import { bearer } from './common.ts';
import { ensure } from './ensure.ts';
import { basic, type Reply, type TestService } from './service.ts';

/** Resource servers, and further keys of an agent. */

export const asker = localOrigin('test');

export interface Server {
  id: string;
  secret: string;
  ask(token: string): Promise<Reply>;
}

/** A resource server, and how it asks about keys. */
export async function addServer(on: TestService, url: string, scopes?: string[]): Promise<Server> {
  const { server, secret } = await addResourceServer(on.service.deps, asker, { url, name: 'API', scopes });
  return {
    id: server.id,
    secret,
    ask: (token) => on.form('/oauth2/introspect', { token }, basic(server.id, secret)),
  };
}

/** Makes a key with a key; `data` of the answer. */
export async function makeKey(on: TestService, maker: string, body: object) {
  const reply = await on.post('/api/tokens', body, bearer(maker));
  ensure(reply.status === 200, reply.text);
  return reply.body.data;
}
