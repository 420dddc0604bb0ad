import type { ProbeClient, ProbeResult } from './ask.ts';
import { ACCEPT_JSON, readJson } from './documents.ts';
import { type Finding, fine, hint, shown, shownUrl, wrong } from './finding.ts';
import type { ResourceMetadata } from './protected-resource.ts';
import { insertWellKnown, RESOURCE_WELL_KNOWN, type Target, urlFault } from './target.ts';

import { resourceMetadataOf } from './www-authenticate.ts';

const NAME = 'challenge';

/**
 * Whether the resource tells a caller without a credential where to get one.
 *
 * @param url of the resource
 * @param answer its answer to a GET without credential
 */
export async function examineChallenge(
  ask: ProbeClient,
  target: Target,
  url: string,
  answer: ProbeResult,
  metadata: ResourceMetadata | undefined,
): Promise<Finding> {
  const leadsTo = answer.kind === 'reply' && answer.redirectedTo;
  const at = leadsTo ? `${shownUrl(url)} leads to ${shownUrl(leadsTo)}, which` : shownUrl(url);
  const header = `WWW-Authenticate: Bearer resource_metadata="${metadata?.url ?? `${target.origin}/.well-known/oauth-protected-resource`}"`;
  if (answer.kind === 'trouble') return wrong(NAME, `${at} ${answer.says}`, answer.next);
  if (answer.status >= 500) {
    return wrong(NAME, `${at} answers ${answer.status} without a credential`, `Answer 401 with ${header}.`);
  }
  if (answer.status !== 401) {
    return hint(
      NAME,
      `${at} answers ${answer.status} to a GET without a credential, so no challenge was seen`,
      `Where a credential is needed, answer 401 with ${header}.`,
    );
  }
  const challenge = answer.headers.get('www-authenticate');
  if (challenge === null) return wrong(NAME, `${at} answers 401 without WWW-Authenticate`, `Send ${header}.`);
  if (!/(^|,)\s*bearer(\s|,|$)/i.test(challenge)) {
    return wrong(NAME, `${at} asks for ${shown(challenge)}, not for a bearer`, `Send ${header}.`);
  }
  const named = resourceMetadataOf(challenge);
  if (named === undefined) {
    return wrong(NAME, `${at} answers 401 without resource_metadata`, `Send ${header}.`);
  }
  const fault = urlFault(named, target);
  if (fault !== undefined)
    return wrong(NAME, `its resource_metadata ${shown(named)} ${fault}`, `Send ${header}.`);
  // What is wrong at that address is told of the address, not of the challenge.
  const isKnown = [metadata?.url, insertWellKnown(target.url, RESOURCE_WELL_KNOWN)].includes(named);
  if (isKnown) return fine(NAME, `${at} answers 401 and points at ${shownUrl(named)}`);
  return compare(ask, named, metadata, header);
}

/** Another address is as good, if it says the same. */
async function compare(
  ask: ProbeClient,
  named: string,
  metadata: ResourceMetadata | undefined,
  header: string,
): Promise<Finding> {
  const read = readJson(NAME, named, await ask.get(named, ACCEPT_JSON), `Send ${header}.`);
  if (read.kind !== 'read') {
    return wrong(NAME, `its resource_metadata leads nowhere: ${read.finding.message}`, `Send ${header}.`);
  }
  const facts = ({ resource, authorization_servers }: Record<string, unknown>) =>
    JSON.stringify([resource, authorization_servers]);
  if (metadata === undefined || facts(read.document) === facts(metadata.document)) {
    return fine(NAME, `answers 401 and points at ${shownUrl(named)}`);
  }
  return wrong(
    NAME,
    `points at ${shownUrl(named)}, which describes ${shown(read.document.resource)} of ${shown(read.document.authorization_servers)}, unlike ${shownUrl(metadata.url)}`,
    `Send ${header}, or make both say the same.`,
  );
}
