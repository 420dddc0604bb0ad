import type { ActivityPhrase } from '../lib/format-activity.ts';
import { formatClock, formatDateTime, formatPause } from '../lib/format-time.ts';
import { DAY_MS } from '../lib/time.ts';
import type { Translator } from '../lib/translate.ts';

/** What every template of a mail can call, beside its own values. */

type Values = Readonly<Record<string, string | number>>;

const LINE_LENGTH = 72;

/** The helpers of the HTML part. @param linkStyle the inline style of links */
export function createHtmlHelpers(
  translator: Translator,
  escapeHtml: (text: string) => string,
  linkStyle: string,
) {
  return {
    ...createHelpers(translator),
    /** HTML: a text of the catalogue with its links. */
    sentence: (key: string, values: Values = {}): string =>
      translator.markUp(key, values, {
        words: escapeHtml,
        link: (label, url) =>
          `<a href="${escapeHtml(url)}" style="${escapeHtml(linkStyle)}">${escapeHtml(label)}</a>`,
      }),
    /** HTML: the sentence about an event, the names in it in bold and isolated from the direction of the text around them. */
    event({ key, values }: ActivityPhrase): string {
      const html = translator.markUp(key, values, {
        words: escapeHtml,
        value: (name) => name && `<b><bdi>${escapeHtml(name)}</bdi></b>`,
      });
      return withoutGaps(html);
    },
  };
}

/** The helpers of the text part. */
export function createTextHelpers(translator: Translator) {
  return {
    ...createHelpers(translator),
    /** A text of the catalogue in lines of bounded length, each link on a line of its own. Not for texts with names in them. */
    sentence(key: string, values: Values = {}): string {
      const spelled = translator.markUp(key, values, {
        words: (text) => text,
        link: (label, url) => `${label}:\n${url}\n`,
      });
      return spelled
        .replace(/\n\.?$/, '')
        .split('\n')
        .map(wrap)
        .join('\n');
    },
    /** The sentence about an event, with the names in it. */
    event: ({ key, values }: ActivityPhrase): string => withoutGaps(translator.text(key, values)),
  };
}

function createHelpers(translator: Translator) {
  return {
    lang: translator.locale,
    /** A text of the catalogue. */
    t: (key: string, values?: Values) => translator.text(key, values),
    /** `26 November 2026, 00:04 UTC`. */
    dateTime: (at: number) => formatDateTime(translator, at),
  };
}

/**
 * `Expires at 00:19 UTC, in 15 minutes`; with its date where that is not clear.
 *
 * @param expiresAt epoch ms, as is `sentAt`, when the mail leaves
 */
export function formatExpiry(translator: Translator, expiresAt: number, sentAt: number): string {
  const date = formatDateTime(translator, expiresAt);
  const leftMs = expiresAt - sentAt;
  if (leftMs <= 0) return translator.text('mail.expired', { date });
  const pause = formatPause(translator, leftMs / 1000);
  if (leftMs > DAY_MS / 2) return translator.text('mail.expiresOn', { date, pause });
  return translator.text('mail.expires', { time: formatClock(expiresAt), pause });
}

/** The sentence about an event without the names in it, as a subject has it; `activity.KIND.nameless` where it needs other words. */
export function formatNamelessEvent({ text, has }: Translator, { key, values }: ActivityPhrase): string {
  const nameless = `${key}.nameless`;
  if (has(nameless)) return text(nameless);
  const names = {
    subject: text('mail.anAgentSubject'),
    name: text('mail.anAgentObject'),
    key: '',
    workspace: '',
  };
  return withoutGaps(text(key, { ...values, ...names }));
}

/** Closes the gap that a missing name leaves in a sentence. */
function withoutGaps(text: string): string {
  return text.replace(/ {2,}/g, ' ').trim();
}

function wrap(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > LINE_LENGTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
