import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DEFAULT_TEXTS, translateDefault } from '../../src/config/default-texts.ts';
import { OPTIONAL_OPENID_SCOPES } from '../../src/domain/apps/offers.ts';
import { EVENT_KINDS } from '../../src/domain/audit/audit-log.ts';
import { ACTIVITY_GROUPS } from '../../src/domain/audit/list-activity.ts';
import { AGENT_STATES } from '../../src/domain/owner/list-owned-agents.ts';
import { ROLES } from '../../src/domain/workspaces/roles.ts';
import { Failure, type FailureKind } from '../../src/errors.ts';
import { TINYSEND_ERRORS_BY_KIND } from '../../src/http/dialects/tinysend.ts';
import { AUTH_CHOICES, BOUNDS, CLIENT_USES } from '../../src/http/pages/client-form.ts';
import { describeFailure } from '../../src/http/pages/failure-page.ts';
import { FLASHES } from '../../src/http/server/flash.ts';
import { phraseActivity } from '../../src/lib/format-activity.ts';
import {
  chooseLocale,
  createTranslator,
  LOCALES,
  type Locale,
  nameLocale,
  readCatalogue,
} from '../../src/lib/translate.ts';
import { CONSOLE_TEXTS } from '../helpers/console-texts.ts';
import { test } from '../helpers/suite.ts';

/** The texts of pages and mail, templates/locales/. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const templates = globSync('templates/{pages,mail}/*.eta', { cwd: ROOT }).toSorted();
const markups = templates.filter((file) => !/\.(css|js|svg)\.eta$/.test(file));
const sources = globSync('src/{config,http,mail,lib,domain,workers}/**/*.ts', { cwd: ROOT }).toSorted();
const read = (file: string) => readFileSync(`${ROOT}${file}`, 'utf8');
const withoutComments = (code: string) =>
  code.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
const code = withoutComments([...templates, ...sources].map(read).join('\n'));
const english = readCatalogue('en');
const sections = new Set(Object.keys(english).map((key) => key.split('.')[0]!));

/** Quoted words of code. */
const QUOTED = /'(?:[^'\\\n]|\\.)*'|"[^"\n]*"|`[^`]*`/g;
/** Two words in a row: a text, where a name or a path has one. */
const TEXT = /\p{L}{2,} \p{L}{2,}/u;

const variantsOf = (kind: string) =>
  [
    {},
    { by: 'owner' },
    { by: 'clientRemoved' },
    { origin: 'person' },
    { issuer: 'https://idp.example' },
    { capabilities: 'read' },
    { key: 'key_1' },
    { keys: 1 },
    { wanted: true },
    { wanted: false },
    { to: 'owner' },
    { to: 'owner', ofOther: true },
    { actor: 'usr_1' },
  ].flatMap((details) =>
    [
      { isOfAgent: true, appName: 'Marlin', workspaceName: 'Atlas', keyPrefix: 'sk_8Qm2' },
      { isOfAgent: false, appName: undefined, workspaceName: undefined, keyPrefix: undefined },
    ].map((who) => ({
      kind,
      details,
      ...who,
      agentName: undefined,
      keyName: undefined,
      origin: undefined,
    })),
  );
const activities = EVENT_KINDS.flatMap(variantsOf).map(
  (facts) => phraseActivity(createTranslator('en'), facts).key,
);
const failures = (Object.keys(TINYSEND_ERRORS_BY_KIND) as FailureKind[]).map((kind) =>
  describeFailure(new Failure(kind, '', { retryAfterSeconds: 60 })),
);
const WORKSPACE_ACTS = ['rename', 'leave', 'transfer', 'delete'];
const nameEach = (prefix: string, names: readonly string[], suffix = '') =>
  names.map((name) => `${prefix}${name}${suffix}`);

