import { newId } from '../src/lib/ids.ts';
import { systemRandom } from '../src/lib/random.ts';
import { hashSecret, newSecret, secretHints } from '../src/lib/secrets.ts';
import type { Value } from '../src/store/engine/db.ts';

export type Put = (table: string, row: Record<string, Value>) => void;

const id = (prefix: Parameters<typeof newId>[0], at: number) => newId(prefix, at, systemRandom);

/**
 * The rows of one registered agent, as many as a registration makes.
 *
 * @param at when it came, `endsAt` when it ends unless claimed (epoch ms)
 * @returns its key
 */
export function putAgent(put: Put, at: number, endsAt: number): string {
  const [usr, reg, agt] = [id('usr', at), id('reg', at), id('agt', at)];
  const key = newSecret('sk', systemRandom);
  const { prefix, lastFour } = secretHints(key);
  put('accounts', { id: usr, kind: 'agent', created_at: at });
  put('registrations', { id: reg, kind: 'anonymous', agent_id: agt, created_at: at, expires_at: endsAt });
  put('agents', { id: agt, account_id: usr, registration_id: reg, created_at: at });
  put('claims', {
    token_hash: systemRandom(32),
    registration_id: reg,
    created_at: at,
    expires_at: at + 86_400_000,
  });
  put('credentials', {
    hash: hashSecret(key),
    id: id('key', at),
    agent_id: agt,
    account_id: usr,
    scope: 'read',
    prefix,
    last_four: lastFour,
    created_at: at,
    expires_at: endsAt,
  });
  put('events', {
    id: id('evt', at),
    at,
    kind: 'registration.created',
    account_id: usr,
    agent_id: agt,
    subject: reg,
    address: '127.0.0.1',
    request_id: id('req', at),
    details: '{"type":"anonymous"}',
  });
  return key;
}

/** What else a busy service has: one of each for every ten agents, over or not wanted any more by now. */
export function putRemains(put: Put, at: number, index: number): void {
  const text = `${index}`;
  put('counters', { key: `registerPerIp:${text}`, used: 1, ends_at: at });
  put('idempotency', {
    key_hash: systemRandom(32),
    request_hash: systemRandom(32),
    holder: text,
    expires_at: at,
  });
  put('mail_refusals', {
    mailbox: `${text}@example.com`,
    registration_id: text,
    created_at: at,
    ends_at: at,
  });
  put('spent_tokens', { issuer: 'https://agents.example', jti: text, ends_at: at });
  put('outbox', {
    id: id('out', at),
    kind: 'claim_code',
    attempt_id: text,
    mailbox: `${text}@example.com`,
    created_at: at,
    next_at: at,
    give_up_at: at,
    sent_at: at,
  });
  put('sign_ins', {
    id: id('sgn', at),
    mailbox: `${text}@example.com`,
    origin: '127.0.0.1',
    secret_id: 'x',
    counter: 0,
    code_expires_at: at,
    created_at: at,
  });
  // Of a provider that is not trusted any more: the user of an agent that is still there, and of none.
  const principal = JSON.stringify(['https://was-trusted.example', null, text]);
  put('principals', {
    principal,
    issuer: 'https://was-trusted.example',
    created_at: at,
    account_id: 'usr_x',
  });
}

export { id as idAt };
