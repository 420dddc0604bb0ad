import { z } from 'zod';
import { Failure } from '../../errors.ts';
import { normalizeName, suggestName } from '../../lib/spelling.ts';

/**
 * Unknown members of a body, in the tinysend profile, `/api/tokens` and our own forms (docs/adr/0008-http.md). A member
 * that would restrict lifetime, scope, audience, mode or mailbox is refused by name: if it were ignored, the sender
 * would believe in a restriction that does not exist. So is a misspelling of a known member. All other unknown members
 * are ignored.
 */

/** Names for one restriction, in the spelling of normalizeName(), and the members by which this service accepts it. */
const RESTRICTIONS: { names: RegExp; members: readonly string[] }[] = [
  {
    names:
      /^(?:(?:token|key|credential)?(?:expires?|expiry|expiration|exp)(?:at|in|on|after|date|time|seconds|days)*|ttl(?:seconds)?|life(?:time|span)?(?:seconds)?|validity|valid(?:until|till|to|for)|maxage|notafter|until|duration|deadline)$/,
    members: ['expires_in'],
  },
  {
    names:
      /^(?:(?:requested|token|key|max|allowed)?scopes?|permissions?|readonly|access(?:level|mode)?|restrict(?:ed|ions?)?(?:to)?|limit(?:ed)?to)$/,
    members: ['scope'],
  },
  {
    names:
      /^(?:(?:target|allowed)?(?:resources?|audiences?|apis?)(?:urls?|uris?|servers?)?|aud|target|workspaces?(?:id)?|projects?(?:id)?|allowed(?:ips?|origins?|hosts?))$/,
    members: ['resources'],
  },
  {
    names:
      /^(?:(?:claim)?modes?|links?|linked|linking|(?:no|dont)?merged?|merging|keep(?:own)?account|ownaccount|separate(?:account)?)$/,
    members: ['link'],
  },
  {
    names: /^(?:(?:user|human|owner|contact)?(?:e?mail)(?:address|box)?|mailbox|loginhint)$/,
    members: ['email'],
  },
  // A code restricts nothing, but without `otp` the request would count as a poll.
  {
    names:
      /^(?:(?:verification|confirmation|user|mail|email|claim)?(?:code|pin)|passcode|onetime(?:code|password))$/,
    members: ['otp'],
  },
];

/** The unit of a member, for the message. */
const UNITS: Record<string, string> = { expires_in: ' (seconds)' };

/**
 * Refuses the first unknown member that would restrict something, or that misspells a known one.
 *
 * @param value a parsed body that its schema has accepted
 * @throws Failure `badRequest` naming the member and, if there is one, the known member that was probably meant
 */
export function refuseUnknownMembers(value: unknown, schema: z.ZodType): void {
  if (Array.isArray(value)) {
    for (const each of value) refuseUnknownMembers(each, elementSchemaOf(schema));
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const object = objectSchemaFor(schema, value as Record<string, unknown>);
  if (object === undefined) return;
  const known = Object.keys(object.shape);
  for (const [name, member] of Object.entries(value)) {
    const inner = object.shape[name] as z.ZodType | undefined;
    if (inner !== undefined) refuseUnknownMembers(member, inner);
    else if (member !== null && !name.includes(':')) refuseUnknownMember(name, known, value);
  }
}

function refuseUnknownMember(name: string, known: readonly string[], body: object): void {
  const word = normalizeName(name);
  const restriction = RESTRICTIONS.find(({ names }) => names.test(word));
  const meant = restriction?.members.find((member) => known.includes(member)) ?? suggestName(word, known);
  // A second code beside `otp` belongs to another version of the protocol; `otp` alone counts.
  if (meant === 'otp' && meant in body && word !== meant) return;
  if (meant !== undefined) {
    throw unknownMember(name, `Did you mean "${meant}"${UNITS[meant] ?? ''}?`);
  }
  if (restriction === undefined || restriction.members.includes('otp')) return;
  throw unknownMember(
    name,
    `Leave it out. Known here: ${known.filter((each) => each !== 'csrf').join(', ')}.`,
  );
}

/** @param name shown only when it is a plain word: messages do not echo input */
function unknownMember(name: string, advice: string): Failure {
  const isShown = /^[\w.-]{1,64}$/.test(name);
  const subject = isShown ? `"${name}"` : 'One of the members';
  return new Failure('badRequest', `${subject} is not known here. ${advice}`, isShown ? { field: name } : {});
}

/** Finds the object schema for a value; in a union, the option that accepts the value. */
function objectSchemaFor(schema: z.ZodType, value: Record<string, unknown>): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  if (schema instanceof z.ZodUnion) {
    const options = schema.options as z.ZodType[];
    const accepting = options.find((option) => option.safeParse(value).success);
    return accepting && objectSchemaFor(accepting, value);
  }
  const inner = innerSchemaOf(schema);
  return inner && objectSchemaFor(inner, value);
}

function elementSchemaOf(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodArray) return schema.element as z.ZodType;
  if (schema instanceof z.ZodTuple) return schema.def.items[0] as z.ZodType;
  const inner = innerSchemaOf(schema);
  return inner === undefined ? z.unknown() : elementSchemaOf(inner);
}

function innerSchemaOf(schema: z.ZodType): z.ZodType | undefined {
  if (schema instanceof z.ZodPipe) return schema.in as z.ZodType;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return schema.unwrap() as z.ZodType;
  }
  return undefined;
}
