import type { Profile } from '../../client/profile.ts';
import type { VerbContext } from './run-verb.ts';

/** `auth status`: who the profile is, as far as this machine knows. Asks nobody. */
export async function status(context: VerbContext): Promise<void> {
  const { profile } = await context.openProfile();
  context.print(statusJson(profile), statusText(profile));
}

/** `auth whoami`: the same, after the service has taken the session key or the agent's key. */
export async function whoami(context: VerbContext): Promise<void> {
  const connected = await context.openProfile();
  const { profile } = connected;
  await connected.refresh();
  context.print(statusJson(profile), statusText(profile));
}

/** What is printed of a profile. Nothing in it is secret. */
export function statusJson(profile: Profile): object {
  const { name, service, kind, account, agent_id, expires_at } = profile.info();
  return {
    authenticated: isSignedIn(profile),
    profile: name,
    service,
    kind: kind ?? null,
    account: account ?? null,
    agent_id: agent_id ?? null,
    thumbprint: profile.thumbprints()[0] ?? null,
    expires_at: expires_at ?? null,
  };
}

/** The same for a person. */
export function statusText(profile: Profile): string {
  const { name, service, kind, account = '', agent_id: agentId = '', expires_at: end } = profile.info();
  const who = kind === 'agent' ? `agent ${agentId}` : `person ${account}`;
  return [
    `${name} at ${service}: ${isSignedIn(profile) ? who.trim() : 'not signed in'}`,
    ...profile
      .thumbprints()
      .slice(0, 1)
      .map((thumbprint) => `session key ${thumbprint}`),
    ...(end === undefined ? [] : [`until ${end}`]),
  ].join('\n');
}

function isSignedIn(profile: Profile): boolean {
  const { kind, expires_at: end } = profile.info();
  return kind !== undefined && (end === undefined || Date.parse(end) > Date.now());
}
