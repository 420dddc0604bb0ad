import type { Deps } from '../../deps.ts';
import { protocolError } from '../../domain/hosts/protocol-errors.ts';
import { verifyAgentToken, verifyHostToken } from '../../domain/hosts/signed-requests.ts';
import { assertFloodLimit } from '../../domain/limits/flood-limit.ts';
import { Failure } from '../../errors.ts';
import type { RequestOrigin } from '../../work.ts';
import { PATHS } from '../server/paths.ts';
import type { CallerKind, Callers } from '../server/table.ts';

/**
 * Returns the audiences of this service in tokens that agents sign: the issuer, and the endpoint that executes
 * capabilities.
 */
export function agentTokenAudiences({ publicUrl }: { publicUrl: string }): string[] {
  return [publicUrl, publicUrl + PATHS.capabilityExecute];
}

type SignerKind = Extract<
  CallerKind,
  'agentHost' | 'hostOrNewHost' | 'hostedAgent' | 'executingAgent' | 'hostOrAgentIfAny'
>;

/**
 * Verifies the signed bearer token of a request.
 *
 * @param kind who may call the route
 * @param header the Authorization header
 * @returns the host or agent that signed; for `hostOrAgentIfAny` undefined without a header or for an unknown host
 * @throws Failure `protocolRefused`; `limited` where too many unknown hosts register from one client address
 */
export async function authenticateSigner(
  kind: SignerKind,
  deps: Deps,
  origin: RequestOrigin,
  header: string | undefined,
): Promise<Callers[SignerKind]> {
  if (kind === 'hostOrAgentIfAny' && header === undefined) return undefined;
  const token = /^Bearer +([\w.-]+) *$/i.exec(header ?? '')?.[1];
  if (token === undefined) {
    throw protocolError(
      'authentication_required',
      `Sign the request: "Authorization: Bearer <token>". See ${deps.config.publicUrl}${PATHS.agentConfiguration}.`,
    );
  }
  switch (kind) {
    case 'hostOrAgentIfAny':
      return verifyHostOrAgentToken(deps, token);
    case 'agentHost': {
      const signer = await verifyHostToken(deps, token, 'reject');
      return { ...signer, host: signer.host! };
    }
    case 'hostOrNewHost':
      return verifyHostToken(deps, token, 'allow', () =>
        assertFloodLimit(deps, 'registerPerIp', origin.address),
      );
    case 'hostedAgent':
      return verifyAgentToken(deps, token, [deps.config.publicUrl]);
    case 'executingAgent':
      // Not a token for the issuer: a third party that received one could execute capabilities as the agent
      // (docs/adr/0012-agent-auth-protocol.md).
      return verifyAgentToken(deps, token, [deps.config.publicUrl + PATHS.capabilityExecute]);
  }
}

/**
 * Published clients sign for every service with one host key, so an unknown host counts as an unauthenticated caller.
 */
async function verifyHostOrAgentToken(deps: Deps, token: string): Promise<Callers['hostOrAgentIfAny']> {
  try {
    return await verifyAgentToken(deps, token, [deps.config.publicUrl]);
  } catch (error) {
    // Only `invalid_jwt` leaves room for a host token; an expired or revoked agent gets its own error.
    if (!(error instanceof Failure) || error.details.protocol?.code !== 'invalid_jwt') throw error;
  }
  const { host } = await verifyHostToken(deps, token, 'ignore');
  return host && { host };
}
