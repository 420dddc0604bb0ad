type Schema = Record<string, unknown>;

/**
 * Where a value differs from a JSON Schema, or nothing. Knows the keywords that our description uses and no other: one that it
 * does not know is an error, so that nothing goes unchecked.
 */
export function mismatches(schema: Schema, value: unknown, root: Schema, at = '$'): string[] {
  return Object.entries(schema).flatMap(([keyword, expected]) => {
    const check = CHECKS[keyword];
    if (check === undefined) throw new Error(`The schema checker does not know "${keyword}" (${at}).`);
    return check(expected, value, { schema, root, at });
  });
}

interface Place {
  schema: Schema;
  root: Schema;
  at: string;
}
type Check = (expected: unknown, value: unknown, place: Place) => string[];

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** What is no list has another keyword against it. */
const listed = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const says = (fine: boolean, text: string, { at }: Place) => (fine ? [] : [`${at}: ${text}`]);
const nothing: Check = () => [];

const TYPES: Record<string, (value: unknown) => boolean> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  integer: Number.isInteger,
  null: (value) => value === null,
};
const FORMATS: Record<string, RegExp> = {
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/,
  uri: /^https?:\/\/[\w.:[\]-]+(?:\/[\w.~!$&'()*+,;=:@%/?-]*)?$/,
};

const CHECKS: Record<string, Check> = {
  title: nothing,
  description: nothing,
  default: nothing,
  type: (expected, value, place) => {
    const is = TYPES[expected as string];
    if (is === undefined)
      throw new Error(`The schema checker does not know the type ${expected} (${place.at}).`);
    return says(is(value), `is no ${expected}`, place);
  },
  const: (expected, value, place) => says(value === expected, `is not ${expected}`, place),
  enum: (expected, value, place) =>
    says((expected as unknown[]).includes(value), 'is none of the listed', place),
  format: (expected, value, place) =>
    says(FORMATS[expected as string]!.test(String(value)), `is no ${expected}`, place),
  pattern: (expected, value, place) =>
    says(new RegExp(expected as string, 'u').test(String(value)), `unlike ${expected}`, place),
  minLength: (expected, value, place) =>
    says(String(value).length >= Number(expected), 'is too short', place),
  maxLength: (expected, value, place) => says(String(value).length <= Number(expected), 'is too long', place),
  minimum: (expected, value, place) => says(Number(value) >= Number(expected), 'is too small', place),
  maximum: (expected, value, place) => says(Number(value) <= Number(expected), 'is too large', place),
  minItems: (expected, value, place) => says(listed(value).length >= Number(expected), 'has too few', place),
  maxItems: (expected, value, place) => says(listed(value).length <= Number(expected), 'has too many', place),
  required: (expected, value, place) =>
    (expected as string[]).flatMap((name) => says(isObject(value) && name in value, `lacks ${name}`, place)),
  properties: (expected, value, { root, at }) =>
    Object.entries(expected as Record<string, Schema>).flatMap(([name, schema]) =>
      isObject(value) && name in value ? mismatches(schema, value[name], root, `${at}.${name}`) : [],
    ),
  propertyNames: (expected, value, { root, at }) =>
    Object.keys(isObject(value) ? value : {}).flatMap((name) =>
      mismatches(expected as Schema, name, root, `${at}.${name}`),
    ),
  additionalProperties: (expected, value, place) => {
    if (isObject(expected) && Object.keys(expected).length === 0) return []; // whatever they are
    const known = Object.keys((place.schema.properties ?? {}) as object);
    const names = isObject(value) ? Object.keys(value) : [];
    return names.flatMap((name) => says(known.includes(name), `has an undescribed ${name}`, place));
  },
  items: (expected, value, { root, at }) =>
    listed(value).flatMap((each, index) => mismatches(expected as Schema, each, root, `${at}[${index}]`)),
  prefixItems: (expected, value, { root, at }) =>
    (expected as Schema[]).flatMap((schema, index) =>
      mismatches(schema, listed(value)[index], root, `${at}[${index}]`),
    ),
  anyOf: (expected, value, place) => oneMatches(expected as Schema[], value, place),
  oneOf: (expected, value, place) => {
    const found = (expected as Schema[]).filter(
      (schema) => mismatches(schema, value, place.root, place.at).length === 0,
    );
    if (found.length > 1) return [`${place.at}: is ${found.length} of what it may be one of`];
    return oneMatches(expected as Schema[], value, place);
  },
  $ref: (expected, value, { root, at }) => {
    const target = String(expected)
      .slice('#/'.length)
      .split('/')
      .reduce<unknown>((node, name) => (node as Schema)[name], root);
    return mismatches(target as Schema, value, root, at);
  },
};

function oneMatches(schemas: Schema[], value: unknown, { root, at }: Place): string[] {
  const found = schemas.map((schema) => mismatches(schema, value, root, at));
  return found.some((each) => each.length === 0) ? [] : found.flat();
}
