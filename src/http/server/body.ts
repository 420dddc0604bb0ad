import type { IncomingMessage } from 'node:http';
import { MIMEType } from 'node:util';
import type { z } from 'zod';
import { Failure } from '../../errors.ts';
import { ARTIFACT_SHAPE } from '../../lib/artifacts/artifact.ts';
import { JsonRefused, type JsonShape, parseStrictJson } from '../../lib/strict-json.ts';

const BODY_BYTES_MAX = 16 * 1024;
/** How large, deep and long a batch may be: 500 nodes of a tree. */
const BATCH = { bytesMax: 256 * 1024, shape: { depthMax: 4, namesMax: 4096 } };

/** How many boxes of a form may be ticked: some for each of 200 places. */
const CHOICES = { bytesMax: 64 * 1024, parametersMax: 1024, lines: /^(?:redirects|keys|paths:.*)$/ };

/** The media types that a row accepts, by the name that the row uses. */
const MEDIA = {
  json: ['application/json'],
  /** JSON with many entries. */
  batch: ['application/json'],
  form: ['application/x-www-form-urlencoded'],
  /** A form of a page, into which a permission request may be pasted. */
  artifactForm: ['application/x-www-form-urlencoded'],
  /** A form of a page, with a box for each of many things, and fields of several lines. */
  choicesForm: ['application/x-www-form-urlencoded'],
  /** A permission request, by its own media type or as JSON. */
  artifact: ['application/vnd.vouchsafe.request+json', 'application/json'],
  formOrJson: ['application/x-www-form-urlencoded', 'application/json'],
  securityEvent: ['application/secevent+jwt'],
  logoutToken: ['application/logout+jwt'],
} as const satisfies Record<string, readonly string[]>;

export type Media = keyof typeof MEDIA;

/** Lists the media types that a row accepts, for the OpenAPI document. */
export function mediaTypes(media: Media): readonly string[] {
  return MEDIA[media];
}

/** Whether the whole body is one JWT, without a JSON or form encoding. */
export function isTokenBody(media: Media): boolean {
  return MEDIA[media].every((essence) => essence.endsWith('+jwt'));
}

/**
 * Reads a request body: checks media type, size and syntax, in this order (docs/security.md, bad input).
 *
 * @returns the parsed members, or `{token}` when the body is one JWT, and the bytes as sent
 * @throws Failure `wrongMediaType`, `wrongEncoding`, `bodyTooLarge`, `badJson`, `badRequest`
 */
export async function readBody(
  request: IncomingMessage,
  media: Media,
): Promise<{ parsed: Record<string, unknown>; bytes: Buffer }> {
  const essence = checkMediaType(request, MEDIA[media]);
  if (media === 'batch') {
    const bytes = await readBytes(request, BATCH.bytesMax);
    return { parsed: parseJson(bytes, BATCH.shape), bytes };
  }
  if (media === 'artifactForm') {
    const bytes = await readBytes(request, CHOICES.bytesMax);
    return { parsed: parseForm(bytes, { lines: /^artifact$/ }), bytes };
  }
  if (media === 'choicesForm') {
    const bytes = await readBytes(request, CHOICES.bytesMax);
    return {
      parsed: parseForm(bytes, { lines: CHOICES.lines, parametersMax: CHOICES.parametersMax }),
      bytes,
    };
  }
  const bytes = await readBytes(request, BODY_BYTES_MAX);
  if (media === 'artifact') return { parsed: parseJson(bytes, ARTIFACT_SHAPE), bytes };
  return { parsed: PARSERS[essence](bytes), bytes };
}

type Essence = (typeof MEDIA)[Media][number];

const PARSERS: Record<Essence, (bytes: Buffer) => Record<string, unknown>> = {
  'application/json': (bytes) => parseJson(bytes),
  'application/vnd.vouchsafe.request+json': (bytes) => parseJson(bytes, ARTIFACT_SHAPE),
  'application/x-www-form-urlencoded': (bytes) => parseForm(bytes),
  'application/secevent+jwt': (bytes) => ({ token: bytes.toString('utf8').trim() }),
  'application/logout+jwt': (bytes) => ({ token: bytes.toString('utf8').trim() }),
};

function checkMediaType(request: IncomingMessage, expected: readonly Essence[]): Essence {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Failure('wrongEncoding', 'Send the body without Content-Encoding.');
  }
  const header = request.headers['content-type'] ?? '';
  const exact = expected.find((essence) => essence === header);
  if (exact !== undefined) return exact; // most requests: no MIMEType to parse
  let type: MIMEType | undefined;
  try {
    type = new MIMEType(header);
  } catch {
    // the header is not a media type
  }
  const essence = expected.find((each) => each === type?.essence);
  if (type === undefined || essence === undefined) {
    throw new Failure('wrongMediaType', `Send the body as "Content-Type: ${expected.join('" or "')}".`);
  }
  if (!isUtf8(type.params.get('charset') ?? 'utf-8')) {
    throw new Failure('wrongEncoding', 'Send the body as UTF-8.');
  }
  return essence;
}

