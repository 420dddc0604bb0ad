import { AuthError, type AuthErrorCode } from '../lib/artifacts/auth-error.ts';
import { singleLine } from '../lib/untrusted-text.ts';

/** Calls of the service over HTTP: bounded in time and size, never to another host. */

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const SKEW_SECONDS = 60;
const MESSAGE_MAX = 300;

export interface ServiceOptions {
  /** For each call. */
  timeoutMs?: number | undefined;
  /** Told once if the clocks are more than 60 seconds apart; positive: that of the service is ahead. */
  onSkew?: ((seconds: number) => void) | undefined;
}

/** One call. */
export interface ServiceCall {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** A key, or a token that a session key signed. */
  bearer?: string | undefined;
  /** Sent as JSON. */
  json?: object;
  /** Sent as a form (RFC 6749). */
  form?: Record<string, string | undefined>;
  /** The media type of `json`. */
  media?: string;
  headers?: Record<string, string>;
}

/** Why the service refused a call, in any of its dialects. */
export interface ServiceRefusal {
  status: number;
  code: string;
  /** Of the service; one line, safe to show. */
  message: string;
  retryAfter: number | undefined;
  body: Record<string, unknown>;
}

/** What the service answered. */
export type ServiceAnswer =
  | { ok: true; data: Record<string, unknown> }
  | { ok: false; refusal: ServiceRefusal };

/** A client of one service. */
export class ServiceClient {
  /** The URL of the service, without a slash at its end. */
  readonly service: string;
  readonly #timeoutMs: number;
  #onSkew: ServiceOptions['onSkew'];

  constructor(service: string, { timeoutMs = TIMEOUT_MS, onSkew }: ServiceOptions = {}) {
    this.service = service;
    this.#timeoutMs = timeoutMs;
    this.#onSkew = onSkew;
  }

  /** Calls the service. @throws AuthError for refusals, too */
  async call(call: ServiceCall): Promise<Record<string, unknown>> {
    const answer = await this.send(call);
    if (answer.ok) return answer.data;
    throw refused(answer.refusal);
  }

  /**
   * Calls the service, and leaves refusals to the caller.
   *
   * @throws AuthError `NETWORK_ERROR` if there is no answer, `SERVICE_ERROR` for one that is no JSON or says that it failed
   */
  async send({
    method,
    path,
    bearer,
    json,
    form,
    media = 'application/json',
    headers,
  }: ServiceCall): Promise<ServiceAnswer> {
    const body = json === undefined ? form && toForm(form) : JSON.stringify(json);
    const type = json === undefined ? 'application/x-www-form-urlencoded' : media;
    const { response, text } = await this.#exchange(path, {
      method,
      headers: {
        Accept: 'application/json',
        ...(body !== undefined && { 'Content-Type': type }),
        ...(bearer !== undefined && { Authorization: `Bearer ${bearer}` }),
        ...headers,
      },
      ...(body !== undefined && { body }),
    });
    this.#noteClock(response);
    const answer = text === '' ? {} : parse(text);
    if (response.ok) {
      if (answer === undefined) throw serviceFailed('The service answered, but not in JSON.');
      const isWrapped = answer.ok === true && typeof answer.data === 'object' && answer.data !== null;
      return { ok: true, data: isWrapped ? (answer.data as Record<string, unknown>) : answer };
    }
    const refusal = readRefusal(response, answer ?? {});
    if (response.status >= 500 || response.status === 429) throw refused(refusal);
    return { ok: false, refusal };
  }

  async #exchange(path: string, init: RequestInit): Promise<{ response: Response; text: string }> {
    try {
      const signal = AbortSignal.timeout(this.#timeoutMs);
      const response = await fetch(this.service + path, { ...init, redirect: 'error', signal });
      return { response, text: await readBounded(response) };
    } catch (cause) {
      const isLate = cause instanceof Error && cause.name === 'TimeoutError';
      const seconds = Math.ceil(this.#timeoutMs / 1000);
      throw new AuthError(
        'NETWORK_ERROR',
        isLate ? `The service did not answer within ${seconds} seconds.` : 'The service cannot be reached.',
        { hint: isLate ? 'Try again, or give more time by --timeout.' : reasonOf(cause), cause },
      );
    }
  }

  #noteClock(response: Response): void {
    const theirs = Date.parse(response.headers.get('date') ?? '');
    const seconds = Math.round((theirs - Date.now()) / 1000);
    if (!(Math.abs(seconds) > SKEW_SECONDS)) return;
    this.#onSkew?.(seconds);
    this.#onSkew = undefined;
  }
}

