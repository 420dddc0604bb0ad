import type { ExecutionContext } from 'ava';
import { ceremony, codeOf, from, said } from './ceremony.ts';
import { ensure } from './ensure.ts';
import { type Reply, type TestService, wrongCode } from './service.ts';

/** What tests of limits do and assert, each step from an address of its own. */

export const HOUR = 3600;

export const DAY = 86_400;

export const DEFAULTS = { TRUST_PROXY: '1', LIMITS: '{}' };

let made = 0;

/** An address that nothing else comes from. */
export const newAddress = () => `10.${++made >> 8}.${made & 255}.1`;

/** Refused by a budget, in words and headers. */
export function assertSpent(
  t: ExecutionContext,
  reply: Reply,
  name: string,
  policy: { max: number; windowSeconds: number; resetSeconds?: number },
): void {
  const { max, windowSeconds, resetSeconds = windowSeconds } = policy;
  t.is(said(reply), name === 'wrongPerServiceDay' ? '503 unavailable' : '429 rate_limited');
  t.true(reply.body.error.retryable);
  t.is(reply.headers.get('retry-after'), String(resetSeconds));
  t.is(reply.headers.get('ratelimit-policy'), `"${name}";q=${max};w=${windowSeconds}`);
  t.is(reply.headers.get('ratelimit'), `"${name}";r=0;t=${resetSeconds}`);
}

/** The ceremony at a service, each step from an address of its own unless one is given. */
export function steps(on: TestService) {
  const call = ceremony(on);
  return {
    ...call,
    async newToken(): Promise<string> {
      return (await call.register(from(newAddress()))).body.data.claim_token;
    },
    claimOf: (token: string, mailbox: string, address = newAddress()) =>
      call.claim(token, mailbox, from(address)),
    /** A claim token whose code is on its way to the mailbox. */
    async pending(mailbox: string): Promise<string> {
      const token = await this.newToken();
      const reply = await this.claimOf(token, mailbox);
      ensure(reply.status === 200, reply.text);
      return token;
    },
    right: async (token: string, address = newAddress()) =>
      call.complete(token, await codeOf(on, token), from(address)),
    wrong: async (token: string, address = newAddress()) =>
      call.complete(token, wrongCode(await codeOf(on, token)), from(address)),
    async wrongTimes(times: number, token: string, address?: string): Promise<void> {
      for (let count = 0; count < times; count += 1) {
        const reply = await this.wrong(token, address);
        ensure(said(reply) === '401 otp_invalid', reply.text);
      }
    },
    used: async (name: string) =>
      (await on.service.deps.db.get<{ used: number }>('SELECT used FROM counters WHERE key = ?', [name]))
        ?.used ?? 0,
    /** As if all of a budget but one had been spent in this window. */
    async spendAllButOne(name: string, max: number): Promise<void> {
      const { db } = on.service.deps;
      const changed = await db.tx((tx) =>
        tx.run('UPDATE counters SET used = ? WHERE key = ?', [max - 1, name]),
      );
      ensure(changed === 1, `no counter is called ${name}`);
    },
  };
}
