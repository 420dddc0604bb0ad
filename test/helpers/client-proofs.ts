import { createHash, randomUUID } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { App } from './app-client.ts';
import type { TestService } from './service.ts';

/** What clients sign: assertions of who they are (RFC 7523), and proofs that they hold a key (RFC 9449). */

/** A key pair of a client. */
export interface ClientKey {
  privateKey: CryptoKey;
  publicJwk: JWK;
  thumbprint: string;
}

export async function newClientKey(alg = 'ES256'): Promise<ClientKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg);
  const publicJwk = await exportJWK(publicKey);
  return { privateKey, publicJwk, thumbprint: await calculateJwkThumbprint(publicJwk) };
}

/** Signs a client assertion, as form parameters. @param claims replace or, undefined, leave out the usual ones */
export async function assertClient(
  on: TestService,
  app: Pick<App, 'clientId'>,
  key: ClientKey,
  claims: Record<string, unknown> = {},
): Promise<Record<string, string>> {
  const now = Math.floor(Date.now() / 1000);
  const all = {
    iss: app.clientId,
    sub: app.clientId,
    aud: on.url,
    jti: randomUUID(),
    iat: now,
    exp: now + 60,
    ...claims,
  };
  return {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await new SignJWT(all).setProtectedHeader({ alg: 'ES256' }).sign(key.privateKey),
  };
}

/** Signs a DPoP proof. @param claims replace or, undefined, leave out the usual ones */
export function proveKey(
  key: ClientKey,
  request: { method: string; url: string; token?: string },
  claims: Record<string, unknown> = {},
): Promise<string> {
  const ath = request.token && createHash('sha256').update(request.token).digest('base64url');
  const all = {
    jti: randomUUID(),
    htm: request.method,
    htu: request.url,
    iat: Math.floor(Date.now() / 1000),
    ...(ath && { ath }),
    ...claims,
  };
  return new SignJWT(all)
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: key.publicJwk })
    .sign(key.privateKey);
}
