import type { ExecutionContext } from 'ava';
import { type ClientAgent, type Host, newKey } from './agent-client.ts';
import type { AgentWorld } from './agent-world.ts';
import type { Reply } from './service.ts';
import { assertRefused } from './wire.ts';

/** One character of a token's third part, changed: what stays is well-formed. */
export function tampered(token: string): string {
  const at = token.lastIndexOf('.') + 10;
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
}

/**
 * The endpoints of the Agent Auth Protocol that take a token, and what each says to one that is right.
 *
 * @param of the world, a host in it and an agent under that, asked for when they are needed
 */
export function signedEndpoints(of: () => { world: AgentWorld; host: Host; agent: ClientAgent }) {
  const now = () => Math.floor(of().world.on.clock() / 1000);
  const bearer = (token: string | undefined) =>
    token === undefined ? ({} as Record<string, string>) : { Authorization: `Bearer ${token}` };

  /** What each endpoint of hosts says to a token that is right; what is sent there does no harm. */
  const HOST_ENDPOINTS: Record<string, { ask: (token?: string) => Promise<Reply>; good: string }> = {
    'POST /agent/register': {
      ask: (token) =>
        of().world.on.post('/agent/register', { name: 'x', capabilities: ['read'] }, bearer(token)),
      good: '400 invalid_public_key', // it comes without the key of an agent
    },
    'GET /agent/status': {
      ask: (token) =>
        of().world.on.request('GET', `/agent/status?agent_id=${of().agent.id}`, { headers: bearer(token) }),
      good: '200',
    },
    'POST /agent/reactivate': {
      ask: (token) => of().world.on.post('/agent/reactivate', { agent_id: of().agent.id }, bearer(token)),
      good: '200',
    },
    'POST /agent/revoke': {
      ask: (token) => of().world.on.post('/agent/revoke', { agent_id: 'agt_none' }, bearer(token)),
      good: '404 agent_not_found',
    },
    'POST /agent/rotate-key': {
      ask: (token) =>
        of().world.on.post(
          '/agent/rotate-key',
          { agent_id: 'agt_none', public_key: newKey().jwk },
          bearer(token),
        ),
      good: '404 agent_not_found',
    },
    'POST /host/rotate-key': {
      ask: (token) => of().world.on.post('/host/rotate-key', { public_key: {} }, bearer(token)),
      good: '400 unsupported_algorithm',
    },
  };
  /** Does harm where it is right. */
  const REVOKE_HOST = (token?: string) =>
    of().world.on.request('POST', '/host/revoke', { headers: bearer(token) });
  const everyHostEndpoint = () =>
    Object.entries({ ...HOST_ENDPOINTS, 'POST /host/revoke': { ask: REVOKE_HOST, good: '' } });

  const AGENT_ENDPOINTS: Record<
    string,
    { ask: (token?: string) => Promise<Reply>; audience: () => string; good: string }
  > = {
    'POST /agent/request-capability': {
      ask: (token) =>
        of().world.on.post('/agent/request-capability', { capabilities: ['read'] }, bearer(token)),
      audience: () => of().world.on.url,
      good: '409 already_granted',
    },
    'POST /capability/execute': {
      ask: (token) => of().world.on.post('/capability/execute', { capability: 'whoami' }, bearer(token)),
      audience: () => `${of().world.on.url}/capability/execute`,
      good: '200',
    },
  };
  /** Where anybody may ask, too. */
  const OPEN_ENDPOINTS: Record<string, (token?: string) => Promise<Reply>> = {
    'GET /capability/list': (token) =>
      of().world.on.request('GET', '/capability/list', { headers: bearer(token) }),
    'GET /capability/describe': (token) =>
      of().world.on.request('GET', '/capability/describe?name=read', { headers: bearer(token) }),
  };

  const refused = (t: ExecutionContext, reply: Reply, expected: string, about: string) => {
    const [status, code] = expected.split(' ');
    assertRefused(t, of().world.on, reply, 'agent protocol', Number(status), code!, about);
  };

  return {
    now,
    bearer,
    HOST_ENDPOINTS,
    REVOKE_HOST,
    everyHostEndpoint,
    AGENT_ENDPOINTS,
    OPEN_ENDPOINTS,
    refused,
  };
}
