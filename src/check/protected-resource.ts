import { ACCEPT_JSON, type DocumentRead, type Json, readJson, texts } from './documents.ts';
import { describeFault, type Finding, failed, hint, passed, shown, shownUrl } from './finding.ts';
import type { ProbeClient } from './probe-client.ts';
import { insertWellKnown, RESOURCE_WELL_KNOWN, type Target, urlFault } from './target.ts';
import { resourceMetadataOf } from './www-authenticate.ts';

const SERVE =
  'Serve RFC 9728 metadata there: resource, authorization_servers, scopes_supported and bearer_methods_supported.';

/** The metadata of the protected resource, and the URL at which it was found. */
export interface ResourceMetadata {
  url: string;
  document: Json;
}

/**
 * Finds the metadata of the resource (RFC 9728) as clients do: at its own well-known URL, else by its challenge, else at the
 * root.
 *
 * @param challenge the WWW-Authenticate header of the resource, if it sent one
 * @returns `found` is undefined if there is none
 */
export async function findResourceMetadata(
  client: ProbeClient,
  target: Target,
  challenge: string | undefined,
): Promise<{ found: ResourceMetadata | undefined; findings: Finding[] }> {
  const ownUrl = insertWellKnown(target.url, RESOURCE_WELL_KNOWN);
  const rootUrl = insertWellKnown(target.origin, RESOURCE_WELL_KNOWN);
  const [own, root] = await Promise.all([readAt(client, ownUrl), readAt(client, rootUrl)]);
  if (own.kind === 'read') {
    const findings = [own.finding, ...examineMembers(own.document, target)];
    if (root.kind !== 'read') {
      findings.push(
        hint('resource metadata at the root', `${shownUrl(rootUrl)} is not there`, 'Scanners look there.'),
      );
    }
    return { found: { url: ownUrl, document: own.document }, findings };
  }
  const challengeUrl = challenge && resourceMetadataOf(challenge);
  const fallbacks = [
    ...(challengeUrl && urlFault(challengeUrl, target) === undefined
      ? [{ url: challengeUrl, read: await readAt(client, challengeUrl) }]
      : []),
    { url: rootUrl, read: root },
  ];
  for (const { url, read } of fallbacks) {
    if (read.kind !== 'read') continue;
    const message = `${shownUrl(url)}, but not at ${shownUrl(ownUrl)}`;
    const notAtOwnUrl = hint(
      'resource metadata',
      message,
      'Serve it there, too: not every client asks the resource first.',
    );
    const findings = [
      own.kind === 'missing' ? notAtOwnUrl : own.finding,
      ...examineMembers(read.document, target),
    ];
    return { found: { url, document: read.document }, findings };
  }
  return { found: undefined, findings: [own.finding] };
}

async function readAt(client: ProbeClient, url: string): Promise<DocumentRead> {
  return readJson('resource metadata', url, await client.get(url, ACCEPT_JSON), SERVE);
}

function examineMembers(document: Json, target: Target): Finding[] {
  const { authorization_servers, scopes_supported, bearer_methods_supported } = document;
  return [
    examineResource(document, target),
    examineServers(authorization_servers, target),
    examineList('scopes_supported', scopes_supported),
    examineList('bearer_methods_supported', bearer_methods_supported),
  ];
}

/** Examines `resource`, which must equal the requested resource, or clients must not use the document (RFC 9728 section 3.3). */
function examineResource(document: Json, target: Target): Finding {
  const { resource } = document;
  const name = 'resource';
  const fault = urlFault(resource, target);
  if (fault !== undefined) return failed(name, describeFault(resource, fault), `Set it to "${target.url}".`);
  const described = (resource as string).replace(/\/+$/, '');
  const expected = target.url.replace(/\/+$/, '');
  if (described === expected) {
    return resource === target.url || expected === target.origin
      ? passed(name, shown(resource))
      : hint(
          name,
          `${shown(resource)} differs by a slash from ${target.url}`,
          'Some clients compare exactly.',
        );
  }
  if (expected.startsWith(`${described}/`)) {
    return hint(name, `${shown(resource)} is above ${target.url}`, 'Clients that compare exactly refuse it.');
  }
  const servers = texts(document.authorization_servers) ?? [];
  const isIssuer = servers.some((server) => server.replace(/\/+$/, '') === expected);
  if (isIssuer || described.startsWith(`${expected}/`)) {
    return hint(name, `${shown(resource)} is described here`, 'Check that URL as well.');
  }
  return failed(name, `${shown(resource)} is not the URL it was found for`, `Set it to "${target.url}".`);
}

function examineServers(value: unknown, target: Target): Finding {
  const name = 'authorization_servers';
  const fix = 'List the URL of the issuer, whose metadata holds agent_auth.';
  const servers = texts(value);
  if (servers === undefined || servers.length === 0) {
    return failed(name, describeFault(value, 'is not a list of URLs'), fix);
  }
  const fault = urlFault(servers[0], target);
  return fault === undefined
    ? passed(name, shown(servers))
    : failed(name, `${shown(servers[0])} ${fault}`, fix);
}

function examineList(name: string, value: unknown): Finding {
  if (value === undefined) return hint(name, 'is not there', 'Scanners want it, and agents read it.');
  return texts(value) === undefined
    ? failed(name, `${shown(value)} is not a list of texts`, 'Make it a list of texts.')
    : passed(name, shown(value));
}
