import Provider, { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import { createToken } from '../../../domain/credentials/access-tokens.ts';
import { newTokenId } from '../../../domain/credentials/issue.ts';
import { listSealedKeys, unsealKeys } from '../../../domain/credentials/signing-keys.ts';
import { parseScope } from '../../../lib/scopes.ts';
import { newSecret, type SecretPrefix } from '../../../lib/secrets.ts';
import { ownAccountOf } from './client-members.ts';
import { matchesHashedSecret } from './client-secret.ts';
import { createConfiguration, mintedTokens } from './configuration.ts';
import { findAudience } from './exchange.ts';
import { addIdJagGrant } from './id-jag-grant.ts';

/** The instance of oidc-provider. */

interface Built {
  provider: Provider;
  /** The ids of the signing keys that it was built with. */
  kids: string;
}

const builtFor = new WeakMap<Deps['db'], Built>();

/**
 * Returns the instance for a database. oidc-provider takes its keys when it is built, so it is built anew when the
 * signing keys change, which is looked up for each request: a key that was withdrawn signs nothing more. All state is in
 * the database.
 */
export async function currentProvider(deps: Deps): Promise<Provider> {
  const keys = await listSealedKeys(deps);
  const kids = keys.map(({ kid }) => kid).join(' ');
  const built = builtFor.get(deps.db);
  if (built?.kids === kids) return built.provider;
  const provider = build(deps, unsealKeys(deps, keys));
  builtFor.set(deps.db, { provider, kids });
  return provider;
}

/** Returns the instance that was built last, whatever its keys; undefined: none was built. */
export function builtProvider({ db }: Pick<Deps, 'db'>): Provider | undefined {
  return builtFor.get(db)?.provider;
}

function build(deps: Deps, keys: ReturnType<typeof unsealKeys>): Provider {
  const provider = new Provider(deps.config.publicUrl, createConfiguration(deps, keys));
  provider.silent = true; // Koa would print errors; they are logged here
  provider.on('server_error', (_ctx, err) => deps.log.error({ err }, 'oidc-provider failed'));
  mintOurTokens(deps, provider);
  forgetStaleKeys(provider);
  addIdJagGrant(deps, provider);
  provider.use(async (ctx, next) => {
    await next();
    nameWrongGrant(ctx as KoaContextWithOIDC);
  });
  provider.Client.prototype.compareClientSecret = function compareClientSecret(actual: string) {
    const { clientSecret = '' } = this as { clientSecret?: string };
    return matchesHashedSecret(clientSecret, actual);
  };
  return provider;
}

/**
 * Forgets the keys of a client that have to be fetched again. oidc-provider fetches them for a signature that fits none of
 * those that it has, and would go on taking one that its client withdrew.
 */
function forgetStaleKeys({ Client }: Provider): void {
  const { find } = Client;
  Client.find = async function findClient(this: typeof Client, id) {
    const client = await find.call(this, id);
    // The types of the package leave the keys out.
    const { asymmetricKeyStore: keys } = (client ?? {}) as { asymmetricKeyStore?: ClientKeys };
    if (keys?.stale()) keys.clear();
    return client;
  };
}

interface ClientKeys {
  stale(): boolean;
  clear(): void;
}

/** Names a grant that is not one of the client's by its error (RFC 6749 section 5.2): oidc-provider has a more general one. */
function nameWrongGrant(ctx: KoaContextWithOIDC): void {
  const { client, params, route } = ctx.oidc ?? {};
  const isRefused = (ctx.body as { error?: unknown } | undefined)?.error === 'invalid_request';
  const grantType = params?.grant_type;
  if (route !== 'token' || !isRefused || client === undefined || typeof grantType !== 'string') return;
  if (client.grantTypeAllowed(grantType)) return;
  ctx.body = { error: 'unauthorized_client', error_description: 'this grant is not one of the client' };
}

/** Gives tokens the form of our own: with prefix and checksum, or signed where the API wants that (RFC 9068). */
function mintOurTokens(deps: Deps, provider: Provider): void {
  const mint = (prefix: SecretPrefix) => ({ generateTokenId: () => newSecret(prefix, deps.random) });
  Object.assign(provider.RefreshToken.prototype, mint('ort'));
  Object.assign(provider.RegistrationAccessToken.prototype, mint('rat'));
  mintAccessTokens(deps, provider.AccessToken.prototype as AccessTokenPrototype);
  mintAccessTokens(deps, provider.ClientCredentials.prototype as ClientCredentialsPrototype);
}

function mintAccessTokens(deps: Deps, prototype: AccessTokenPrototype | ClientCredentialsPrototype): void {
  const { save, generateTokenId } = prototype;
  const values = new WeakMap<object, string>();
  prototype.generateTokenId = function tokenValue(this: Token) {
    generateTokenId.call(this); // it also resolves the format, without which nothing is saved
    return values.get(this)!;
  };
  prototype.save = async function saveToken(this: Token) {
    if (!('accountId' in this)) narrowToResource(this);
    const { value, ...minted } = await mintAccessToken(deps, this);
    mintedTokens.set(this, minted);
    values.set(this, value);
    return save.call(this);
  };
}

/** A client that acts by itself gets all that it may have at the API where it names nothing; and nothing elsewhere. */
function narrowToResource(token: ClientCredentials): void {
  const { resourceServer } = token;
  const isUnnamed = Provider.ctx?.oidc.params?.scope === undefined;
  if (isUnnamed && resourceServer !== undefined) token.scope = resourceServer.scope;
  if (resourceServer !== undefined && token.scope) return;
  throw new errors.InvalidScope('the client may not have this scope at the resource', token.scope ?? '');
}

type AccessToken = InstanceType<Provider['AccessToken']>;
type ClientCredentials = InstanceType<Provider['ClientCredentials']>;
type Token = AccessToken | ClientCredentials;

/** The types of the package leave `generateTokenId` out. */
interface AccessTokenPrototype extends AccessToken {
  generateTokenId(): string;
  save(): Promise<string>;
}

interface ClientCredentialsPrototype extends ClientCredentials {
  generateTokenId(): string;
  save(): Promise<string>;
}

/** Creates the id and the value of an access token, and sets its times. */
async function mintAccessToken(
  deps: Deps,
  token: Token,
): Promise<{ id: string; value: string; account: string }> {
  const issuedAt = Math.floor(deps.clock() / 1000) * 1000;
  const expiresAt = issuedAt + token.expiration * 1000;
  Object.assign(token, { iat: issuedAt / 1000, exp: expiresAt / 1000 });
  const url = token.resourceServer?.identifier();
  const audience = url === undefined ? undefined : await findAudience(url);
  const account = 'accountId' in token ? token.accountId : ownAccountOf(token.client!);
  if (account === undefined) throw new errors.UnauthorizedClient('the client does not act by itself');
  if (audience?.tokens !== 'jwt') {
    return { id: newTokenId(deps, issuedAt), value: newSecret('at', deps.random), account };
  }
  const { clientId = '', jkt } = token;
  const terms = { clientId, accountId: account, scopes: parseScope(token.scope ?? ''), keyThumbprint: jkt };
  return { ...(await createToken(deps, { ...terms, audience, issuedAt, expiresAt })), account };
}
