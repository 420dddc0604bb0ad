/** Checks of values that others wrote. Each throws a MemberFault that says where and why, and repeats nothing of the value. */

/** Why a value is not what it should be. */
export class MemberFault extends Error {
  /** Where: a path such as `permissions[0].actions`, empty for the whole. */
  readonly where: string;

  constructor(where: string, message: string) {
    super(where === '' ? message : `${where}: ${message}`);
    this.where = where;
  }
}

/** Returns the value as what it is. @param where its path, for the fault */
export type Check<Value> = (value: unknown, where: string) => Value;

type Checked<Checks> = { [Name in keyof Checks]: Checks[Name] extends Check<infer Value> ? Value : never };

/** Checks an object: all of `required`, any of `optional`, and nothing else. Members come out in this order. */
export function members<
  Required extends Record<string, Check<unknown>>,
  Optional extends Record<string, Check<unknown>> = Record<never, never>,
>(
  required: Required,
  optional: Optional = {} as Optional,
): Check<Checked<Required> & Partial<Checked<Optional>>> {
  const known = Object.entries({ ...required, ...optional });
  return (value, where) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new MemberFault(where, 'It is no object.');
    }
    const given = value as Record<string, unknown>;
    for (const name of Object.keys(given)) {
      if (!known.some(([each]) => each === name)) throw new MemberFault(where, unknownMember(name));
    }
    const checked: Record<string, unknown> = {};
    for (const [name, check] of known) {
      const at = where === '' ? name : `${where}.${name}`;
      if (Object.hasOwn(given, name)) checked[name] = check(given[name], at);
      else if (Object.hasOwn(required, name)) throw new MemberFault(at, 'It is missing.');
    }
    return checked as Checked<Required> & Partial<Checked<Optional>>;
  };
}

/** Says that a name is not known. Names that are plain words are told: a typing error is found faster. */
export function unknownMember(name: string): string {
  return /^[A-Za-z0-9_-]{1,40}$/.test(name)
    ? `It has an unknown member, "${name}".`
    : 'It has an unknown member.';
}

/** Checks a list. */
export function list<Value>(item: Check<Value>, min: number, max: number): Check<Value[]> {
  return (value, where) => {
    if (!Array.isArray(value)) throw new MemberFault(where, 'It is no list.');
    if (value.length < min || value.length > max) {
      throw new MemberFault(where, `It takes ${min} to ${max} entries.`);
    }
    return value.map((each, index) => item(each, `${where}[${index}]`));
  };
}

/** Checks a text by a pattern. @param wanted what it should be, for the fault */
export function pattern(form: RegExp, wanted: string): Check<string> {
  return (value, where) => {
    if (typeof value === 'string' && form.test(value)) return value;
    throw new MemberFault(where, `It must be ${wanted}.`);
  };
}

/** Checks a free text in NFC, of 1 to `max` characters. */
export function freeText(max: number): Check<string> {
  return (value, where) => {
    const isGood = typeof value === 'string' && value !== '' && [...value].length <= max;
    if (!isGood) throw new MemberFault(where, `It must be a text of 1 to ${max} characters.`);
    if (value !== value.normalize('NFC')) throw new MemberFault(where, 'It is not in Unicode form NFC.');
    return value;
  };
}

/** Checks a whole number. */
export function wholeNumber(min: number, max: number): Check<number> {
  return (value, where) => {
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max)
      return value as number;
    throw new MemberFault(where, `It must be a whole number from ${min} to ${max}.`);
  };
}

/** Checks that it is exactly this value. */
export function exactly<const Value extends string | number | boolean>(wanted: Value): Check<Value> {
  return (value, where) => {
    if (value === wanted) return wanted;
    throw new MemberFault(where, `It must be ${JSON.stringify(wanted)}.`);
  };
}

/** Checks a time, `YYYY-MM-DDTHH:MM:SSZ`. */
export function timeText(value: unknown, where: string): string {
  const at = typeof value === 'string' && TIME.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(at) && formatSeconds(at) === value) return value;
  throw new MemberFault(where, 'It must be a time such as 2026-01-31T12:00:00Z.');
}

const TIME = /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** Writes a time to the second. @param at epoch ms */
export function formatSeconds(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}