/** Texts whose names the program puts together: as it spells them, with `*` for what it fills in, and all that there are. */
const PUT_TOGETHER: Record<string, readonly string[]> = {
  'activity.*': activities,
  'activity.*.*': activities,
  '*.nameless': activities.map((key) => `${key}.nameless`).filter((key) => Object.hasOwn(english, key)),
  'activity.detail.*': nameEach('activity.detail.', ['merge', 'link']),
  'activity.group.*': nameEach('activity.group.', ACTIVITY_GROUPS),
  'agents.*': nameEach('agents.', ['merge', 'link']),
  'agents.*Long': nameEach('agents.', ['merge', 'link'], 'Long'),
  'agents.*Title*': ['Title', 'TitleUnnamed'].flatMap((end) =>
    nameEach('agents.', ['unlink', 'undo', 'revoke'], end),
  ),
  'agents.*Crumb': nameEach('agents.', ['unlink', 'undo', 'revoke'], 'Crumb'),
  'agents.*Text': nameEach('agents.', ['unlink', 'undo', 'revoke'], 'Text'),
  'agents.*Final': nameEach('agents.', ['unlink', 'undo', 'revoke'], 'Final'),
  'clients.auth.*': nameEach('clients.auth.', AUTH_CHOICES),
  'clients.authHint.*': nameEach('clients.authHint.', AUTH_CHOICES),
  'clients.bound.*': nameEach('clients.bound.', BOUNDS),
  'clients.boundHint.*': nameEach('clients.boundHint.', BOUNDS),
  'clients.use.*': nameEach('clients.use.', CLIENT_USES),
  'clients.useHint.*': nameEach('clients.useHint.', CLIENT_USES),
  ...CONSOLE_TEXTS,
  'connect.*': nameEach('connect.', ['decided', 'over', 'foreign']),
  'connect.*Lead': nameEach('connect.', ['decided', 'over', 'foreign'], 'Lead'),
  'connect.constraint.*': nameEach('connect.constraint.', ['max', 'min', 'in', 'not_in', 'eq']),
  'consent.openid.*': nameEach('consent.openid.', [...OPTIONAL_OPENID_SCOPES]),
  'consent.publishedNowhere.*': nameEach('consent.publishedNowhere.', ['dynamic', 'person', 'operator']),
  'device.*Lead': nameEach('device.', ['connected', 'declined', 'decided', 'over'], 'Lead'),
  'failure.*.title': failures.map(({ name }) => `failure.${name}.title`),
  'failure.*.lead': failures.map(({ name }) => `failure.${name}.lead`),
  'failure.*.leadIn': failures
    .filter(({ pauseSeconds }) => pauseSeconds)
    .map(({ name }) => `failure.${name}.leadIn`),
  'flash.*': nameEach('flash.', FLASHES),
  'list.*': nameEach('list.', AGENT_STATES),
  'mail.*.title': nameEach('mail.', ['signInCode', 'signInLink'], '.title'),
  'mail.*.lead': nameEach('mail.', ['signInCode', 'signInLink'], '.lead'),
  'mail.claim.*': nameEach('mail.claim.', ['merge', 'link']),
  'mail.claim.lead.*': nameEach('mail.claim.lead.', ['code', 'page', 'link']),
  'mail.nobodyAsks.*': nameEach('mail.nobodyAsks.', ['code', 'link']),
  'mail.signIn.notExpected.*': nameEach('mail.signIn.notExpected.', ['code', 'link']),
  'mail.subject.*': nameEach('mail.subject.', [
    'claim-code',
    'sign-in-code',
    'sign-in-link',
    'agent-approval',
    'invitation',
  ]),
  'invitation.*.lead': nameEach('invitation.', ['signedOut', 'over', 'declined'], '.lead'),
  'invitation.*.title': nameEach(
    'invitation.',
    ['signedOut', 'over', 'foreign', 'asked', 'declined'],
    '.title',
  ),
  'consent.shared.*': nameEach('consent.shared.', ['owner', 'admin', 'member']),
  'review.life.*': nameEach('review.life.', ['days', 'hours', 'minutes']),
  'workspace.*.crumb': nameEach('workspace.', WORKSPACE_ACTS, '.crumb'),
  'workspace.*.final': nameEach('workspace.', WORKSPACE_ACTS, '.final'),
  'workspace.*.text': nameEach('workspace.', WORKSPACE_ACTS, '.text'),
  'workspace.*.title': nameEach('workspace.', WORKSPACE_ACTS, '.title'),
  'workspace.may.*': nameEach('workspace.may.', ['look', 'act', 'keys', 'invite', 'rename', 'own']),
  'workspace.role.*': nameEach('workspace.role.', ROLES),
  'workspace.roleText.*': nameEach('workspace.roleText.', ROLES),
  'workspace.section.*': nameEach('workspace.section.', [
    'members',
    'invitations',
    'agents',
    'keys',
    'apps',
    'connectedApps',
    'activity',
    'settings',
  ]),
  'workspace.holder.*': nameEach('workspace.holder.', ['agents', 'connectedApps']),
  'workspace.hint.*': nameEach('workspace.hint.', ['agents', 'connectedApps']),
  'workspace.no.*': nameEach('workspace.no.', ['agents', 'connectedApps']),
  'status.*': nameEach('status.', ['active', 'revoked', 'ended', 'expired', 'noLiveKey']),
};

