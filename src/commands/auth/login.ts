import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { claim, registerAgent } from '../../client/agent.ts';
import type { ConnectedProfile } from '../../client/connected-profile.ts';
import { DENIAL_KIND, parseArtifact } from '../../lib/artifacts/artifact.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { readDenial } from '../../lib/artifacts/permission-grant.ts';
import { createRequest } from '../../lib/artifacts/permission-request.ts';
import { displayName, singleLine } from '../../lib/untrusted-text.ts';
import { openLink } from './open-link.ts';
import { readArtifact } from './read-artifact.ts';
import type { VerbContext } from './run-verb.ts';
import { statusJson, statusText } from './status.ts';
import { requestDenied, waitForDecision } from './wait-for-decision.ts';

interface LoginOptions {
  method?: 'browser' | 'agent' | 'key';
  email?: string;
  paste?: true;
  popup: boolean;
}

/** `auth login`: signs a profile in, as a person, as a new agent, or with the key of an agent. */
export async function login(context: VerbContext, _args: string[], options: LoginOptions): Promise<void> {
  const method = options.method ?? (context.terminal() === undefined ? 'agent' : 'browser');
  if (options.email !== undefined && method !== 'agent') {
    throw new AuthError('INVALID_USAGE', '--email is for --method agent.');
  }
  const credential = method === 'key' ? await readKey(context) : undefined;
  const connected = await context.openProfile({ create: true });
  if (method === 'browser') return loginAsPerson(context, connected, options);
  if (connected.profile.info().kind !== undefined) throw alreadySignedIn();
  await loginAsAgent(context, connected, credential, options.email);
  printStatus(context, connected);
}

/** Takes the key of an agent, or registers a new one. Its first request binds the session key to it. */
async function loginAsAgent(
  context: VerbContext,
  connected: ConnectedProfile,
  credential: string | undefined,
  email: string | undefined,
): Promise<void> {
  const { service } = connected.client;
  const timeoutMs = context.options.timeout * 1000;
  if (credential !== undefined) {
    const holder = await findAgentOf(connected, credential);
    if (holder === undefined) {
      throw new AuthError('AUTH_REQUIRED', 'That is not the key of an agent of this service.');
    }
    await connected.freshKey();
    await connected.profile.saveCredential({ credential, agent_id: holder.agent_id });
    return connected.saveHolder(holder);
  }
  await connected.freshKey();
  const registered = await registerAgent({ service, timeoutMs });
  const agent = email === undefined ? registered : await claim(registered, { email, timeoutMs });
  await connected.profile.saveCredential({
    credential: agent.credential!,
    claim_token: agent.claimToken,
    ...(agent.id !== undefined && { agent_id: agent.id }),
    ...(agent.expiresAt !== undefined && { expires_at: agent.expiresAt }),
  });
  await connected.saveHolder({
    kind: 'agent',
    ...(agent.account !== undefined && { account: agent.account }),
    ...(agent.id !== undefined && { agent_id: agent.id }),
  });
  if (email !== undefined) {
    const page = agent.verificationUri === undefined ? '' : `: ${singleLine(agent.verificationUri, 1024)}`;
    context.note(`The owner of the mailbox is asked to claim the agent${page}`);
  }
}

/** Asks the service which agent a key is of. @returns undefined: of none, or of none any more */
async function findAgentOf(connected: ConnectedProfile, credential: string) {
  const answer = await connected.client.send({ method: 'GET', path: '/api/me', bearer: credential });
  const { agent_id: agentId, user_id: account } = answer.ok ? answer.data : {};
  if (typeof agentId !== 'string' || typeof account !== 'string') return undefined;
  return { kind: 'agent', account, agent_id: agentId } as const;
}

/**
 * Gives an agent whose session key has ended another one, by the agent's own key, which stays. Its next request binds it.
 *
 * @param ended what the service said of the session key; thrown where the agent's key does not work either
 */
export async function loginAgain(
  context: VerbContext,
  connected: ConnectedProfile,
  ended: unknown,
): Promise<void> {
  const { credential } = connected.profile.credential() ?? {};
  const holder = credential === undefined ? undefined : await findAgentOf(connected, credential);
  if (holder === undefined) throw ended;
  await connected.freshKey();
  await connected.saveHolder(holder);
  context.note(
    'The service does not know the session key any more. The next request names a new one, by the key of the agent.',
  );
  printStatus(context, connected);
}

