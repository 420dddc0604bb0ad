import { unavailable } from './errors.ts';

/** The service that issued the credentials, over HTTP. */
export interface AuthorizationServerOptions {
  /** Its address: `PUBLIC_URL` there, `iss` in its answers. */
  issuer: string;
  /** The credential of this resource server: `vouchsafe resource add` prints it. */
  clientId: string;
  clientSecret: string;
  /** An answer that takes longer is given up; default 5. */
  timeoutSeconds?: number;
}

export interface AuthorizationServerClient {
  /** Sends a form, and resolves to the JSON of a 200. @throws VerificationError `unavailable` for anything else */
  post(path: string, form: Record<string, string>): Promise<Record<string, unknown>>;
  /** The same without a form. */
  get(path: string): Promise<Record<string, unknown>>;
  /** Opens a stream of server-sent events. */
  open(
    path: string,
    lastEventId: string | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
}

/** After a failure nobody else asks for so long: a service that is down is not helped by questions. */
const PAUSE_MS = 1000;

/** Node's fetch keeps connections open between questions. */
export function createAuthorizationServerClient(
  options: AuthorizationServerOptions,
): AuthorizationServerClient {
  const { clientId, clientSecret, timeoutSeconds = 5 } = options;
  const issuer = options.issuer.replace(/\/$/, '');
  // RFC 6749 section 2.3.1: each is form-encoded, so that a colon or a percent sign in it parts nothing.
  const pair = [clientId, clientSecret].map(formEncode).join(':');
  const authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  let pausedUntil = 0;
  let lastFailure: unknown;

  async function ask(
    path: string,
    form: Record<string, string> | undefined,
  ): Promise<Record<string, unknown>> {
    const response = await fetch(issuer + path, {
      method: form === undefined ? 'GET' : 'POST',
      headers: { Authorization: authorization, Accept: 'application/json' },
      body: form === undefined ? null : new URLSearchParams(form),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(explain(response.status, issuer + path));
    }
    return (await response.json()) as Record<string, unknown>;
  }

  async function askOrPause(path: string, form?: Record<string, string>): Promise<Record<string, unknown>> {
    if (Date.now() < pausedUntil) throw unavailable(lastFailure);
    try {
      return await ask(path, form);
    } catch (error) {
      lastFailure = error;
      pausedUntil = Date.now() + PAUSE_MS;
      throw unavailable(error);
    }
  }

  return {
    post: askOrPause,
    get: (path) => askOrPause(path),
    async open(path, lastEventId, signal) {
      const headers: Record<string, string> = { Authorization: authorization, Accept: 'text/event-stream' };
      if (lastEventId !== undefined) headers['Last-Event-ID'] = lastEventId;
      const response = await fetch(issuer + path, { headers, redirect: 'error', signal });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        throw new Error(explain(response.status, issuer + path));
      }
      return response.body;
    },
  };
}

function explain(status: number, url: string): string {
  const why = status === 401 ? 'clientId or clientSecret is wrong' : `it answered ${status}`;
  return `${url}: ${why}`;
}

function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}
