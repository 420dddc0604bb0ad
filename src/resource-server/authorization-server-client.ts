import { unavailable } from './errors.ts';

/** How to reach the authorization server: the Vouchsafe service that issues the credentials. */
export interface AuthorizationServerOptions {
  /** Its URL: the setting `PUBLIC_URL` there, and `issuer` in its metadata. */
  issuer: string;
  /** The id of this resource server, which `vouchsafe resource add` prints. */
  clientId: string;
  /** The secret of this resource server, which `vouchsafe resource add` prints once. */
  clientSecret: string;
  /** After how many seconds a request to the authorization server is aborted; default 5. */
  timeoutSeconds?: number;
}

/** An HTTP client for the authorization server, with the credential of this resource server. */
export interface AuthorizationServerClient {
  /** POSTs a form. @returns the JSON of a 200 @throws VerificationError `unavailable` for any other outcome */
  post(path: string, form: Record<string, string>): Promise<Record<string, unknown>>;
  /** GETs a document. @returns the JSON of a 200 @throws VerificationError `unavailable` for any other outcome */
  get(path: string): Promise<Record<string, unknown>>;
  /**
   * PUTs JSON.
   *
   * @returns the JSON of a 200, or of an answer that says what is wrong with the request (`error`)
   * @throws VerificationError `unavailable` for any other outcome
   */
  put(path: string, body: object): Promise<Record<string, unknown>>;
  /** Opens a stream of server-sent events. @param lastEventId where to resume @throws Error unless the status is 200 */
  open(
    path: string,
    lastEventId: string | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
}

/** How long no request is sent after a failure: requests do not help a service that is down. */
const PAUSE_MS = 1000;

/** Creates a client. Node's fetch keeps connections open between requests. */
export function createAuthorizationServerClient(
  options: AuthorizationServerOptions,
): AuthorizationServerClient {
  const { clientId, clientSecret, timeoutSeconds = 5 } = options;
  const issuer = options.issuer.replace(/\/$/, '');
  // Both are form-encoded first, so that they may contain a colon or a percent sign (RFC 6749 section 2.3.1).
  const credential = [clientId, clientSecret].map(formEncode).join(':');
  const authorization = `Basic ${Buffer.from(credential).toString('base64')}`;
  let pausedUntil = 0;
  let lastFailure: unknown;

  async function send(path: string, request: RequestInit): Promise<Record<string, unknown>> {
    const response = await fetch(issuer + path, {
      ...request,
      headers: { Authorization: authorization, Accept: 'application/json', ...request.headers },
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    });
    const saysWhy = request.method === 'PUT' && [400, 403, 404, 409].includes(response.status);
    if (response.status !== 200 && !saysWhy) {
      await response.body?.cancel();
      throw new RefusedRequest(response.status, issuer + path);
    }
    return (await response.json()) as Record<string, unknown>;
  }

  async function sendUnlessPaused(path: string, request: RequestInit): Promise<Record<string, unknown>> {
    if (Date.now() < pausedUntil) throw unavailable(lastFailure);
    try {
      return await send(path, request);
    } catch (error) {
      // A request that was refused for what it asks says nothing about the next one.
      if (!(error instanceof RefusedRequest) || error.concernsAll) {
        lastFailure = error;
        pausedUntil = Date.now() + PAUSE_MS;
      }
      throw unavailable(error);
    }
  }

  return {
    post: (path, form) => sendUnlessPaused(path, { method: 'POST', body: new URLSearchParams(form) }),
    get: (path) => sendUnlessPaused(path, {}),
    put: (path, body) =>
      sendUnlessPaused(path, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      }),
    async open(path, lastEventId, signal) {
      const headers: Record<string, string> = { Authorization: authorization, Accept: 'text/event-stream' };
      if (lastEventId !== undefined) headers['Last-Event-ID'] = lastEventId;
      const response = await fetch(issuer + path, { headers, redirect: 'error', signal });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        throw new RefusedRequest(response.status, issuer + path);
      }
      return response.body;
    },
  };
}

/** The authorization server answered with another status than 200. */
class RefusedRequest extends Error {
  /** Whether every other request would fail, too: the credential is wrong, a limit is exhausted, or the service is down. */
  readonly concernsAll: boolean;

  constructor(status: number, url: string) {
    super(`${url}: ${status === 401 ? 'clientId or clientSecret is wrong' : `it answered ${status}`}`);
    this.concernsAll = status === 401 || status === 429 || status >= 500;
  }
}

function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}
