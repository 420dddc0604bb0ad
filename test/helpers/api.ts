import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { createVerifier, type Verifier, type VerifierOptions } from '../../src/resource-server/index.ts';
import { localOrigin } from '../../src/work.ts';
import { basic, type TestService } from './service.ts';

/** An API beside a service: its credential there, and a verifier. */
export interface Api {
  resource: string;
  clientId: string;
  clientSecret: string;
  verifier(options?: Partial<VerifierOptions>): Verifier;
  /** Introspects a credential. @returns whether it works here */
  isActive(credential: string): Promise<boolean>;
  /** How many introspections were asked for so far. */
  asked(): number;
}

export async function addApi(
  on: TestService,
  resource = 'https://api.example.com',
  scopes?: string[],
  understandsWorkspaces = false,
): Promise<Api> {
  const input = { url: resource, name: 'API', scopes, understandsWorkspaces };
  const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), input);
  const own = { issuer: on.url, resource, clientId: server.id, clientSecret: secret };
  return {
    resource,
    clientId: server.id,
    clientSecret: secret,
    verifier: (options = {}) => createVerifier({ ...own, follow: false, ...options }),
    async isActive(token) {
      const { body } = await on.form('/oauth2/introspect', { token }, basic(server.id, secret));
      return body.active;
    },
    asked: () => on.logged.filter((line) => line.includes('"route":"POST /oauth2/introspect"')).length,
  };
}

/** Waits until something is so; looks often. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
}
