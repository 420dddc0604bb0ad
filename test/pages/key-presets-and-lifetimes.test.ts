import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listResourceServers, removeResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { notifyOfKeyExpiry } from '../../src/domain/jobs/key-expiry-notices.ts';
import { localOrigin } from '../../src/work.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { credentialIn, fill, history, makeMany, problemIn } from '../helpers/key-pages.ts';
import { type Api, type Home, openHome, plainly } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const DAY = 86_400;

/** A file for CONFIG. */
function configFile(content: object): { path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify(content));
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}

onEveryEngine('keys for some resources alone', (engine, test) => {
  const file = configFile({
    resources: [
      { url: 'https://one.example.com', name: 'One & only' },
      { url: 'https://two.example.com/mcp', name: 'Two', scopes: ['read'] },
    ],
  });
  let home: Home;
  let apis: Api[];
  test.before(async () => {
    home = await openHome(engine, { env: { CONFIG: file.path } });
    apis = [
      await home.addApi('https://one.example.com', 'One & only'),
      await home.addApi('https://two.example.com/mcp', 'Two'),
      home.api,
    ];
  });
  test.after(async () => {
    await home.stop();
    file.remove();
  });

  /** At which of the resource servers a key works. */
  const works = async (credential: string) =>
    (await Promise.all(apis.map(({ ask }) => ask(credential)))).map(({ active }) => active);

  test('the form offers those of the configuration and those that may ask, each once', async (t) => {
    const browser = await home.signIn(newMailbox(), '/keys/new');
    const { text } = await browser.get('/keys/new');
    t.deepEqual(
      [...text.matchAll(/name="resource:([^"]*)" value="on"><span><b>([^<]*)<\/b>/g)].map((found) =>
        found.slice(1, 3),
      ),
      [
        ['https://one.example.com', 'One &amp; only'],
        ['https://two.example.com/mcp', 'Two'],
        ['https://api.example.com', 'The API'],
      ],
    );
  });

  test('a key for some works there, and nowhere else; a key for none in particular works everywhere', async (t) => {
    const browser = await home.signIn(newMailbox());
    const make = async (...urls: string[]) => {
      const boxes = Object.fromEntries(urls.map((url) => [`resource:${url}`, 'on']));
      const credential = credentialIn(await fill(browser, boxes));
      const { data } = (await home.on.get('/api/me', credential)).body;
      return { resources: data.key.resources, works: await works(credential) };
    };
    const [one, two, three] = apis.map(({ url }) => url) as [string, string, string];
    t.deepEqual(await make(one), { resources: [one], works: [true, false, false] });
    t.deepEqual(await make(two, three), { resources: [two, three], works: [false, true, true] });
    t.deepEqual(await make(), { resources: undefined, works: [true, true, true] });
    t.regex((await history(browser)).at(-1)!.text, /Only at https:\/\/one\.example\.com</);
    const { text } = await fill(browser, { name: '', [`resource:${two}`]: 'on' });
    t.regex(text, /name="resource:https:\/\/two\.example\.com\/mcp" value="on" checked>/);
    t.regex(text, /name="resource:https:\/\/one\.example\.com" value="on">/);
  });

  test('one in place of another is filled in alike: name, scopes and resources; one of somebody else counts as none', async (t) => {
    const browser = await home.signIn(newMailbox());
    const made = await fill(browser, {
      name: 'Old "one"',
      preset: 'choose',
      'scope:write': 'on',
      [`resource:${apis[1]!.url}`]: 'on',
      life: '7',
    });
    const { id } = (await home.on.get('/api/me', credentialIn(made))).body.data.key;
    const filled = [
      'value="Old &quot;one&quot;"',
      'name="preset" value="choose" checked',
      'name="scope:write" value="on" checked',
      `name="resource:${apis[1]!.url}" value="on" checked`,
    ];
    const { text } = await browser.get(`/keys/new?like=${id}`);
    for (const part of [...filled, 'name="life" value="90" checked']) t.true(text.includes(part), part);
    for (const other of ['scope:read', `resource:${apis[0]!.url}`]) {
      t.true(text.includes(`name="${other}" value="on">`), other);
    }

    const preset = await fill(browser, { name: 'by preset', preset: 'read-write' });
    const { id: presetId } = (await home.on.get('/api/me', credentialIn(preset))).body.data.key;
    const again = (await browser.get(`/keys/new?like=${presetId}`)).text;
    t.true(again.includes('name="preset" value="read-write" checked'));
    t.false(again.includes('value="on" checked'));

    const stranger = await home.signIn(newMailbox());
    const empty = plainly((await stranger.get('/keys/new')).text);
    for (const like of [id, 'key_0', 'agt_0', '', "key_'%20OR%201=1", '%00']) {
      const page = await stranger.get(`/keys/new?like=${like}`);
      t.deepEqual([page.status, plainly(page.text)], [200, empty], like);
    }

    home.on.clock.advance(901);
    const led = await browser.get(`/keys/new?like=${id}`);
    t.is(led.path, `/sign-in/again?next=/keys/new?like=${id}`, 'a fresh code leads back to it');
  });

  test('one that was taken out of service is offered no more', async (t) => {
    const gone = await home.addApi('https://gone.example.com', 'Gone');
    const browser = await home.signIn(newMailbox(), '/keys/new');
    await browser.get('/keys/new');
    const fields = {
      ...browser.form('/keys/new'),
      name: 'x',
      [`resource:${gone.url}`]: 'on',
      preset: 'read-only',
    };
    const { deps } = home.on.service;
    const { id } = (await listResourceServers(deps)).find(({ url }) => url === gone.url)!;
    await removeResourceServer(deps, localOrigin('test'), id);
    const page = await browser.send('/keys/new', fields);
    t.is(page.status, 400);
    t.regex(problemIn(page)!, /isn’t offered any more/);
    t.false(page.text.includes(gone.url));
  });
});

