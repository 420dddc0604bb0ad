import { z } from 'zod';
import { revokeHost } from '../../domain/hosts/revoke-host.ts';
import { rotateHostKey } from '../../domain/hosts/rotate-host-key.ts';
import { json, operation } from '../server/table.ts';

/** The host endpoints of the Agent Auth Protocol (Agent Auth Protocol 1.0-draft, sections 5.9 and 5.10). */

const rotateBody = z.object({ public_key: z.unknown() });
const hostAnswer = z.object({ host_id: z.string(), status: z.string() });
const revokeAnswer = hostAnswer.extend({ agents_revoked: z.int() });

/** POST /host/revoke (section 5.10): revokes the host that signed and all of its agents. It does not read a body. */
export const revokeHostOperation = operation({
  caller: 'agentHost',
  summary: 'End this host and all of its agents',
  answer: revokeAnswer,
  async handle(call) {
    const { deps, origin, caller } = call;
    const revokedAgents = await revokeHost(deps, origin, caller.host.id);
    return { data: { host_id: caller.host.id, status: 'revoked', agents_revoked: revokedAgents } };
  },
});

/** POST /host/rotate-key (section 5.9): replaces the key of the host that signed. */
export const rotateHostKeyOperation = operation({
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
