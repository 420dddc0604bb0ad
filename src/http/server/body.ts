import type { IncomingMessage } from 'node:http';
import { MIMEType } from 'node:util';
import type { z } from 'zod';
import { Failure } from '../../errors.ts';
import { JsonRefused, parseStrictJson } from '../../lib/strict-json.ts';

const BODY_BYTES_MAX = 16 * 1024;

/** What a row takes, by name: media types, and how each is read. */
const MEDIA = {
  json: ['application/json'],
  form: ['application/x-www-form-urlencoded'],
  formOrJson: ['application/x-www-form-urlencoded', 'application/json'],
  securityEvent: ['application/secevent+jwt'],
  logoutToken: ['application/logout+jwt'],
} as const satisfies Record<string, readonly string[]>;

export type Media = keyof typeof MEDIA;

/** The media types of a row, as the API description names them. */
export function mediaTypes(media: Media): readonly string[] {
  return MEDIA[media];
}

/** Whether the whole body is one token. */
export function isToken(media: Media): boolean {
  return MEDIA[media].every((essence) => essence.endsWith('+jwt'));
}

/**
 * Reads a body: media type, size, syntax, in this order (docs/security.md). A token that is the whole body becomes `{token}`.
 *
 * @throws Failure `wrongMediaType`, `wrongEncoding`, `bodyTooLarge`, `badJson`, `badRequest`
 */
export async function readBody(
  request: IncomingMessage,
  media: Media,
): Promise<{ parsed: Record<string, unknown>; bytes: Buffer }> {
  const essence = checkMediaType(request, MEDIA[media]);
  const bytes = await readBytes(request);
  return { parsed: PARSERS[essence](bytes), bytes };
}

type Essence = (typeof MEDIA)[Media][number];

const PARSERS: Record<Essence, (bytes: Buffer) => Record<string, unknown>> = {
  'application/json': parseJson,
  'application/x-www-form-urlencoded': parseForm,
  'application/secevent+jwt': (bytes) => ({ token: bytes.toString('utf8').trim() }),
  'application/logout+jwt': (bytes) => ({ token: bytes.toString('utf8').trim() }),
};

function checkMediaType(request: IncomingMessage, expected: readonly Essence[]): Essence {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Failure('wrongEncoding', 'Send the body without Content-Encoding.');
  }
  const header = request.headers['content-type'] ?? '';
  const plain = expected.find((essence) => essence === header);
  if (plain !== undefined) return plain; // by far the most frequent
  let type: MIMEType | undefined;
  try {
    type = new MIMEType(header);
  } catch {
    // no media type at all
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

/** Whether a charset is UTF-8 by one of its names (Encoding Standard, section 4.2). */
function isUtf8(charset: string): boolean {
  try {
    return new TextDecoder(charset).encoding === 'utf-8';
  } catch {
    return false;
  }
}

/** Collects the body, and stops at the limit whatever its Content-Length promised. */
function readBytes(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) return reject(tooLarge());
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= BODY_BYTES_MAX) chunks.push(chunk);
      else reject(tooLarge());
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    // Also after a reset: an aborted request errs and does not end.
    request.on('error', (cause) =>
      reject(new Failure('badRequest', 'The body could not be read to its end.', {}, cause)),
    );
  });
}

function tooLarge(): Failure {
  return new Failure('bodyTooLarge', `The body is larger than ${BODY_BYTES_MAX} bytes.`);
}

function parseJson(bytes: Buffer): Record<string, unknown> {
  try {
    return parseStrictJson(bytes);
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    throw new Failure(error.reason === 'syntax' ? 'badJson' : 'badRequest', error.message);
  }
}

const FORM_PARAMETERS_MAX = 64;

/** A form: parameters once each, those without a value as if they were not there (RFC 6749 3.1), no bracket syntax. */
function parseForm(bytes: Buffer): Record<string, string> {
  const form: Record<string, string> = Object.create(null);
  let count = 0;
  new URLSearchParams(bytes.toString('utf8')).forEach((value, name) => {
    count += 1;
    if (count > FORM_PARAMETERS_MAX) throw new Failure('badRequest', 'There are too many parameters.');
    if (name in form) throw new Failure('badRequest', 'A parameter is repeated.');
    if (NOT_TEXT.test(name) || NOT_TEXT.test(value)) {
      throw new Failure('badRequest', 'A parameter holds a control character or is not valid UTF-8.');
    }
    form[name] = value;
  });
  for (const name in form) if (form[name] === '') delete form[name];
  return form;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const NOT_TEXT = /[\u0000-\u001f\u007f-\u009f\ufffd]/;

/** A body as its row wants it. @throws Failure `badRequest` that names the first member that is wrong */
export function checkShape(value: unknown, schema: z.ZodType): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // Without its input, which costs time, an issue does not tell a wrong type from nothing at all.
  const issue = schema.safeParse(value, { reportInput: true }).error!.issues[0]!;
  const field = issue.path.join('.');
  // zod's own sentences can repeat what was sent; ours say what is expected.
  const message = field === '' ? issueText(issue) : `The member "${field}" is wrong: ${issueText(issue)}`;
  throw new Failure('badRequest', message, field === '' ? {} : { field });
}

function issueText(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? `it is required (${issue.expected}).`
        : `it must be ${article(issue.expected)}.`;
    case 'invalid_value':
      return `it must be ${issue.values.map((value) => `"${String(value)}"`).join(' or ')}.`;
    case 'too_big':
      return `it must be at most ${issue.maximum}${unit(issue.origin)}.`;
    case 'too_small':
      return `it must be at least ${issue.minimum}${unit(issue.origin)}.`;
    case 'custom':
    case 'invalid_format':
    case 'invalid_union':
      return issue.message;
    default:
      return 'it has the wrong shape.';
  }
}

function article(type: string): string {
  return /^[aeio]/.test(type) ? `an ${type}` : `a ${type}`;
}

function unit(origin: string): string {
  return origin === 'string' ? ' characters long' : origin === 'array' ? ' long' : '';
}
