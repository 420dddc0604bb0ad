import type { ConnectedProfile } from '../../client/connected-profile.ts';
import type { StoredRequest } from '../../client/profile-files.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import type { PermissionEntry } from '../../lib/artifacts/permission-entry.ts';
import { assertUnchanged, quoteCommand, runCommand } from './captured-command.ts';
import { listMissingNow } from './held.ts';
import { permissionLine } from './review-request.ts';
import type { VerbContext } from './run-verb.ts';
import { takeGrant } from './take-grant.ts';
import { readOpenState } from './wait-for-decision.ts';

/** `auth retry`: takes in a grant that is there, says what is missing, and runs the command that waited for it. */
export async function retry(
  context: VerbContext,
  [id]: string[],
  options: { last?: true; exec?: true; yes?: true },
): Promise<number> {
  if ((id === undefined) === (options.last === undefined)) {
    throw new AuthError('INVALID_USAGE', 'Give the id of a request, or --last.');
  }
  const connected = await context.openProfile();
  const { name, artifacts } = connected.profile;
  const stored = id === undefined ? artifacts.lastRequest() : artifacts.request(id);
  const command = artifacts.command(stored.request.id);
  if (options.exec) assertCaptured(stored, command !== undefined);
  const wanted = stored.request.permissions ?? [];
  const isOurs = stored.origin === 'made';
  if (isOurs) await takeIfGranted(connected, stored);
  const missing = isOurs ? await listMissingOf(connected, stored) : artifacts.missing(wanted);
  const covered = missing.length === 0;
  if (!options.exec || command === undefined) {
    const words = command === undefined ? undefined : quoteCommand(command.argv);
    const text = covered
      ? `All of it is granted.${words === undefined ? '' : ` Run it by --exec: ${words}`}`
      : ['Not granted yet:', ...missing.map((entry) => `  ${permissionLine(entry)}`)].join('\n');
    context.print({ request_id: stored.request.id, covered, missing, command: command?.argv ?? null }, text);
    return 0;
  }
  if (!covered) {
    throw new AuthError('PERMISSIONS_MISSING', 'Not all of it is granted, so the command was not run.', {
      hint: `vouchsafe auth retry ${stored.request.id}`,
    });
  }
  const path = context.env.PATH ?? '';
  assertUnchanged(command, path);
  context.note(
    `${quoteCommand(command.argv)}\n  is ${quoteCommand([command.program])}, in ${quoteCommand([command.folder])}`,
  );
  await context.confirm('Run it?', options.yes === true);
  // Between the question and the answer it may have become another.
  assertUnchanged(command, path);
  return runCommand(command, { ...context.env, VOUCHSAFE_PROFILE: name });
}

/** A grant for one use is in nothing that is held: it is there until it is spent. */
async function listMissingOf(
  connected: ConnectedProfile,
  { request: { id, once, permissions = [] } }: StoredRequest,
): Promise<PermissionEntry[]> {
  if (!once) return listMissingNow(connected, permissions);
  // Whoever asks nobody before has no grant, and the service may not know the key.
  if (connected.profile.artifacts.request(id).decision !== 'granted') return permissions;
  const live = await connected.listLiveGrants();
  return live.some(({ request_id }) => request_id === id) ? [] : permissions;
}

async function takeIfGranted(connected: ConnectedProfile, { request, sent }: StoredRequest): Promise<void> {
  try {
    const answer = await readOpenState(connected, request.id);
    if (answer.state === 'granted') await takeGrant(connected, answer.grant);
  } catch (error) {
    // A file that was handed to somebody and not granted yet is not known to the service, nor is its key.
    const isUnknown =
      error instanceof AuthError && ['REQUEST_UNKNOWN', 'SESSION_KEY_ENDED'].includes(error.code);
    if (!isUnknown || sent !== undefined) throw error;
    if (Date.parse(request.expires_at) <= Date.now()) {
      throw new AuthError('REQUEST_EXPIRED', 'Nobody granted it in time.', {
        hint: 'Ask again: vouchsafe auth request',
      });
    }
  }
}

function assertCaptured({ origin }: StoredRequest, hasCommand: boolean): void {
  if (origin === 'imported') {
    throw new AuthError(
      'COMMAND_NOT_OURS',
      'That request came from elsewhere. Only commands that were captured here run.',
    );
  }
  if (!hasCommand) {
    throw new AuthError('COMMAND_NOT_CAPTURED', 'No command was captured with that request.', {
      hint: 'vouchsafe auth request --cap … -- COMMAND',
    });
  }
}
