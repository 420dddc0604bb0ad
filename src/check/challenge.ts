import { ACCEPT_JSON, readJson } from './documents.ts';
import { type Finding, failed, hint, passed, shown, shownUrl } from './finding.ts';
import type { ProbeClient, ProbeResult } from './probe-client.ts';
import type { ResourceMetadata } from './protected-resource.ts';
import { insertWellKnown, RESOURCE_WELL_KNOWN, type Target, urlFault } from './target.ts';
import { resourceMetadataOf } from './www-authenticate.ts';

const NAME = 'challenge';

/**
 * Examines whether the resource tells an unauthenticated caller where to get a credential (RFC 9728 section 5.1).
 *
 * @param url of the resource
 * @param answer its response to a GET without a credential
 * @param metadata of the resource, if it was found
 */
export async function examineChallenge(
  client: ProbeClient,
  target: Target,
  url: string,
  answer: ProbeResult,
  metadata: ResourceMetadata | undefined,
): Promise<Finding> {
  const redirectedTo = answer.kind === 'reply' && answer.redirectedTo;
  const place = redirectedTo ? `${shownUrl(url)} leads to ${shownUrl(redirectedTo)}, which` : shownUrl(url);
  const header = `WWW-Authenticate: Bearer resource_metadata="${metadata?.url ?? `${target.origin}/.well-known/oauth-protected-resource`}"`;
  if (answer.kind === 'trouble') return failed(NAME, `${place} ${answer.says}`, answer.next);
  if (answer.status >= 500) {
    return failed(
      NAME,
      `${place} answers ${answer.status} without a credential`,
      `Answer 401 with ${header}.`,
    );
  }
  if (answer.status !== 401) {
    return hint(
      NAME,
      `${place} answers ${answer.status} to a GET without a credential, so no challenge was seen`,
      `Where a credential is needed, answer 401 with ${header}.`,
    );
  }
  const challenge = answer.headers.get('www-authenticate');
  if (challenge === null)
    return failed(NAME, `${place} answers 401 without WWW-Authenticate`, `Send ${header}.`);
  if (!/(^|,)\s*bearer(\s|,|$)/i.test(challenge)) {
    return failed(NAME, `${place} asks for ${shown(challenge)}, not for a bearer`, `Send ${header}.`);
  }
  const named = resourceMetadataOf(challenge);
  if (named === undefined) {
    return failed(NAME, `${place} answers 401 without resource_metadata`, `Send ${header}.`);
  }
  const fault = urlFault(named, target);
  if (fault !== undefined)
    return failed(NAME, `its resource_metadata ${shown(named)} ${fault}`, `Send ${header}.`);
  // Faults of the document at that URL are reported with the document, not with the challenge.
  const isKnown = [metadata?.url, insertWellKnown(target.url, RESOURCE_WELL_KNOWN)].includes(named);
  if (isKnown) return passed(NAME, `${place} answers 401 and points at ${shownUrl(named)}`);
  return compareMetadata(client, named, metadata, header);
}

/** Accepts another URL if its document names the same resource and authorization servers. */
async function compareMetadata(
  client: ProbeClient,
  named: string,
  metadata: ResourceMetadata | undefined,
  header: string,
): Promise<Finding> {
  const read = readJson(NAME, named, await client.get(named, ACCEPT_JSON), `Send ${header}.`);
  if (read.kind !== 'read') {
    return failed(NAME, `its resource_metadata leads nowhere: ${read.finding.message}`, `Send ${header}.`);
  }
  const comparedMembers = ({ resource, authorization_servers }: Record<string, unknown>) =>
    JSON.stringify([resource, authorization_servers]);
  if (metadata === undefined || comparedMembers(read.document) === comparedMembers(metadata.document)) {
    return passed(NAME, `answers 401 and points at ${shownUrl(named)}`);
  }
  return failed(
    NAME,
    `points at ${shownUrl(named)}, which describes ${shown(read.document.resource)} of ${shown(read.document.authorization_servers)}, unlike ${shownUrl(metadata.url)}`,
    `Send ${header}, or make both say the same.`,
  );
}
