import { ACCEPT_JSON, type DocumentRead, type Json, readJson, texts } from './documents.ts';
import { describeFault, type Finding, failed, hint, passed, shown, shownUrl } from './finding.ts';
import type { ProbeClient } from './probe-client.ts';
import { appendWellKnown, ISSUER_WELL_KNOWN, insertWellKnown, type Target, urlFault } from './target.ts';

const NAME = 'issuer metadata';
const SERVE = 'Serve RFC 8414 metadata there, with issuer and the agent_auth block.';

/** Grant types of the token endpoint. */
export const GRANTS = {
  jwtBearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  claim: 'urn:workos:agent-auth:grant-type:claim',
} as const;

/** The metadata of the authorization server, and the issuer by which it was looked up. */
export interface IssuerMetadata {
  issuer: string;
  document: Json;
}

/**
 * Finds and examines the metadata of the issuer (RFC 8414).
 *
 * @param server `authorization_servers[0]` of the resource; without one, the service may be its own issuer
 * @returns `found` is undefined if there is none
 */
export async function findIssuerMetadata(
  client: ProbeClient,
  target: Target,
  server: unknown,
): Promise<{ found: IssuerMetadata | undefined; findings: Finding[] }> {
  const listed = urlFault(server, target) === undefined ? [server as string] : [];
  const candidates = listed.length > 0 ? listed : [...new Set([target.url, target.origin])];
  let first: Finding | undefined;
  for (const issuer of candidates) {
    const [inserted, appended] = await Promise.all([
      readAt(client, insertWellKnown(issuer, ISSUER_WELL_KNOWN)),
      readAt(client, appendWellKnown(issuer, ISSUER_WELL_KNOWN)),
    ]);
    const read = inserted.kind === 'read' ? inserted : appended;
    first ??= inserted.finding;
    if (read.kind !== 'read') continue;
    const findings = [
      inserted.finding,
      ...examineForms(issuer, inserted, appended),
      ...(await examineDoubleSlash(client, issuer)),
      examineIssuer(read.document, issuer),
      ...examineOAuth(read.document),
    ];
    return { found: { issuer, document: read.document }, findings };
  }
  return { found: undefined, findings: [first!] };
}

async function readAt(client: ProbeClient, url: string): Promise<DocumentRead> {
  return readJson(NAME, url, await client.get(url, ACCEPT_JSON), SERVE);
}

/** Examines the second URL of an issuer with a path: OAuth libraries insert the well-known part, clients of auth.md append it. */
function examineForms(issuer: string, inserted: DocumentRead, appended: DocumentRead): Finding[] {
  const url = appendWellKnown(issuer, ISSUER_WELL_KNOWN);
  if (url === insertWellKnown(issuer, ISSUER_WELL_KNOWN)) return [];
  const name = 'issuer metadata, appended';
  if (appended.kind !== 'read') {
    return [hint(name, `${shownUrl(url)} is not there`, 'Serve it there, too: clients of auth.md append.')];
  }
  return [inserted.kind === 'read' ? passed(name, shownUrl(url)) : hint(name, `only at ${shownUrl(url)}`)];
}

/** Examines `//.well-known` for an issuer that ends in a slash: some clients simply append the path to it. */
async function examineDoubleSlash(client: ProbeClient, issuer: string): Promise<Finding[]> {
  if (!issuer.endsWith('/')) return [];
  const url = `${issuer}/.well-known/${ISSUER_WELL_KNOWN}`;
  const read = await readAt(client, url);
  return read.kind === 'read'
    ? []
    : [
        hint(
          'issuer with a slash',
          `${shown(issuer)} ends in a slash, and ${shownUrl(url)} is not there`,
          'Name the issuer without it: some clients put both together.',
        ),
      ];
}

/** Examines `issuer`, which must be identical to the issuer by which the metadata was looked up (RFC 8414 section 3.3). */
function examineIssuer({ issuer, agent_auth, token_endpoint }: Json, expected: string): Finding {
  if (issuer === expected) return passed('issuer', shown(issuer));
  const fix = `Set it to ${shown(expected)}, to the letter.`;
  if (issuer === undefined) {
    // Documents of v0.1 had none, and clients of v0.1 do not read it.
    const isV01 =
      token_endpoint === undefined && (agent_auth as Json | null)?.identity_endpoint === undefined;
    return isV01 ? hint('issuer', 'is not there', fix) : failed('issuer', 'is not there', fix);
  }
  const differs =
    typeof issuer === 'string' && issuer.replace(/\/+$/, '') === expected.replace(/\/+$/, '')
      ? `${shown(issuer)} differs by a slash from ${shown(expected)}`
      : `${shown(issuer)} is not ${shown(expected)}, by which it was looked up`;
  return failed('issuer', differs, fix);
}

/** Examines the OAuth metadata that dialects with an identity endpoint need. */
function examineOAuth(document: Json): Finding[] {
  const { token_endpoint, grant_types_supported, response_types_supported, revocation_endpoint } = document;
  const findings: Finding[] = [];
  if (texts(response_types_supported) === undefined) {
    const message = 'is not there, or no list';
    findings.push(hint('response_types_supported', message, 'RFC 8414 requires it; an empty list will do.'));
  }
  if ((document.agent_auth as Json | null)?.identity_endpoint === undefined) return findings;
  findings.push(
    token_endpoint === undefined
      ? failed('token_endpoint', 'is not there', 'Name it: assertions are exchanged for access tokens there.')
      : passed('token_endpoint', shown(token_endpoint)),
  );
  const grants = texts(grant_types_supported);
  findings.push(
    grants?.includes(GRANTS.jwtBearer)
      ? passed('grant_types_supported', shown(grants))
      : failed(
          'grant_types_supported',
          describeFault(grant_types_supported, 'lacks the grant for assertions'),
          `List ${GRANTS.jwtBearer}.`,
        ),
  );
  if (grants?.includes(GRANTS.claim) === false) {
    const message = `${GRANTS.claim} is not listed`;
    findings.push(
      hint('claim grant', message, 'Agents of v0.4 to v0.6 poll by it; those of production do not.'),
    );
  }
  if (revocation_endpoint === undefined) {
    findings.push(hint('revocation_endpoint', 'is not there', 'Let agents give back a token that leaked.'));
  }
  return findings;
}
