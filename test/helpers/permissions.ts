import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import { type Giving, grantPermissions } from '../../src/domain/permissions/grant.ts';
import type { PermissionEntry } from '../../src/lib/artifacts/permission-entry.ts';
import {
  createRequest,
  type PermissionRequest,
  type RequestOptions,
} from '../../src/lib/artifacts/permission-request.ts';
import { readPublicKey } from '../../src/lib/ed25519.ts';
import { asker } from './api-keys.ts';
import { bearer, newMailbox } from './common.ts';
import type { Reply, TestService } from './service.ts';
import type { openPlaces } from './workspaces.ts';

/** Session keys, and what agents and terminals do with them. */

/** A session key pair. */
export interface SessionKey {
  thumbprint: string;
  jwk: Record<string, string>;
  privateJwk: Record<string, string>;
  privateKey: KeyObject;
}

export function newSessionKey(): SessionKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, string>;
  const read = readPublicKey(jwk);
  if (typeof read === 'string') throw new Error(read);
  const privateJwk = privateKey.export({ format: 'jwk' }) as Record<string, string>;
  return { thumbprint: read.thumbprint, jwk, privateJwk, privateKey };
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** What a session key signs for one request. */
export function keyToken(
  key: SessionKey,
  audience: string,
  { claims = {}, header = {}, now = Date.now() }: { claims?: object; header?: object; now?: number } = {},
): string {
  const iat = Math.floor(now / 1000);
  const head = encode({ alg: 'EdDSA', typ: 'vouchsafe-key+jwt', kid: key.thumbprint, ...header });
  const payload = encode({
    iss: key.thumbprint,
    sub: key.thumbprint,
    aud: audience,
    iat,
    exp: iat + 60,
    jti: randomUUID(),
    ...claims,
  });
  const signature = sign(null, Buffer.from(`${head}.${payload}`), key.privateKey).toString('base64url');
  return `${head}.${payload}.${signature}`;
}

export const READ_DOCUMENTS: PermissionEntry = {
  service: 'vouchsafe.api',
  space: 'default',
  path: 'documents/',
  actions: ['read'],
};

/** What a session key does at a service. */
export function keyClient(on: TestService, key: SessionKey = newSessionKey()) {
  const url = (path: string) => on.service.deps.config.publicUrl + path;
  const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
    on.request(method, path, {
      headers: {
        ...bearer(keyToken(key, url(path), { now: on.clock() })),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const request = (options: Partial<RequestOptions> = {}): Promise<PermissionRequest> =>
    createRequest({
      service: on.service.deps.config.publicUrl,
      key: key.privateJwk,
      permissions: [READ_DOCUMENTS],
      now: on.clock(),
      ...options,
    });
  return {
    key,
    request,
    call,
    /** Posts a request; a key of an agent beside it binds the session key. */
    post: (artifact: object, credential?: string): Promise<Reply> =>
      on.post('/agent/permissions', artifact, credential === undefined ? {} : bearer(credential)),
    async ask(options: Partial<RequestOptions> = {}, credential?: string): Promise<Reply> {
      return this.post(await request(options), credential);
    },
    show: (id: string) => call('GET', `/agent/permissions/${id}`),
    held: () => call('GET', '/agent/permissions'),
    revoke: (id: string) => call('DELETE', `/agent/permissions/grants/${id}`),
    grant: (id: string, body: unknown) => call('POST', `/agent/permissions/${id}/grant`, body),
    deny: (id: string) => call('POST', `/agent/permissions/${id}/deny`),
    token: (form: Record<string, string> = {}) =>
      on.form('/oauth2/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: keyToken(key, url('/oauth2/token'), { now: on.clock() }),
        ...form,
      }),
    rotate(next: SessionKey, claims: object = { old: key.thumbprint }) {
      const path = '/agent/session-key';
      const proof = keyToken(next, url(path), { now: on.clock(), claims });
      return call('POST', path, { key: next.jwk, proof });
    },
    end: (body: object = {}) => call('POST', '/agent/session-key', { end: true, ...body }),
  };
}

/** The entries of a request, all of them and in the granter's own things unless the request says where. */
export function allOf(request: PermissionRequest) {
  return (request.permissions ?? []).map(({ actions }, index) => ({ index, actions }));
}

/** A person who looks at no page. */
export async function newPerson(
  places: ReturnType<typeof openPlaces>,
): Promise<{ id: string; mailbox: string }> {
  const mailbox = newMailbox();
  const { id } = await places.act((work) => findOrCreateAccount(work, mailbox));
  return { id, mailbox };
}

/** What a person gives on a page: all that is asked for unless it says otherwise. */
export function givenBy(
  on: TestService,
  request: PermissionRequest,
  accountId: string,
  giving: Partial<Giving> = {},
): Promise<{ grantId: string }> {
  const all = { permissions: allOf(request), ...giving };
  return grantPermissions(on.service.deps, asker, request.id, { accountId }, all);
}
