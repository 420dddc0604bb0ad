import { AsyncLocalStorage } from 'node:async_hooks';
import type { Deps } from '../../../deps.ts';
import type { Session } from '../../../domain/accounts/sessions.ts';
import type { AuthorizationWrite } from '../../../domain/apps/authorization-states.ts';
import { type Audience, resolveAudience } from '../../../domain/audiences/audience.ts';
import type { NarrowedPlace } from '../../../domain/credentials/narrow-access.ts';
import type { RequestOrigin } from '../../../work.ts';

/** One request that oidc-provider handles, as its adapter knows it. */
export interface Exchange {
  deps: Deps;
  origin: RequestOrigin;
  /** Who is signed in at this service in the browser that sent the request; undefined: nobody. */
  session: SignedIn | undefined;
  /** What the request writes. It is committed as a whole once oidc-provider has its response. */
  writes: AuthorizationWrite[];
  /** What was written in this request, by model and id; undefined: deleted. */
  written: Map<string, Record<string, unknown> | undefined>;
  /** The response to give again to a client that lost it: a refresh token was used for it seconds ago. */
  repeated: string | undefined;
  /** The places to which the token of this request is narrowed; undefined: it has all that was consented to. */
  narrowed: readonly NarrowedPlace[] | undefined;
  /** What was looked up, by the URL of the API. */
  audiences: Map<string, Audience | Promise<Audience>>;
  /** What the adapter threw, which oidc-provider would answer with an error of its own. */
  error: unknown;
}

/** A session of this service, as far as oidc-provider's own depends on it. */
export type SignedIn = Pick<Session, 'accountId' | 'createdAt'>;

/** When a human signed in, in epoch seconds (`auth_time` of OpenID Connect Core 1.0 section 2). */
export function loginTimeOf({ createdAt }: SignedIn): number {
  return Math.floor(createdAt / 1000);
}

const exchanges = new AsyncLocalStorage<Exchange>();

/** Runs a function of oidc-provider within an exchange. */
export function runInExchange<Result>(exchange: Exchange, run: () => Promise<Result>): Promise<Result> {
  return exchanges.run(exchange, run);
}

/** Returns the exchange that runs. */
export function currentExchange(): Exchange {
  const exchange = exchanges.getStore();
  if (exchange === undefined) throw new Error('oidc-provider was called outside of an exchange');
  return exchange;
}

/** Finds the API of a URL, once for each exchange. @throws Failure `invalidTarget` */
export async function findAudience(url: string): Promise<Audience> {
  const { deps, audiences } = currentExchange();
  const found = audiences.get(url) ?? resolveAudience(deps, url);
  audiences.set(url, found);
  return found;
}