/** `auth logout`: ends the session key at the service, and forgets what signs this profile in. */
export async function logout(context: VerbContext): Promise<void> {
  const connected = await context.openProfile();
  const { name } = connected.profile;
  if (!(await connected.forget())) {
    context.note(
      'The service was not reached, so it still knows the key: end it on the page of your account.',
    );
  }
  context.print(
    { authenticated: false, profile: name },
    `${name} is signed out. Its requests are still here.`,
  );
}

/**
 * Lets a person bind the session key of a profile to their account. They type the code at the service themselves: no link
 * carries it.
 */
export async function loginAsPerson(
  context: VerbContext,
  connected: ConnectedProfile,
  { paste, popup }: Pick<LoginOptions, 'paste' | 'popup'>,
): Promise<void> {
  const { service } = connected.client;
  const { kind } = connected.profile.info();
  if (kind === 'agent') throw alreadySignedIn();
  // Nobody would have the old key any more, so it does not stay behind at the service.
  if (kind === 'human') await connected.forget();
  // A key is bound once, so another one is made where this one is somebody's.
  const { privateJwk: key } = await connected.freshKey();
  const request = await createRequest({ service, key, name: terminalName() });
  const { verification_uri: page, user_code: code } = await connected.sendRequest(request);
  if (page === undefined || code === undefined) {
    throw new AuthError('SERVICE_ERROR', 'The service did not say where a person decides.');
  }
  context.note(`Open ${singleLine(page, 1024)} and type this code: ${singleLine(code, 64)}`);
  openLink(page, service, context.popup(popup));
  if (paste && (await takePasted(context, connected))) return printStatus(context, connected);
  const { login } = await waitForDecision(connected, request, context.note);
  if (login === undefined) throw new AuthError('AUTH_REQUIRED', 'Nobody has decided about the login yet.');
  const { account, expires_at } = login;
  await connected.saveHolder({ kind: 'human', account, expires_at });
  printStatus(context, connected);
}

/** The key of an agent may be nowhere else, so it is not replaced in passing. */
function alreadySignedIn(): AuthError {
  return new AuthError('INVALID_USAGE', 'This profile is signed in already.', {
    hint: 'Use another one by --profile, or first: vouchsafe auth logout. A new session key: vouchsafe auth rotate',
  });
}

/**
 * Takes in what the page shows once a person has decided.
 *
 * @returns false: nothing was pasted before Ctrl-D, so the service is asked
 * @throws AuthError `REQUEST_DENIED`, and what is wrong with what was pasted
 */
async function takePasted(context: VerbContext, connected: ConnectedProfile): Promise<boolean> {
  const pasted = await readArtifact({ file: undefined, paste: true }, 'login', context.terminal);
  if (pasted.length === 0) return false;
  const artifact = parseArtifact(pasted);
  if (artifact.kind === DENIAL_KIND) {
    await connected.verify(readDenial(artifact));
    throw requestDenied();
  }
  await connected.takeLogin(artifact);
  return true;
}

/** What a person sees of this terminal beside others of theirs: the name of the machine. */
function terminalName(): string {
  return displayName(hostname()) || 'Terminal';
}

/** A key is never an argument, which other users of the machine see. */
async function readKey(context: VerbContext): Promise<string> {
  const terminal = process.stdin.isTTY ? context.terminal() : undefined;
  const key =
    terminal === undefined
      ? (await text(process.stdin)).trim()
      : await terminal.readSecret('Key of the agent: ');
  if (key === undefined) throw new AuthError('REQUEST_CANCELLED', 'Nothing was read.');
  if (!/^[\x21-\x7e]{8,512}$/.test(key)) {
    throw new AuthError('INVALID_USAGE', 'That is no key of an agent.', {
      hint: 'echo "$KEY" | vouchsafe auth login --method key',
    });
  }
  return key;
}

function printStatus(context: VerbContext, { profile }: ConnectedProfile): void {
  context.print(statusJson(profile), statusText(profile));
}
