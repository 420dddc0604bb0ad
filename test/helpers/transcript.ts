import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Reply, TestService } from './service.ts';

/** What is said over the wire, written down as the documents show it: what differs from run to run is made alike. */
export interface Transcript {
  /** A line of what a human does. */
  told(line: string): void;
  post(path: string, body: object, headers?: Record<string, string>): Promise<Reply>;
  form(path: string, fields: Record<string, string>, headers?: Record<string, string>): Promise<Reply>;
  get(path: string, headers?: Record<string, string>): Promise<Reply>;
  /** A body that is a token. */
  token(path: string, type: string, token: string): Promise<Reply>;
  text(): string;
}

const FOLDER = new URL('../../docs/dialects/', import.meta.url);

export function startTranscript(on: TestService): Transcript {
  const lines: string[] = [];
  const say = (text: string) => lines.push(text);

  async function note(
    method: string,
    path: string,
    headers: Record<string, string>,
    sent: string | undefined,
    reply: Reply,
  ): Promise<Reply> {
    say(`${method} ${path}`);
    for (const [name, value] of Object.entries(headers)) say(`${name}: ${value}`);
    if (sent !== undefined) say(sent);
    say('');
    say(`→ ${reply.status}`);
    for (const name of ['www-authenticate', 'retry-after']) {
      const value = reply.headers.get(name);
      if (value !== null) say(`  ${name}: ${value}`);
    }
    if (typeof reply.body === 'object') say(indent(pretty(reply.body)));
    say('');
    return reply;
  }

  return {
    told: (line) => say(`# ${line}\n`),
    post: async (path, body, headers = {}) =>
      note('POST', path, headers, JSON.stringify(body), await on.post(path, body, headers)),
    form: async (path, fields, headers = {}) =>
      note('POST', path, headers, spell(fields), await on.form(path, fields, headers)),
    get: async (path, headers = {}) =>
      note('GET', path, headers, undefined, await on.request('GET', path, { headers })),
    token: async (path, type, token) =>
      note(
        'POST',
        path,
        { 'Content-Type': type },
        token,
        await on.request('POST', path, { body: token, headers: { 'Content-Type': type } }),
      ),
    text: () => alike(lines.join('\n').trimEnd(), on.url),
  };
}

/** Lists of words stay on one line. */
function pretty(body: unknown): string {
  return JSON.stringify(body, null, 2).replace(
    /\[\s+("[^{}[\]]*?")\s+\]/g,
    (_, words: string) => `[${words.replace(/\s+/g, ' ')}]`,
  );
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}

function spell(fields: Record<string, string>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function alike(text: string, url: string): string {
  return text
    .replaceAll(url, 'https://id.example.com')
    .replace(/http:\/\/localhost:\d+/g, 'https://agents.example.com')
    .replace(/\?t=[\w.-]+/g, '?t=…')
    .replace(/\b(sk|at|art|ct|clm|rss)_[0-9A-Za-z]{49}\b/g, '$1_…')
    .replace(/\b(reg|agt|usr|cla|key|tok|rs|req|jti|hst|apr)_[0-9a-z]{12}[0-9A-Za-z]{12}\b/g, '$1_…')
    .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'eyJ…')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-01-01T00:00:00.000Z')
    .replace(/("(?:iat|exp)": )\d+/g, '$11767225200')
    .replace(/("(?:kid|x|y)": ")[\w-]+"/g, '$1…"')
    .replace(/("(?:user_code|otp)": ?")\d{6}"/g, '$1123456"')
    .replace(/("(?:user_code)": ?")[A-Z2-9]{4}-[A-Z2-9]{4}"/g, '$1BCDF-GHJK"')
    .replace(/("prefix": "sk_)\w{4}"/g, '$1ab3D"')
    .replace(/("last_four": ")\w{4}"/g, '$1x3Fa"')
    .replace(/Basic [\w+/=]+/g, 'Basic …')
    .replace(/("expires_in": )(59\d)\b/g, '$1600')
    .replace(/("expires_in": )(359\d)\b/g, '$13600');
}

const MARKED = /(<!-- transcript -->\n```text\n)[\s\S]*?(\n```\n)/;

/** Asserts that a page shows what was said; with TRANSCRIPTS=1 in the environment it writes it there. */
export function assertShown(t: ExecutionContext, page: string, transcript: Transcript): void {
  const file = fileURLToPath(new URL(page, FOLDER));
  const text = readFileSync(file, 'utf8');
  t.regex(text, MARKED, `${page} has no place for a transcript`);
  const shown = text.replace(MARKED, (_, start, end) => start + transcript.text() + end);
  if (process.env.TRANSCRIPTS === '1') writeFileSync(file, shown);
  else t.is(text, shown, `${page} is not what is said: run this test with TRANSCRIPTS=1`);
}
