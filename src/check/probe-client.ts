import { shown } from './finding.ts';
import { type Target, urlFault } from './target.ts';

/** Limits on time, size and redirects. */
export interface ProbeLimits {
  /** For one request, its redirects included. */
  requestMs: number;
  /** For all requests of a check. */
  totalMs: number;
  bodyBytesMax: number;
  redirectsMax: number;
}

/** The default limits. */
export const PROBE_LIMITS: ProbeLimits = {
  requestMs: 10_000,
  totalMs: 60_000,
  bodyBytesMax: 256 * 1024,
  redirectsMax: 3,
};

/** A response, or why there is none. */
export type ProbeResult =
  | {
      kind: 'reply';
      status: number;
      /** The media type in lower case, without parameters; empty where none was sent. */
      type: string;
      headers: Headers;
      text: string;
      /** Whether `text` ends before the body does. */
      isCut: boolean;
      /** The URL after redirects; undefined if there were none. */
      redirectedTo: string | undefined;
    }
  | {
      kind: 'trouble';
      /** What went wrong, as the end of a sentence that begins with the URL. */
      says: string;
      /** How to fix it. */
      next: string;
      /** No connection: further requests to this service would fail, too. */
      isUnreachable: boolean;
    };

/** A response. */
export type ProbeReply = Extract<ProbeResult, { kind: 'reply' }>;

/** Sends requests to the examined service. Never throws: every fault is a ProbeResult. */
export interface ProbeClient {
  /** Fetches a document. Repeated calls share one request. */
  get(url: string, accept: string): Promise<ProbeResult>;
  /** Fetches status and headers only: the body may be an endless stream. */
  look(url: string): Promise<ProbeResult>;
  /** POSTs an empty JSON object. Follows no redirects. */
  postNothing(url: string): Promise<ProbeResult>;
}

/** Creates a client for one check. @param target decides which redirects are followed */
export function createProbeClient(target: Target, limits: ProbeLimits): ProbeClient {
  const endsAt = performance.now() + limits.totalMs;
  const documents = new Map<string, Promise<ProbeResult>>();

  async function send(url: string, init: RequestInit, hasBody: boolean): Promise<ProbeResult> {
    const left = Math.min(limits.requestMs, endsAt - performance.now());
    if (left <= 0) return outOfTime(`was not asked: the ${seconds(limits.totalMs)} for all of it are over`);
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), left);
    try {
      return await follow(url, { ...init, signal: controller.signal }, hasBody);
    } catch (error) {
      return controller.signal.aborted
        ? outOfTime(`does not answer within ${seconds(limits.requestMs)}`)
        : noConnection(error);
    } finally {
      clearTimeout(timer);
      controller.abort(); // cancels a body that is not read to its end
    }
  }

  async function follow(url: string, init: RequestInit, hasBody: boolean): Promise<ProbeResult> {
    let at = url;
    for (let redirects = 0; ; redirects++) {
      const response = await fetch(at, { ...init, redirect: 'manual' });
      const location = response.headers.get('location');
      if (init.method !== 'GET' || location === null || !/^30[12378]$/.test(String(response.status))) {
        const body = hasBody ? await readBody(response, limits.bodyBytesMax) : { text: '', isCut: false };
        return {
          kind: 'reply',
          status: response.status,
          type: (response.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase(),
          headers: response.headers,
          ...body,
          redirectedTo: redirects === 0 ? undefined : at,
        };
      }
      await response.body?.cancel();
      if (redirects === limits.redirectsMax) {
        return badRedirect(`redirects more than ${limits.redirectsMax} times`);
      }
      const to = URL.canParse(location, at) ? new URL(location, at) : undefined;
      if (to !== undefined) to.hash = '';
      const fault = to === undefined ? 'is no URL' : urlFault(to.href, target);
      if (fault !== undefined) return badRedirect(`redirects to ${shown(location)}, which ${fault}`);
      at = to!.href;
    }
  }

  return {
    get(url, accept) {
      const pending = documents.get(url) ?? send(url, { method: 'GET', headers: headers(accept) }, true);
      documents.set(url, pending);
      return pending;
    },
    look: (url) =>
      send(url, { method: 'GET', headers: headers('application/json, text/event-stream, */*;q=0.5') }, false),
    postNothing: (url) =>
      send(
        url,
        {
          method: 'POST',
          headers: { ...headers('application/json'), 'Content-Type': 'application/json' },
          body: '{}',
        },
        true,
      ),
  };
}

function headers(accept: string): Record<string, string> {
  return { Accept: accept, 'User-Agent': 'vouchsafe-check' };
}

/** Reads the body as text. A body of more than `bytesMax` bytes after decompression is dropped. */
async function readBody(response: Response, bytesMax: number): Promise<{ text: string; isCut: boolean }> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.byteLength;
    if (size > bytesMax) return { text: '', isCut: true };
    parts.push(part);
  }
  return {
    text: Buffer.concat(parts)
      .toString('utf8')
      .replace(/^\uFEFF/, ''),
    isCut: false,
  };
}

function outOfTime(says: string): ProbeResult {
  return {
    kind: 'trouble',
    says,
    next: 'Find out what it waits for; agents give up, too.',
    isUnreachable: false,
  };
}

function badRedirect(says: string): ProbeResult {
  return { kind: 'trouble', says, next: 'Answer at this address itself.', isUnreachable: false };
}

/** Explains an error of `fetch`. Its own message is always "fetch failed"; its cause tells the reason. */
function noConnection(error: unknown): ProbeResult {
  const cause = (error as { cause?: unknown }).cause ?? error;
  const {
    code = '',
    message = '',
    reason = message,
  } = cause as Record<'code' | 'message' | 'reason', string>;
  const trouble = (says: string, next: string, isUnreachable: boolean): ProbeResult => {
    return { kind: 'trouble', says, next, isUnreachable };
  };
  if (/^(ENOTFOUND|EAI_)/.test(code)) {
    return trouble('has a host name that does not resolve', 'Check the name, or its DNS.', true);
  }
  if (code === 'ECONNREFUSED') {
    return trouble('refuses connections', 'Start the service, or check the port.', true);
  }
  if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|EPROTO)/.test(code)) {
    const next = 'Serve TLS there, with a certificate for this host that clients trust.';
    // Node.js appends advice for the operator of this program.
    const short = reason.replace(/;.*|:\s*$/s, '');
    return trouble(`fails at TLS: ${short || code}`, next, true);
  }
  if (/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)/.test(code)) {
    const next = 'Look at the log of the service, or of the proxy before it.';
    return trouble('closes the connection without an answer', next, false);
  }
  if (/^HPE_/.test(code)) return trouble('does not answer in HTTP', 'Check scheme and port.', false);
  // fetch refuses the ports of other protocols.
  const isRefused = message === 'bad port';
  return trouble(
    `cannot be read: ${code || message || 'no reason given'}`,
    'Look at how it is served.',
    isRefused,
  );
}

function seconds(ms: number): string {
  return ms === 1000 ? 'a second' : `${ms / 1000} seconds`;
}
