import { z } from 'zod';
import { Failure } from '../../errors.ts';
import { nearest, normalized } from '../../lib/spelling.ts';

/**
 * Members of a body that this service does not know, in the tinysend profile, `/api/tokens` and our own forms. One that was meant
 * to bound something (how long, how much, where, in which mode, for whom) must not be dropped in silence: whoever sent it believes in
 * the bound. It is refused by name. What could only widen, and whatever else, is ignored.
 */

/** Words for the same bound, and the members by which this service knows it; spelled as normalized() does. */
const BOUNDS: { words: RegExp; members: readonly string[] }[] = [
  {
    words:
      /^(?:(?:token|key|credential)?(?:expires?|expiry|expiration|exp)(?:at|in|on|after|date|time|seconds|days)*|ttl(?:seconds)?|life(?:time|span)?(?:seconds)?|validity|valid(?:until|till|to|for)|maxage|notafter|until|duration|deadline)$/,
    members: ['expires_in'],
  },
  {
    words:
      /^(?:(?:requested|token|key|max|allowed)?scopes?|permissions?|readonly|access(?:level|mode)?|restrict(?:ed|ions?)?(?:to)?|limit(?:ed)?to)$/,
    members: ['scope'],
  },
  {
    words:
      /^(?:(?:target|allowed)?(?:resources?|audiences?|apis?)(?:urls?|uris?|servers?)?|aud|target|workspaces?(?:id)?|projects?(?:id)?|allowed(?:ips?|origins?|hosts?))$/,
    members: ['resources'],
  },
  {
    words:
      /^(?:(?:claim)?modes?|links?|linked|linking|(?:no|dont)?merged?|merging|keep(?:own)?account|ownaccount|separate(?:account)?)$/,
    members: ['link'],
  },
  {
    words: /^(?:(?:user|human|owner|contact)?(?:e?mail)(?:address|box)?|mailbox|loginhint)$/,
    members: ['email'],
  },
  // Not a bound, but what it leaves out is another call: a poll.
  {
    words:
      /^(?:(?:verification|confirmation|user|mail|email|claim)?(?:code|pin)|passcode|onetime(?:code|password))$/,
    members: ['otp'],
  },
];

/** What a member is measured in, for the message. */
const UNITS: Record<string, string> = { expires_in: ' (seconds)' };

/**
 * Refuses the first member that its sender must not believe to have an effect.
 *
 * @param value a body that its schema has accepted
 * @throws Failure `badRequest` that names the member, and the one that was probably meant
 */
export function refuseUnknownMembers(value: unknown, schema: z.ZodType): void {
  if (Array.isArray(value)) {
    for (const each of value) refuseUnknownMembers(each, elementOf(schema));
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const object = objectFor(schema, value as Record<string, unknown>);
  if (object === undefined) return;
  const known = Object.keys(object.shape);
  for (const [name, member] of Object.entries(value)) {
    const inner = object.shape[name] as z.ZodType | undefined;
    if (inner !== undefined) refuseUnknownMembers(member, inner);
    else if (member !== null && !name.includes(':')) refuseUnknownMember(name, known, value);
  }
}

function refuseUnknownMember(name: string, known: readonly string[], sent: object): void {
  const word = normalized(name);
  const bound = BOUNDS.find(({ words }) => words.test(word));
  const meant = bound?.members.find((member) => known.includes(member)) ?? nearest(word, known);
  // Beside a code, another one is of another version, and nothing is lost.
  if (meant === 'otp' && meant in sent && word !== meant) return;
  if (meant !== undefined) {
    throw unknown(name, `Did you mean "${meant}"${UNITS[meant] ?? ''}?`);
  }
  if (bound === undefined || bound.members.includes('otp')) return;
  throw unknown(name, `Leave it out. Known here: ${known.filter((each) => each !== 'csrf').join(', ')}.`);
}

/** @param name repeated only where it is a plain word: input is not echoed */
function unknown(name: string, next: string): Failure {
  const shown = /^[\w.-]{1,64}$/.test(name) ? `"${name}"` : 'One of the members';
  return new Failure('badRequest', `${shown} is not known here. ${next}`, {
    field: shown.replaceAll('"', ''),
  });
}

/** The schema of an object as it was sent: of a union the one that takes it. */
function objectFor(schema: z.ZodType, value: Record<string, unknown>): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  if (schema instanceof z.ZodUnion) {
    const options = schema.options as z.ZodType[];
    const taking = options.find((option) => option.safeParse(value).success);
    return taking && objectFor(taking, value);
  }
  const inner = innerOf(schema);
  return inner && objectFor(inner, value);
}

function elementOf(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodArray) return schema.element as z.ZodType;
  if (schema instanceof z.ZodTuple) return schema.def.items[0] as z.ZodType;
  const inner = innerOf(schema);
  return inner === undefined ? z.unknown() : elementOf(inner);
}

function innerOf(schema: z.ZodType): z.ZodType | undefined {
  if (schema instanceof z.ZodPipe) return schema.in as z.ZodType;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return schema.unwrap() as z.ZodType;
  }
  return undefined;
}
