import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { contrast } from '../../src/lib/color.ts';
import { LOCALES, type Locale } from '../../src/lib/translate.ts';
import { createMailStyles } from '../../src/mail/mail-styles.ts';
import { previewMails } from '../../src/mail/preview.ts';
import { createRender } from '../../src/mail/render.ts';
import type { ActivityEntry, NoticeMail } from '../../src/ports/mailer.ts';
import { TEST_SECRET } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

/** What every mail looks like and says, whatever its kind. */

const AT = Date.UTC(2026, 10, 26, 0, 4);
const config = loadConfig({ SECRET: TEST_SECRET });
const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-mail-'));
for (const locale of LOCALES) previewMails(config, join(folder, locale), AT, locale);
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
const read = (file: string) => readFileSync(join(folder, file), 'utf8');

test.after(() => rmSync(folder, { recursive: true }));

/** The words that a person reads, without addresses of pages. */
const wordsOf = (text: string) => text.replace(/https?:\/\/\S+/g, ' ').match(/[\p{L}\p{N}.’-]+/gu) ?? [];

for (const file of files.filter((each) => each.endsWith('.html'))) {
  const html = read(file);
  const [, subject, text] = /^Subject: (.*)\n\n([\s\S]*)$/.exec(read(file.replace('.html', '.txt')))!;
  const body = /<body[\s\S]*<\/body>/.exec(html)![0];

  test(`${file} says the same in both parts, in the same order`, (t) => {
    const shown = body
      .replace(/<span class="accent"[\s\S]*?<\/td>/, '') // the name above the card, which the text has in its last lines
      .replace(/<(?:br|p|h1|h2|li|tr|td)\b[^>]*>/g, ' ')
      .replace(/<[^>]*>/g, '')
      .replaceAll('&nbsp;', ' ');
    const bare = (words: string[]) => words.map((word) => word.replace(/[.-]+$/, '')).filter(Boolean);
    t.deepEqual(bare(wordsOf(shown)), bare(wordsOf(text!)));
    const hrefs = [...body.matchAll(/href="([^"]*)"/g)].map(([, url]) => url);
    t.deepEqual(hrefs, text!.match(/https?:\/\/\S+/g) ?? []);
  });

  test(`${file} is one column of tables for layout, with inline styles and nothing from elsewhere`, (t) => {
    t.notRegex(html, /<(?:img|link|script|iframe|object|form|button|svg)\b|\bsrc=|url\(|@import|@font-face/);
    for (const [tag] of html.matchAll(/<table\b[^>]*>/g)) t.regex(tag, /role="presentation"/);
    t.regex(html, /max-width:536px/);
    for (const [tag] of body.matchAll(/<(?:body|h1|h2|p|li|a)\b[^>]*>/g)) t.regex(tag, / style="[^"]+"/);
    t.regex(html, /@media \(prefers-color-scheme: dark\)/);
    t.is(body.match(/<h1\b/g)!.length, 1);
  });

  test(`${file} has no name, code or link in its subject and title`, (t) => {
    for (const line of [subject!, /<title>([^<]*)</.exec(html)![1]!]) {
      t.notRegex(line, /Research helper|Backup script|Atlas|Blue 42|\d{3}|https?:/);
    }
  });
}

test('times are written out, and a code ends at a time and in so many minutes', (t) => {
  const text = read('en/claim-code.txt');
  t.regex(text, /^ {2}Requested: {3}26 November 2026, 00:04 UTC$/m);
  t.regex(text, /^Expires at 00:19 UTC, in 15 minutes$/m);
});

test('each kind has its subject', (t) => {
  const subjectsOf = (locale: Locale) =>
    Object.fromEntries(
      files
        .filter((file) => file.startsWith(`${locale}/`) && file.endsWith('.txt'))
        .map((file) => [file.slice(3, -4), /^Subject: (.*)$/m.exec(read(file))![1]]),
    );
  t.deepEqual(subjectsOf('de'), {
    'claim-code': 'Vouchsafe: Ein Agent bittet um Ihre Genehmigung',
    'claim-link': 'Vouchsafe: Ein Agent bittet um Ihre Genehmigung',
    'claim-page': 'Vouchsafe: Ein Agent bittet um Ihre Genehmigung',
    'sign-in-code': 'Vouchsafe: Ihr Anmeldecode',
    'sign-in-link': 'Vouchsafe: Ihr Anmeldelink',
    'agent-approval': 'Vouchsafe: Ein Agent bittet um Berechtigungen',
    invitation: 'Vouchsafe: Sie sind in einen Arbeitsbereich eingeladen',
    notice: 'Vouchsafe: 2 Ereignisse in Ihrem Konto',
    'notice-of-one': 'Vouchsafe: Sie haben einen Schlüssel erstellt',
  });
  t.deepEqual(subjectsOf('en'), {
    'claim-code': 'Vouchsafe: an agent asks for your approval',
    'claim-link': 'Vouchsafe: an agent asks for your approval',
    'claim-page': 'Vouchsafe: an agent asks for your approval',
    'sign-in-code': 'Vouchsafe: your sign-in code',
    'sign-in-link': 'Vouchsafe: your sign-in link',
    'agent-approval': 'Vouchsafe: an agent asks for permissions',
    invitation: 'Vouchsafe: you’re invited to a workspace',
    notice: 'Vouchsafe: 2 things happened in your account',
    'notice-of-one': 'Vouchsafe: You created a key',
  });
});

test('the subject of a notice has the sentence of its one event without names, and else their number', (t) => {
  const render = createRender(config);
  const entry: ActivityEntry = {
    kind: 'agent.merged',
    details: {},
    at: AT,
    agentName: 'Robin',
    isOfAgent: true,
    keyName: undefined,
    keyPrefix: undefined,
    appName: undefined,
    workspaceName: undefined,
    origin: '203.0.x.x',
  };
  const notice = (happened: ActivityEntry[], more = 0): NoticeMail => ({
    kind: 'notice',
    id: 'out_test',
    to: 'human@example.com',
    locale: 'en',
    happened,
    more,
  });
  const subjectOf = (...given: Parameters<typeof notice>) => render(notice(...given)).subject;
  for (const [kind, sentence] of Object.entries({
    'agent.merged': 'An agent moved into your account',
    'agent.released': 'You unlinked an agent',
    'claim.completed': 'An agent collected its access',
    'key.expiring': 'A key expires soon',
    'session.begun': 'You signed in',
  })) {
    t.is(subjectOf([{ ...entry, kind, keyName: 'Backup' }]), `Vouchsafe: ${sentence}`);
  }
  t.is(subjectOf([entry, entry, entry]), 'Vouchsafe: 3 things happened in your account');
  t.is(subjectOf([entry], 1200), 'Vouchsafe: 1,201 things happened in your account');
  t.regex(render(notice([entry], 1200)).text, /^ {2}\* 1,200 more: see your account$/m);
  t.regex(render(notice([entry])).html, /<b><bdi>Robin<\/bdi><\/b> moved into your account/);
});

test('the sender is named with what the operator configured, and its contact leads where it can', (t) => {
  const mail: NoticeMail = {
    kind: 'notice',
    id: 'out_test',
    to: 'human@example.com',
    locale: 'en',
    happened: [],
    more: 0,
  };
  for (const [contact, html] of [
    ['help@acme.example', /<a href="mailto:help@acme\.example"[^>]*>Help<\/a>/],
    ['https://acme.example/help', /<a href="https:\/\/acme\.example\/help"[^>]*>Help<\/a>/],
    ['Room 7 <upstairs>', / · Help: Room 7 &lt;upstairs&gt;</],
  ] as const) {
    const service = { ...config.service, name: 'Acme', contact, imprintUrl: 'https://acme.example/imprint' };
    const rendered = createRender({ ...config, publicUrl: 'https://id.acme.example', service })(mail);
    t.regex(rendered.html, html);
    t.regex(
      rendered.html,
      /Sent by Acme, id\.acme\.example · <a href="https:\/\/acme\.example\/imprint"[^>]*>Imprint<\/a>/,
    );
    t.true(
      rendered.text.endsWith(
        `\nSent by Acme, id.acme.example\nImprint: https://acme.example/imprint\nHelp: ${contact}\n`,
      ),
      rendered.text,
    );
  }
});

test('any accent of the operator is readable in both themes', (t) => {
  for (const accent of ['#0b6351', '#ffee00', '#111111', '#d9480f', '#777777']) {
    const { css, dark } = createMailStyles(accent);
    const colorIn = (style: string) => /(?:^|;)color:(#[0-9a-f]{6})/.exec(style)![1]!;
    const groundIn = (style: string) => /background:(#[0-9a-f]{6})/.exec(style)![1]!;
    t.true(contrast(colorIn(css.link), '#f7f7f5') >= 4.5, accent);
    t.true(contrast(colorIn(css.buttonLink), groundIn(css.button)) >= 4.5, accent);
    t.true(contrast(dark.accent, '#111110') >= 4.5, accent);
    t.true(contrast(dark.on, dark.accent) >= 4.5, accent);
  }
});
