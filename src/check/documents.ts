import type { ProbeResult } from './ask.ts';
import { type Finding, fine, hint, shown, shownUrl, wrong } from './finding.ts';

export type Json = Record<string, unknown>;

/** A JSON document as it was found. What can be read is read on, also where how it is served is wrong. */
export type DocumentRead =
  | { kind: 'read'; document: Json; finding: Finding }
  | { kind: 'missing' | 'broken'; finding: Finding };

export const ACCEPT_JSON = 'application/json';
export const ACCEPT_MARKDOWN = 'text/markdown, text/plain;q=0.8, */*;q=0.1';

/**
 * Reads a JSON document.
 *
 * @param name of the finding
 * @param next what to do where there is none
 */
export function readJson(name: string, url: string, answer: ProbeResult, next: string): DocumentRead {
  const at = shownUrl(url);
  const refused = refusal(name, at, answer, next);
  if (refused !== undefined) return refused;
  const { text, type, redirectedTo } = answer as Extract<ProbeResult, { kind: 'reply' }>;
  const broken = (says: string): DocumentRead => ({ kind: 'broken', finding: wrong(name, says, next) });
  if (isHtml(type, text)) return broken(`${at} answers 200 with a page of HTML where JSON is due`);
  const document = parseObject(text);
  if (document === undefined) return broken(`${at} is not a JSON object`);
  const finding = isJson(type)
    ? redirectedTo === undefined
      ? fine(name, at)
      : hint(
          name,
          `${at} leads to ${shownUrl(redirectedTo)}`,
          'Answer there itself: many clients follow no redirect.',
        )
    : wrong(name, `${at} is JSON of the type ${shown(type)}`, 'Send Content-Type: application/json.');
  return { kind: 'read', document, finding };
}

/** What is due as a markdown document; `text` is empty where there is none. */
export function readMarkdown(
  name: string,
  url: string,
  answer: ProbeResult,
  next: string,
): { kind: 'read' | 'missing' | 'broken'; text: string; finding: Finding } {
  const at = shownUrl(url);
  const refused = refusal(name, at, answer, next);
  if (refused !== undefined) return { kind: refused.kind, text: '', finding: refused.finding };
  const { text, type, redirectedTo } = answer as Extract<ProbeResult, { kind: 'reply' }>;
  if (isHtml(type, text)) {
    const finding = wrong(name, `${at} answers 200 with a page of HTML where markdown is due`, next);
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
    const says = `${at} is of the type ${shown(type)}`;
    const advice = 'Send Content-Type: text/markdown; charset=utf-8.';
    const finding = type === 'text/plain' ? hint(name, says, advice) : wrong(name, says, advice);
    return { kind: 'read', text, finding };
  }
  return { kind: 'read', text, finding: fine(name, at) };
}

/** Why an answer is no document at all. */
function refusal(
  name: string,
  at: string,
  answer: ProbeResult,
  next: string,
): { kind: 'missing' | 'broken'; finding: Finding } | undefined {
  if (answer.kind === 'trouble') {
    return { kind: 'broken', finding: wrong(name, `${at} ${answer.says}`, answer.next) };
  }
  if (answer.status !== 200) {
    // 401 and 403 are what a guard answers who covers the documents, too.
    const kind = [401, 403, 404, 405, 410].includes(answer.status) ? 'missing' : 'broken';
    return { kind, finding: wrong(name, `${at} answers ${answer.status}`, next) };
  }
  if (answer.isCut) {
    return {
      kind: 'broken',
      finding: wrong(name, `${at} is larger than clients read (256 KB)`, 'Serve less.'),
    };
  }
  return undefined;
}

/** The trap of sites that answer every path with their page: status 200, and nothing an agent can use. */
export function isHtml(type: string, text: string): boolean {
  return type === 'text/html' || type === 'application/xhtml+xml' || /^\s*<(!doctype|html)\b/i.test(text);
}

export function isJson(type: string): boolean {
  return type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type);
}

export function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return asObject(value);
  } catch {
    return undefined;
  }
}

export function asObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

/** The texts of a list of texts; undefined where it is anything else. */
export function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined;
}
