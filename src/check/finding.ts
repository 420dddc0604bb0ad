import { oneLine } from '../lib/display.ts';

/** What one look at one thing found. */
export interface Finding {
  /** What was looked at; the same name never twice in a report. */
  name: string;
  /** `hint`: nothing is broken, but somebody may trip over it, or it could not be seen. */
  ok: boolean | 'hint';
  says: string;
  /** What to do about it. */
  next?: string;
}

const TEXT_MAX = 400;
const VALUE_MAX = 120;

export function fine(name: string, says: string): Finding {
  return { name, ok: true, says: oneLine(says, TEXT_MAX) };
}

export function wrong(name: string, says: string, next: string): Finding {
  return { name, ok: false, says: oneLine(says, TEXT_MAX), next: oneLine(next, TEXT_MAX) };
}

export function hint(name: string, says: string, next?: string): Finding {
  const finding: Finding = { name, ok: 'hint', says: oneLine(says, TEXT_MAX) };
  return next === undefined ? finding : { ...finding, next: oneLine(next, TEXT_MAX) };
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