/** What refusals are called here. Others are called by their status. */
const CODES: Record<string, AuthErrorCode> = {
  wrong_service: 'WRONG_SERVICE',
  unsupported_version: 'UNSUPPORTED_VERSION',
  invalid_request: 'INVALID_REQUEST_ARTIFACT',
  invalid_signature: 'SIGNATURE_INVALID',
  unknown_service: 'UNKNOWN_SERVICE',
  unknown_action: 'UNKNOWN_ACTION',
  invalid_path: 'INVALID_PATH',
  grant_not_allowed: 'GRANT_NOT_ALLOWED',
  request_decided: 'REQUEST_CONFLICT',
  key_in_use: 'REQUEST_CONFLICT',
  request_expired: 'REQUEST_EXPIRED',
  invalid_authorization_details: 'PERMISSIONS_MISSING',
  invalid_scope: 'PERMISSIONS_MISSING',
  invalid_target: 'UNKNOWN_SERVICE',
  invalid_grant: 'PERMISSIONS_MISSING',
};

const STATUS_CODES: Record<number, AuthErrorCode> = {
  401: 'SESSION_KEY_ENDED',
  403: 'GRANT_NOT_ALLOWED',
  404: 'REQUEST_UNKNOWN',
  409: 'REQUEST_CONFLICT',
};

const HINTS: Partial<Record<AuthErrorCode, string>> = {
  SESSION_KEY_ENDED: 'vouchsafe auth login; an agent: vouchsafe auth request --cap … --send',
  REQUEST_EXPIRED: 'Ask for a new one: vouchsafe auth request',
  PERMISSIONS_MISSING: 'vouchsafe auth request --cap …',
};

/** Creates the error for a refusal. */
export function refused({ status, code, message, retryAfter }: ServiceRefusal): AuthError {
  const isFailure = status >= 500 || status === 429;
  const known = isFailure ? undefined : (CODES[code] ?? STATUS_CODES[status]);
  const name = known ?? 'SERVICE_ERROR';
  const said = message === '' ? `The service refused it (${status}).` : message;
  // The service tells who writes a client how to sign.
  const text =
    name === 'SESSION_KEY_ENDED' ? 'The service does not know this session key, or not any more.' : said;
  const later = retryAfter === undefined ? undefined : `Try again in ${retryAfter} seconds.`;
  return new AuthError(name, text, { hint: HINTS[name] ?? later, retryAfter });
}

function serviceFailed(message: string): AuthError {
  return new AuthError('SERVICE_ERROR', message);
}

function readRefusal(response: Response, body: Record<string, unknown>): ServiceRefusal {
  const nested = typeof body.error === 'object' && body.error !== null ? body.error : undefined;
  const error = (nested ?? body) as Record<string, unknown>;
  const code = nested === undefined ? error.error : error.code;
  const message = error.error_description ?? error.message;
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return {
    status: response.status,
    code: typeof code === 'string' ? singleLine(code, 64) : '',
    message: typeof message === 'string' ? singleLine(message, MESSAGE_MAX) : '',
    retryAfter: Number.isSafeInteger(seconds) && seconds >= 0 ? seconds : undefined,
    body: error,
  };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Something between us and the service answered.
  }
  return undefined;
}

function toForm(form: Record<string, string | undefined>): string {
  const given = Object.entries(form).filter((member): member is [string, string] => member[1] !== undefined);
  return new URLSearchParams(given).toString();
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Says why there was no answer, by the code of the system: ECONNREFUSED. */
function reasonOf(cause: unknown): string | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === 'string' && /^[A-Z0-9_]+$/.test(code)) return code;
  }
  return undefined;
}
