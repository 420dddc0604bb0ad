import type { ConnectedProfile } from '../../client/connected-profile.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { parseLifetime } from '../../lib/artifacts/lifetime.ts';
import { createRequest, type PermissionRequest } from '../../lib/artifacts/permission-request.ts';
import { singleLine } from '../../lib/untrusted-text.ts';
import { captureCommand } from './captured-command.ts';
import { collectPermissions, type PermissionOptions } from './collect-permissions.ts';
import { artifactText, emitRequest } from './emit-request.ts';
import { decide } from './grant.ts';
import { listMissingNow } from './held.ts';
import { openLink } from './open-link.ts';
import type { VerbContext } from './run-verb.ts';
import { grantJson, grantText, takeGrant } from './take-grant.ts';
import { waitForDecision } from './wait-for-decision.ts';
import { withCapPrefix } from './with-cap-prefix.ts';

interface RequestOptions extends PermissionOptions {
  expiry?: string;
  action?: string;
  once?: true;
  /** `true` without a value: stdout. */
  emit?: string | true;
  send?: true;
  wait?: true;
  grant?: true;
  yes?: true;
  popup: boolean;
}

/** `auth request`: makes a signed request, and writes, sends or grants it. `args` are the words of a command to capture. */
export async function request(context: VerbContext, args: string[], options: RequestOptions): Promise<void> {
  const { permissions, name } = await withCapPrefix(context, (prefix) => collectPermissions(options, prefix));
  const lifetimeSeconds = options.expiry === undefined ? undefined : parseLifetime(options.expiry);
  if (options.grant && (options.send || options.wait)) {
    throw new AuthError('INVALID_USAGE', 'A request is granted here, or sent to somebody else.');
  }
  const command = args.length === 0 ? undefined : captureCommand(args, process.cwd(), context.env.PATH ?? '');
  const connected = await context.openProfile({ create: true });
  const { artifacts } = connected.profile;
  const { service, agent_id: agentId } = connected.profile.info();
  const key = connected.profile.key().privateJwk;
  const fresh = await createRequest({
    ...{ permissions, lifetimeSeconds, name, service, key, agentId },
    ...{ action: options.action, once: options.once },
  });
  const wanted = fresh.permissions ?? [];
  // What is for one action is asked each time: what is held lets do more than that.
  if (fresh.action === undefined && (await listMissingNow(connected, wanted)).length === 0) {
    return context.print({ changed: false, missing: [], added: [] }, 'This profile has all of it already.');
  }
  const asked = artifacts.findOpenRequest(fresh)?.request ?? fresh;
  await artifacts.saveRequest(asked, 'made');
  if (command !== undefined) await artifacts.saveCommand(asked.id, command);
  if (options.grant) return grantHere(context, connected, asked, options);
  const file = options.emit;
  if (typeof file === 'string') emitRequest(file, asked);
  if (options.send || options.wait) return send(context, connected, asked, options);
  if (typeof file !== 'string') return context.write(artifactText(asked));
  context.print(
    { emitted: true, path: file, request_id: asked.id, requested: wanted },
    `${file} asks for it. Whoever grants it: vouchsafe auth grant ${file}\nThen: vouchsafe auth retry ${asked.id}`,
  );
}

async function grantHere(
  context: VerbContext,
  connected: ConnectedProfile,
  request: PermissionRequest,
  options: RequestOptions,
): Promise<void> {
  const grant = await decide(context, connected, request, options.yes ? { yes: true } : {});
  await takeGrant(connected, grant);
  const { id, permissions, expires_at } = grant;
  context.print({ changed: true, added: permissions, grant_id: id, expires_at }, grantText(grant));
}

async function send(
  context: VerbContext,
  connected: ConnectedProfile,
  request: PermissionRequest,
  { wait, popup }: RequestOptions,
): Promise<void> {
  const state = await connected.sendRequest(request);
  const { verification_uri, user_code, expires_at } = state;
  if (verification_uri !== undefined) {
    const link = `Somebody who may grant it opens ${singleLine(verification_uri, 1024)}
or types ${singleLine(user_code ?? '', 64)} at ${request.service}/permissions, until ${request.expires_at}.`;
    openLink(verification_uri, request.service, context.popup(popup));
    if (!wait) {
      return context.print(
        { request_id: request.id, verification_uri, user_code, expires_at },
        `${link}\nThen: vouchsafe auth retry ${request.id}`,
      );
    }
    context.note(link);
  }
  const { grant } = await waitForDecision(connected, request, context.note);
  const taken = await takeGrant(connected, grant);
  context.print(grantJson(taken), grantText(taken));
}
