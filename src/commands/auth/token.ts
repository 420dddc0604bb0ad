import { parseCap } from '../../lib/artifacts/capability-spec.ts';
import type { VerbContext } from './run-verb.ts';
import { withCapPrefix } from './with-cap-prefix.ts';

/** `auth token`: an access token for scripts. */
export async function token(
  context: VerbContext,
  _args: string[],
  options: { resource?: string; cap?: string[]; grant?: string },
): Promise<void> {
  const wanted = await withCapPrefix(context, (prefix) => options.cap?.map((spec) => parseCap(spec, prefix)));
  const connected = await context.openProfile();
  const answer = await connected.token({ resource: options.resource, caps: wanted, grantId: options.grant });
  const { access_token, expires_in, authorization_details } = answer;
  context.print({ access_token, expires_in, authorization_details }, access_token);
}
