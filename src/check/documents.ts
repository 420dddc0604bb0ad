import { type Finding, failed, hint, passed, shown, shownUrl } from './finding.ts';
import type { ProbeResult } from './probe-client.ts';

/** A parsed JSON object. */
export type Json = Record<string, unknown>;

/** The result of reading a JSON document. `read` also if it is served wrongly, as long as it can be parsed. */
export type DocumentRead =
  | { kind: 'read'; document: Json; finding: Finding }
  | { kind: 'missing' | 'broken'; finding: Finding };

export const ACCEPT_JSON = 'application/json';
export const ACCEPT_MARKDOWN = 'text/markdown, text/plain;q=0.8, */*;q=0.1';

/**
 * Reads a JSON document from a response.
 *
 * @param name of the finding
 * @param fix what to do if there is no document
 */
export function readJson(name: string, url: string, answer: ProbeResult, fix: string): DocumentRead {
  const at = shownUrl(url);
  const refusal = findRefusal(name, at, answer, fix);
  if (refusal !== undefined) return refusal;
  const { text, type, redirectedTo } = answer as Extract<ProbeResult, { kind: 'reply' }>;
  const broken = (message: string): DocumentRead => ({ kind: 'broken', finding: failed(name, message, fix) });
  if (isHtml(type, text)) return broken(`${at} answers 200 with a page of HTML where JSON is due`);
  const document = parseObject(text);
  if (document === undefined) return broken(`${at} is not a JSON object`);
  const finding = isJson(type)
    ? redirectedTo === undefined
      ? passed(name, at)
      : hint(
          name,
          `${at} leads to ${shownUrl(redirectedTo)}`,
          'Answer there itself: many clients follow no redirect.',
        )
    : failed(name, `${at} is JSON of the type ${shown(type)}`, 'Send Content-Type: application/json.');
  return { kind: 'read', document, finding };
}

/** Reads a markdown document from a response. `text` is empty if there is none. */
export function readMarkdown(
  name: string,
  url: string,
  answer: ProbeResult,
  fix: string,
): { kind: 'read' | 'missing' | 'broken'; text: string; finding: Finding } {
  const at = shownUrl(url);
  const refusal = findRefusal(name, at, answer, fix);
  if (refusal !== undefined) return { kind: refusal.kind, text: '', finding: refusal.finding };
  const { text, type, redirectedTo } = answer as Extract<ProbeResult, { kind: 'reply' }>;
  if (isHtml(type, text)) {
    const finding = failed(name, `${at} answers 200 with a page of HTML where markdown is due`, fix);
    return { kind: 'broken', text: '', finding };
  }
  if (redirectedTo !== undefined) {
    return {
      kind: 'read',
      text,
      finding: hint(name, `${at} leads to ${shownUrl(redirectedTo)}`, 'Answer there itself.'),
    };
  }
  if (type !== 'text/markdown') {
    const message = `${at} is of the type ${shown(type)}`;
    const advice = 'Send Content-Type: text/markdown; charset=utf-8.';
    const finding = type === 'text/plain' ? hint(name, message, advice) : failed(name, message, advice);
    return { kind: 'read', text, finding };
  }
  return { kind: 'read', text, finding: passed(name, at) };
}

/** Returns why a response is not a document; undefined if it may be one. */
function findRefusal(
  name: string,
  at: string,
  answer: ProbeResult,
  fix: string,
): { kind: 'missing' | 'broken'; finding: Finding } | undefined {
  if (answer.kind === 'trouble') {
    return { kind: 'broken', finding: failed(name, `${at} ${answer.says}`, answer.next) };
  }
  if (answer.status !== 200) {
    // 401 and 403: the service requires a credential for its documents, too.
    const kind = [401, 403, 404, 405, 410].includes(answer.status) ? 'missing' : 'broken';
    return { kind, finding: failed(name, `${at} answers ${answer.status}`, fix) };
  }
  if (answer.isCut) {
    return {
      kind: 'broken',
      finding: failed(name, `${at} is larger than clients read (256 KB)`, 'Serve less.'),
    };
  }
  return undefined;
}

/** Reports whether a response is HTML: some sites answer every path with status 200 and their page. */
export function isHtml(type: string, text: string): boolean {
  return type === 'text/html' || type === 'application/xhtml+xml' || /^\s*<(!doctype|html)\b/i.test(text);
}

/** Reports whether a media type is JSON. */
export function isJson(type: string): boolean {
  return type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type);
}

/** Parses a JSON object; undefined for anything else. */
export function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return asObject(value);
  } catch {
    return undefined;
  }
}

/** Returns a value that is a JSON object; undefined for anything else. */
export function asObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

/** Returns a value that is an array of strings; undefined for anything else. */
export function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined;
}