onEveryEngine('presets of the operator', (engine, test) => {
  test('take the place of ours', async (t) => {
    const file = configFile({
      scopes: {
        read: { description: 'Look' },
        'mail:send': { description: 'Send <mail>' },
        admin: { description: 'Everything' },
      },
      claimedScopes: ['read'],
      presets: {
        poster: { title: 'Post & chat', scopes: ['mail:send', 'read'], goodFor: 'Newsletters "and" more' },
        boss: {
          title: 'All',
          scopes: ['admin', 'mail:send', 'read'],
          goodFor: 'You alone',
          recommended: true,
        },
      },
    });
    t.teardown(() => file.remove());
    const home = await openHome(engine, { env: { CONFIG: file.path } });
    t.teardown(() => home.on.stop()); // our oracle knows the default scopes alone
    const browser = await home.signIn(newMailbox(), '/keys/new');
    const { text } = await browser.get('/keys/new');
    t.deepEqual(
      [...text.matchAll(/name="preset" value="([^"]*)"( checked)?>/g)].map(([, name, on]) => [name, on]),
      [
        ['poster', undefined],
        ['boss', ' checked'],
        ['choose', undefined],
      ],
    );
    t.regex(
      text,
      /<b>Post &amp; chat<\/b>.*Newsletters &quot;and&quot; more<.*>mail:send<\/span> <span class="chip">read</,
    );
    t.regex(
      text,
      /name="scope:mail:send" value="on"> <span>Send &lt;mail&gt; <span class="chip">mail:send<\/span><\/span>/,
    );

    const scopesOf = async (fields: Record<string, string>) => {
      const { scope } = await home.api.ask(credentialIn(await fill(browser, fields)));
      return scope;
    };
    t.is(await scopesOf({ preset: 'poster' }), 'mail:send read');
    t.is(await scopesOf({ preset: 'boss' }), 'admin mail:send read');
    t.is(await scopesOf({ preset: 'choose', 'scope:mail:send': 'on' }), 'mail:send');
    for (const preset of ['read-only', 'read-write']) {
      const page = await fill(browser, { preset });
      t.is(page.status, 400, preset);
      t.is(problemIn(page), 'Choose at least one permission.');
    }
  });

  test('of which there are none leave single scopes', async (t) => {
    const file = configFile({ presets: {} });
    t.teardown(() => file.remove());
    const home = await openHome(engine, { env: { CONFIG: file.path } });
    t.teardown(() => home.stop());
    const browser = await home.signIn(newMailbox(), '/keys/new');
    const { text } = await browser.get('/keys/new');
    t.deepEqual(text.match(/name="preset" value="[^"]*"[^>]*>/g), ['name="preset" value="choose" checked>']);
    credentialIn(await fill(browser, { preset: 'choose', 'scope:read': 'on' }));
  });
});

/** The choices of life, and how many days before the end a mail comes. */
const LIVES = [
  { life: '7', days: 7, warned: 1 },
  { life: '30', days: 30, warned: 7 },
  { life: '90', days: 90, warned: 7 },
  { life: '365', days: 365, warned: 7 },
];

onEveryEngine('keys and time', (engine, test) => {
  test('a key works as long as was chosen, and not a second longer; its end is in its history', async (t) => {
    const home = await openHome(engine);
    t.teardown(() => home.stop('swept'));
    const { on } = home;
    const mailbox = newMailbox();
    const browser = await home.signIn(mailbox);
    const madeAt = on.clock();
    const forever = credentialIn(await fill(browser, { life: 'never' }));
    const unsaid = credentialIn(await fill(browser));
    const keys = [];
    for (const { life, days } of LIVES) {
      const credential = credentialIn(await fill(browser, { life, name: `for ${life}` }));
      const endsAt = madeAt + days * DAY * 1000;
      const { data } = (await on.get('/api/me', credential)).body;
      t.is(Date.parse(data.key.expires_at), endsAt);
      t.is((await home.api.ask(credential)).exp, Math.floor(endsAt / 1000));
      keys.push({ credential, endsAt });
    }
    for (const { credential, endsAt } of keys) {
      on.clock.advance((endsAt - on.clock()) / 1000 - 1);
      t.true((await home.api.ask(credential)).active);
      on.clock.advance(1);
      t.deepEqual(await home.api.ask(credential), { active: false });
      t.is(said(await on.get('/api/me', credential)), '401 invalid_token');
    }
    on.clock.advance(3650 * DAY);
    t.true((await home.api.ask(forever)).active);
    t.deepEqual(await home.api.ask(unsaid), { active: false }, 'who says nothing gets ninety days');

    const later = await history(await home.signIn(mailbox));
    t.deepEqual(
      later.map(({ name, isStruck, canEnd }) => [name, isStruck, canEnd]),
      [
        ['script', false, true],
        ...LIVES.map(({ life }) => [`for ${life}`, true, false]).toReversed(),
        ['script', true, false],
      ],
    );
    for (const { text } of later.slice(1))
      t.regex(text, /Expired <time datetime="[^"]*" title="\d+ \w+ \d{4}, [0-9:]+ UTC">/);
  });

  test('in its last week it is pointed out, with a way to replace it', async (t) => {
    const home = await openHome(engine);
    t.teardown(() => home.stop('swept'));
    const mailbox = newMailbox();
    const browser = await home.signIn(mailbox);
    const { id } = (
      await home.on.get('/api/me', credentialIn(await fill(browser, { name: 'Soon', life: '30' })))
    ).body.data.key;
    await fill(browser, { name: 'Forever', life: 'never' });
    const noticed = async () => {
      const { text } = await (await home.signIn(mailbox)).get('/keys');
      return /<div class="notice warn">[\s\S]*?<p>([\s\S]*?)<\/p>/.exec(text)?.[1];
    };
    home.on.clock.advance(23 * DAY);
    t.is(await noticed(), undefined, 'a whole week is left');
    home.on.clock.advance(2 * DAY);
    t.is(
      await noticed(),
      `<b><bdi>Soon</bdi></b> expires in 5 days. Keys can’t be renewed: create a new one and swap it in. <a href="/keys/new?like=${id}">Create a replacement</a>`,
    );
    t.regex((await history(await home.signIn(mailbox))).at(-1)!.text, /class="badge warn">.*In 5 days</);
    home.on.clock.advance(4 * DAY);
    t.regex((await noticed())!, /expires tomorrow/);
    home.on.clock.advance(DAY);
    t.is(await noticed(), undefined, 'it has expired');
  });

  test('what has expired makes room for others', async (t) => {
    const home = await openHome(engine);
    t.teardown(() => home.stop('swept'));
    const { on } = home;
    const mailbox = newMailbox();
    await home.signIn(mailbox);
    const account = await home.accountOf(mailbox);
    await makeMany(home, account, 100, 7);
    on.clock.advance(7 * DAY - 1);
    const browser = await home.signIn(mailbox);
    t.is((await fill(browser)).status, 400);
    on.clock.advance(1);
    credentialIn(await fill(browser));
  });

  test('its owner is told by mail before it ends: a week before, or of a week the last day; once, however many do it', async (t) => {
    const home = await openHome(engine);
    t.teardown(() => home.stop('swept'));
    const { on } = home;
    const { deps } = on.service;
    const [mailbox, other] = [newMailbox(), newMailbox()];
    const browser = await home.signIn(mailbox);
    const madeAt = on.clock();
    const idOf = async (credential: string) =>
      (await on.get('/api/me', credential)).body.data.key.id as string;
    const keys = [];
    for (const { life, days, warned } of LIVES) {
      const id = await idOf(credentialIn(await fill(browser, { life, name: `for ${life}` })));
      keys.push({ id, name: `for ${life}`, warnAt: madeAt + (days - warned) * DAY * 1000 });
    }
    await fill(browser, { life: 'never', name: 'forever' });
    const revoked = await idOf(credentialIn(await fill(browser, { life: '30', name: 'revoked' })));
    await browser.get(`/keys/${revoked}/revoke`);
    await browser.post(`/keys/${revoked}/revoke`);
    const bystander = await home.signIn(other);
    await fill(bystander, { life: 'never' });
    // What was made after the first mail is told in a second one, an hour later.
    await Promise.all([mailbox, other].map(home.settled));
    on.clock.advance(3600);
    await home.settled(mailbox);
    const noticesTo = (owner: string) => on.notices.filter(({ to }) => to === owner);
    const before = noticesTo(mailbox).length;
    const told = () => countOf(on, `events WHERE kind = 'key.expiring'`);

    for (const [index, { id, name, warnAt }] of keys.entries()) {
      on.clock.advance((warnAt - on.clock()) / 1000 - 1);
      await notifyOfKeyExpiry(deps);
      t.is(await told(), index, name);
      on.clock.advance(1);
      await atOnce(4, () => notifyOfKeyExpiry(deps));
      t.is(await told(), index + 1, name);
      t.is(await home.eventsOf('key.expiring', id), 1);
      await home.settled(mailbox);
      t.is(noticesTo(mailbox).length, before + index + 1);
      t.deepEqual(
        noticesTo(mailbox)
          .at(-1)!
          .happened.map(({ kind, keyName }) => ({ kind, keyName })),
        [{ kind: 'key.expiring', keyName: name }],
      );
    }
    on.clock.advance(400 * DAY);
    await atOnce(4, () => notifyOfKeyExpiry(deps));
    t.is(await told(), keys.length);
    t.is(await home.eventsOf('key.expiring', revoked), 0);
    await home.settled(mailbox);
    await home.settled(other);
    t.is(noticesTo(mailbox).length, before + keys.length);
    t.is(noticesTo(other).length, 1);
  });

  test('of a key that ended while nobody could tell, nobody is told', async (t) => {
    const home = await openHome(engine);
    t.teardown(() => home.stop('swept'));
    const browser = await home.signIn(newMailbox());
    await fill(browser, { life: '7' });
    home.on.clock.advance(7 * DAY);
    await notifyOfKeyExpiry(home.on.service.deps);
    t.is(await countOf(home.on, `events WHERE kind = 'key.expiring'`), 0);
    t.is(await countOf(home.on, 'credentials WHERE warn_at IS NOT NULL'), 0);
  });
});