/** Whether a charset label names UTF-8 (Encoding Standard, section 4.2). */
function isUtf8(charset: string): boolean {
  try {
    return new TextDecoder(charset).encoding === 'utf-8';
  } catch {
    return false;
  }
}

/** Reads the body up to the size limit, even when Content-Length states less. */
function readBytes(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    if (Number(request.headers['content-length'] ?? 0) > bytesMax) return reject(bodyTooLarge(bytesMax));
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= bytesMax) chunks.push(chunk);
      else reject(bodyTooLarge(bytesMax));
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    // An aborted request emits 'error' and no 'end'.
    request.on('error', (cause) =>
      reject(new Failure('badRequest', 'The body could not be read to its end.', {}, cause)),
    );
  });
}

function bodyTooLarge(bytesMax: number): Failure {
  return new Failure('bodyTooLarge', `The body is larger than ${bytesMax} bytes.`);
}

function parseJson(bytes: Buffer, shape?: JsonShape): Record<string, unknown> {
  try {
    return parseStrictJson(bytes, shape);
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    throw new Failure(error.reason === 'syntax' ? 'badJson' : 'badRequest', error.message);
  }
}

const FORM_PARAMETERS_MAX = 64;

/**
 * Parses a form. It refuses a repeated parameter, omits one without a value (RFC 6749 section 3.1), and has no bracket
 * syntax (S-60).
 *
 * @param lines the names of fields that may have several lines, and tabs
 */
function parseForm(
  bytes: Buffer,
  { lines, parametersMax = FORM_PARAMETERS_MAX }: { lines?: RegExp; parametersMax?: number } = {},
): Record<string, string> {
  const form: Record<string, string> = Object.create(null);
  let count = 0;
  new URLSearchParams(bytes.toString('utf8')).forEach((value, name) => {
    count += 1;
    if (count > parametersMax) throw new Failure('badRequest', 'There are too many parameters.');
    if (name in form) throw new Failure('badRequest', 'A parameter is repeated.');
    const checked = lines?.test(name) ? value.replace(/\r\n|[\n\t]/g, '') : value;
    if (FORBIDDEN_CHARACTER.test(name) || FORBIDDEN_CHARACTER.test(checked)) {
      throw new Failure('badRequest', 'A parameter holds a control character or is not valid UTF-8.');
    }
    form[name] = value;
  });
  for (const name in form) if (form[name] === '') delete form[name];
  return form;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern matches control characters
const FORBIDDEN_CHARACTER = /[\u0000-\u001f\u007f-\u009f\ufffd]/;

/**
 * Checks a parsed body against the schema of its row.
 *
 * @returns the output of the schema
 * @throws Failure `badRequest` naming the first invalid member
 */
export function parseWithSchema(value: unknown, schema: z.ZodType): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // Only an issue with its input tells a wrong type from a missing member; reporting it costs time, so only failures
  // do.
  const issue = schema.safeParse(value, { reportInput: true }).error!.issues[0]!;
  const field = issue.path.join('.');
  // zod's own messages can repeat the input; ours state what is expected.
  const message =
    field === '' ? describeIssue(issue) : `The member "${field}" is wrong: ${describeIssue(issue)}`;
  const maximum = issue.code === 'too_big' && issue.origin === 'string' ? Number(issue.maximum) : undefined;
  throw new Failure('badRequest', message, {
    ...(field !== '' && { field }),
    ...(maximum !== undefined && { maximum }),
  });
}

function describeIssue(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? `it is required (${issue.expected}).`
        : `it must be ${withArticle(issue.expected)}.`;
    case 'invalid_value':
      return `it must be ${issue.values.map((value) => `"${String(value)}"`).join(' or ')}.`;
    case 'too_big':
      return `it must be at most ${issue.maximum}${lengthUnit(issue.origin)}.`;
    case 'too_small':
      return `it must be at least ${issue.minimum}${lengthUnit(issue.origin)}.`;
    case 'custom':
    case 'invalid_format':
    case 'invalid_union':
      return issue.message;
    default:
      return 'it has the wrong shape.';
  }
}

function withArticle(type: string): string {
  return /^[aeio]/.test(type) ? `an ${type}` : `a ${type}`;
}

function lengthUnit(origin: string): string {
  return origin === 'string' ? ' characters long' : origin === 'array' ? ' long' : '';
}
