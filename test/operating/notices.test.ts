import type { ExecutionContext } from 'ava';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { phraseActivity } from '../../src/lib/format-activity.ts';
import { createTranslator } from '../../src/lib/translate.ts';
import type { NoticeMail } from '../../src/ports/mailer.ts';
import { localOrigin } from '../../src/work.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { ceremony, codeOf, countOf, from } from '../helpers/ceremony.ts';
import { DENIED, heading } from '../helpers/claim-page.ts';
import { type CommitWatch, watchCommits } from '../helpers/commits.ts';
import { newMailbox } from '../helpers/common.ts';
import {
  appCode,
  recoveryCodesOn,
  SESSION,
  secretOn,
  setUpApp,
  signIn,
  typeMailedCode,
} from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const HOME = from('203.0.113.7');
const HOME_NETWORK = '203.0.x.x';
const AWAY = from('198.51.100.9');
const HOUR = 3600;
const APP_PAGE = '/account/authenticator';

const english = createTranslator('en');

/** What a mail tells, each event in its sentence. */
const linesOf = (mail: NoticeMail) =>
  mail.happened.map((event) => {
    const { key, values } = phraseActivity(english, event);
    return english.text(key, values);
  });

onEveryEngine('mail about what happened in an account (S-48)', (engine, test) => {
  let on: TestService;
  let watch: CommitWatch;
  test.before(async () => {
    watch = watchCommits();
    on = await startTestService(engine, { wrapDb: watch.wrapDb, env: { TRUST_PROXY: '1' } });
  });
  test.after(() => on.stop());

  /** Lets the outbox work until all that is due has left. */
  async function settled(): Promise<void> {
    const { db, wakeOutbox } = on.service.deps;
    wakeOutbox();
    await watch.until(async () => {
      const row = await db.get<{ n: number }>(
        `SELECT COUNT(*) AS n FROM outbox
         WHERE sent_at IS NULL AND dead_at IS NULL AND (tries > 0 OR next_at <= ?)`,
        [on.clock()],
      );
      return row!.n === 0;
    });
  }

  /** Lets so much time pass that everything is told, and that what happens next is told at once. */
  async function quiet(): Promise<void> {
    await settled();
    // A little more than an hour: it may be counted from the end of the time that a worker has for a mail.
    on.clock.advance(HOUR + 60);
    await settled();
    on.clock.advance(HOUR + 60);
  }

  const noticesTo = (mailbox: string) => on.notices.filter(({ to }) => to === mailbox);

  /** The one mail that a change leads to at once, in an account where nothing happened lately. */
  async function toldOf(
    t: ExecutionContext,
    mailbox: string,
    change: (t: ExecutionContext) => Promise<unknown>,
  ): Promise<NoticeMail> {
    await quiet();
    const earlier = noticesTo(mailbox).length;
    await change(t);
    await settled();
    const mails = noticesTo(mailbox).slice(earlier);
    t.is(mails.length, 1);
    return mails[0]!;
  }

  const come = (mailbox: string, headers = HOME) => signIn(on, mailbox, { headers });

  async function ownKey(browser: Browser, name: string): Promise<string> {
    await browser.get('/keys/new');
    const fields = { name, preset: 'read-write', life: 'never' };
    const page = await browser.post('/keys/new', fields, HOME);
    return /<code id="key">([^<]*)</.exec(page.text)![1]!;
  }

  /** An agent with its human's yes. */
  async function vouched(mailbox: string, name: string, link = false) {
    const reply = await on.post('/agent/auth', { type: 'anonymous', agent_name: name });
    const { claim_token } = reply.body.data;
    const { claim, complete } = ceremony(on);
    await claim(claim_token, mailbox, AWAY, link);
    const { data } = (await complete(claim_token, await codeOf(on, claim_token), HOME)).body;
    return { ...data, claim_token } as { credential: string; agent_id: string; claim_token: string };
  }

  async function agentKey(t: ExecutionContext, credential: string, name: string): Promise<string> {
    const headers = { Authorization: `Bearer ${credential}`, ...HOME };
    const reply = await on.post('/api/tokens', { name, scope: 'read' }, headers);
    t.is(reply.status, 200, reply.text);
    return reply.body.data.credential;
  }

  const act = async (browser: Browser, agentId: string, what: string) => {
    await browser.get(`/agents/${agentId}/${what}`);
    await browser.post(`/agents/${agentId}/${what}`, {}, HOME);
  };

  async function withApp(mailbox: string) {
    const app = await setUpApp(on, await come(mailbox));
    on.clock.advance(60);
    return app;
  }

  async function comeWithApp(t: ExecutionContext, mailbox: string, second: string): Promise<Browser> {
    const browser = openBrowser(on);
    await typeMailedCode(on, mailbox, { browser, headers: HOME });
    await browser.post('/sign-in/code', { code: second }, HOME);
    t.true(browser.cookies.has(SESSION));
    return browser;
  }

  /** By what is told: what it takes to come to it, and the change itself. */
  const CHANGES: Record<string, (mailbox: string) => Promise<(t: ExecutionContext) => Promise<unknown>>> = {
    'Mover moved into your account': async (mailbox) => () => vouched(mailbox, 'Mover'),
    'Neighbour was linked to you': async (mailbox) => () => vouched(mailbox, 'Neighbour', true),
    'You created the key Backup': async (mailbox) => async () => ownKey(await come(mailbox), 'Backup'),
    'Mover created the key helper of a merged one': async (mailbox) => {
      const { credential } = await vouched(mailbox, 'Mover');
      return (t) => agentKey(t, credential, 'helper of a merged one');
    },
    'Neighbour created the key helper of a linked one': async (mailbox) => {
      const { credential } = await vouched(mailbox, 'Neighbour', true);
      return (t) => agentKey(t, credential, 'helper of a linked one');
    },
    'You declined an unnamed agent': async (mailbox) => async () => {
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox }, HOME);
      const { denyUrl } = await on.mailTo(mailbox);
      const browser = openBrowser(on);
      await browser.get(denyUrl);
      await browser.get('/claim/deny');
      const form = browser.form('/claim/deny');
      for (let times = 0; times < 2; times += 1) await browser.send('/claim/deny', form, HOME);
    },
    'You moved Mover out of your account': async (mailbox) => {
      const { agent_id } = await vouched(mailbox, 'Mover');
      return async () => act(await come(mailbox), agent_id, 'undo');
    },
    'You unlinked Neighbour': async (mailbox) => {
      const { agent_id } = await vouched(mailbox, 'Neighbour', true);
      return async () => act(await come(mailbox), agent_id, 'unlink');
    },
    'You revoked Mover': async (mailbox) => {
      const { agent_id } = await vouched(mailbox, 'Mover');
      return async () => act(await come(mailbox), agent_id, 'revoke');
    },
    'You revoked Neighbour': async (mailbox) => {
      const { agent_id } = await vouched(mailbox, 'Neighbour', true);
      return async () => act(await come(mailbox), agent_id, 'revoke');
    },
    'You turned two-step sign-in on': async (mailbox) => async () => {
      const browser = await come(mailbox);
      const secret = secretOn(await browser.get(APP_PAGE));
      await browser.post(APP_PAGE, { code: appCode(on, secret) }, HOME);
    },
    'You made new recovery codes': async (mailbox) => {
      const { secret } = await withApp(mailbox);
      return async (t) => {
        const browser = await comeWithApp(t, mailbox, appCode(on, secret));
        await browser.get(APP_PAGE);
        await browser.post(`${APP_PAGE}/codes`, {}, HOME);
      };
    },
    'You used a recovery code to sign in': async (mailbox) => {
      const { recoveryCodes } = await withApp(mailbox);
      return (t) => comeWithApp(t, mailbox, recoveryCodes[0]!);
    },
    'You turned two-step sign-in off': async (mailbox) => {
      const { secret } = await withApp(mailbox);
      return async (t) => {
        const browser = await comeWithApp(t, mailbox, appCode(on, secret));
        await browser.get(`${APP_PAGE}/remove`);
        await browser.post(`${APP_PAGE}/remove`, {}, HOME);
      };
    },
    'Your account was deleted': async (mailbox) => async (t) => {
      const browser = await come(mailbox);
      await browser.get('/account/delete');
      const page = await browser.post('/account/delete', { mailbox }, HOME);
      t.is(heading(page), 'Your account is deleted');
    },
  };

  test.describe('tells at once, with time and network', (test) => {
    for (const [line, prepare] of Object.entries(CHANGES)) {
      test(line, async (t) => {
        const mailbox = newMailbox();
        await come(mailbox);
        const mail = await toldOf(t, mailbox, await prepare(mailbox));
        t.deepEqual(linesOf(mail), [line]);
        t.is(mail.happened[0]!.at, on.clock());
        t.is(mail.happened[0]!.origin, HOME_NETWORK);
        await quiet();
        t.is(noticesTo(mailbox).at(-1), mail, 'and no more than that');
      });
    }

    test('what the operator revokes, which comes from nowhere', async (t) => {
      for (const link of [false, true]) {
        const mailbox = newMailbox();
        const { agent_id } = await vouched(mailbox, 'Mover', link);
        const mail = await toldOf(t, mailbox, async () => {
          await revokeAgent(on.service.deps, localOrigin('operator'), agent_id);
          await revokeAgent(on.service.deps, localOrigin('operator'), agent_id);
        });
        t.deepEqual(linesOf(mail), ['Mover was revoked']);
        t.is(mail.happened[0]!.origin, undefined);
      }
    });

    test('the deletion of an account with agents, to the address that is forgotten by then', async (t) => {
      const mailbox = newMailbox();
      await vouched(mailbox, 'Mover');
      await vouched(mailbox, 'Neighbour', true);
      const mail = await toldOf(t, mailbox, async () => {
        const browser = await come(mailbox, AWAY);
        await browser.get('/account/delete');
        await browser.post('/account/delete', { mailbox }, AWAY);
        t.is(await countOf(on, 'accounts WHERE mailbox = ?', [mailbox]), 0);
      });
      t.is(mail.to, mailbox);
      t.deepEqual(linesOf(mail).toSorted(), [
        'Mover was revoked',
        'Neighbour was revoked',
        'You signed in',
        'Your account was deleted',
      ]);
    });

    test('nobody of a denial where the mailbox has no account, which does not begin by it', async (t) => {
      const mailbox = newMailbox();
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox }, HOME);
      const browser = openBrowser(on);
      await browser.get((await on.mailTo(mailbox)).denyUrl);
      await browser.get('/claim/deny');
      t.is(heading(await browser.post('/claim/deny', {}, HOME)), DENIED);
      await quiet();
      t.deepEqual(noticesTo(mailbox), []);
      t.is(await countOf(on, 'accounts WHERE mailbox = ?', [mailbox]), 0);
    });

    test('also to an owner who wants no mail of agents', async (t) => {
      const mailbox = newMailbox();
      const browser = await come(mailbox);
      await browser.get('/account');
      await browser.post('/account/mail', { wanted: 'no' });
      const mail = await toldOf(t, mailbox, async () => vouched(mailbox, 'Mover'));
      t.deepEqual(linesOf(mail), ['Mover moved into your account']);
      t.is(on.mails.filter(({ to }) => to === mailbox).length, 0);
    });
  });

  test.describe('signing in', (test) => {
    test('is told from a network that is new to the account, and from no known one', async (t) => {
      const mailbox = newMailbox();
      await come(mailbox);
      await come(mailbox);
      await come(mailbox, from('203.0.200.1')); // the same network
      await quiet();
      t.deepEqual(noticesTo(mailbox), [], 'the first session of a new account is no news');

      const mail = await toldOf(t, mailbox, () => come(mailbox, AWAY));
      t.deepEqual(linesOf(mail), ['You signed in']);
      t.is(mail.happened[0]!.origin, '198.51.x.x');
      await come(mailbox, AWAY);
      await come(mailbox);
      await quiet();
      t.is(noticesTo(mailbox).length, 1);

      await toldOf(t, mailbox, () => come(mailbox, from('2001:db8:1::1')));
      await come(mailbox, from('2001:db8:ffff::1'));
      await quiet();
      t.is(noticesTo(mailbox).length, 2);
    });

    test('is told the first time in an account that a claim began', async (t) => {
      const mailbox = newMailbox();
      await vouched(mailbox, 'Mover');
      const mail = await toldOf(t, mailbox, () => come(mailbox));
      t.deepEqual(linesOf(mail), ['You signed in']);
    });

    test('that fails is not told, nor half of it', async (t) => {
      const mailbox = newMailbox();
      await withApp(mailbox);
      await quiet();
      const earlier = noticesTo(mailbox).length;
      const browser = openBrowser(on);
      await typeMailedCode(on, mailbox, { browser, headers: AWAY });
      await browser.post('/sign-in/code', { code: '000000' }, AWAY);
      await quiet();
      t.is(noticesTo(mailbox).length, earlier);
    });
  });

  test('what happens within an hour of a mail comes in one after it, oldest first, and later things at once again', async (t) => {
    const mailbox = newMailbox();
    const { credential } = await vouched(mailbox, 'Mover');
    const first = await toldOf(t, mailbox, () => agentKey(t, credential, 'key 0'));
    t.deepEqual(linesOf(first), ['Mover created the key key 0']);
    const count = noticesTo(mailbox).length;
    for (let index = 1; index <= 5; index += 1) {
      on.clock.advance(600);
      await agentKey(t, credential, `key ${index}`);
      await settled();
    }
    on.clock.advance(599);
    await settled();
    t.is(noticesTo(mailbox).length, count);
    on.clock.advance(1);
    on.service.deps.wakeOutbox();
    const digest = await on.noticeTo(mailbox, count + 1);
    await settled();
    t.deepEqual(
      linesOf(digest),
      [1, 2, 3, 4, 5].map((index) => `Mover created the key key ${index}`),
    );

    // The hour counts from the last mail, whichever that was.
    on.clock.advance(600);
    await agentKey(t, credential, 'key 6');
    on.clock.advance(2999);
    await settled();
    t.is(noticesTo(mailbox).length, count + 1);
    on.clock.advance(1);
    await settled();
    t.deepEqual(linesOf(noticesTo(mailbox)[count + 1]!), ['Mover created the key key 6']);
    on.clock.advance(HOUR);
    await agentKey(t, credential, 'key 7');
    await settled();
    t.deepEqual(linesOf(noticesTo(mailbox)[count + 2]!), ['Mover created the key key 7']);
  });

  test('twenty changes at once, while a mail waits for its hour, are all in that mail, once each', async (t) => {
    for (let round = 0; round < 3; round += 1) {
      const mailbox = newMailbox();
      const agents: { credential: string }[] = [];
      for (let index = 0; index < 4; index += 1) agents.push(await vouched(mailbox, `Agent ${index}`, true));
      const { credential } = agents[0]!;
      await toldOf(t, mailbox, () => agentKey(t, credential, 'the first'));
      await agentKey(t, credential, 'one that waits');
      const earlier = noticesTo(mailbox).length;
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          await agentKey(t, agents[index % 4]!.credential, `key ${index}`);
          on.service.deps.wakeOutbox();
        }),
      );
      await settled();
      t.is(noticesTo(mailbox).length, earlier);
      await quiet();
      const [digest, ...more] = noticesTo(mailbox).slice(earlier);
      t.deepEqual(more, []);
      const made = Array.from(
        { length: 20 },
        (_, index) => `Agent ${index % 4} created the key key ${index}`,
      );
      const lines = ['Agent 0 created the key one that waits', ...made];
      t.deepEqual(linesOf(digest!).toSorted(), lines.toSorted());
    }
  });

  test('names in it are text: nothing in it is a link, markup or hidden', async (t) => {
    const mailbox = newMailbox();
    const names = [
      '<a href="https://evil.example">click</a>',
      '<script>alert(1)</script>',
      'www.evil.example',
      'mailto:evil@evil.example',
      'Robert\u202egnp.exe\u202c',
      '\u200bRobert\u200d\u2066x',
      '"><img src=x onerror=alert(1)>',
      '</li></ul><h1>Your account is locked',
    ];
    for (const name of names) {
      const { credential } = await vouched(mailbox, name, true);
      await agentKey(t, credential, name);
    }
    await quiet();
    const { mails } = (await on.request('GET', '/dev/mailbox.json')).body;
    const ours = mails.filter(
      ({ to, text }: { to: string; text: string }) => to === mailbox && /^Activity$/m.test(text),
    );
    t.true(ours.length >= 2);
    for (const { subject, text, html } of ours) {
      t.regex(
        subject,
        /^Vouchsafe: (?:\d+ things happened in your account|An agent was linked to you|An agent created a key)$/,
      );
      t.deepEqual(html.match(/<h1[^>]*>[^<]*<\/h1>/g)?.length, 1);
      t.is(/<title>([^<]*)</.exec(html)![1], subject.replace('Vouchsafe: ', ''));
      t.notRegex(text + html, /[\u200b-\u200f\u202a-\u202e\u2060-\u206f]/);
      t.notRegex(text + html, /evil\.example|@evil|www\.evil|mailto:evil/);
      t.notRegex(html, /<(?:a(?! href="http:\/\/localhost:\d+\/account")|img|script)\b/);
      t.deepEqual(
        [...text.matchAll(/https?:\/\/\S+/g)].map(([url]) => url),
        [`${on.url}/account`],
      );
    }
  });

  test('it never holds a secret', async (t) => {
    const mailbox = newMailbox();
    const merged = await vouched(mailbox, 'Mover');
    const browser = await come(mailbox, AWAY);
    const own = await ownKey(browser, 'Backup');
    const { secret, recoveryCodes } = await setUpApp(on, browser);
    await browser.get(APP_PAGE);
    const renewed = recoveryCodesOn(await browser.post(`${APP_PAGE}/codes`));
    const key = await agentKey(t, merged.credential, 'helper');
    await quiet();
    const mailed = (await on.request('GET', '/dev/mailbox.json')).text + JSON.stringify(noticesTo(mailbox));
    t.regex(mailed, /You made new recovery codes/);
    const session = browser.cookies.get(SESSION)!;
    const secrets = [merged.credential, merged.claim_token, own, key, session, secret];
    for (const text of [...secrets, ...recoveryCodes, ...renewed]) {
      t.false(mailed.includes(text), text);
      t.false(mailed.includes(text.slice(0, 9)), text);
    }
  });
});
