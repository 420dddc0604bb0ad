import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The languages of pages and mail, each with a catalogue in templates/locales/. */
export const LOCALES = ['en', 'de'] as const;
export type Locale = (typeof LOCALES)[number];
export const DEFAULT_LOCALE: Locale = 'en';

/** Reads a stored language; undefined: there is none, or another version of the service has its catalogue. */
export function parseLocale(text: string | null | undefined): Locale | undefined {
  return LOCALES.find((locale) => locale === text);
}

/** Names a language in that language: `Deutsch`. */
export function nameLocale(locale: Locale): string {
  return new Intl.DisplayNames(locale, { type: 'language' }).of(locale)!;
}

/** A text of the catalogue: one form, or one per plural category of `count` (CLDR). */
type Text = string | ({ other: string } & Partial<Record<Intl.LDMLPluralRule, string>>);
export type Catalogue = Readonly<Record<string, Text>>;
type Values = Readonly<Record<string, string | number>>;

/** Writes the pieces of a text in the language of its medium, such as HTML. */
export interface Markup {
  /** Writes what stands between values and links. */
  words(text: string): string;
  /** Writes the value of a placeholder; without it as words. @param name of the placeholder */
  value?(text: string, name: string): string;
  /** Writes `[label](name)`; without it the label as words. @param url the value of that name */
  link?(label: string, url: string): string;
}

/** Translates the texts of pages and mail into one language. */
export interface Translator {
  locale: Locale;
  /**
   * Returns a text with its `{placeholders}` filled. Numbers are written as the language writes them.
   *
   * @param values `count` also chooses the plural form
   * @throws Error for an unknown key or a missing value: a fault of the template
   */
  text(key: string, values?: Values): string;
  /**
   * Returns a text like text(), each piece of it written by `markup`.
   *
   * @throws Error as text() does
   */
  markUp(key: string, values: Values, markup: Markup): string;
  /** Reports whether the catalogue has a text. */
  has(key: string): boolean;
}

const FOLDER = new URL('../../templates/locales/', import.meta.url);

/** Reads the catalogue of a language. */
export function readCatalogue(locale: Locale): Catalogue {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`${locale}.json`, FOLDER)), 'utf8')) as Catalogue;
}

/** Creates the translator of a language. */
export function createTranslator(locale: Locale, catalogue: Catalogue = readCatalogue(locale)): Translator {
  const plurals = new Intl.PluralRules(locale);
  const numbers = new Intl.NumberFormat(locale);

  function formOf(key: string, { count }: Values): string {
    if (!Object.hasOwn(catalogue, key)) throw new Error(`The catalogue ${locale} has no text "${key}".`);
    const text = catalogue[key]!;
    return typeof text === 'string' ? text : (text[plurals.select(Number(count))] ?? text.other);
  }

  function writeValue(key: string, values: Values, name: string): string {
    const value = values[name];
    if (value === undefined) throw new Error(`The text "${key}" needs the value "${name}".`);
    return typeof value === 'number' ? numbers.format(value) : value;
  }

  function fill(key: string, values: Values, form: string): string {
    return form.replace(PLACEHOLDER, (_, name: string) => writeValue(key, values, name));
  }

  return {
    locale,
    has: (key) => Object.hasOwn(catalogue, key),
    text: (key, values = {}) => fill(key, values, formOf(key, values)),
    markUp(key, values, { words, value = words, link = words }) {
      const form = formOf(key, values);
      let written = '';
      let end = 0;
      for (const { 0: piece, 1: name, 2: label, 3: target, index } of form.matchAll(PIECE)) {
        written += words(form.slice(end, index));
        written +=
          name === undefined
            ? link(fill(key, values, label!), writeValue(key, values, target!))
            : value(writeValue(key, values, name), name);
        end = index + piece.length;
      }
      return written + words(form.slice(end));
    },
  };
}

const PLACEHOLDER = /\{(\w+)\}/g;
/** A placeholder, or a link with its label and the name of its URL. */
const PIECE = /\{(\w+)\}|\[([^\]]+)\]\((\w+)\)/g;

/** The translators of all languages. */
export type Translators = Readonly<Record<Locale, Translator>>;

/** Creates the translators of all languages. */
export function createTranslators(): Translators {
  return Object.fromEntries(LOCALES.map((locale) => [locale, createTranslator(locale)])) as Translators;
}

/**
 * Chooses the language for an Accept-Language header (RFC 9110 section 12.5.4): the one with the highest quality that there is
 * a catalogue for.
 */
export function chooseLocale(acceptLanguage: string | undefined): Locale {
  const wanted = (acceptLanguage ?? '')
    .slice(0, 256)
    .split(',')
    .map((part) => {
      const [range = '', ...parameters] = part.split(';').map((each) => each.trim());
      const quality = parameters.find((each) => /^q=/i.test(each))?.slice(2) ?? '1';
      return { language: range.toLowerCase().split('-')[0]!, quality: Number(quality) };
    })
    .filter(({ quality }) => quality > 0)
    .toSorted((one, other) => other.quality - one.quality);
  for (const { language } of wanted) {
    const found = LOCALES.find((locale) => locale === language);
    if (found !== undefined) return found;
    if (language === '*') return DEFAULT_LOCALE;
  }
  return DEFAULT_LOCALE;
}
