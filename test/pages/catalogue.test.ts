import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  chooseLocale,
  createTranslator,
  LOCALES,
  type Locale,
  readCatalogue,
} from '../../src/lib/translate.ts';
import { test } from '../helpers/suite.ts';

/** The texts of pages and mail, templates/locales/. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const templates = globSync('templates/{pages,mail}/*.eta', { cwd: ROOT });
const sources = globSync('src/{http,mail,lib,domain,workers}/**/*.ts', { cwd: ROOT });
const read = (files: string[]) => files.map((file) => readFileSync(`${ROOT}${file}`, 'utf8')).join('\n');
const code = read([...templates, ...sources]);
const english = readCatalogue('en');

/** Keys whose last part is chosen at run time. */
const dynamic = [...code.matchAll(/`([a-z]\w*(?:\.\w+)*\.)\$\{/gi)].map(([, prefix]) => prefix!);

test('every text that a template or the program names is in the catalogue', (t) => {
  const named = [...code.matchAll(/\b(?:it\.t|it\.rich|text)\(\s*'([\w.]+)'/g)].map(([, key]) => key!);
  t.true(named.length > 100);
  t.deepEqual(
    named.filter((key) => key.includes('.') && !Object.hasOwn(english, key)),
    [],
  );
});

test('every text of the catalogue is named somewhere', (t) => {
  const isNamed = (key: string) =>
    [`'${key}'`, `"${key}"`, `\`${key}\``].some((quoted) => code.includes(quoted)) ||
    dynamic.some((prefix) => key.startsWith(prefix));
  t.deepEqual(
    Object.keys(english).filter((key) => !isNamed(key)),
    [],
  );
});

for (const locale of LOCALES.filter((each) => each !== 'en')) {
  test(`the catalogue ${locale} has the texts of the English one, with the same values and links`, (t) => {
    const other = readCatalogue(locale);
    t.deepEqual(Object.keys(other).toSorted(), Object.keys(english).toSorted());
    const marks = (text: unknown) => [
      ...new Set([...JSON.stringify(text).matchAll(/\{\w+\}|\]\(\w+\)/g)].map(([mark]) => mark)),
    ];
    for (const [key, text] of Object.entries(english)) {
      t.is(typeof other[key], typeof text, key);
      t.deepEqual(marks(other[key]).toSorted(), marks(text).toSorted(), key);
    }
  });
}

test('no template says a text of its own', (t) => {
  const found = templates
    .filter((file) => /\.(html\.|txt\.)?eta$/.test(file) && !/\.(css|js|svg)\.eta$/.test(file))
    .flatMap((file) => {
      const markup = readFileSync(`${ROOT}${file}`, 'utf8')
        .replace(/<style>[\s\S]*?<\/style>/g, '')
        .replace(/<%[\s\S]*?%>/g, ' ')
        .replace(/<!--[\s\S]*?-->/g, ' ')
        .replace(/<[^>]*>/g, '\n');
      const words = markup
        .split('\n')
        .filter((line) => /\p{L}{2,}/u.test(line.replace(/&\w+;/g, '')) && !line.trim().startsWith('/'));
      return words.map((line) => `${file}: ${line.trim()}`);
    });
  t.deepEqual(found, []);
});

test('a text is filled, numbers are written as the language writes them, and counts choose the form', (t) => {
  const catalogue = { greet: 'Hello {name}', left: { one: '{count} try left', other: '{count} tries left' } };
  const { text } = createTranslator('de', catalogue);
  t.is(text('greet', { name: 'Ada' }), 'Hello Ada');
  t.is(text('left', { count: 1 }), '1 try left');
  t.is(text('left', { count: 12_345 }), '12.345 tries left');
  t.throws(() => text('none'), { message: /no text "none"/ });
  t.throws(() => text('greet'), { message: /needs the value "name"/ });
});

test('the language is the one that the browser likes best', (t) => {
  const cases: [header: string | undefined, locale: Locale][] = [
    [undefined, 'en'],
    ['', 'en'],
    ['de', 'de'],
    ['de-AT,de;q=0.9,en;q=0.8', 'de'],
    ['en-US,en;q=0.9,de;q=0.8', 'en'],
    ['fr;q=1, de;q=0.5, en;q=0.4', 'de'],
    ['de;q=0, en;q=0.1', 'en'],
    ['*', 'en'],
    ['fr, *;q=0.5', 'en'],
    ['fr', 'en'],
    ['de;q=abc', 'en'],
    [`${'x'.repeat(5000)},de`, 'en'],
  ];
  for (const [header, locale] of cases) t.is(chooseLocale(header), locale, header ?? 'none');
});
