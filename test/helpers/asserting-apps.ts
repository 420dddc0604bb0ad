import { createClient, type NewClient } from '../../src/domain/apps/create-client.ts';
import { localOrigin } from '../../src/work.ts';
import { type AuthMd, JWT_BEARER, openAuthMd, type User } from './auth-md.ts';
import { basic, type Engine, type Reply } from './service.ts';

/** OAuth clients that present the word of a provider for people of its organization. */

/** A client with the grant, registered by the operator unless an owner is given. */
export async function createAssertingApp(world: Pick<AuthMd, 'on'>, input: Partial<NewClient> = {}) {
  const all: NewClient = {
    name: 'Wiki',
    redirectUris: [],
    authMethod: 'client_secret_basic',
    grantTypes: [JWT_BEARER],
    scopes: undefined,
    ...input,
  };
  const { client, secret } = await createClient(world.on.service.deps, localOrigin('test'), all);
  return { clientId: client.id, secret: secret ?? '', headers: basic(client.id, secret ?? '') };
}
type TestApp = Awaited<ReturnType<typeof createAssertingApp>>;

/** Signs people in with the grant of an app. */
function helpersOf(world: AuthMd) {
  const { on } = world;
  const sign = (app: Pick<TestApp, 'clientId'>, user: User, claims: Record<string, unknown> = {}) =>
    world.idJag(user, { client_id: app.clientId, ...claims });
  const exchange = (
    app: TestApp,
    assertion: string,
    more: Record<string, string> = {},
    headers: Record<string, string> = app.headers,
  ): Promise<Reply> => on.form('/oauth2/token', { grant_type: JWT_BEARER, assertion, ...more }, headers);
  const isActive = async (token: string) => (await world.introspected(token)).active;
  const accountAt = async (mailbox: string) => {
    const sql = 'SELECT id FROM accounts WHERE mailbox = ?';
    return (await on.service.deps.db.get<{ id: string }>(sql, [mailbox]))?.id;
  };
  return { sign, exchange, isActive, accountAt };
}

/** A service that trusts providers, with what clients do there. */
export async function openAsserting(engine: Engine, options: Parameters<typeof openAuthMd>[1] = {}) {
  const world = await openAuthMd(engine, options);
  return { world, ...helpersOf(world) };
}

export type AssertingWorld = Awaited<ReturnType<typeof openAsserting>>;
