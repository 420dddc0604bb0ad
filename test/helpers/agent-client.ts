import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import type { Reply, TestService } from './service.ts';

/**
 * A client of the Agent Auth Protocol that sends to the letter what the published CLI 0.5.1 sends (Agent Auth Protocol 1.0-draft, sections 4 and 5):
 * its headers, the members of its bodies, the claims of its tokens. All of it can be changed, member by member.
 */

/** A key pair, and how the CLI writes the public one: with a `kid`, which is its thumbprint. */
export interface Key {
  privateKey: KeyObject;
  thumbprint: string;
  jwk: Record<string, string>;
}

export function newKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x } = publicKey.export({ format: 'jwk' });
  const thumbprint = createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url');
  return { privateKey, thumbprint, jwk: { crv: 'Ed25519', x: x!, kty: 'OKP', kid: thumbprint } };
}

/** What a test sends in another way; a member that is undefined is left out. */
export interface Changes {
  /** Of the token. */
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  /** Who signs in the place of the one who should. */
  signer?: Key;
  /** In the place of all that. */
  token?: string;
  /** Of the body. */
  body?: Record<string, unknown>;
  /** Of the request. */
  headers?: Record<string, string | undefined>;
}

/** An environment that agents run in, with one key for all providers. */
export interface Host {
  name: string;
  key: Key;
}

/** An agent that was registered. */
export interface ClientAgent {
  id: string;
  key: Key;
  host: Host;
}

/** What an agent asks for when it connects; `--name`, `--mode` and so on of the CLI. */
export interface Connect {
  name?: string;
  mode?: 'delegated' | 'autonomous';
  capabilities?: (string | { name: string; constraints: unknown })[];
  reason?: string;
  preferred_method?: string;
  login_hint?: string;
  binding_message?: string;
}

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

/** A token in compact form, signed with Ed25519 whatever its header says. */
export function signToken(key: Key, header: object, claims: object): string {
  const content = `${encode(header)}.${encode(claims)}`;
  return `${content}.${sign(null, Buffer.from(content), key.privateKey).toString('base64url')}`;
}

/** Where endpoints are unless the discovery document says so (Agent Auth Protocol 1.0-draft, section 5). */
const DEFAULTS = {
  register: '/agent/register',
  status: '/agent/status',
  request_capability: '/agent/request-capability',
  reactivate: '/agent/reactivate',
  revoke: '/agent/revoke',
  rotate_key: '/agent/rotate-key',
  introspect: '/agent/introspect',
  capabilities: '/capability/list',
  describe_capability: '/capability/describe',
  execute: '/capability/execute',
  revoke_host: '/host/revoke',
  rotate_host_key: '/host/rotate-key',
};
export type Endpoint = keyof typeof DEFAULTS;

export type AgentClient = ReturnType<typeof openAgentClient>;

