import { oneLine } from '../lib/untrusted-text.ts';

/** What one look at one thing found. */
export interface Finding {
  /** What was looked at; the same name never twice in a report. */
  name: string;
  /** `hint`: nothing is broken, but somebody may trip over it, or it could not be seen. */
  ok: boolean | 'hint';
  message: string;
  /** What to do about it. */
  fix?: string;
}

const TEXT_MAX = 400;
const VALUE_MAX = 120;

export function fine(name: string, message: string): Finding {
  return { name, ok: true, message: oneLine(message, TEXT_MAX) };
}

export function wrong(name: string, message: string, fix: string): Finding {
  return { name, ok: false, message: oneLine(message, TEXT_MAX), fix: oneLine(fix, TEXT_MAX) };
}

export function hint(name: string, message: string, fix?: string): Finding {
  const finding: Finding = { name, ok: 'hint', message: oneLine(message, TEXT_MAX) };
  return fix === undefined ? finding : { ...finding, fix: oneLine(fix, TEXT_MAX) };
}

/** A value of the examined service within a sentence: quoted, short, and without anything a terminal would obey. */
export function shown(value: unknown): string {
  return oneLine(JSON.stringify(value) ?? 'nothing', VALUE_MAX);
}

/** What is wrong with a member: that it is not there, or what it is instead. */
export function unfit(value: unknown, fault: string): string {
  return value === undefined ? 'is not there' : `${shown(value)} ${fault}`;
}

/** A URL of the examined service within a sentence. */
export function shownUrl(url: string): string {
  return oneLine(url, VALUE_MAX);
}
