import { AuthError } from '../lib/artifacts/auth-error.ts';
import { parseScope } from '../lib/scopes.ts';
import { agentRefused, isPending } from './agent-errors.ts';
import { type Agent, type AgentChange, type AnswerReader, changeAgent, readAnswer } from './agent-state.ts';
import type { ServiceClient } from './service-client.ts';

/** auth.md 0.4 to 0.7: an identity that is exchanged for tokens. The agent shows a code, and its human types it. */

const IDENTITY = '/agent/identity';
const CLAIM = '/agent/identity/claim';
const COMPLETE = '/agent/identity/claim/complete';
const TOKEN = '/oauth2/token';
const CLAIM_GRANT = 'urn:workos:agent-auth:grant-type:claim';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
/** An identity that ends within these is renewed before it is used. */
const SPARE_MS = 30_000;

/** Registers an agent, and gets its first identity. */
export async function register(client: ServiceClient, name: string | undefined): Promise<Agent> {
  const data = await post(client, IDENTITY, { type: 'anonymous', agent_name: name });
  return changeAgent(
    {
      dialect: 'auth.md',
      service: client.service,
      claim: 'none',
      claimToken: data.text('claim_token'),
      claimExpiresAt: data.text('claim_token_expires'),
    },
    { ...identityIn(data), scopes: data.words('pre_claim_scopes') },
  );
}

/** Asks a human to claim the agent: by mail, and with a code that the agent shows them. */
export async function startClaim(
  client: ServiceClient,
  { claimToken }: Agent,
  email: string,
): Promise<AgentChange> {
  const data = await post(client, CLAIM, { claim_token: claimToken, email });
  const shown = data.object('claim_attempt');
  const attempt = data.object('attempt');
  return {
    verificationUri: shown.textIfAny('verification_uri') ?? attempt.textIfAny('verification_uri'),
    userCode: shown.textIfAny('user_code'),
    codeExpiresAt: attempt.textIfAny('expires_at'),
    interval: shown.number('interval'),
  };
}

/** Asks whether the human has typed the code, or completes the claim with one that they read to the agent. */
export async function complete(
  client: ServiceClient,
  agent: Agent,
  code: string | undefined,
): Promise<Agent> {
  const { claimToken } = agent;
  if (code !== undefined) {
    return claimed(agent, await post(client, COMPLETE, { claim_token: claimToken, otp: code }));
  }
  const form = { grant_type: CLAIM_GRANT, claim_token: claimToken };
  const answer = await client.send({ method: 'POST', path: TOKEN, form });
  if (answer.ok) return claimed(agent, readAnswer(answer.data));
  if (isPending(answer.refusal)) return agent;
  throw agentRefused(answer.refusal);
}

/** Exchanges the identity for an access token; renews the identity before if it has expired. */
export async function exchange(
  client: ServiceClient,
  agent: Agent,
  { resource, scope }: { resource?: string | undefined; scope?: string | undefined },
): Promise<{ agent: Agent; accessToken: string; expiresAt: string; scopes: string[] }> {
  const renewed = await renewIfExpired(client, agent);
  const now = Date.now();
  const form = { grant_type: JWT_BEARER, assertion: renewed.assertion, resource, scope };
  const answer = await client.send({ method: 'POST', path: TOKEN, form });
  if (!answer.ok) throw agentRefused(answer.refusal);
  const data = readAnswer(answer.data);
  const seconds = data.number('expires_in') ?? 0;
  return {
    agent: renewed,
    accessToken: data.text('access_token'),
    expiresAt: new Date(now + seconds * 1000).toISOString(),
    scopes: parseScope(data.textIfAny('scope') ?? ''),
  };
}

async function renewIfExpired(client: ServiceClient, agent: Agent): Promise<Agent> {
  const endsAt = Date.parse(agent.assertionExpiresAt ?? '');
  if (Number.isNaN(endsAt) || endsAt - SPARE_MS > Date.now()) return agent;
  if (agent.refreshToken === undefined) {
    throw new AuthError('AUTH_REQUIRED', 'The identity has expired. Register again.');
  }
  return changeAgent(
    agent,
    identityIn(await post(client, IDENTITY, { type: 'refresh', refresh_token: agent.refreshToken })),
  );
}

function claimed(agent: Agent, data: AnswerReader): Agent {
  const scope = data.textIfAny('scope');
  const over = {
    userCode: undefined,
    verificationUri: undefined,
    codeExpiresAt: undefined,
    askedAt: undefined,
  };
  return changeAgent(agent, {
    ...over,
    ...identityIn(data),
    ...(scope !== undefined && { scopes: parseScope(scope) }),
    claim: 'claimed',
  });
}

function identityIn(data: AnswerReader): AgentChange {
  const identity = data.object('identity');
  return {
    assertion: identity.text('assertion'),
    assertionExpiresAt: identity.textIfAny('expires_at'),
    refreshToken: identity.object('refresh_token').textIfAny('value'),
  };
}

async function post(client: ServiceClient, path: string, json: object): Promise<AnswerReader> {
  const answer = await client.send({ method: 'POST', path, json });
  if (answer.ok) return readAnswer(answer.data);
  throw agentRefused(answer.refusal);
}
