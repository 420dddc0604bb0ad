import type { Json } from './documents.ts';
import { type Finding, failed, hint, passed, shown } from './finding.ts';
import { type Target, urlFault } from './target.ts';

const METADATA_URLS = [
  'authorization_endpoint',
  'token_endpoint',
  'revocation_endpoint',
  'introspection_endpoint',
  'registration_endpoint',
  'jwks_uri',
];
const AGENT_AUTH_URLS = [
  'skill',
  'register_uri',
  'identity_endpoint',
  'claim_uri',
  'claim_endpoint',
  'revocation_uri',
  'events_endpoint',
];

/** The usable URLs of the metadata, by member. */
export type Endpoints = Map<string, string>;

/** Examines whether each URL that the metadata names is usable, and at the origin of the service or its issuer. */
export function examineEndpoints(
  document: Json,
  block: Json | undefined,
  target: Target,
  issuer: string,
): { endpoints: Endpoints; findings: Finding[] } {
  const members = [
    ...METADATA_URLS.map((member) => [member, document[member]] as const),
    ...AGENT_AUTH_URLS.map((member) => [member, block?.[member]] as const),
  ].filter(([, value]) => value !== undefined);
  const endpoints: Endpoints = new Map();
  const findings: Finding[] = [];
  const expected = [target.origin, new URL(issuer).origin];
  for (const [member, value] of members) {
    const name = `URL of ${member}`;
    const fault = urlFault(value, target);
    if (fault !== undefined) {
      findings.push(failed(name, `${shown(value)} ${fault}`, 'Write an absolute https URL.'));
      continue;
    }
    endpoints.set(member, value as string);
    if (!expected.includes(new URL(value as string).origin)) {
      findings.push(hint(name, `${shown(value)} is at another origin`, 'Make sure that this is meant.'));
    }
  }
  if (findings.length === 0) findings.push(passed('URLs', `all ${members.length} are absolute, and at home`));
  return { endpoints, findings };
}
