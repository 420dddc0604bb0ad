import type { Deps } from '../../deps.ts';
import { protocolError } from '../../domain/hosts/protocol-errors.ts';
import { verifyAgentToken, verifyHostToken } from '../../domain/hosts/signed-requests.ts';
import { assertFloodLimit } from '../../domain/limits/flood-limit.ts';
import { Failure } from '../../errors.ts';
import type { RequestOrigin } from '../../work.ts';
import { PATHS } from '../server/paths.ts';
import type { CallerKind, Callers } from '../server/table.ts';

/** Where tokens that agents sign are meant for: this service, or its place where capabilities are used. */
export function agentTokenAudiences({ publicUrl }: { publicUrl: string }): string[] {
  return [publicUrl, publicUrl + PATHS.capabilityExecute];
}

type SignerKind = Extract<
  CallerKind,
  'agentHost' | 'hostOrNewHost' | 'hostedAgent' | 'executingAgent' | 'hostOrAgentIfAny'
>;

/** Who signed a request, as its row demands it. @param header Authorization @throws Failure `protocolRefused`, `limited` */
export async function signerOf(
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
      return hostOrAgent(deps, token);
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
      // Never one that is for us as a whole: whoever was shown such a one could act in the agent's name.
      return verifyAgentToken(deps, token, [deps.config.publicUrl + PATHS.capabilityExecute]);
  }
}

/** Clients send the one key that they have to everybody, so a host that is not known here is as good as nobody. */
async function hostOrAgent(deps: Deps, token: string): Promise<Callers['hostOrAgentIfAny']> {
  try {
    return await verifyAgentToken(deps, token, [deps.config.publicUrl]);
  } catch (error) {
    // Of an agent that has expired it is told so: only what is no token of an agent may be one of a host.
    if (!(error instanceof Failure) || error.details.protocol?.code !== 'invalid_jwt') throw error;
  }
  const { host } = await verifyHostToken(deps, token, 'ignore');
  return host && { host };
}
