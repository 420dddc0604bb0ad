import { singleLine } from '../lib/untrusted-text.ts';

/** The result of one examination. */
export interface Finding {
  /** What was examined; unique within a report. */
  name: string;
  /** `hint`: nothing is broken, but some client may have trouble, or it could not be examined. */
  ok: boolean | 'hint';
  message: string;
  /** How to fix it. */
  fix?: string;
}

const TEXT_MAX = 400;
const VALUE_MAX = 120;

/** Reports that something is right. */
export function passed(name: string, message: string): Finding {
  return { name, ok: true, message: singleLine(message, TEXT_MAX) };
}

/** Reports that something is wrong, and how to fix it. */
export function failed(name: string, message: string, fix: string): Finding {
  return { name, ok: false, message: singleLine(message, TEXT_MAX), fix: singleLine(fix, TEXT_MAX) };
}

/** Reports something that breaks nothing, or could not be examined. */
export function hint(name: string, message: string, fix?: string): Finding {
  const finding: Finding = { name, ok: 'hint', message: singleLine(message, TEXT_MAX) };
  return fix === undefined ? finding : { ...finding, fix: singleLine(fix, TEXT_MAX) };
}

/** Formats a value of the examined service for a sentence: as JSON, short, and without terminal control characters. */
export function shown(value: unknown): string {
  return singleLine(JSON.stringify(value) ?? 'nothing', VALUE_MAX);
}

/** Describes a faulty member: that it is missing, or its value and the fault. */
export function describeFault(value: unknown, fault: string): string {
  return value === undefined ? 'is not there' : `${shown(value)} ${fault}`;
}

/** Formats a URL of the examined service for a sentence. */
export function shownUrl(url: string): string {
  return singleLine(url, VALUE_MAX);
}
