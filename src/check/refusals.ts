import { asObject, isHtml, isJson, parseObject } from './documents.ts';
import type { Endpoints } from './endpoints.ts';
import { type Finding, failed, hint, passed, shown, shownUrl } from './finding.ts';
import type { ProbeClient, ProbeResult } from './probe-client.ts';

const REGISTRATIONS = ['register_uri', 'identity_endpoint'];

/** How a registration endpoint refused an empty request. */
export interface Refusal {
  /** The member of `agent_auth` that names the endpoint. */
  member: string;
  finding: Finding;
  /** The member "code" of the response. */
  code?: string;
}

/** Reports whether a refusal is of the production dialect: it has a "code", unlike any version of auth.md (docs/dialects.md). */
export function isProductionDialect({ member, code }: Refusal): boolean {
  return member === 'identity_endpoint' && code !== undefined;
}

/**
 * Examines how registration refuses `{}`, which has no `type` and cannot register an agent. Sends it only to the service and
 * its issuer: a document must not make us send requests to third parties.
 *
 * @param origins of the service and its issuer
 */
export function examineRefusals(
  client: ProbeClient,
  endpoints: Endpoints,
  origins: string[],
): Promise<Refusal[]> {
  const endpointsToProbe = new Map<string, string>();
  for (const member of REGISTRATIONS) {
    const url = endpoints.get(member);
    if (url !== undefined && ![...endpointsToProbe.values()].includes(url)) endpointsToProbe.set(member, url);
  }
  return Promise.all(
    [...endpointsToProbe].map(async ([member, url]) => {
      const name = `refusal of ${member}`;
      if (!origins.includes(new URL(url).origin)) {
        return { member, finding: hint(name, `${shownUrl(url)} was not asked: it is at another origin`) };
      }
      const answer = await client.postNothing(url);
      const body = answer.kind === 'reply' ? parseObject(answer.text) : undefined;
      const finding = examineRefusal(name, `POST {} to ${shownUrl(url)}`, answer);
      return { member, finding, ...(typeof body?.code === 'string' && { code: body.code }) };
    }),
  );
}

function examineRefusal(name: string, request: string, answer: ProbeResult): Finding {
  const fix = 'Answer 400 with JSON such as {"error":"invalid_request","message":"…"}.';
  if (answer.kind === 'trouble') return failed(name, `${request}: ${answer.says}`, answer.next);
  const { status, type, text, isCut } = answer;
  const message = `${request} answers ${status}`;
  if (status === 404) return failed(name, message, 'Serve registration there, or name where it is.');
  if (status === 405) return failed(name, message, 'Let it take POST.');
  if (status === 415) return failed(name, message, 'Let it take application/json.');
  if (status === 429) return hint(name, `${message}: too many requests`, 'Check again later.');
  if (status < 400 || status >= 500) return failed(name, message, fix);
  if (isHtml(type, text)) return failed(name, `${message} with a page of HTML`, fix);
  const body = isCut ? undefined : parseObject(text);
  if (body === undefined) return failed(name, `${message} without a JSON object`, fix);
  if (!isJson(type))
    return failed(name, `${message} with JSON of the type ${shown(type)}`, 'Send application/json.');
  if (body.error !== undefined) {
    return passed(name, `${message} and says ${shown(asObject(body.error)?.code ?? body.error)}`);
  }
  // One vendor's API description names it "code"; clients that read "error" do not find it.
  if (typeof body.code === 'string') return hint(name, `${message} with "code", but no "error"`, fix);
  return failed(name, `${message} without "error"`, fix);
}
