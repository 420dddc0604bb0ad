import type { ProbeClient } from './ask.ts';
import { ACCEPT_JSON, asObject, isHtml, type Json, parseObject, readJson, texts } from './documents.ts';
import { type Finding, fine, hint, shown, shownUrl, unfit, wrong } from './finding.ts';
import { type Target, urlFault } from './target.ts';

/** The discovery document of the Agent Auth Protocol (Agent Auth Protocol 1.0-draft, section 5.1): judged where it is there, no fault where it is not. */

const NAME = 'agent-configuration';
const MODES = ['delegated', 'autonomous'];
const METHODS = ['device_authorization', 'ciba'];
/** Those of the specification, and the two that the published SDK reads besides. */
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
/** Without these no client gets anywhere; for the others it falls back to the paths of the specification. */
const NEEDED = ['register', 'capabilities', 'execute', 'status'];

export async function examineAgentConfiguration(ask: ProbeClient, target: Target): Promise<Finding[]> {
  const found = await findDocument(ask, target);
  if ('finding' in found) return [found.finding];
  const { url, document } = found;
  const { issuer, endpoints } = document;
  return [
    fine(NAME, shownUrl(url)),
    examineVersion(document.version),
    examineText(document, 'provider_name', 'Give a short name that never changes.'),
    examineText(document, 'description', 'Say in a sentence what the service is.'),
    examineIssuer(issuer, url, target),
    examineList(document.algorithms, 'algorithms', ['Ed25519'], true),
    examineList(document.modes, 'modes', MODES, false),
    examineList(document.approval_methods, 'approval_methods', METHODS, false),
    ...examineUrls(document, target),
    ...(await examineEndpoints(ask, asObject(endpoints), issuer, target)),
  ];
}

/** Where clients look, in their order. */
async function findDocument(
  ask: ProbeClient,
  { url, origin }: Target,
): Promise<{ finding: Finding } | { url: string; document: Json }> {
  const places = [
    `${url}/.well-known/agent-configuration`,
    `${origin}/.well-known/agent-configuration`,
    `${url}/api/auth/agent/agent-configuration`,
  ];
  for (const place of new Set(places)) {
    const read = readJson(NAME, place, await ask.get(place, ACCEPT_JSON), 'Answer with the JSON document.');
    if (read.kind === 'read') return { url: place, document: read.document };
    if (read.kind === 'broken') return { finding: read.finding };
  }
  const at = shownUrl(`${origin}/.well-known/agent-configuration`);
  return {
    finding: hint(NAME, `${at} is not there`, 'Only the Agent Auth Protocol, another one, needs it.'),
  };
}

const named = (member: string) => `${NAME} ${member}`;

function examineVersion(value: unknown): Finding {
  const name = named('version');
  if (typeof value === 'string' && /^1\./.test(value)) return fine(name, shown(value));
  const next = 'Name "1.0-draft": clients read the number before the dot.';
  return wrong(name, unfit(value, 'is no version that clients know'), next);
}

function examineText(document: Json, member: string, next: string): Finding {
  const value = document[member];
  return typeof value === 'string' && value !== ''
    ? fine(named(member), shown(value))
    : wrong(named(member), unfit(value, 'is not a text'), next);
}

/** What tokens of hosts are addressed to, letter by letter. */
function examineIssuer(value: unknown, at: string, target: Target): Finding {
  const name = named('issuer');
  const fault = urlFault(value, target);
  const next = 'Name the https URL that tokens are addressed to, without a slash at its end.';
  if (fault !== undefined) return wrong(name, unfit(value, fault), next);
  const issuer = value as string;
  if (issuer.endsWith('/')) return wrong(name, `${shown(issuer)} ends in a slash`, next);
  return new URL(issuer).origin === new URL(at).origin
    ? fine(name, shown(issuer))
    : hint(name, `${shown(issuer)} is at another origin than the document`, 'Serve both at one origin.');
}

