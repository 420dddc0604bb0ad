import type { ConnectedProfile } from '../../client/connected-profile.ts';
import type { ProfileInfo } from '../../client/profile-files.ts';
import { parseArtifact } from '../../lib/artifacts/artifact.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { parseLifetime } from '../../lib/artifacts/lifetime.ts';
import type { PermissionEntry } from '../../lib/artifacts/permission-entry.ts';
import type { PermissionGrant } from '../../lib/artifacts/permission-grant.ts';
import {
  type PermissionRequest,
  readRequest,
  verifyRequest,
} from '../../lib/artifacts/permission-request.ts';
import { artifactText } from './emit-request.ts';
import { readArtifact } from './read-artifact.ts';
import { reviewLines } from './review-request.ts';
import type { VerbContext } from './run-verb.ts';

interface GrantOptions {
  stdin?: true;
  paste?: true;
  yes?: true;
  /** Numbers of permissions, from 1. */
  only?: number[];
  expiry?: string;
}

/** `auth grant`: shows a request, asks, and grants it from a profile that is signed in as a person. */
export async function grant(context: VerbContext, [source]: string[], options: GrantOptions): Promise<void> {
  const isStored = source?.startsWith('prq_') === true && !options.stdin && !options.paste;
  const file = { file: source, ...options };
  const artifact = isStored ? undefined : parseArtifact(await readArtifact(file, 'grant', context.terminal));
  const given = artifact && readRequest(artifact);
  const connected = await context.openProfile();
  const request = given ?? connected.profile.artifacts.request(source!).request;
  const granted = await decide(context, connected, request, options);
  await context.write(artifactText(granted));
}

/**
 * Shows a request, asks, and grants it.
 *
 * @throws AuthError `GRANT_NOT_ALLOWED` if the profile is not signed in as a person, `REQUEST_CANCELLED` if the answer is no,
 * `GRANT_BROADENED` if the service gave more than it was told to
 */
export async function decide(
  context: VerbContext,
  connected: ConnectedProfile,
  request: PermissionRequest,
  { only, expiry, yes }: Pick<GrantOptions, 'only' | 'expiry' | 'yes'>,
): Promise<PermissionGrant> {
  const lifetimeSeconds = expiry === undefined ? undefined : parseLifetime(expiry);
  const thumbprint = await verifyRequest(request, { service: connected.profile.info().service });
  const permissions = request.permissions;
  if (permissions === undefined) {
    throw new AuthError('GRANT_NOT_ALLOWED', 'A person decides about a login on the page of the service.');
  }
  const chosen = (only ?? permissions.map((_, index) => index + 1)).map((number) => number - 1);
  if (chosen.some((index) => index >= permissions.length)) {
    throw new AuthError('INVALID_USAGE', `--only takes numbers from 1 to ${permissions.length}.`);
  }
  const account = granter(connected.profile.info());
  for (const line of reviewLines(request, thumbprint)) context.note(line);
  if (only !== undefined) context.note(`Only ${only.join(', ')}.`);
  await context.confirm(`Grant ${only === undefined ? 'this' : 'these'} as ${account}?`, yes === true);
  // A personal workspace has the id of its account.
  const left = chosen.map((index) => narrowed(permissions[index]!, index, account));
  await connected.sendRequest(request);
  return connected.grantRequest(request, {
    permissions: left,
    ...(lifetimeSeconds !== undefined && { lifetime_seconds: lifetimeSeconds }),
  });
}

/** Only where the request leaves the space open, the granter chooses it. */
function narrowed({ space, actions }: PermissionEntry, index: number, account: string) {
  return { index, actions, ...(space === 'default' && { space: account }) };
}

/** An agent's key never grants, whatever it holds. */
function granter({ kind, account }: ProfileInfo): string {
  if (kind === 'human' && account !== undefined) return account;
  if (kind === 'agent') {
    throw new AuthError('GRANT_NOT_ALLOWED', 'This profile is an agent’s. People grant.', {
      hint: 'Use a profile that is signed in as a person: vouchsafe auth login --profile me',
    });
  }
  throw new AuthError('AUTH_REQUIRED', 'This profile is not signed in.', {
    hint: 'vouchsafe auth login --method browser',
  });
}
