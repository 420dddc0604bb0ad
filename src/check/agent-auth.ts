import { asObject, type Json, texts } from './documents.ts';
import { describeFault, type Finding, failed, hint, passed, shown } from './finding.ts';

const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const KNOWN_TYPES = ['anonymous', 'identity_assertion', 'service_auth', 'refresh'];

/**
 * Examines the block `agent_auth` of the issuer's metadata: the members that the dialects and scanners require (auth.md v0.6,
 * discovery; docs/checking.md).
 *
 * @returns `block` is undefined if there is none
 */
export function examineAgentAuth(document: Json): { block: Json | undefined; findings: Finding[] } {
  const block = asObject(document.agent_auth);
  if (block === undefined) {
    const message = describeFault(document.agent_auth, 'is no object');
    const fix =
      'Add the block to the metadata of the issuer: skill, where to register, and identity_types_supported.';
    return { block: undefined, findings: [failed('agent_auth', message, fix)] };
  }
  return {
    block,
    findings: [
      passed('agent_auth', 'is there'),
      ...(block.skill === undefined
        ? [failed('skill', 'is not there', 'Let it name the URL of /auth.md.')]
        : []),
      ...examineRegistration(block),
      ...examineClaim(block),
      examineTypes(block),
      ...examineAnonymous(block),
      ...examineAssertions(block),
      ...examineService(block),
      ...examineEvents(block),
    ],
  };
}

/** Returns the offered ways to register; if their list is broken, those that have a block of their own. */
function offeredTypes(block: Json): string[] {
  return (
    texts(block.identity_types_supported) ?? KNOWN_TYPES.filter((type) => asObject(block[type]) !== undefined)
  );
}

function assertionTypes(block: Json): string[] {
  return texts(asObject(block.identity_assertion)?.assertion_types_supported) ?? [];
}

function examineRegistration({ register_uri, identity_endpoint }: Json): Finding[] {
  const name = 'registration';
  if (register_uri === undefined && identity_endpoint === undefined) {
    const fix = 'Add "identity_endpoint" (since v0.2) or "register_uri" (v0.1), or both.';
    return [failed(name, 'neither register_uri nor identity_endpoint is there: nobody can register', fix)];
  }
  if (identity_endpoint === undefined) {
    const fix = 'Clients of v0.2 and later look for identity_endpoint.';
    return [passed(name, shown(register_uri)), hint('identity_endpoint', 'is not there', fix)];
  }
  if (register_uri === undefined) {
    const fix = 'Scanners and clients of v0.1 look for register_uri.';
    return [passed(name, shown(identity_endpoint)), hint('register_uri', 'is not there', fix)];
  }
  return [passed(name, `${shown(register_uri)} and ${shown(identity_endpoint)}`)];
}

/** Examines the claim endpoints, which are required if a way to register involves a human. */
function examineClaim(block: Json): Finding[] {
  const types = offeredTypes(block);
  const needsHuman =
    types.includes('anonymous') ||
    types.includes('service_auth') ||
    assertionTypes(block).includes('verified_email');
  const pairs = [
    { member: 'claim_uri', partner: 'register_uri' },
    { member: 'claim_endpoint', partner: 'identity_endpoint' },
  ];
  return pairs.flatMap(({ member, partner }) => {
    const url = block[member];
    if (url === undefined) {
      if (!needsHuman || block[partner] === undefined) return [];
      return [
        failed(
          member,
          `is not there, next to ${partner}`,
          'Name where an agent asks to be claimed by its human.',
        ),
      ];
    }
    if (typeof url === 'string' && url.endsWith('/')) {
      return [failed(member, `${shown(url)} ends in a slash`, 'Drop it: clients put "/complete" behind.')];
    }
    return [passed(member, shown(url))];
  });
}

function examineTypes(block: Json): Finding {
  const name = 'identity_types_supported';
  const types = texts(block.identity_types_supported);
  const fix =
    'List those that work: anonymous, identity_assertion, service_auth. Some clients crash without the list.';
  if (types === undefined || types.length === 0) {
    return failed(name, describeFault(block.identity_types_supported, 'is not a list of types'), fix);
  }
  const unknownTypes = types.filter((type) => !KNOWN_TYPES.includes(type));
  return unknownTypes.length === 0
    ? passed(name, shown(types))
    : hint(
        name,
        `${shown(unknownTypes)} is of no version of auth.md`,
        'Clients do not know what to send for it.',
      );
}

function examineAnonymous(block: Json): Finding[] {
  if (!offeredTypes(block).includes('anonymous')) return [];
  return [credentialTypes(block, 'anonymous', '["api_key"]')];
}

function examineAssertions(block: Json): Finding[] {
  if (!offeredTypes(block).includes('identity_assertion')) return [];
  const name = 'identity_assertion.assertion_types_supported';
  const types = assertionTypes(block);
  return [
    types.length > 0
      ? passed(name, shown(types))
      : failed(
          name,
          'is not a list of types',
          `List ${ID_JAG} or verified_email, or do not offer identity_assertion.`,
        ),
    credentialTypes(block, 'identity_assertion', '["access_token", "api_key"]'),
  ];
}

/** Examines `credential_types_supported`: scanners require it, and clients of v0.1 choose `requested_credential_type` from it. */
function credentialTypes(block: Json, kind: string, example: string): Finding {
  const name = `${kind}.credential_types_supported`;
  const value = asObject(block[kind])?.credential_types_supported;
  const types = texts(value);
  if (types !== undefined && types.length > 0) return passed(name, shown(types));
  const message = describeFault(value, 'is not a list of types');
  const fix = `Add it, such as ${example}: without it scanners do not count this way of registering.`;
  return block.register_uri === undefined && value === undefined
    ? hint(name, message, fix)
    : failed(name, message, fix);
}

function examineService(block: Json): Finding[] {
  if (!offeredTypes(block).includes('service_auth') || block.identity_endpoint !== undefined) return [];
  const fix = 'Add identity_endpoint and claim_endpoint: v0.1 has no such request.';
  return [failed('service_auth', 'is offered without an identity_endpoint', fix)];
}

/** Examines the security events. An endpoint without a list of events suggests that events are accepted and ignored. */
function examineEvents(block: Json): Finding[] {
  const name = 'events_supported';
  const events = texts(block.events_supported);
  const endpoint = block.events_endpoint ?? block.revocation_uri;
  if (block.events_supported !== undefined && events === undefined) {
    return [
      failed(name, `${shown(block.events_supported)} is not a list of texts`, 'List the URIs of the events.'),
    ];
  }
  if (endpoint === undefined) {
    if (events === undefined || events.length === 0) return [];
    return [failed(name, 'there is no endpoint to send them to', 'Add events_endpoint, or drop the list.')];
  }
  if (events === undefined || events.length === 0) {
    const fix = 'List the events that end access, or drop the endpoint: what is named should be enforced.';
    return [hint(name, 'an endpoint for events is named, but no event', fix)];
  }
  return [passed(name, shown(events))];
}
