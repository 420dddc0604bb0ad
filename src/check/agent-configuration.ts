import { ACCEPT_JSON, asObject, isHtml, type Json, parseObject, readJson, texts } from './documents.ts';
import { describeFault, type Finding, failed, hint, passed, shown, shownUrl } from './finding.ts';
import type { ProbeClient } from './probe-client.ts';
import { type Target, urlFault } from './target.ts';

/** Examines the discovery document of the Agent Auth Protocol (Agent Auth Protocol 1.0-draft, section 5.1), if there is one. */

const NAME = 'agent-configuration';
const MODES = ['delegated', 'autonomous'];
const METHODS = ['device_authorization', 'ciba'];
/** The endpoints of the specification, and two more that the published SDK reads. */
const ENDPOINTS = [
  'register',
  'capabilities',
  'describe_capability',
  'execute',
  'request_capability',
  'status',
  'reactivate',
  'revoke',
  'revoke_host',
  'rotate_key',
  'rotate_host_key',
  'introspect',
  'claim',
  'batch_execute',
];
/** The endpoints that every client needs. */
const REQUIRED_ENDPOINTS = ['register', 'capabilities', 'execute', 'status'];

/** Examines the discovery document. A missing one is a hint. */
export async function examineAgentConfiguration(client: ProbeClient, target: Target): Promise<Finding[]> {
  const found = await findDocument(client, target);
  if ('finding' in found) return [found.finding];
  const { url, document } = found;
  const { issuer, endpoints } = document;
  return [
    passed(NAME, shownUrl(url)),
    examineVersion(document.version),
    examineText(document, 'provider_name', 'Give a short name that never changes.'),
    examineText(document, 'description', 'Say in a sentence what the service is.'),
    examineIssuer(issuer, url, target),
    examineList(document.algorithms, 'algorithms', ['Ed25519'], true),
    examineList(document.modes, 'modes', MODES, false),
    examineList(document.approval_methods, 'approval_methods', METHODS, false),
    ...examineOptionalUrls(document, target),
    ...(await examineEndpoints(client, asObject(endpoints), issuer, target)),
  ];
}

/** Looks at the URLs that clients try, in their order. */
async function findDocument(
  client: ProbeClient,
  { url, origin }: Target,
): Promise<{ finding: Finding } | { url: string; document: Json }> {
  const places = [
    `${url}/.well-known/agent-configuration`,
    `${origin}/.well-known/agent-configuration`,
    `${url}/api/auth/agent/agent-configuration`,
  ];
  for (const place of new Set(places)) {
    const read = readJson(
      NAME,
      place,
      await client.get(place, ACCEPT_JSON),
      'Answer with the JSON document.',
    );
    if (read.kind === 'read') return { url: place, document: read.document };
    if (read.kind === 'broken') return { finding: read.finding };
  }
  const at = shownUrl(`${origin}/.well-known/agent-configuration`);
  return {
    finding: hint(NAME, `${at} is not there`, 'Only the Agent Auth Protocol, another one, needs it.'),
  };
}

const findingName = (member: string) => `${NAME} ${member}`;

function examineVersion(value: unknown): Finding {
  const name = findingName('version');
  if (typeof value === 'string' && /^1\./.test(value)) return passed(name, shown(value));
  const fix = 'Name "1.0-draft": clients read the number before the dot.';
  return failed(name, describeFault(value, 'is no version that clients know'), fix);
}

function examineText(document: Json, member: string, fix: string): Finding {
  const value = document[member];
  return typeof value === 'string' && value !== ''
    ? passed(findingName(member), shown(value))
    : failed(findingName(member), describeFault(value, 'is not a text'), fix);
}

/** Examines `issuer`, the exact audience of the hosts' tokens. */
function examineIssuer(value: unknown, at: string, target: Target): Finding {
  const name = findingName('issuer');
  const fault = urlFault(value, target);
  const fix = 'Name the https URL that tokens are addressed to, without a slash at its end.';
  if (fault !== undefined) return failed(name, describeFault(value, fault), fix);
  const issuer = value as string;
  if (issuer.endsWith('/')) return failed(name, `${shown(issuer)} ends in a slash`, fix);
  return new URL(issuer).origin === new URL(at).origin
    ? passed(name, shown(issuer))
    : hint(name, `${shown(issuer)} is at another origin than the document`, 'Serve both at one origin.');
}

