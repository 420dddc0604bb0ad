import type { ProbeClient, ProbeResult } from './ask.ts';
import { asObject, isHtml, isJson, parseObject } from './documents.ts';
import type { Endpoints } from './endpoints.ts';
import { type Finding, fine, hint, shown, shownUrl, wrong } from './finding.ts';

const REGISTRATIONS = ['register_uri', 'identity_endpoint'];

/** How a place to register refused. */
export interface Refusal {
  member: string;
  finding: Finding;
  /** The member "code" of the answer. */
  code?: string;
}

/** What runs in production names its errors by "code", which no text of auth.md knows (docs/dialects.md). */
export function isOfProduction({ member, code }: Refusal): boolean {
  return member === 'identity_endpoint' && code !== undefined;
}

/**
 * How registration refuses a request that says nothing: `{}` has no `type`, so that it cannot register anybody. Only the
 * service itself and its issuer are asked: a document must not send requests to somebody else.
 */
export function examineRefusals(
  ask: ProbeClient,
  endpoints: Endpoints,
  origins: string[],
): Promise<Refusal[]> {
  const asked = new Map<string, string>();
  for (const member of REGISTRATIONS) {
    const url = endpoints.get(member);
    if (url !== undefined && ![...asked.values()].includes(url)) asked.set(member, url);
  }
  return Promise.all(
    [...asked].map(async ([member, url]) => {
      const name = `refusal of ${member}`;
      if (!origins.includes(new URL(url).origin)) {
        return { member, finding: hint(name, `${shownUrl(url)} was not asked: it is at another origin`) };
      }
      const answer = await ask.postNothing(url);
      const body = answer.kind === 'reply' ? parseObject(answer.text) : undefined;
      const finding = judge(name, `POST {} to ${shownUrl(url)}`, answer);
      return { member, finding, ...(typeof body?.code === 'string' && { code: body.code }) };
    }),
  );
}

function judge(name: string, request: string, answer: ProbeResult): Finding {
  const next = 'Answer 400 with JSON such as {"error":"invalid_request","message":"…"}.';
  if (answer.kind === 'trouble') return wrong(name, `${request}: ${answer.says}`, answer.next);
  const { status, type, text, isCut } = answer;
  const says = `${request} answers ${status}`;
  if (status === 404) return wrong(name, says, 'Serve registration there, or name where it is.');
  if (status === 405) return wrong(name, says, 'Let it take POST.');
  if (status === 415) return wrong(name, says, 'Let it take application/json.');
  if (status === 429) return hint(name, `${says}: too many requests`, 'Check again later.');
  if (status < 400 || status >= 500) return wrong(name, says, next);
  if (isHtml(type, text)) return wrong(name, `${says} with a page of HTML`, next);
  const body = isCut ? undefined : parseObject(text);
  if (body === undefined) return wrong(name, `${says} without a JSON object`, next);
  if (!isJson(type))
    return wrong(name, `${says} with JSON of the type ${shown(type)}`, 'Send application/json.');
  if (body.error !== undefined) {
    return fine(name, `${says} and says ${shown(asObject(body.error)?.code ?? body.error)}`);
  }
  // The envelope of one vendor's API description; clients that read "error" do not see it.
  if (typeof body.code === 'string') return hint(name, `${says} with "code", but no "error"`, next);
  return wrong(name, `${says} without "error"`, next);
}
