import type { Mail } from '../../src/ports/mailer.ts';
import { openAgentClient } from '../helpers/agent-client.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { assertPage, type House, heading, openHouse } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { askForCode, signIn } from '../helpers/human.ts';
import { happenings } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const GERMAN = { 'Accept-Language': 'de-AT,de;q=0.9,en;q=0.8' };
const ENGLISH = { 'Accept-Language': 'en-US' };

onEveryEngine('the language of an account', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine, { limits: { signInWrongPerMailboxDay: 5 } });
  });
  test.after(() => house.stop());

  async function choose(browser: Browser, locale: string) {
    await browser.get('/account');
    return browser.post('/account/language', { locale });
  }

  /** Signs somebody in who has chosen German. */
  async function german() {
    const mailbox = newMailbox();
    const browser = await signIn(house.on, mailbox);
    await choose(browser, 'de');
    return { mailbox, browser };
  }

  /** The subject of a mail as it left. */
  async function subjectOf({ id }: Mail): Promise<string> {
    const { mails } = (await house.on.get('/dev/mailbox.json')).body;
    return mails.find((each: { id: string }) => each.id.startsWith(`<${id}@`)).subject;
  }

  test('is that of the browser, until one is chosen; then the browser says nothing about it', async (t) => {
    const browser = await signIn(house.on, newMailbox());
    t.is(heading(await browser.get('/account', GERMAN)), 'Konto und Sicherheit');
    const page = await browser.get('/account', ENGLISH);
    t.is(heading(page), 'Account and security');
    t.regex(page.text, /<option value="en" lang="en">English<\/option>/);
    t.regex(page.text, /<option value="de" lang="de">Deutsch<\/option>/);
    t.notRegex(page.text, / selected/);

    const chosen = await choose(browser, 'de');
    assertPage(t, chosen, 200);
    t.is(heading(chosen), 'Konto und Sicherheit');
    t.regex(chosen.text, /<html lang="de">/);
    t.regex(chosen.text, /role="status"[\s\S]*?Sprache gespeichert\./);
    t.regex(chosen.text, /<option value="de" lang="de" selected>/);
    for (const path of ['/agents', '/keys', '/account/activity', '/nothing/here', '/']) {
      t.regex((await browser.get(path, ENGLISH)).text, /<html lang="de">/, path);
    }

    const back = await choose(browser, 'browser');
    t.is(heading(back), 'Account and security');
    t.is(heading(await browser.get('/account', GERMAN)), 'Konto und Sicherheit');
  });

  test('holds in each browser of the account, ends with the session, and is in its activity and export', async (t) => {
    const { mailbox, browser } = await german();
    const other = await signIn(house.on, mailbox);
    t.regex((await other.get('/agents', ENGLISH)).text, /<html lang="de">/);
    await choose(browser, 'de');
    await choose(browser, 'en');
    const told = happenings(await browser.get('/account/activity')).map(({ what }) => what);
    t.deepEqual(
      told.filter((what) => what.includes('language')),
      ['You changed your language', 'You changed your language'],
      'and not when it stays what it was',
    );
    t.is(JSON.parse((await browser.get('/account/export')).text).account.language, 'en');
    await choose(browser, 'de');
    const out = await browser.post('/sign-out');
    t.is(heading(out), 'Sie sind abgemeldet');
    t.is(heading(await browser.get('/sign-in')), 'Sign in');
  });

  test('is one of those offered: anything else changes nothing', async (t) => {
    const { browser } = await german();
    for (const locale of ['fr', 'DE', 'x'.repeat(5000), '']) {
      await browser.get('/account');
      assertPage(t, await browser.post('/account/language', { locale }), 400, locale);
    }
    t.is((await browser.send('/account/language', { locale: 'en' })).status, 403, 'without the token');
    t.is(heading(await browser.get('/account')), 'Konto und Sicherheit');
  });

  test('is that of each mail to its mailbox, whoever causes it', async (t) => {
    const { mailbox, browser } = await german();
    const claim = await house.ask({ mailbox, name: 'Robin' });
    t.is(await subjectOf(claim.mail), 'Vouchsafe: Ein Agent bittet um Ihre Genehmigung');

    const client = openAgentClient(house.on);
    const asked = { name: 'Robin', capabilities: ['read'], preferred_method: 'ciba', login_hint: mailbox };
    await client.connect(client.newHost('laptop'), asked);
    await house.settled(mailbox);
    const approval = house.on.approvalMails.findLast(({ to }) => to === mailbox)!;
    t.is(await subjectOf(approval), 'Vouchsafe: Ein Agent bittet um Berechtigungen');

    await browser.get('/keys/new');
    await browser.post('/keys/new', { name: 'Backup', preset: 'read-write', life: '90' });
    t.is(await subjectOf(await house.on.noticeTo(mailbox)), 'Vouchsafe: Sie haben einen Schlüssel erstellt');

    await askForCode(house.on, mailbox, { headers: ENGLISH });
    const code = house.on.signInMails.findLast(({ to }) => to === mailbox)!;
    t.is(await subjectOf(code), 'Vouchsafe: Ihr Anmeldecode');

    const guesser = openBrowser(house.on);
    await askForCode(house.on, mailbox, { browser: guesser });
    for (let guesses = 0; guesses < 5; guesses += 1) {
      await guesser.get('/sign-in/code');
      await guesser.post('/sign-in/code', { code: code.code === '000000' ? '111111' : '000000' });
    }
    await guesser.get('/sign-in');
    await guesser.post('/sign-in', { email: mailbox }, ENGLISH);
    await house.on.signInLinkFor(mailbox);
    const link = house.on.signInLinkMails.findLast(({ to }) => to === mailbox)!;
    t.is(await subjectOf(link), 'Vouchsafe: Ihr Anmeldelink');
  });

  test('is that of the last mail, too, which says that the account was deleted', async (t) => {
    const { mailbox, browser } = await german();
    await browser.get('/account/delete');
    const page = await browser.post('/account/delete', { mailbox });
    t.is(heading(page), 'Ihr Konto ist gelöscht');
    t.is(await subjectOf(await house.on.noticeTo(mailbox)), 'Vouchsafe: Ihr Konto wurde gelöscht');
  });

  test('without one, a sign-in mail has that of the page which asked for it, and others are in English', async (t) => {
    const mailbox = newMailbox();
    const ask = async (headers: Record<string, string>) => {
      await askForCode(house.on, mailbox, { headers });
      return subjectOf(house.on.signInMails.findLast(({ to }) => to === mailbox)!);
    };
    t.is(await ask(GERMAN), 'Vouchsafe: Ihr Anmeldecode', 'before there is an account');
    await signIn(house.on, mailbox, { headers: GERMAN });
    t.is(await ask(GERMAN), 'Vouchsafe: Ihr Anmeldecode');
    t.is(await ask(ENGLISH), 'Vouchsafe: your sign-in code');
    const { mail } = await house.ask({ mailbox });
    t.is(await subjectOf(mail), 'Vouchsafe: an agent asks for your approval');
  });

  test('is that of all that stands on a page, of where a key was last used, too', async (t) => {
    const { browser } = await german();
    await browser.get('/keys/new');
    await browser.post('/keys/new', { name: 'Backup', preset: 'read-write', life: '90' });
    await house.on.service.deps.db.tx((tx) =>
      tx.run(
        `UPDATE credentials SET last_used_at = ?, last_used_from = 'network 203.0.x.x' WHERE name = 'Backup'`,
        [house.on.clock()],
      ),
    );
    const { text } = await browser.get('/keys');
    t.regex(text, />203\.0\.x\.x</);
    t.notRegex(text, /network/);
  });

  test('shows to nobody else: the pages of a request stay in the language of the browser that opens them', async (t) => {
    const { mailbox } = await german();
    const { mail } = await house.ask({ mailbox });
    t.regex((await openBrowser(house.on).get(mail.claimUrl)).text, /<html lang="en">/);
    const stranger = openBrowser(house.on);
    await stranger.get('/sign-in');
    t.regex((await stranger.post('/sign-in', { email: mailbox })).text, /<html lang="en">/);
  });

  test('of a version that this one does not know counts as none', async (t) => {
    const { mailbox, browser } = await german();
    await house.on.service.deps.db.tx((tx) =>
      tx.run(`UPDATE accounts SET locale = 'xx' WHERE mailbox = ?`, [mailbox]),
    );
    t.is(heading(await browser.get('/account')), 'Account and security');
    const { mail } = await house.ask({ mailbox });
    t.is(await subjectOf(mail), 'Vouchsafe: an agent asks for your approval');
  });
});
