import { AuthError } from '../lib/artifacts/auth-error.ts';
import * as authMd from './agent-auth-md.ts';
import { agentRefused } from './agent-errors.ts';
import { type Agent, changeAgent, type Dialect, readAnswer } from './agent-state.ts';
import * as tinysend from './agent-tinysend.ts';
import { ServiceClient, type ServiceOptions } from './service-client.ts';
import { parseServiceUrl } from './service-url.ts';

/** An agent's own way: it registers, asks a human to claim it, waits, and uses what it got. */

/** How an agent registers. */
export interface RegisterOptions extends ServiceOptions {
  /** The URL of the service. */
  service: string;
  /** Absent: `tinysend`. */
  dialect?: Dialect | undefined;
  /** How the agent calls itself. */
  name?: string | undefined;
}

/** What a human is asked. */
export interface ClaimOptions extends ServiceOptions {
  /** The mailbox of the human. */
  email: string;
  /** Of tinysend: the agent keeps its own account, linked to the human's. */
  link?: boolean | undefined;
}

/** A token or key for calls of an API. */
export interface ExchangedToken {
  accessToken: string;
  /** Absent: it does not end by itself. */
  expiresAt?: string;
  scopes: string[];
}

/**
 * Registers an agent.
 *
 * @throws AuthError `INVALID_USAGE`, `NETWORK_ERROR`, `SERVICE_ERROR`
 */
export async function registerAgent(options: RegisterOptions): Promise<Agent> {
  const { dialect = 'tinysend', name } = options;
  const client = new ServiceClient(parseServiceUrl(options.service), options);
  return dialect === 'tinysend' ? tinysend.register(client, name) : authMd.register(client, name);
}

/** Asks a human to claim the agent. Asking again sends another code. */
export async function claim(agent: Agent, options: ClaimOptions): Promise<Agent> {
  const client = new ServiceClient(agent.service, options);
  const started = await (agent.dialect === 'tinysend'
    ? tinysend.startClaim(client, agent, options)
    : authMd.startClaim(client, agent, options.email));
  return changeAgent(agent, { ...started, claim: 'pending' });
}

/**
 * Asks once whether the human has decided. Waits first until the service wants to be asked, so that this can be called in a loop
 * while `claim` is `pending`.
 *
 * @param code what the human read to the agent, where it is not they who type one
 * @throws AuthError `REQUEST_DENIED`, `REQUEST_EXPIRED` if nobody decided in time: ask again by `claim`, or register again;
 * `CODE_WRONG`
 */
export async function poll(
  agent: Agent,
  { code, ...options }: ServiceOptions & { code?: string } = {},
): Promise<Agent> {
  const client = new ServiceClient(agent.service, options);
  const wait = (agent.askedAt ?? 0) + (agent.interval ?? 5) * 1000 - Date.now();
  if (code === undefined && wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  const asked = { ...agent, askedAt: Date.now() };
  return agent.dialect === 'tinysend'
    ? tinysend.complete(client, asked, code)
    : authMd.complete(client, asked, code);
}

/**
 * Gets a token for calls of an API. A key is used as it is; an identity is exchanged, and renewed before if it has expired.
 *
 * @returns the agent as it is to be stored from now on, too: renewing changes its secrets
 * @throws AuthError `AUTH_REQUIRED` if the agent has nothing to exchange: it waits for its claim, or has ended
 */
export async function exchange(
  agent: Agent,
  { resource, scope, ...options }: ServiceOptions & { resource?: string; scope?: string } = {},
): Promise<ExchangedToken & { agent: Agent }> {
  if (agent.dialect === 'tinysend') {
    if (agent.credential === undefined) throw nothingYet();
    const { credential, expiresAt, scopes = [] } = agent;
    return { agent, accessToken: credential, ...(expiresAt && { expiresAt }), scopes };
  }
  if (agent.assertion === undefined) throw nothingYet();
  return authMd.exchange(new ServiceClient(agent.service, options), agent, { resource, scope });
}

/** What the service says of an agent. */
export interface AgentStatus {
  agent_id?: string;
  user_id: string;
  kind: string;
  scopes: string[];
  claim?: { status: string; [member: string]: unknown };
  [member: string]: unknown;
}

/** Asks the service who the agent is now. @throws AuthError `AUTH_REQUIRED` if it has ended */
export async function readAgentStatus(
  agent: Agent,
  options: ServiceOptions = {},
): Promise<AgentStatus & { agent: Agent }> {
  const { accessToken, agent: renewed } = await exchange(agent, options);
  const client = new ServiceClient(agent.service, options);
  const answer = await client.send({ method: 'GET', path: '/api/me', bearer: accessToken });
  if (answer.ok) {
    const data = readAnswer(answer.data);
    const [scopes = [], id] = [data.words('scopes'), data.textIfAny('agent_id')];
    const told = { ...(answer.data as AgentStatus), user_id: data.text('user_id'), scopes };
    return { ...told, ...(id !== undefined && { agent_id: id }), agent: renewed };
  }
  throw agentRefused(answer.refusal);
}

/** Ends the key or the identity of an agent (RFC 7009). It may have ended already. */
export async function endAgent(agent: Agent, options: ServiceOptions = {}): Promise<void> {
  const client = new ServiceClient(agent.service, options);
  const secrets = [agent.refreshToken, agent.credential].filter((each) => each !== undefined);
  for (const token of secrets) await client.call({ method: 'POST', path: '/oauth2/revoke', form: { token } });
}

function nothingYet(): AuthError {
  return new AuthError('AUTH_REQUIRED', 'The agent has no key: nobody has claimed it yet, or it has ended.');
}
