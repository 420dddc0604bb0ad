import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The languages of pages and mail, each with a catalogue in templates/locales/. */
export const LOCALES = ['en', 'de'] as const;
export type Locale = (typeof LOCALES)[number];
export const DEFAULT_LOCALE: Locale = 'en';

/** A text of the catalogue: one form, or one per plural category of `count` (CLDR). */
type Text = string | ({ other: string } & Partial<Record<Intl.LDMLPluralRule, string>>);
export type Catalogue = Readonly<Record<string, Text>>;
type Values = Readonly<Record<string, string | number>>;

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
  return {
    locale,
    has: (key) => Object.hasOwn(catalogue, key),
    text(key, values = {}) {
      if (!Object.hasOwn(catalogue, key)) throw new Error(`The catalogue ${locale} has no text "${key}".`);
      const text = catalogue[key]!;
      const form =
        typeof text === 'string' ? text : (text[plurals.select(Number(values.count))] ?? text.other);
      return form.replace(/\{(\w+)\}/g, (_, name: string) => {
        const value = values[name];
        if (value === undefined) throw new Error(`The text "${key}" needs the value "${name}".`);
        return typeof value === 'number' ? numbers.format(value) : value;
      });
    },
  };
}

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
