import { readAccess } from './access.ts';
import type { AuthorizationServerClient } from './authorization-server-client.ts';
import { unavailable } from './errors.ts';
import { SAYS_KINDS, type ServicePolicy } from './service-policy.ts';
import { CREDENTIAL_FORMS, CREDENTIAL_KINDS, type VerifiedToken } from './token.ts';

/** Asks the authorization server about a credential, and reads its answer. */

/** Introspects a token (RFC 7662 section 2). @returns undefined if it is not active, or not for this resource */
export async function introspect(
  client: AuthorizationServerClient,
  readPolicy: () => Promise<ServicePolicy>,
  resource: string,
  token: string,
): Promise<VerifiedToken | undefined> {
  const response = await client.post('/oauth2/introspect', { token });
  if (response.active === false) return undefined;
  const { sub, scope, aud, exp, jti, agent_id, owner, merged_from, credential_kind, credential_form } =
    response;
  const isShaped =
    response.active === true &&
    typeof sub === 'string' &&
    typeof scope === 'string' &&
    typeof aud === 'string' &&
    typeof jti === 'string' &&
    Number.isInteger(exp);
  if (!isShaped) throw unavailable(new Error('the answer of the authority has not the shape of RFC 7662'));
  // A token that is bound in a way that this kit does not know is no bearer token.
  const keyThumbprint = readThumbprint(response.cnf);
  if (response.cnf !== undefined && keyThumbprint === undefined) return undefined;
  if (aud !== resource || (exp as number) * 1000 <= Date.now()) return undefined;
  // What this kit does not know it cannot judge.
  const kind = CREDENTIAL_KINDS.find((each) => each === credential_kind);
  const form = CREDENTIAL_FORMS.find((each) => each === credential_form);
  if (credential_kind !== undefined && kind === undefined) return undefined;
  if (credential_form !== undefined && form === undefined) return undefined;
  const isTold = kind !== undefined && form !== undefined;
  if (!isTold && (await readPolicy()).version >= SAYS_KINDS) return undefined;
  const details = response.authorization_details;
  const access = details === undefined ? undefined : readAccess(details, resource);
  if (details !== undefined && access === undefined) return undefined;
  return Object.freeze({
    subject: sub,
    agentId: text(agent_id),
    keyId: jti,
    scopes: Object.freeze(scope.split(' ').filter((word) => word !== '')),
    audience: aud,
    expiresAt: exp as number,
    ...(kind !== undefined && { kind }),
    ...(form !== undefined && { form }),
    ...(kind === 'app' && { clientId: text(response.client_id)! }),
    ...(keyThumbprint !== undefined && { keyThumbprint }),
    ...(access !== undefined && { access }),
    ...(access !== undefined &&
      text(response.workspace) !== undefined && { workspace: response.workspace as string }),
    ...(text(response.action_hash) !== undefined && { actionHash: response.action_hash as string }),
    ...(text(owner) !== undefined && { owner: owner as string }),
    ...(text(merged_from) !== undefined && { mergedFrom: merged_from as string }),
  });
}

/** Reads the thumbprint of the key that a token is bound to (RFC 9449 section 6.2). */
function readThumbprint(cnf: unknown): string | undefined {
  if (typeof cnf !== 'object' || cnf === null || Object.keys(cnf).join() !== 'jkt') return undefined;
  return text((cnf as { jkt: unknown }).jkt);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
