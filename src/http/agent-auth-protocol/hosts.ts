import { z } from 'zod';
import { revokeHost, rotateHostKey } from '../../domain/hosts/hosts.ts';
import { json, operation } from '../server/table.ts';

/** What a host does with itself (Agent Auth Protocol). */

const rotateBody = z.object({ public_key: z.unknown() });
const hostAnswer = z.object({ host_id: z.string(), status: z.string() });
const revokeAnswer = hostAnswer.extend({ agents_revoked: z.int() });

/** POST /host/revoke: a body is neither needed nor read. */
export const revoke = operation({
  caller: 'agentHost',
  summary: 'End this host and all of its agents',
  answer: revokeAnswer,
  async handle(call) {
    const { deps, origin, caller } = call;
    const agents = await revokeHost(deps, origin, caller.host.id);
    return { data: { host_id: caller.host.id, status: 'revoked', agents_revoked: agents } };
  },
});

/** POST /host/rotate-key */
export const rotateKey = operation({
  caller: 'agentHost',
  summary: 'Give this host another key',
  body: json(rotateBody),
  answer: hostAnswer,
  async handle(call) {
    const { deps, origin, caller, body } = call;
    await rotateHostKey(deps, origin, caller.host, body.public_key);
    return { data: { host_id: caller.host.id, status: 'active' } };
  },
});
