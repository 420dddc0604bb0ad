import type { ConnectedProfile } from '../../client/connected-profile.ts';
import { fetchCapPrefix } from '../../client/permission-calls.ts';
import { ServiceClient } from '../../client/service-client.ts';
import { parseServiceUrl } from '../../client/service-url.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import type { VerbContext } from './run-verb.ts';

/**
 * Reads capabilities with the prefix of the deployment: the one that the profile knows, else the usual one. The service is asked
 * only for another one, so that everything else that is wrong is said before any network.
 *
 * @param read with a prefix; throws AuthError `UNKNOWN_SERVICE` for another one
 */
export async function withCapPrefix<Result>(
  context: VerbContext,
  read: (prefix: string | undefined) => Result,
): Promise<Result> {
  // What is wrong with the profile is said by whoever opens it to use it.
  const connected = await context.openProfile().catch(() => undefined);
  try {
    return read(connected?.profile.info().cap_prefix);
  } catch (error) {
    if (!(error instanceof AuthError) || error.code !== 'UNKNOWN_SERVICE') throw error;
    const prefix = await askPrefix(context, connected).catch(() => undefined);
    if (prefix === undefined) throw error;
    return read(prefix);
  }
}

async function askPrefix(
  { options }: VerbContext,
  connected: ConnectedProfile | undefined,
): Promise<string | undefined> {
  if (connected !== undefined) return connected.fetchCapPrefix();
  if (options.service === undefined) return undefined;
  const timeoutMs = options.timeout * 1000;
  return fetchCapPrefix(new ServiceClient(parseServiceUrl(options.service), { timeoutMs }));
}
