import type { Json } from './documents.ts';
import { type Finding, fine, hint, shown, wrong } from './finding.ts';
import { type Target, urlFault } from './target.ts';

const OF_METADATA = [
  'authorization_endpoint',
  'token_endpoint',
  'revocation_endpoint',
  'introspection_endpoint',
  'registration_endpoint',
  'jwks_uri',
];
const OF_BLOCK = [
  'skill',
  'register_uri',
  'identity_endpoint',
  'claim_uri',
  'claim_endpoint',
  'revocation_uri',
  'events_endpoint',
];

/** The URLs by which requests can be sent, by member. */
export type Endpoints = Map<string, string>;

/** Looks at every URL that the metadata names: can it be followed, and does it lead where the reader expects? */
export function examineEndpoints(
  document: Json,
  block: Json | undefined,
  target: Target,
  issuer: string,
): { endpoints: Endpoints; findings: Finding[] } {
  const named = [
    ...OF_METADATA.map((member) => [member, document[member]] as const),
    ...OF_BLOCK.map((member) => [member, block?.[member]] as const),
  ].filter(([, value]) => value !== undefined);
  const endpoints: Endpoints = new Map();
  const findings: Finding[] = [];
  const expected = [target.origin, new URL(issuer).origin];
  for (const [member, value] of named) {
    const name = `URL of ${member}`;
    const fault = urlFault(value, target);
    if (fault !== undefined) {
      findings.push(wrong(name, `${shown(value)} ${fault}`, 'Write an absolute https URL.'));
      continue;
    }
    endpoints.set(member, value as string);
    if (!expected.includes(new URL(value as string).origin)) {
      findings.push(hint(name, `${shown(value)} is at another origin`, 'Make sure that this is meant.'));
    }
  }
  if (findings.length === 0) findings.push(fine('URLs', `all ${named.length} are absolute, and at home`));
  return { endpoints, findings };
}
