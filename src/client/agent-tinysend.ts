import { createHash } from 'node:crypto';
import { agentRefused, isPending } from './agent-errors.ts';
import { type Agent, type AgentChange, changeAgent, readAnswer } from './agent-state.ts';
import type { ServiceClient } from './service-client.ts';

/** The tinysend profile of auth.md: a key at once, a wider one once a human has claimed the agent. */

const REGISTER = '/agent/auth';
const CLAIM = '/agent/auth/claim';
const COMPLETE = '/agent/auth/claim/complete';

/** Registers an agent, and gets its first key. */
export async function register(client: ServiceClient, name: string | undefined): Promise<Agent> {
  const json = { type: 'anonymous', agent_name: name };
  const answer = await client.send({ method: 'POST', path: REGISTER, json });
  if (!answer.ok) throw agentRefused(answer.refusal);
  const data = readAnswer(answer.data);
  return changeAgent(
    {
      dialect: 'tinysend',
      service: client.service,
      claim: 'none',
      claimToken: data.text('claim_token'),
      claimExpiresAt: data.text('claim_token_expires_at'),
    },
    { ...keyIn(data), verificationUri: data.textIfAny('verification_uri') },
  );
}

/** Asks a human, by mail, to claim the agent. */
export async function startClaim(
  client: ServiceClient,
  { claimToken }: Agent,
  { email, link }: { email: string; link?: boolean | undefined },
): Promise<AgentChange> {
  const json = { claim_token: claimToken, email, link };
  const answer = await client.send({ method: 'POST', path: CLAIM, json });
  if (!answer.ok) throw agentRefused(answer.refusal);
  const data = readAnswer(answer.data);
  const verification = data.object('verification');
  return {
    verificationUri: data.textIfAny('verification_uri'),
    codeExpiresAt: verification.textIfAny('expires_at'),
    interval: verification.number('interval'),
  };
}

/**
 * Asks whether the human has agreed, or completes the claim with the code that they read to the agent. The same question has the
 * same answer for some minutes, so that the key is not lost with an answer.
 */
export async function complete(
  client: ServiceClient,
  agent: Agent,
  code: string | undefined,
): Promise<Agent> {
  const { claimToken } = agent;
  const json = { claim_token: claimToken, otp: code };
  const repeated = createHash('sha256').update(JSON.stringify(json)).digest('base64url');
  const answer = await client.send({
    method: 'POST',
    path: COMPLETE,
    json,
    headers: { 'Idempotency-Key': repeated },
  });
  if (!answer.ok) {
    if (code === undefined && isPending(answer.refusal)) return agent;
    throw agentRefused(answer.refusal);
  }
  const over = { verificationUri: undefined, codeExpiresAt: undefined, askedAt: undefined };
  return changeAgent(agent, { ...over, ...keyIn(readAnswer(answer.data)), claim: 'claimed' });
}

function keyIn(data: ReturnType<typeof readAnswer>): AgentChange {
  return {
    id: data.text('agent_id'),
    account: data.text('user_id'),
    credential: data.text('credential'),
    scopes: data.words('scopes'),
    expiresAt: data.textIfAny('expires_at'),
  };
}
