/** POSTs JSON to an API that the operator configured. Bounds the time and the size of the response. */
export type CallApi = (url: string, bearer: string, body: object) => Promise<ApiAnswer>;

/** The JSON that the API returned, or why there is none. */
export type ApiAnswer = { kind: 'answered'; data: unknown } | { kind: 'failed'; cause: unknown };

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 256 * 1024;

/**
 * Creates a CallApi. A call fails on an error status, a redirect, a timeout, a response that is too large or is not JSON.
 *
 * @param timeoutMs for the whole call
 */
export function createCallApi(timeoutMs = TIMEOUT_MS): CallApi {
  return async (url, bearer, body) => {
    try {
      const response = await fetch(url, {
        method: 'POST',
        redirect: 'error',
        headers: {
          Authorization: `Bearer ${bearer}`,
          'Content-Type': 'application/json',
          Accept: 'application/json',
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await readBounded(response);
      if (!response.ok) throw new Error(`it answered ${response.status}`);
      return { kind: 'answered', data: JSON.parse(text) as unknown };
    } catch (cause) {
      return { kind: 'failed', cause };
    }
  };
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error('its answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