function examineList(value: unknown, member: string, known: readonly string[], needsAll: boolean): Finding {
  const name = named(member);
  const list = texts(value);
  const next = `List ${known.map((each) => `"${each}"`).join(needsAll ? ' and ' : ' or ')}.`;
  if (list === undefined || list.length === 0)
    return wrong(name, unfit(value, 'is not a list of texts'), next);
  if (needsAll && !known.every((each) => list.includes(each))) {
    return wrong(name, `${shown(list)} lacks what every client signs with`, next);
  }
  const strange = list.filter((each) => !known.includes(each));
  return strange.length === 0
    ? fine(name, shown(list))
    : hint(name, `${shown(strange)} is not of the specification`, 'Clients skip what they do not know.');
}

function examineUrls(document: Json, target: Target): Finding[] {
  return ['default_location', 'jwks_uri'].flatMap((member) => {
    const value = document[member];
    if (value === undefined) return [];
    const fault = urlFault(value, target);
    return [
      fault === undefined
        ? fine(named(member), shown(value))
        : wrong(named(member), unfit(value, fault), 'Name an absolute https URL, or leave it out.'),
    ];
  });
}

async function examineEndpoints(
  ask: ProbeClient,
  endpoints: Json | undefined,
  issuer: unknown,
  target: Target,
): Promise<Finding[]> {
  const name = named('endpoints');
  if (endpoints === undefined) {
    const next = `Name at least ${NEEDED.join(', ')}: clients take the document for none without.`;
    return [wrong(name, 'is no object', next)];
  }
  const base = typeof issuer === 'string' && URL.canParse(issuer) ? issuer : target.url;
  const missing = NEEDED.filter((member) => endpoints[member] === undefined);
  const strange = Object.keys(endpoints).filter((member) => !ENDPOINTS.includes(member));
  const faults = Object.entries(endpoints).flatMap(([member, value]) => {
    const fault = urlFault(absolute(value, base), target);
    const next = 'Name a path below the issuer, such as "/agent/register", or an absolute https URL.';
    return fault === undefined ? [] : [wrong(named(member), unfit(value, fault), next)];
  });
  const said = [
    ...faults,
    ...(missing.length > 0
      ? [hint(name, `${shown(missing)} is not named`, 'Clients fall back to the paths of the specification.')]
      : [fine(name, `${Object.keys(endpoints).length} are named`)]),
    ...(strange.length > 0
      ? [hint(named('other endpoints'), `${shown(strange)} is not of the specification`)]
      : []),
  ];
  if (faults.length > 0) return said;
  return [...said, await examineCapabilities(ask, absolute(endpoints.capabilities, base), target)];
}

function absolute(value: unknown, base: string): unknown {
  if (typeof value !== 'string' || !/^\/(?!\/)\S*$/.test(value)) return value;
  return base.replace(/\/$/, '') + value;
}

/** What an agent that knows nothing asks for first. */
async function examineCapabilities(ask: ProbeClient, url: unknown, { origin }: Target): Promise<Finding> {
  const name = named('capabilities');
  if (typeof url !== 'string') return hint(name, 'was not asked for: its place is not named');
  if (new URL(url).origin !== origin)
    return hint(name, `${shownUrl(url)} was not asked: it is at another origin`);
  const answer = await ask.get(url, ACCEPT_JSON);
  if (answer.kind === 'trouble') return wrong(name, `${shownUrl(url)} ${answer.says}`, answer.next);
  const says = `${shownUrl(url)} answers ${answer.status}`;
  const body = isHtml(answer.type, answer.text) ? undefined : parseObject(answer.text);
  const next = 'Answer 200 with {"capabilities":[…]}, or 401 with JSON where only known hosts may look.';
  if (body === undefined) return wrong(name, `${says} without a JSON object`, next);
  if (answer.status === 200) {
    return Array.isArray(body.capabilities)
      ? fine(name, `${says} and lists ${body.capabilities.length}`)
      : wrong(name, `${says} without a list of capabilities`, next);
  }
  return answer.status === 401 || answer.status === 403
    ? fine(name, `${says}: only known hosts may look`)
    : wrong(name, says, next);
}
