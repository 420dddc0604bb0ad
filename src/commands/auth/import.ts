import type { ConnectedProfile } from '../../client/connected-profile.ts';
import { DENIAL_KIND, GRANT_KIND, LOGIN_KIND, parseArtifact } from '../../lib/artifacts/artifact.ts';
import { readDenial } from '../../lib/artifacts/permission-grant.ts';
import { readRequest, verifyRequest } from '../../lib/artifacts/permission-request.ts';
import { readArtifact } from './read-artifact.ts';
import { reviewLines, untrustedTexts } from './review-request.ts';
import type { VerbContext } from './run-verb.ts';
import { statusText } from './status.ts';
import { grantJson, grantText, takeGrant } from './take-grant.ts';

/** `auth import`: takes in a request to review, or a grant, a refusal or a login for this profile. */
export async function importArtifact(
  context: VerbContext,
  [file]: string[],
  options: { stdin?: true; paste?: true },
): Promise<void> {
  const artifact = parseArtifact(await readArtifact({ file, ...options }, 'import', context.terminal));
  const connected = await context.openProfile();
  const { profile } = connected;
  if (artifact.kind === GRANT_KIND) {
    const grant = await takeGrant(connected, artifact);
    return context.print(grantJson(grant), grantText(grant));
  }
  if (artifact.kind === DENIAL_KIND) return importDenial(context, connected, artifact);
  if (artifact.kind === LOGIN_KIND) {
    await connected.takeLogin(artifact);
    const { account, expires_at } = profile.info();
    return context.print({ imported: true, kind: 'login', account, expires_at }, statusText(profile));
  }
  const request = readRequest(artifact);
  const thumbprint = await verifyRequest(request, { service: profile.info().service });
  await profile.artifacts.saveRequest(request, 'imported');
  const { id, permissions: requested } = request;
  const isOurs = profile.thumbprints().includes(thumbprint);
  const next = isOurs ? `vouchsafe auth retry ${id}` : `vouchsafe auth grant ${id}`;
  const printed = requested?.map(({ reason, ...asked }) => asked);
  context.print(
    {
      imported: true,
      kind: 'request',
      request_id: id,
      requested: printed,
      next,
      untrusted: untrustedTexts(request),
    },
    [...reviewLines(request, thumbprint), `Stored. Next: ${next}`].join('\n'),
  );
}

async function importDenial(
  context: VerbContext,
  connected: ConnectedProfile,
  artifact: object,
): Promise<void> {
  const denial = readDenial(artifact);
  await connected.verify(denial);
  await connected.profile.artifacts.saveDenial(denial);
  context.print(
    { imported: true, kind: 'denial', request_id: denial.request_id },
    `${denial.request_id} was refused. Nothing was granted.`,
  );
}
