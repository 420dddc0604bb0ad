import type { IncomingMessage, ServerResponse } from 'node:http';

/** JSON over Node's own HTTP server. */

export function send(
  res: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: object,
): void {
  res.writeHead(status, { ...headers, 'Content-Type': 'application/json; charset=utf-8' });
  res.end(JSON.stringify(body));
}

const BODY_BYTES_MAX = 1_000_000;

/** The body as JSON; what is none is no message, which the guard then says. */
export async function readJson(req: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of req.setEncoding('utf8')) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) return null;
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
