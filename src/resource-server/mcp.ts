import { VerificationError } from './errors.ts';
import type { VerifiedToken } from './token.ts';
import type { Verifier } from './verifier.ts';

/** For the official MCP SDKs: `@modelcontextprotocol/sdk` 1.x and `@modelcontextprotocol/server` 2.x. */

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

/** What the SDKs know of a credential; `extra` is the whole VerifiedToken. */
export interface AuthInfo {
  token: string;
  clientId: string;
  scopes: string[];
  /** Epoch seconds. The SDKs refuse a token without. */
  expiresAt: number;
  resource: URL;
  extra: Record<string, unknown>;
}

/**
 * The SDK's own errors. It answers 500 to whatever else is thrown, so they must come from the very SDK that is in use: with 1.x
 * `InvalidTokenError` and `ServerError` of `server/auth/errors.js`; with 2.x its `OAuthError` with `InvalidToken` and
 * `ServerError`.
 */
export interface SdkErrors {
  /** Makes the error that the SDK answers with 401. */
  invalidToken(message: string): Error;
  /** Makes the error that the SDK answers with 500. */
  unavailable(message: string): Error;
}

/**
 * An `OAuthTokenVerifier` for the SDKs' `requireBearerAuth`.
 *
 * @returns its `verifyAccessToken` throws what `sdkErrors` makes; while nobody can say whether a token is good, never an error
 * that the SDK would answer with a 4xx, since the client has done nothing wrong
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
        if (error.code === 'invalid_token') throw sdkErrors.invalidToken(error.message);
        const outage = sdkErrors.unavailable(error.message);
        // The SDKs answer 400 to all their other errors, TemporarilyUnavailable among them.
        throw oauthCodeOf(outage) === 'server_error' ? outage : error;
      }
    },
  };
}

/** The OAuth error code of an SDK's error: 1.x has it as `errorCode`, 2.x as `code`. */
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