function examineList(value: unknown, member: string, known: readonly string[], needsAll: boolean): Finding {
  const name = findingName(member);
  const list = texts(value);
  const fix = `List ${known.map((each) => `"${each}"`).join(needsAll ? ' and ' : ' or ')}.`;
  if (list === undefined || list.length === 0)
    return failed(name, describeFault(value, 'is not a list of texts'), fix);
  if (needsAll && !known.every((each) => list.includes(each))) {
    return failed(name, `${shown(list)} lacks what every client signs with`, fix);
  }
  const unlisted = list.filter((each) => !known.includes(each));
  return unlisted.length === 0
    ? passed(name, shown(list))
    : hint(name, `${shown(unlisted)} is not of the specification`, 'Clients skip what they do not know.');
}

function examineOptionalUrls(document: Json, target: Target): Finding[] {
  return ['default_location', 'jwks_uri'].flatMap((member) => {
    const value = document[member];
    if (value === undefined) return [];
    const fault = urlFault(value, target);
    return [
      fault === undefined
        ? passed(findingName(member), shown(value))
        : failed(
            findingName(member),
            describeFault(value, fault),
            'Name an absolute https URL, or leave it out.',
          ),
    ];
  });
}

async function examineEndpoints(
  client: ProbeClient,
  endpoints: Json | undefined,
  issuer: unknown,
  target: Target,
): Promise<Finding[]> {
  const name = findingName('endpoints');
  if (endpoints === undefined) {
    const fix = `Name at least ${REQUIRED_ENDPOINTS.join(', ')}: clients take the document for none without.`;
    return [failed(name, 'is no object', fix)];
  }
  const base = typeof issuer === 'string' && URL.canParse(issuer) ? issuer : target.url;
  const missing = REQUIRED_ENDPOINTS.filter((member) => endpoints[member] === undefined);
  const unlisted = Object.keys(endpoints).filter((member) => !ENDPOINTS.includes(member));
  const faults = Object.entries(endpoints).flatMap(([member, value]) => {
    const fault = urlFault(absolute(value, base), target);
    const fix = 'Name a path below the issuer, such as "/agent/register", or an absolute https URL.';
    return fault === undefined ? [] : [failed(findingName(member), describeFault(value, fault), fix)];
  });
  const findings = [
    ...faults,
    ...(missing.length > 0
      ? [hint(name, `${shown(missing)} is not named`, 'Clients fall back to the paths of the specification.')]
      : [passed(name, `${Object.keys(endpoints).length} are named`)]),
    ...(unlisted.length > 0
      ? [hint(findingName('other endpoints'), `${shown(unlisted)} is not of the specification`)]
      : []),
  ];
  if (faults.length > 0) return findings;
  return [...findings, await examineCapabilities(client, absolute(endpoints.capabilities, base), target)];
}

function absolute(value: unknown, base: string): unknown {
  if (typeof value !== 'string' || !/^\/(?!\/)\S*$/.test(value)) return value;
  return base.replace(/\/$/, '') + value;
}

/** Examines the list of capabilities, which a new agent requests first. */
async function examineCapabilities(client: ProbeClient, url: unknown, { origin }: Target): Promise<Finding> {
  const name = findingName('capabilities');
  if (typeof url !== 'string') return hint(name, 'was not asked for: its place is not named');
  if (new URL(url).origin !== origin)
    return hint(name, `${shownUrl(url)} was not asked: it is at another origin`);
  const answer = await client.get(url, ACCEPT_JSON);
  if (answer.kind === 'trouble') return failed(name, `${shownUrl(url)} ${answer.says}`, answer.next);
  const message = `${shownUrl(url)} answers ${answer.status}`;
  const body = isHtml(answer.type, answer.text) ? undefined : parseObject(answer.text);
  const fix = 'Answer 200 with {"capabilities":[…]}, or 401 with JSON where only known hosts may look.';
  if (body === undefined) return failed(name, `${message} without a JSON object`, fix);
  if (answer.status === 200) {
    return Array.isArray(body.capabilities)
      ? passed(name, `${message} and lists ${body.capabilities.length}`)
      : failed(name, `${message} without a list of capabilities`, fix);
  }
  return answer.status === 401 || answer.status === 403
    ? passed(name, `${message}: only known hosts may look`)
    : failed(name, message, fix);
}