test('the names of texts that the program puts together are known to this test, with all that they can become', (t) => {
  const found = [...code.matchAll(/`((?:\w|[.-]|\$\{[^}]*\})*)`/g)]
    .map(([, name]) => name!.replace(/\$\{[^}]*\}/g, '*'))
    .filter((name) => name.includes('*') && (sections.has(name.split('.')[0]!) || name === '*.nameless'))
    .filter((name) => name.includes('.'));
  t.deepEqual(
    [...new Set(found)].toSorted(),
    Object.keys(PUT_TOGETHER).toSorted(),
    'add the pattern to PUT_TOGETHER, or remove it',
  );
});

/** Names of texts as they stand in the code; kinds of events are spelled alike. */
const plain = [...code.matchAll(/(?<=['"`])[a-z]\w*(?:\.[\w-]+)+(?=['"`])/gi)]
  .map(([name]) => name)
  .filter((name) => sections.has(name.split('.')[0]!))
  .filter((name) => !EVENT_KINDS.some((kind) => kind === name) || Object.hasOwn(english, name));
const named = new Set([...plain, ...Object.values(PUT_TOGETHER).flat()]);
/** Files whose names look like those of texts. */
const NO_TEXTS = new Set(['account.json', 'agents.csv', 'keys.csv']);

test('every text that a template or the program names is in the catalogue', (t) => {
  t.true(plain.length > 400, String(plain.length));
  t.deepEqual(
    [...named].filter((key) => !Object.hasOwn(english, key) && !NO_TEXTS.has(key)),
    [],
  );
});

test('every text of the catalogue is named somewhere', (t) => {
  t.deepEqual(
    Object.keys(english).filter((key) => !named.has(key)),
    [],
  );
});

test('what the defaults of the configuration say is in the catalogue, in the same words', (t) => {
  t.deepEqual(
    Object.fromEntries(Object.keys(DEFAULT_TEXTS).map((key) => [key, english[key]])),
    DEFAULT_TEXTS,
  );
  const german = createTranslator('de');
  t.is(translateDefault(german, 'Read only'), 'Nur lesen');
  t.is(translateDefault(german, 'Publish a release'), 'Publish a release', 'as the operator wrote it');
});

test('every event has a sentence of its own', (t) => {
  t.false(activities.includes('activity.other'));
  for (const [index, kind] of EVENT_KINDS.flatMap((kind) => variantsOf(kind).map(() => kind)).entries()) {
    t.true(activities[index]!.startsWith(`activity.${kind}`), kind);
  }
});

for (const locale of LOCALES) {
  test(`the catalogue ${locale} has all texts, in each plural form of its language, with the same values and links`, (t) => {
    const catalogue = readCatalogue(locale);
    t.deepEqual(Object.keys(catalogue).toSorted(), Object.keys(english).toSorted());
    const categories = new Intl.PluralRules(locale).resolvedOptions().pluralCategories.toSorted();
    for (const [key, text] of Object.entries(catalogue)) {
      const model = english[key]!;
      t.is(typeof text, typeof model, key);
      if (typeof text !== 'string') t.deepEqual(Object.keys(text).toSorted(), categories, key);
      const wanted = marksOf(typeof model === 'string' ? model : model.other);
      const forms = typeof text === 'string' ? { other: text } : text;
      for (const [category, form] of Object.entries(forms)) {
        t.not(form.trim(), '', key);
        // Where there is one thing, a form may say so in words.
        const marks =
          category === 'one' ? [...new Set([...marksOf(form), '{count}'])].toSorted() : marksOf(form);
        t.deepEqual(marks, wanted, `${key} (${category})`);
      }
    }
  });

  test(`the catalogue ${locale} has no straight quotes, double spaces or three dots`, (t) => {
    const found = Object.entries(readCatalogue(locale)).filter(([, text]) =>
      (typeof text === 'string' ? [text] : Object.values(text)).some((form) => /['"]|\.\.\.| {2}/.test(form)),
    );
    t.deepEqual(found, []);
  });
}

/** The placeholders and links of a text. */
function marksOf(form: string): string[] {
  return [...new Set([...form.matchAll(/\{\w+\}|\]\(\w+\)/g)].map(([mark]) => mark))].toSorted();
}

test('German is another text than English, but for words that both have', (t) => {
  const german = readCatalogue('de');
  const alike = Object.keys(english).filter(
    (key) =>
      JSON.stringify(german[key]) === JSON.stringify(english[key]) &&
      /\p{L}{2,}/u.test(wordsOf(english[key])),
  );
  t.deepEqual(alike.toSorted(), [
    'account.export',
    'account.terminal',
    'account.terminals',
    'activity.group.apps',
    'agents.agent',
    'agents.name',
    'agents.status',
    'apps.app',
    'apps.host',
    'clients.client',
    'clients.name',
    'consent.placeIn',
    'console.csv.agent',
    'console.csv.id',
    'console.csv.name',
    'console.csv.status',
    'console.filter.clientStatus',
    'console.filter.keyStatus',
    'console.filter.status',
    'console.filter.workspaceStatus',
    'console.health.ms',
    'console.resourceServers.name',
    'console.resourceServers.url',
    'date.withTime',
    'keys.new.name',
    'keys.status',
    'mail.name',
    'workspace.apps.app',
    'workspace.holder.agents',
    'workspace.holder.connectedApps',
    'workspace.invite.placeholder',
    'workspace.person',
    'workspace.role.admin',
    'workspace.section.apps',
  ]);
});

const wordsOf = (text: unknown) => JSON.stringify(text).replace(/\{\w+\}|\]\(\w+\)/g, '');

/** Speech control finds a control by what is seen on it (WCAG 2.5.3). */
test('the name of a control contains what stands on it', (t) => {
  const LABELED =
    /<(a|button|summary)\b(?:[^<>]|<%.*?%>)*?aria-label="<%= it\.t\('([\w.]+)'.*?%>"(?:[^<>]|<%.*?%>)*?>(.*?)<\/\1>/g;
  const plainly = (text: string) => text.replace(/[…“”„]/g, '').toLowerCase();
  const formsOf = (locale: Locale, key: string) => {
    const text = readCatalogue(locale)[key]!;
    return (typeof text === 'string' ? [text] : Object.values(text)).map(plainly);
  };
  const pairs = markups.flatMap((file) =>
    [...read(file).matchAll(LABELED)].flatMap(([, , label, content]) =>
      [...content!.matchAll(/it\.t\('([\w.]+)'/g)].map(([, seen]) => [label!, seen!] as const),
    ),
  );
  t.true(pairs.length > 20, String(pairs.length));
  const other = LOCALES.flatMap((locale) =>
    pairs.filter(([label, seen]) =>
      formsOf(locale, seen).some((words) => formsOf(locale, label).some((called) => !called.includes(words))),
    ),
  );
  t.deepEqual(other, []);
});

test('no template says a text of its own', (t) => {
  const found = markups.flatMap((file) => {
    const markup = read(file)
      .replace(/<style>[\s\S]*?<\/style>/g, '')
      .replace(/<%[\s\S]*?%>/g, ' ')
      .replace(/<!--[\s\S]*?-->/g, ' ');
    const shown = markup
      .replace(/<[^>]*>/g, '\n')
      .split('\n')
      .filter((line) => /\p{L}{2,}/u.test(line.replace(/&\w+;/g, '')) && !line.trim().startsWith('/'));
    // What stands in these attributes is read to people, or shown to them.
    const attributes = [
      ...markup.matchAll(
        /\b(?:aria-label|aria-description|title|placeholder|alt|label|data-(?:label|copied|selected))="([^"]*)"/g,
      ),
    ].map(([, value]) => value!);
    const spelled = [...read(file).matchAll(/<%([\s\S]*?)%>/g)].flatMap(([, script]) =>
      [...withoutComments(script!).matchAll(QUOTED)].map(([quoted]) =>
        quoted.replace(/<[^>]*>|\$\{[^}]*\}|[\w-]+="[^"]*"/g, ' '),
      ),
    );
    return [
      ...shown,
      ...attributes.filter((value) => /\p{L}{2,}/u.test(value)),
      ...spelled.filter((words) => TEXT.test(words)),
    ].map((words) => `${file}: ${words.trim()}`);
  });
  t.deepEqual(found, []);
});

test('no code of pages and mail says a text of its own', (t) => {
  const files = sources.filter(
    (file) => /^src\/(http\/pages|mail)\/|^src\/lib\/format-/.test(file) && !/mail-styles|preview/.test(file),
  );
  t.true(files.length > 30, String(files.length));
  const found = files.flatMap((file) => {
    // What agents and developers read: failures, and what operations are for.
    const spoken = withoutComments(read(file))
      .replace(/new (?:Failure|Error)\((?:[^()]|\([^()]*\))*\)/g, '')
      .replace(/summary(?:: | = )'[^']*'/g, '')
      .replace(/(?:confirmPage|changeOperation)\([^)]*/g, '');
    return [...spoken.matchAll(QUOTED)]
      .map(([quoted]) => quoted.replace(/<[^>]*>|\$\{[^}]*\}/g, ' '))
      .filter((words) => TEXT.test(words))
      .map((words) => `${file}: ${words}`);
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

test('a text is marked up piece by piece: its words, its values by name, and its links with what they are called', (t) => {
  const catalogue = { say: '{name} has {count}: [see {name}](url)!', plain: 'Nothing to fill' };
  const { markUp } = createTranslator('en', catalogue);
  const values = { name: '<Ada>', count: 1200, url: '/a?b&c' };
  const markup = {
    words: (text: string) => text.toUpperCase(),
    value: (text: string, name: string) => `${name}=${text}`,
    link: (label: string, url: string) => `(${label} at ${url})`,
  };
  t.is(markUp('say', values, markup), 'name=<Ada> HAS count=1,200: (see <Ada> at /a?b&c)!');
  t.is(markUp('say', values, { words: (text) => text }), '<Ada> has 1,200: see <Ada>!');
  t.is(markUp('plain', {}, markup), 'NOTHING TO FILL');
  // What stands in a value is no placeholder and no link.
  t.is(
    markUp('say', { ...values, name: '{count} [a](url)' }, { words: (text) => text }),
    '{count} [a](url) has 1,200: see {count} [a](url)!',
  );
  t.throws(() => markUp('say', { name: '', count: 1 }, markup), { message: /needs the value "url"/ });
  t.throws(() => markUp('none', {}, markup), { message: /no text "none"/ });
});

test('a language is called by the name that it has in itself', (t) => {
  t.deepEqual(LOCALES.map(nameLocale), ['English', 'Deutsch']);
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
