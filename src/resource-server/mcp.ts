import { VerificationError } from './errors.ts';
import type { VerifiedToken, Verifier } from './verifier.ts';

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
 * The SDK's own error classes. Whatever is thrown that is not of them is a 500 to it, so they must come from the very SDK that
 * is in use: with 1.x `InvalidTokenError` and `ServerError` of `server/auth/errors.js`; with 2.x functions that make its
 * `OAuthError`.
 */
export interface SdkErrors {
  invalidToken(message: string): Error;
  unavailable(message: string): Error;
}

/** An `OAuthTokenVerifier` for the SDKs' `requireBearerAuth`. */
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
        const { code, message } = error;
        throw code === 'invalid_token' ? sdkErrors.invalidToken(message) : sdkErrors.unavailable(message);
      }
    },
  };
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
