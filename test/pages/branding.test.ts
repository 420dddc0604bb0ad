import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { contrast, readableOn } from '../../src/lib/color.ts';
import { deriveColors, THEMES } from '../../src/lib/theme.ts';
import { openBrowser, type Page } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { signIn } from '../helpers/human.ts';
import { assertProperty } from '../helpers/property.ts';
import { startTestService, TEST_SECRET, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

let folder: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-branding-'));
});
test.after(() => rmSync(folder, { recursive: true }));

let count = 0;
/** A folder with these files. */
function folderWith(files: Record<string, string>): string {
  count += 1;
  const path = join(folder, `folder-${count}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}
/** The setting that names a configuration file with this in it. */
const config = (content: object) => ({
  CONFIG: join(folderWith({ 'config.json': JSON.stringify(content) }), 'config.json'),
});
const load = (env: Record<string, string>) => loadConfig({ SECRET: TEST_SECRET, ...env });

/** The start stops with a sentence, and that names what is wrong. */
function assertRefused(t: ExecutionContext, env: Record<string, string>, ...names: string[]): void {
  const { message } = t.throws(() => load(env), { instanceOf: ConfigError }, JSON.stringify(env));
  t.regex(message, /^[A-Z].*\.$/);
  for (const name of names) t.true(message.includes(name), message);
}

const policyOf = ({ headers }: Page) => headers.get('content-security-policy')!.split('; ');

test.describe('the accent', (test) => {
  const PAPERS = ['#fbfaf6', '#161613'];
  const colour = fc.integer({ min: 0, max: 0xffffff }).map((n) => `#${n.toString(16).padStart(6, '0')}`);

  test('contrast is that of WCAG: the same both ways, 1 to 21', (t) => {
    for (const [one, other, expected] of [
      ['#000000', '#ffffff', 21],
      ['#777777', '#777777', 1],
      ['#767676', '#ffffff', 4.54],
      ['#ff0000', '#ffffff', 4],
      ['#0000ff', '#000000', 2.44],
    ] as const) {
      t.is(Math.round(contrast(one, other) * 100) / 100, expected);
      t.is(contrast(one, other), contrast(other, one));
    }
  });

  test('any colour can be read on both papers once it is made readable, and is left alone where it was', async (t) => {
    for (const paper of PAPERS) {
      await assertProperty(
        t,
        [colour],
        (t, any) => {
          const readable = readableOn(paper, any);
          t.regex(readable, /^#[0-9a-f]{6}$/);
          t.true(contrast(readable, paper) >= 4.5, `${any} on ${paper}`);
          if (contrast(any, paper) >= 4.5) t.is(readable, any);
        },
        { numRuns: 5000 },
      );
    }
  });

  test('links, and what stands on buttons, can be read by day and by night, whatever the operator chose', async (t) => {
    await assertProperty(
      t,
      [fc.oneof(colour, fc.constantFrom('#000000', '#ffffff', '#ffcc00', '#FF00ff', '#0b6351'))],
      (t, base) => {
        for (const theme of ['light', 'dark'] as const) {
          const { accent, hover, soft, on } = deriveColors(base, theme);
          const { surface, ground } = THEMES[theme];
          for (const background of [surface, ground, soft]) {
            t.true(contrast(accent, background) >= 4.5, `${base}, ${theme}: ${accent} on ${background}`);
          }
          t.true(contrast(accent, on) >= 4.5, `${base}, ${theme}: button`);
          t.true(contrast(hover, on) >= 4.5, `${base}, ${theme}: button under the pointer`);
        }
      },
      { numRuns: 300 },
    );
  });

  test('the stylesheet and the icon have it', async (t) => {
    const on = await startTestService('sqlite', { env: config({ service: { accent: '#8a2be2' } }) });
    t.teardown(() => on.stop());
    t.regex((await on.get('/assets/style.css')).text, /--accent: light-dark\(#8a2be2, /);
    t.regex((await on.get('/assets/icon.svg')).text, /fill="#8a2be2"/);
  });

  test('what is no colour is refused by name', (t) => {
    for (const accent of [
      'red',
      '#fff',
      '#12345g',
      '#1234567',
      'rgb(0,0,0)',
      '#000000;}body{display:none',
      '',
    ]) {
      assertRefused(t, config({ service: { accent } }), 'service.accent');
    }
  });
});

test.describe('whose service it is', (test) => {
  const SERVICE = {
    name: 'Smith & <b>Sons</b>',
    logoUrl: 'https://cdn.example.com:8443/logo.svg?a=1&b="2"',
    contact: 'help@smith.example"><script>alert(1)</script>',
    imprintUrl: 'https://smith.example/imprint?a=1&b=2',
    termsUrl: 'https://smith.example/terms?x="><script>alert(1)</script>',
    privacyUrl: 'http://smith.example/privacy',
  };
  const NAME = 'Smith &amp; &lt;b&gt;Sons&lt;/b&gt;';
  let on: TestService;
  test.before(async () => {
    on = await startTestService('sqlite', { env: config({ service: SERVICE }) });
  });
  test.after(() => on.stop());

  /** Pages of all kinds: for strangers, for who is signed in, of failures. */
  async function pagesOf(service: TestService): Promise<Page[]> {
    const stranger = openBrowser(service);
    const human = await signIn(service, 'human@example.com');
    return [
      await stranger.get('/sign-in'),
      await stranger.get('/claim'),
      await stranger.get('/nowhere'),
      await stranger.send('/sign-in', { email: 'x@example.com' }),
      await human.get('/account'),
      await human.get('/agents/agt_0'),
      await human.get('/keys/new'),
      await human.get('/account/authenticator'),
      await stranger.get('/dev/mailbox'),
    ];
  }

  test('stands on every page: name, logo, and links in the footer, as text and nothing else', async (t) => {
    for (const { status, text, path } of await pagesOf(on)) {
      const about = `${path} ${status}`;
      t.regex(text, new RegExp(`<title>[^<]+ · ${NAME}</title>`), about);
      const brand = /<(p|a) class="brand"[^>]*>([\s\S]*?)<\/\1>/.exec(text)![2]!;
      t.is(
        brand,
        `<img src="https://cdn.example.com:8443/logo.svg?a=1&amp;b=&quot;2&quot;" alt=""><span>${NAME}</span>`,
        about,
      );
      const footer = /<footer class="foot">([\s\S]*?)<\/footer>/.exec(text)![1]!;
      t.deepEqual(
        [...footer.matchAll(/<a href="([^"]*)">([^<]*)<\/a>/g)].map(([, url, name]) => [name, url]),
        [
          ['Imprint', 'https://smith.example/imprint?a=1&amp;b=2'],
          ['Terms', 'https://smith.example/terms?x=&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;'],
          ['Privacy', 'http://smith.example/privacy'],
        ],
        about,
      );
      t.regex(footer, /Help: help@smith\.example&quot;&gt;&lt;script&gt;alert\(1\)&lt;\/script&gt;<\/span>/);
      t.notRegex(text, /<script>|<b>Sons/, about);
    }
  });

  test('the logo is the one thing from elsewhere that a page may load: its origin alone is allowed, for images', async (t) => {
    for (const page of await pagesOf(on)) {
      const policy = policyOf(page);
      t.true(policy.includes("img-src 'self' https://cdn.example.com:8443"), policy.join('; '));
      const others = policy.filter((part) => !part.startsWith('img-src'));
      for (const part of others) t.notRegex(part, /unsafe|\*|https?:|data:/);
      t.true(policy.includes("default-src 'none'") && policy.includes("script-src 'self'"));
    }
  });

  test('without a setting there is no image, no foreign origin and no footer', async (t) => {
    const plain = await startTestService('sqlite');
    t.teardown(() => plain.stop());
    for (const page of await pagesOf(plain)) {
      t.notRegex(page.text, /<img|<footer class="foot"/, page.path);
      t.true(policyOf(page).includes("img-src 'self'"), page.path);
      t.regex(page.text, / · Vouchsafe<\/title>/);
    }
  });

  test('each link in the footer is there for itself', async (t) => {
    const env = config({ service: { contact: 'help@example.com' } });
    const one = await startTestService('sqlite', { env });
    t.teardown(() => one.stop());
    const { text } = await openBrowser(one).get('/sign-in');
    const footer = /<footer class="foot">([\s\S]*?)<\/footer>/.exec(text)![1]!;
    t.is(
      footer.replaceAll(/\s*\n\s*/g, ''),
      '<div class="wide"><span class="help">Help: help@example.com</span></div>',
    );
  });

  test('mail is in its name: subject, text and HTML', async (t) => {
    await signIn(on, 'mailed@example.com');
    await on.claimed('mailed@example.com');
    const { mails } = (await on.request('GET', '/dev/mailbox.json')).body;
    t.true(mails.length >= 2);
    for (const { subject, text, html } of mails) {
      t.truthy(subject.startsWith(`${SERVICE.name}: `), subject);
      t.truthy(text.includes(SERVICE.name) && html.includes(NAME));
      t.notRegex(html, /<b>Sons|<img|<script/);
    }
  });

  test('what is no web address is refused by name', (t) => {
    for (const name of ['logoUrl', 'imprintUrl', 'termsUrl', 'privacyUrl']) {
      for (const url of [
        'logo.svg',
        '/logo.svg',
        'javascript:alert(1)',
        'data:image/svg+xml,x',
        'ftp://a.example/x',
        '',
      ]) {
        assertRefused(t, config({ service: { [name]: url } }), `service.${name}`);
      }
    }
  });
});

test.describe('templates of the operator', (test) => {
  test('take the place of ours of the same name, a page and a mail; all others stay ours', async (t) => {
    const TEMPLATES_DIR = folderWith({
      'pages/sign-in.eta': `<% layout('./layout', { ...it, title: 'Welcome' }); %>
<h1>Welcome at <%= it.service.name %></h1>
<form method="post" action="/sign-in">
<input type="hidden" name="csrf" value="<%= it.csrf %>">
<input type="hidden" name="next" value="<%= it.next %>">
<input name="email" value="<%= it.email ?? '' %>">
</form>`,
      'pages/timeline.eta': `<ul id="theirs"><% it.activity.forEach((one) => { %><li><%~ it.happening(one).html %></li><% }) %></ul>`,
      'mail/sign-in-code.txt.eta': 'Dear friend of <%= mail.service.name %>,\n\n    <%= mail.code %>\n',
    });
    const on = await startTestService('sqlite', { env: { TEMPLATES_DIR } });
    t.teardown(() => on.stop());

    const browser = openBrowser(on);
    const welcome = await browser.get('/sign-in');
    t.is(heading(welcome), 'Welcome at Vouchsafe');
    t.regex(
      welcome.text,
      /<title>Welcome · Vouchsafe<\/title>[\s\S]*<link rel="stylesheet" href="\/assets\/style\.[0-9a-f]{12}\.css">/,
    );
    t.deepEqual(policyOf(welcome), policyOf(await browser.get('/sign-in/code')));
    await browser.get('/sign-in');
    const refused = await browser.post('/sign-in', { email: '"><script>alert(1)</script>' });
    t.true(refused.text.includes('value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"'));

    await browser.get('/sign-in');
    t.is(heading(await browser.post('/sign-in', { email: 'a@example.com' })), 'Check your email');
    await browser.post('/sign-in/code', { code: await on.signInCodeFor('a@example.com') });
    const { mails } = (await on.request('GET', '/dev/mailbox.json')).body;
    t.regex(mails[0].text, /^Dear friend of Vouchsafe,\n\n {4}\d{6}\n$/);
    t.regex(mails[0].html, /<h1 [^>]*>Your sign-in code<\/h1>/);

    // A part that a page of ours includes.
    const activity = await browser.get('/account/activity');
    t.is(heading(activity), 'Activity');
    t.regex(activity.text, /<ul id="theirs"><li>You signed in<\/li><li>Your account was created<\/li><\/ul>/);
  });

  test('a layout of theirs is around every page of ours, and so is their stylesheet', async (t) => {
    const TEMPLATES_DIR = folderWith({
      'pages/layout.eta':
        '<!doctype html>\n<title><%= it.title %></title><link rel="stylesheet" href="/assets/style.css"><main id="theirs"><%~ it.body %></main>',
      'pages/style.css.eta': ':root { --ours: <%= it.colors.light.accent %>; }',
    });
    const on = await startTestService('sqlite', { env: { TEMPLATES_DIR } });
    t.teardown(() => on.stop());
    for (const path of ['/sign-in', '/claim', '/nowhere', '/dev/mailbox']) {
      t.regex(
        (await openBrowser(on).get(path)).text,
        /^<!doctype html>\n<title>[^<]+<\/title>.*<main id="theirs">/,
      );
    }
    t.is((await on.get('/assets/style.css')).text, ':root { --ours: #0b6351; }');
  });

  test('an empty folder, and one without either room, change nothing', (t) => {
    for (const TEMPLATES_DIR of [
      folderWith({}),
      folderWith({ 'pages/sign-in.eta': 'x' }),
      folderWith({ 'mail/notice.txt.eta': 'x' }),
    ]) {
      t.is(load({ TEMPLATES_DIR }).templatesDir, TEMPLATES_DIR);
    }
  });

  test('the start stops with a sentence about a folder that is none, a file that takes no place, and one that does not compile', (t) => {
    const noFolder = join(folder, 'nowhere');
    assertRefused(t, { TEMPLATES_DIR: noFolder }, 'TEMPLATES_DIR', noFolder);
    const file = join(folderWith({ 'a-file': 'x' }), 'a-file');
    assertRefused(t, { TEMPLATES_DIR: file }, 'TEMPLATES_DIR', file);

    for (const name of [
      'pages/signin.eta',
      'pages/notice.txt.eta',
      'mail/sign-in.eta',
      'mail/notice.eta',
      'pages/sign-in.eta~',
    ]) {
      assertRefused(t, { TEMPLATES_DIR: folderWith({ [name]: 'Hello' }) }, 'TEMPLATES_DIR', name);
    }
    for (const broken of [
      '<% if (it.x) { %>',
      '<%= it. %>',
      '<% } %>',
      'Hello <%= it.service.name',
      '<% const const %>',
    ]) {
      for (const name of ['pages/sign-in.eta', 'mail/notice.html.eta']) {
        const TEMPLATES_DIR = folderWith({ 'pages/layout.eta': '<%~ it.body %>', [name]: broken });
        assertRefused(t, { TEMPLATES_DIR }, 'TEMPLATES_DIR', name, 'does not compile');
      }
    }
  });

  test('the program says so, with exit code 2 and nothing else', async (t) => {
    const cwd = folderWith({});
    const TEMPLATES_DIR = folderWith({ 'pages/signin.eta': 'Hello' });
    const { code, stdout, stderr } = await vouchsafe(['serve'], cwd, { TEMPLATES_DIR });
    t.deepEqual([code, stdout], [2, '']);
    t.regex(stderr, /^TEMPLATES_DIR holds pages\/signin\.eta, which is no template of ours\.\n$/);
    t.deepEqual(readdirSync(cwd), []);
  });
});

test.describe('vouchsafe mail preview', (test) => {
  test('writes every mail, as text and HTML, filled with examples, and touches nothing else', async (t) => {
    const cwd = folderWith({});
    const target = join(cwd, 'deep', 'preview');
    const { code, stdout, stderr } = await vouchsafe(['mail', 'preview', target], cwd);
    t.is(code, 0, stderr);
    const files = readdirSync(target).toSorted();
    t.deepEqual(
      stdout.trim().split('\n').toSorted(),
      files.map((file) => join(target, file)),
    );
    t.deepEqual(readdirSync(cwd), ['deep']);

    // Each template of ours is one of them, but what they share.
    const templates = readdirSync(new URL('../../templates/mail/', import.meta.url));
    for (const name of templates.filter((each) => !each.startsWith('layout.'))) {
      t.true(files.includes(name.replace(/\.eta$/, '')), name);
    }
    for (const file of files) {
      const content = readFileSync(join(target, file), 'utf8');
      t.notRegex(content, /<%|undefined|\[object|NaN/, file);
      if (file.endsWith('.txt')) t.regex(content, /^Subject: Vouchsafe: \S.*\n\n\S/, file);
      else t.regex(content, /^<!doctype html>[\s\S]*Vouchsafe[\s\S]*<\/html>\s*$/, file);
    }
    t.regex(readFileSync(join(target, 'claim-code.txt'), 'utf8'), /123456[\s\S]*Research helper/);
    t.regex(readFileSync(join(target, 'claim-link.txt'), 'utf8'), /\/claim\?t=/);
    t.regex(readFileSync(join(target, 'notice.html'), 'utf8'), /Backup script/);
  });

  test('shows the operator’s templates and name, into ./mail-preview unless told where, and again', async (t) => {
    const cwd = folderWith({
      'vouchsafe.config.json': JSON.stringify({ service: { name: 'Smith & Sons' } }),
      'theirs/mail/notice.txt.eta': 'News from <%= mail.service.name %>',
    });
    for (let times = 0; times < 2; times += 1) {
      const env = { TEMPLATES_DIR: join(cwd, 'theirs') };
      const { code, stdout, stderr } = await vouchsafe(['mail', 'preview', '--json'], cwd, env);
      t.is(code, 0, stderr);
      t.true(JSON.parse(stdout).files.length >= 8);
      t.is(
        readFileSync(join(cwd, 'mail-preview', 'notice.txt'), 'utf8'),
        'Subject: Smith & Sons: 2 things happened in your account\n\nNews from Smith & Sons',
      );
      t.regex(
        readFileSync(join(cwd, 'mail-preview', 'notice.html'), 'utf8'),
        /<\/span>&nbsp;Smith &amp; Sons<\/td>/,
      );
    }
  });

  test('is refused with a sentence where the settings are wrong', async (t) => {
    const cwd = folderWith({});
    const { code, stderr } = await vouchsafe(['mail', 'preview', 'x'], cwd, {
      TEMPLATES_DIR: join(cwd, 'none'),
    });
    t.is(code, 2);
    t.regex(stderr, /^TEMPLATES_DIR is no folder: .*\.\n$/);
    t.deepEqual(readdirSync(cwd), []);
  });
});

test.describe('presets', (test) => {
  const preset = (more: object = {}) => ({ title: 'Read', scopes: ['read'], goodFor: 'Reports.', ...more });

  test('with an unknown scope, or two of them recommended, are refused by a sentence', (t) => {
    assertRefused(t, config({ presets: { fly: preset({ scopes: ['read', 'fly'] }) } }), '"fly"', 'scopes');
    const recommended = preset({ recommended: true });
    assertRefused(t, config({ presets: { one: recommended, two: recommended } }), 'presets', 'recommended');
    for (const [name, presets] of [
      ['presets.one.scopes', { one: preset({ scopes: [] }) }],
      ['presets.one.title', { one: preset({ title: '' }) }],
      ['presets.one.goodFor', { one: preset({ goodFor: undefined }) }],
      ['presets', { 'Read only': preset() }],
      ['colour', { one: preset({ colour: 'red' }) }],
    ] as const) {
      assertRefused(t, config({ presets }), name);
    }
  });

  test('are by default those whose scopes there are', (t) => {
    t.deepEqual([...load({}).presets.keys()], ['read-only', 'read-write']);
    const scopes = { read: { description: 'Look' }, admin: { description: 'All' } };
    const env = config({ scopes, anonymousScopes: ['read'], claimedScopes: ['read', 'admin'] });
    t.deepEqual([...load(env).presets.keys()], ['read-only']);
  });

  test('are offered as the operator wrote them, the recommended one chosen, and give their scopes', async (t) => {
    const env = config({
      scopes: {
        read: { description: 'Look' },
        write: { description: 'Change' },
        admin: { description: 'All' },
      },
      presets: {
        all: preset({
          title: 'All & <i>more</i>',
          scopes: ['admin', 'read', 'write'],
          goodFor: 'You "know".',
        }),
        look: preset({ title: 'Look', recommended: true }),
      },
    });
    const on = await startTestService('sqlite', { env });
    t.teardown(() => on.stop());
    const browser = await signIn(on, 'a@example.com');
    const { text } = await browser.get('/keys/new');
    t.deepEqual(
      [...text.matchAll(/name="preset" value="([^"]*)"( checked)?/g)].map(([, name, on]) => [name, !!on]),
      [
        ['all', false],
        ['look', true],
        ['choose', false],
      ],
    );
    t.regex(
      text,
      /<b>All &amp; &lt;i&gt;more&lt;\/i&gt;<\/b><span class="hint">You &quot;know&quot;\.<\/span><span class="chips"><span class="chip">admin<\/span> <span class="chip">read<\/span> <span class="chip">write<\/span>/,
    );
    const made = await browser.post('/keys/new', { name: 'Mine', preset: 'all', life: 'never' });
    const key = /<code id="key">([^<]*)</.exec(made.text)![1]!;
    t.deepEqual((await on.get('/api/me', key)).body.data.scopes, ['admin', 'read', 'write']);
  });
});
