import { DAY_MS } from './time.ts';
import type { Locale, Translator } from './translate.ts';

/** Times as people read them, in UTC. All times are epoch ms. */

const UTC = { timeZone: 'UTC' } as const;
const formatters = new Map<string, Intl.DateTimeFormat>();
const relativeFormatters = new Map<Locale, Intl.RelativeTimeFormat>();

function formatter(locale: Locale, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  const known = formatters.get(key) ?? new Intl.DateTimeFormat(locale, { ...options, ...UTC });
  formatters.set(key, known);
  return known;
}

function relativeFormatter(locale: Locale): Intl.RelativeTimeFormat {
  const known = relativeFormatters.get(locale) ?? new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  relativeFormatters.set(locale, known);
  return known;
}

/** One part of a date, as it is written within the whole: German abbreviates a month beside a day by a dot. */
function datePart(locale: Locale, at: number, part: 'month' | 'weekday', length: 'short' | 'long'): string {
  const options = { day: 'numeric', [part]: length } as const;
  return formatter(locale, options)
    .formatToParts(at)
    .find(({ type }) => type === part)!.value;
}

/** `26 Nov 2026`, for tables. */
export function formatShortDate({ locale, text }: Translator, at: number): string {
  return text('date.short', datesOf(locale, at, 'short'));
}

/** `26 November 2026`, for sentences. */
export function formatDate({ locale, text }: Translator, at: number): string {
  return text('date.long', datesOf(locale, at, 'long'));
}

/** `26 November 2026, 00:04 UTC`, for sentences and mail. */
export function formatDateTime(translator: Translator, at: number): string {
  return translator.text('date.withTime', { date: formatDate(translator, at), time: formatClock(at) });
}

/** `26 Nov 2026, 00:04 UTC`, for titles and detail pages. */
export function formatShortDateTime(translator: Translator, at: number): string {
  return translator.text('date.withTime', { date: formatShortDate(translator, at), time: formatClock(at) });
}

/** `00:04`. */
export function formatClock(at: number): string {
  return new Date(at).toISOString().slice(11, 16);
}

/** `Today`, `Yesterday`, `Friday 20 November 2026`: the heading of a day in a timeline. */
export function formatDay(translator: Translator, at: number, now: number): string {
  const days = Math.floor(now / DAY_MS) - Math.floor(at / DAY_MS);
  if (days === 0) return translator.text('date.today');
  if (days === 1) return translator.text('date.yesterday');
  const weekday = datePart(translator.locale, at, 'weekday', 'long');
  return translator.text('date.weekday', { weekday, date: formatDate(translator, at) });
}

/**
 * `Just now`, `4 minutes ago`, `Yesterday`, from a week on `12 Nov 2026`; in the future `In 5 days`. Begins with a capital
 * letter, since it stands alone.
 */
export function formatRelative(translator: Translator, at: number, now: number): string {
  const seconds = (at - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 45 && seconds <= 0) return translator.text('date.justNow');
  const days = Math.floor(at / DAY_MS) - Math.floor(now / DAY_MS);
  if (Math.abs(days) >= 7) return formatShortDate(translator, at);
  const relative = relativeFormatter(translator.locale);
  const phrase =
    size < 3600
      ? relative.format(Math.sign(seconds) * Math.max(1, Math.round(size / 60)), 'minute')
      : size < 86_400 && (days === 0 || size < 43_200)
        ? relative.format(Math.round(seconds / 3600), 'hour')
        : relative.format(days, 'day');
  return phrase.charAt(0).toLocaleUpperCase(translator.locale) + phrase.slice(1);
}

/** A pause as people say it, rounded up: `a minute`, `12 minutes`, `2 hours`. */
export function formatPause({ text }: Translator, seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 90) return text('pause.minutes', { count: minutes });
  const hours = Math.ceil(minutes / 60);
  return hours < 48
    ? text('pause.hours', { count: hours })
    : text('pause.days', { count: Math.floor(hours / 24) });
}

function datesOf(locale: Locale, at: number, month: 'short' | 'long') {
  return {
    day: String(new Date(at).getUTCDate()),
    month: datePart(locale, at, 'month', month),
    year: String(new Date(at).getUTCFullYear()),
  };
}
