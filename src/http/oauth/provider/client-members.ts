import type Provider from 'oidc-provider';

/** Members of clients that oidc-provider does not know. They come from the database, never from what a client registers. */

type Client = InstanceType<Provider['Client']>;

/** The most that a client may ask for, space-separated. */
export const SCOPE_BOUND = 'scope_bound';
/** The account as which a client acts by itself. */
export const OWN_ACCOUNT = 'own_account';

/** Returns the most that a client may ask for, space-separated; null: no bound. */
export function scopeBoundOf(client: Client): string | null {
  const bound = client[SCOPE_BOUND];
  return typeof bound === 'string' ? bound : null;
}

/** Returns the account as which a client acts by itself; undefined: it cannot. */
export function ownAccountOf(client: Client): string | undefined {
  const account = client[OWN_ACCOUNT];
  return typeof account === 'string' ? account : undefined;
}
