import type { ProbeClient } from './ask.ts';
import { ACCEPT_JSON, type DocumentRead, type Json, readJson, texts } from './documents.ts';
import { type Finding, fine, hint, shown, shownUrl, unfit, wrong } from './finding.ts';
import { insertWellKnown, RESOURCE_WELL_KNOWN, type Target, urlFault } from './target.ts';
import { resourceMetadataOf } from './www-authenticate.ts';

const SERVE =
  'Serve RFC 9728 metadata there: resource, authorization_servers, scopes_supported and bearer_methods_supported.';

/** The metadata of the protected resource, and where it was found. */
export interface ResourceMetadata {
  url: string;
  document: Json;
}

/**
 * Finds the metadata of the resource (RFC 9728) as clients do: at its own well-known address, by its challenge, at the root.
 *
 * @param challenge the WWW-Authenticate of the resource, if it sent one
 */
export async function findResourceMetadata(
  ask: ProbeClient,
  target: Target,
  challenge: string | undefined,
): Promise<{ found: ResourceMetadata | undefined; findings: Finding[] }> {
  const ownUrl = insertWellKnown(target.url, RESOURCE_WELL_KNOWN);
  const rootUrl = insertWellKnown(target.origin, RESOURCE_WELL_KNOWN);
  const [own, root] = await Promise.all([readAt(ask, ownUrl), readAt(ask, rootUrl)]);
  if (own.kind === 'read') {
    const findings = [own.finding, ...examineMembers(own.document, target)];
    if (root.kind !== 'read') {
      findings.push(
        hint('resource metadata at the root', `${shownUrl(rootUrl)} is not there`, 'Scanners look there.'),
      );
    }
    return { found: { url: ownUrl, document: own.document }, findings };
  }
  const named = challenge && resourceMetadataOf(challenge);
  const elsewhere = [
    ...(named && urlFault(named, target) === undefined
      ? [{ url: named, read: await readAt(ask, named) }]
      : []),
    { url: rootUrl, read: root },
  ];
  for (const { url, read } of elsewhere) {
    if (read.kind !== 'read') continue;
    const says = `${shownUrl(url)}, but not at ${shownUrl(ownUrl)}`;
    const missed = hint(
      'resource metadata',
      says,
      'Serve it there, too: not every client asks the resource first.',
    );
    const findings = [
      own.kind === 'missing' ? missed : own.finding,
      ...examineMembers(read.document, target),
    ];
    return { found: { url, document: read.document }, findings };
  }
  return { found: undefined, findings: [own.finding] };
}

async function readAt(ask: ProbeClient, url: string): Promise<DocumentRead> {
  return readJson('resource metadata', url, await ask.get(url, ACCEPT_JSON), SERVE);
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

/** RFC 9728 3.3: it must be the resource that was asked for, else a client must not use the document. */
function examineResource(document: Json, target: Target): Finding {
  const { resource } = document;
  const name = 'resource';
  const fault = urlFault(resource, target);
  if (fault !== undefined) return wrong(name, unfit(resource, fault), `Set it to "${target.url}".`);
  const plain = (resource as string).replace(/\/+$/, '');
  const wanted = target.url.replace(/\/+$/, '');
  if (plain === wanted) {
    return resource === target.url || wanted === target.origin
      ? fine(name, shown(resource))
      : hint(
          name,
          `${shown(resource)} differs by a slash from ${target.url}`,
          'Some clients compare exactly.',
        );
  }
  if (wanted.startsWith(`${plain}/`)) {
    return hint(name, `${shown(resource)} is above ${target.url}`, 'Clients that compare exactly refuse it.');
  }
  const servers = texts(document.authorization_servers) ?? [];
  const isIssuer = servers.some((server) => server.replace(/\/+$/, '') === wanted);
  if (isIssuer || plain.startsWith(`${wanted}/`)) {
    return hint(name, `${shown(resource)} is described here`, 'Check that URL as well.');
  }
  return wrong(name, `${shown(resource)} is not the URL it was found for`, `Set it to "${target.url}".`);
}

function examineServers(value: unknown, target: Target): Finding {
  const name = 'authorization_servers';
  const next = 'List the URL of the issuer, whose metadata holds agent_auth.';
  const servers = texts(value);
  if (servers === undefined || servers.length === 0) {
    return wrong(name, unfit(value, 'is not a list of URLs'), next);
  }
  const fault = urlFault(servers[0], target);
  return fault === undefined
    ? fine(name, shown(servers))
    : wrong(name, `${shown(servers[0])} ${fault}`, next);
}

function examineList(name: string, value: unknown): Finding {
  if (value === undefined) return hint(name, 'is not there', 'Scanners want it, and agents read it.');
  return texts(value) === undefined
    ? wrong(name, `${shown(value)} is not a list of texts`, 'Make it a list of texts.')
    : fine(name, shown(value));
}