/** @param issuer that of another service, for a client that believes to talk to that one */
export function openAgentClient(on: Pick<TestService, 'url' | 'clock' | 'request'>, issuer: string = on.url) {
  const endpoints: Record<Endpoint, string> = { ...DEFAULTS };
  let executeAt = issuer + endpoints.execute;

  function times() {
    const iat = Math.floor(on.clock() / 1000);
    return { iat, exp: iat + 60, jti: randomUUID() };
  }

  function hostToken(host: Host, changes: Changes = {}, more: object = {}): string {
    const { thumbprint, jwk } = host.key;
    const header = { alg: 'EdDSA', typ: 'host+jwt', kid: thumbprint, ...changes.header };
    const said = { iss: thumbprint, sub: thumbprint, aud: issuer, ...times(), host_public_key: jwk };
    return (
      changes.token ?? signToken(changes.signer ?? host.key, header, { ...said, ...more, ...changes.claims })
    );
  }

  /** As the SDK signs it, which leaves `iss` out. */
  function agentToken(
    agent: Pick<ClientAgent, 'id' | 'key'>,
    audience: string,
    changes: Changes = {},
  ): string {
    const header = { alg: 'EdDSA', typ: 'agent+jwt', kid: agent.key.thumbprint, ...changes.header };
    const claims = { sub: agent.id, aud: audience, ...times(), ...changes.claims };
    return changes.token ?? signToken(changes.signer ?? agent.key, header, claims);
  }

  const present = (headers: Record<string, string | undefined>) =>
    Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)) as Record<
      string,
      string
    >;

  function get(path: string, token: string | undefined, changes: Changes = {}): Promise<Reply> {
    const Authorization = token === undefined ? undefined : `Bearer ${token}`;
    const headers = present({ Accept: 'application/json', Authorization, ...changes.headers });
    return on.request('GET', path, { headers });
  }

  function post(
    path: string,
    token: string | undefined,
    body: object | undefined,
    changes: Changes = {},
  ): Promise<Reply> {
    const Authorization = token === undefined ? undefined : `Bearer ${token}`;
    const headers = present({
      Accept: '*/*',
      'Content-Type': 'application/json',
      Authorization,
      ...changes.headers,
    });
    return on.request('POST', path, { headers, body: JSON.stringify({ ...body, ...changes.body }) });
  }

  const asHost = (endpoint: Endpoint, host: Host, body: object, changes: Changes = {}) =>
    post(endpoints[endpoint], hostToken(host, changes), body, changes);

  /** POST /agent/register, with a key that the test has. */
  function register(host: Host, agentKey: Key, ask: Connect = {}, changes: Changes = {}): Promise<Reply> {
    const { name = `AI Agent on ${host.name}`, mode = 'delegated', ...rest } = ask;
    const more = { agent_public_key: agentKey.jwk, host_name: host.name };
    const body = { name, mode, ...rest, host_name: host.name };
    return post(endpoints.register, hostToken(host, changes, more), body, changes);
  }

  return {
    issuer,
    hostToken,
    agentToken,
    get,
    post,
    register,
    executeAt: () => executeAt,

    /** Reads the discovery document, and goes by it from now on. */
    async discover(): Promise<Reply> {
      const reply = await get('/.well-known/agent-configuration', undefined);
      const { body } = reply;
      for (const [name, path] of Object.entries<string>(body.endpoints)) {
        if (name in endpoints) endpoints[name as Endpoint] = path.replace(body.issuer, '');
      }
      executeAt = body.default_location ?? body.issuer + body.endpoints.execute;
      return reply;
    },

    newHost: (name = 'ci-box'): Host => ({ name, key: newKey() }),

    /** `connect`: always a new agent key. */
    async connect(host: Host, ask: Connect = {}, changes: Changes = {}) {
      const key = newKey();
      const reply = await register(host, key, ask, changes);
      const agent: ClientAgent = { id: reply.body.agent_id, key, host };
      return { agent, reply };
    },

    /** GET /capability/list; the CLI signs as its host whenever it has a key. */
    list: (host: Host | undefined, query = '', changes: Changes = {}) =>
      get(endpoints.capabilities + query, host && hostToken(host, changes), changes),
    /** `--agent-id`. */
    listAsAgent: (agent: ClientAgent, query = '', changes: Changes = {}) =>
      get(endpoints.capabilities + query, agentToken(agent, issuer, changes), changes),
    /** GET /capability/describe; without a token unless an agent asks. */
    describe: (name: string, agent?: ClientAgent, changes: Changes = {}) =>
      get(
        `${endpoints.describe_capability}?name=${encodeURIComponent(name)}`,
        agent && agentToken(agent, issuer, changes),
        changes,
      ),

    /** GET /agent/status; the host may be another than the agent's. */
    status: ({ id, host }: ClientAgent, changes: Changes = {}, by: Host = host) =>
      get(`${endpoints.status}?agent_id=${encodeURIComponent(id)}`, hostToken(by, changes), changes),

    /** POST /agent/request-capability */
    request: (agent: ClientAgent, ask: Omit<Connect, 'name' | 'mode'>, changes: Changes = {}) =>
      post(endpoints.request_capability, agentToken(agent, issuer, changes), ask, changes),

    /** POST /capability/execute; a token for this one capability. */
    execute(agent: ClientAgent, capability: string, args?: object, changes: Changes = {}): Promise<Reply> {
      const claims = { capabilities: [capability], ...changes.claims };
      const token = agentToken(agent, executeAt, { ...changes, claims });
      const body = { capability, ...(args && { arguments: args }) };
      return post(new URL(executeAt).pathname, token, body, changes);
    },

    reactivate: ({ id, host }: ClientAgent, changes: Changes = {}, by: Host = host) =>
      asHost('reactivate', by, { agent_id: id }, changes),
    /** POST /agent/revoke */
    disconnect: ({ id, host }: ClientAgent, changes: Changes = {}, by: Host = host) =>
      asHost('revoke', by, { agent_id: id }, changes),
    /** POST /agent/rotate-key as the specification has it. */
    rotateAgentKey: ({ id, host }: ClientAgent, next: Key, changes: Changes = {}, by: Host = host) =>
      asHost('rotate_key', by, { agent_id: id, public_key: next.jwk }, changes),
    /** POST /agent/rotate-key as the CLI does it: signed by the agent, which it does not name. */
    rotateAgentKeyAsCli: (agent: ClientAgent, next: Key, changes: Changes = {}) =>
      post(endpoints.rotate_key, agentToken(agent, issuer, changes), { public_key: next.jwk }, changes),
    rotateHostKey: (host: Host, next: Key, changes: Changes = {}) =>
      asHost('rotate_host_key', host, { public_key: next.jwk }, changes),
    /** There is no command for it. */
    revokeHost: (host: Host, changes: Changes = {}) => asHost('revoke_host', host, {}, changes),
  };
}
