import { createHash } from 'node:crypto';
import { systemRandom } from '../src/lib/random.ts';
import { hashSecret, newSecret } from '../src/lib/secrets.ts';
import { idAt, type Put } from './rows.ts';

/** How many rows of each kind a person has. */
export interface Belongings {
  agents: number;
  keys: number;
  sessions: number;
  events: number;
  hosts: number;
  /** Whether the agents are linked, each in an account of its own, or merged. */
  isLinked: boolean;
}

const MINUTE_MS = 60_000;

/**
 * The rows of one person.
 *
 * @param now epoch ms
 * @param flush writes what was put so far
 * @returns its account, the secret of a session, and an agent
 */
export async function putPerson(
  put: Put,
  flush: () => Promise<void>,
  now: number,
  name: string,
  of: Belongings,
): Promise<{ id: string; secret: string; agentId: string }> {
  const owner = idAt('usr', now);
  const secret = newSecret('ses', systemRandom);
  const hash = (text: string) => createHash('sha256').update(`${name} ${text}`).digest();
  put('accounts', { id: owner, kind: 'human', mailbox: `${name}@example.com`, created_at: now });
  let agentId = '';
  for (let index = 0; index < of.agents; index += 1) {
    const at = now - index * 1000;
    const [agent, registration, own] = [idAt('agt', at), idAt('reg', at), idAt('usr', at)];
    if (of.isLinked) put('accounts', { id: own, kind: 'agent', parent_id: owner, created_at: at });
    const account = of.isLinked ? own : owner;
    const isUsed = index % 25 !== 7;
    const usedAt = isUsed ? now - ((index * 7919) % of.agents) * MINUTE_MS : null;
    put('registrations', {
      id: registration,
      kind: 'anonymous',
      agent_id: agent,
      created_at: at,
      expires_at: at,
      claimed_at: at,
      mode: of.isLinked ? 'link' : 'merge',
    });
    put('agents', {
      id: agent,
      account_id: account,
      registration_id: registration,
      name: `Agent ${index} of ${name}`,
      created_at: at,
      owned_at: at,
      owner_id: owner,
      owner_since: at,
      revoked_at: index % 20 === 3 ? now : null,
      seen_at: usedAt,
      seen_from: isUsed ? 'network 203.0.x.x' : null,
    });
    put('credentials', {
      hash: hash(`agent ${index}`),
      id: idAt('key', at),
      agent_id: agent,
      account_id: account,
      name: null,
      scope: 'read write',
      prefix: 'sk_8Qm2',
      last_four: 'abcd',
      created_at: at,
      expires_at: null,
      revoked_at: null,
      last_used_at: usedAt,
    });
    agentId ||= agent;
    if (index % 5000 === 0) await flush();
  }
  for (let index = 0; index < of.keys; index += 1) {
    const at = now - index * 1000;
    put('credentials', {
      hash: hash(`key ${index}`),
      id: idAt('key', at),
      agent_id: null,
      account_id: owner,
      name: `Key ${index}`,
      scope: 'read write',
      prefix: 'sk_8Qm2',
      last_four: 'abcd',
      created_at: at,
      expires_at: index % 3 === 0 ? now + 86_400_000 * (1 + (index % 90)) : null,
      revoked_at: index % 2 === 0 ? now : null,
      last_used_at: at,
    });
    if (index % 5000 === 0) await flush();
  }
  put('sessions', session(owner, hashSecret(secret), now, now));
  for (let index = 0; index < of.sessions; index += 1)
    put(
      'sessions',
      session(owner, hash(`session ${index}`), now - 3_600_000, now - ((index * 7) % 1000) * 1000),
    );
  const kinds = [
    'session.begun',
    'agent.renamed',
    'token.issued',
    'claim.approved',
    'mail.wanted',
    'token.issued',
  ];
  for (let index = 0; index < of.events; index += 1) {
    const at = now - (of.events - index) * 1000;
    put('events', {
      id: idAt('evt', at),
      at,
      kind: index % 5000 === 0 ? 'key.created' : kinds[index % kinds.length]!,
      account_id: owner,
      agent_id: index % 3 === 0 ? agentId : null,
      subject: null,
      address: '203.0.113.7',
      request_id: null,
      details: null,
    });
    if (index % 5000 === 0) await flush();
  }
  for (let index = 0; index < of.hosts; index += 1) putHost(put, owner, now, index);
  await flush();
  return { id: owner, secret, agentId };
}

function session(owner: string, hash: Buffer, began: number, seen: number) {
  return {
    hash,
    id: idAt('ses', began),
    account_id: owner,
    origin: '203.0.x.x',
    created_at: began,
    seen_at: seen,
  };
}

/** A host with ten agents, of which one is past its lifetime. */
function putHost(put: Put, owner: string, now: number, index: number): void {
  const [host, registration] = [idAt('hst', now), idAt('reg', now)];
  put('registrations', {
    id: registration,
    kind: 'host',
    agent_id: null,
    created_at: now,
    expires_at: now,
    claimed_at: now,
    mode: 'merge',
  });
  put('hosts', {
    id: host,
    registration_id: registration,
    account_id: owner,
    name: `Host ${index}`,
    thumbprint: host,
    public_jwk: '{}',
    created_at: now,
    owner_id: owner,
    linked_at: now + index,
  });
  for (let at = 0; at < 10; at += 1) {
    const [agent, begunAt] = [idAt('agt', now), at === 0 ? 1 : now];
    put('agents', {
      id: agent,
      account_id: owner,
      registration_id: registration,
      name: `Hosted ${index} ${at}`,
      created_at: now,
      owned_at: now,
      owner_id: owner,
      owner_since: now,
      revoked_at: null,
      seen_at: now,
      seen_from: null,
    });
    put('hosted_agents', {
      id: agent,
      host_id: host,
      mode: 'delegated',
      name: 'agent',
      thumbprint: agent,
      public_jwk: '{}',
      created_at: begunAt,
      activated_at: now,
      seen_at: now,
    });
  }
}
