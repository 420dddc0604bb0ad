import { VerificationError } from './errors.ts';
import type { VerifiedToken } from './token.ts';
import type { Verifier } from './verifier.ts';

/** The adapter for the official MCP SDKs: `@modelcontextprotocol/sdk` 1.x and `@modelcontextprotocol/server` 2.x. */

export {
  createMcpGuard,
  createSessionOwners,
  JSON_RPC,
  type McpDecision,
  type McpGuard,
  type McpGuardOptions,
  rpcError,
  type SessionOwners,
} from './mcp-guard.ts';

/** A verified credential in the form of the SDKs. */
export interface AuthInfo {
  /** The credential as the client sent it. */
  token: string;
  /** The id of the agent; for a human's own key, the id of the key. */
  clientId: string;
  scopes: string[];
  /** Epoch seconds. The SDKs refuse a token without it. */
  expiresAt: number;
  resource: URL;
  /** The whole VerifiedToken. */
  extra: Record<string, unknown>;
}

/**
 * Creates errors of the SDK's own classes. The SDK answers 500 to all other errors, so the classes must be those of the SDK that
 * is in use. In 1.x they are `InvalidTokenError` and `ServerError` of `server/auth/errors.js`. In 2.x it is `OAuthError` with the
 * codes `InvalidToken` and `ServerError`.
 */
export interface SdkErrors {
  /** Creates the error that the SDK answers with 401. */
  invalidToken(message: string): Error;
  /** Creates the error that the SDK answers with 500. */
  unavailable(message: string): Error;
}

/**
 * Creates an `OAuthTokenVerifier` for the SDKs' `requireBearerAuth`. It takes bearer tokens alone: one that is bound to a key
 * (DPoP) needs createMcpGuard(), which sees the request.
 *
 * @param sdkErrors creates the errors that `verifyAccessToken` throws. While the authorization server cannot be asked, an error
 * that the SDK would answer with a 4xx is replaced by the VerificationError: the client did nothing wrong.
 */
export function tokenVerifier(
  verifier: Verifier,
  sdkErrors: SdkErrors,
): { verifyAccessToken(token: string): Promise<AuthInfo> } {
  return {
    async verifyAccessToken(token) {
      try {
        return toAuthInfo(token, await verifier.verify(token));
      } catch (error) {
        if (!(error instanceof VerificationError)) throw error;
        if (error.code !== 'unavailable') throw sdkErrors.invalidToken(error.message);
        const outage = sdkErrors.unavailable(error.message);
        // The SDKs answer 400 to all their other errors, also to TemporarilyUnavailable.
        throw oauthCodeOf(outage) === 'server_error' ? outage : error;
      }
    },
  };
}

/** Returns the OAuth error code of an SDK's error: `errorCode` in 1.x, `code` in 2.x. */
function oauthCodeOf(error: Error): unknown {
  const { code, errorCode = code } = error as { code?: unknown; errorCode?: unknown };
  return errorCode;
}

function toAuthInfo(token: string, verified: VerifiedToken): AuthInfo {
  return {
    token,
    clientId: verified.agentId ?? verified.keyId,
    scopes: [...verified.scopes],
    expiresAt: verified.expiresAt,
    resource: new URL(verified.audience),
    extra: { ...verified },
  };
}
