import { translateDefault } from '../../config/default-texts.ts';
import { type ActivityFacts, phraseActivity } from '../../lib/format-activity.ts';
import {
  formatClock,
  formatDate,
  formatDateTime,
  formatDay,
  formatPause,
  formatRelative,
  formatShortDate,
  formatShortDateTime,
} from '../../lib/format-time.ts';
import { COUNT_MAX } from '../../lib/list-pages.ts';
import type { Translator } from '../../lib/translate.ts';
import { activityLook } from './activity-looks.ts';
import { icon } from './icons.ts';

/** What every template of a page can call, beside its own values. What returns HTML is written by `<%~ … %>`. */

type Values = Readonly<Record<string, string | number>>;

/** The request ids under which jobs record events. */
const JOBS = ['outbox', 'distrust', 'key-expiry'];

/**
 * Creates the helpers for one page.
 *
 * @param escapeHtml escapes a text for HTML, in content and in quoted attributes, as the templates do
 * @param now epoch ms, for relative times
 */
export function createTemplateHelpers(
  translator: Translator,
  escapeHtml: (text: string) => string,
  now: number,
) {
  const { text } = translator;

  /** A time element: the text, and the exact time in UTC as its title. */
  const timeElement = (at: number, shown: string) =>
    `<time datetime="${new Date(at).toISOString()}" title="${escapeHtml(formatShortDateTime(translator, at))}">${escapeHtml(shown)}</time>`;

  return {
    lang: translator.locale,
    now,
    icon,

    /** A text of the catalogue. */
    t: (key: string, values?: Values) => text(key, values),

    /** Words of the configuration: in the language of the reader where they are our default, else as the operator wrote them. */
    configured: (words: string) => translateDefault(translator, words),

    /**
     * HTML: a text of the catalogue with its values in bold, isolated from the direction of the text around them. `[label](name)`
     * in the text is a link to the value of that name.
     */
    rich: (key: string, values: Values = {}): string =>
      translator.markUp(key, values, {
        words: escapeHtml,
        value: (filled, name) =>
          typeof values[name] === 'number' ? filled : `<b><bdi>${escapeHtml(filled)}</bdi></b>`,
        link: (label, url) => `<a href="${escapeHtml(url)}">${escapeHtml(label)}</a>`,
      }),

    /** A line of activity: HTML of its sentence, with names isolated; its details as text; its icon and color. */
    happening(entry: ActivityFacts) {
      const { key, values, keyPrefix, details } = phraseActivity(translator, entry);
      const isolated = (name: string) => `<bdi>${escapeHtml(name)}</bdi>`;
      const code = keyPrefix === undefined ? '' : `<code>${escapeHtml(keyPrefix)}</code>`;
      const keyHtml =
        [values.key && isolated(values.key), code].filter(Boolean).join(' ') ||
        escapeHtml(text('activity.deletedKey'));
      return {
        ...activityLook(entry.kind),
        html: translator.markUp(key, values, {
          words: escapeHtml,
          value: (filled, name) => (name === 'key' ? keyHtml : isolated(filled)),
        }),
        details: details.join(' · '),
      };
    },

    activityLook,

    /** Who caused an event that came over no network: a job of the service, or somebody at the command line. */
    localActor: ({ requestId }: { requestId: string | undefined }) =>
      text(JOBS.includes(requestId ?? '') ? 'console.event.service' : 'console.event.local'),

    /** What an event of a kind is called in the audit log. A later version on the same database has others. */
    eventKind: (kind: string) => (translator.has(`audit.${kind}`) ? text(`audit.${kind}`) : kind),

    /** HTML: `4 minutes ago`, with the exact time as its title. */
    time: (at: number) => timeElement(at, formatRelative(translator, at, now)),
    /** HTML: `26 Nov 2026`. */
    date: (at: number) => timeElement(at, formatShortDate(translator, at)),
    /** HTML: `26 November 2026`. */
    longDate: (at: number) => timeElement(at, formatDate(translator, at)),
    /** HTML: `26 November 2026, 00:04 UTC`. */
    dateTime: (at: number) => timeElement(at, formatDateTime(translator, at)),
    /** HTML: `00:04`, below the heading of its day. */
    clock: (at: number) => timeElement(at, formatClock(at)),
    /** `4 minutes ago`, as text. */
    ago: (at: number) => formatRelative(translator, at, now),
    /** `26 Nov 2026`, as text. */
    shortDay: (at: number) => formatShortDate(translator, at),
    /** `Today`, `Yesterday`, `Friday 20 November 2026`: the heading of a day. */
    day: (at: number) => formatDay(translator, at, now),
    /** `12 minutes`. */
    pause: (seconds: number) => formatPause(translator, seconds),
    /** `26 Nov 2026, 00:04 UTC`, in plain sight. */
    exact: (at: number) => formatShortDateTime(translator, at),

    /** HTML: a state in words, with a dot or an icon. */
    badge(
      kind: 'ok' | 'warn' | 'off' | 'alarm' | 'outline' | 'accent',
      words: string,
      iconName?: string,
    ): string {
      const mark =
        iconName !== undefined
          ? icon(iconName, 14)
          : kind === 'ok' || kind === 'warn' || kind === 'off'
            ? '<span class="dot"></span>'
            : '';
      return `<span class="badge ${kind}">${mark}${escapeHtml(words)}</span>`;
    },

    /** A count: `1,250`, or `10,000+` where rows were not counted further. */
    count: (rows: number) =>
      rows > COUNT_MAX ? text('list.countMore', { count: COUNT_MAX }) : text('list.count', { count: rows }),

    /** HTML: names of scopes. @param hasEnded whether they are struck through */
    chips(names: readonly string[], hasEnded = false): string {
      const chip = (name: string) =>
        `<span class="chip">${hasEnded ? '<s>' : ''}${escapeHtml(name)}${hasEnded ? '</s>' : ''}</span>`;
      return `<span class="chips">${names.map(chip).join(' ')}</span>`;
    },

    /** HTML: a notice with its icon. @param html its content */
    notice(kind: 'ok' | 'warn' | 'alarm' | 'info', html: string, attributes = ''): string {
      const icons = { ok: 'circle-check', warn: 'triangle-alert', alarm: 'circle-alert', info: 'info' };
      return `<div class="notice ${kind}"${attributes}>${icon(icons[kind], 18)}<div>${html}</div></div>`;
    },

    /** A count, `12,480`, or `50,000+` where not all are counted. */
    figure: ({ count, isMore = false }: { count: number; isMore?: boolean }) =>
      text(isMore ? 'list.countMore' : 'list.count', { count }),

    /** An id, shortened in the middle: `agt_0mwqj0oa…VK3D`. */
    shortId: (id: string) => (id.length > 20 ? `${id.slice(0, 12)}…${id.slice(-4)}` : id),

    escapeHtml,
  };
}
