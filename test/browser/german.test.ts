import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { type AgentClient, openAgentClient } from '../helpers/agent-client.ts';
import { askFor, registerApp } from '../helpers/app-client.ts';
import { GERMAN, inBrowser, see, startChromium, visitTo } from '../helpers/chromium.ts';
import { type House, openHouse } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { appCode } from '../helpers/human.ts';
import type { Engine } from '../helpers/service.ts';

inBrowser('the pages in German, on a small phone', (engine: Engine, test, executablePath: string) => {
  let house: House;
  let client: AgentClient;
  let browser: Browser;
  test.before(async () => {
    [house, browser] = await Promise.all([openHouse(engine), startChromium(executablePath)]);
    client = openAgentClient(house.on);
  });
  test.after(() => Promise.all([browser.close(), house.stop()]));

  const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
    visitTo(browser, house.on.url, GERMAN, new URL(url, house.on.url).href, tour);
  const seen = (t: ExecutionContext, page: Page, heading: string, name: string) =>
    see(t, page, GERMAN, heading, name);

  async function signInOn(page: Page, mailbox: string): Promise<void> {
    const earlier = house.on.signInMails.filter(({ to }) => to === mailbox).length;
    await page.getByLabel('E-Mail-Adresse').fill(mailbox);
    await page.getByRole('button', { name: 'Code senden' }).click();
    await page.getByLabel('Code aus der E-Mail').fill(await house.on.signInCodeFor(mailbox, earlier + 1));
    await page.getByRole('button', { name: 'Anmelden' }).click();
  }

  test('fit and have no finding: a request that is approved, and one that is declined', async (t) => {
    const { mail } = await house.ask({ name: 'Robin the release bot' });
    await visiting(mail.claimUrl, async (page) => {
      await seen(t, page, 'Diesen Agenten genehmigen?', 'waiting');
      await page.getByLabel('Code aus der E-Mail').fill(mail.proof.kind === 'code' ? mail.proof.code : '');
      await page.getByRole('button', { name: 'Genehmigen' }).click();
      await seen(t, page, 'Genehmigt', 'approved');
    });
    const other = await house.ask();
    await visiting(other.mail.denyUrl, async (page) => {
      await seen(t, page, 'Diesen Agenten ablehnen?', 'deny');
      await page.getByRole('button', { name: 'Ablehnen' }).click();
      await seen(t, page, 'Abgelehnt', 'denied');
    });
    const { reply } = await client.connect(client.newHost('Ann’s laptop'), {
      name: 'Release helper',
      capabilities: ['read', { name: 'write', constraints: { seconds: { max: 120 } } }],
      reason: 'To publish the release',
    });
    await visiting(reply.body.approval.verification_uri_complete, async (page) => {
      await signInOn(page, newMailbox());
      await seen(t, page, 'Diese Berechtigungen genehmigen?', 'connect');
      await page.getByRole('button', { name: 'Auswahl genehmigen' }).click();
      await seen(t, page, 'Genehmigt', 'connected');
      await page.goto(`${house.on.url}/agents`);
      await seen(t, page, 'Agenten', 'agents');
      await page.getByRole('link', { name: /^Umgebungen/ }).click();
      await page.getByRole('link', { name: 'Ann’s laptop widerrufen' }).click();
      await seen(t, page, '„Ann’s laptop“ widerrufen?', 'revoke environment');
    });
  });

  test('fit and have no finding: what is one’s own', async (t) => {
    const mailbox = newMailbox();
    const agent = await house.on.claimed(mailbox);
    await visiting('/sign-in?next=/account', async (page) => {
      await seen(t, page, 'Anmelden', 'sign in');
      await signInOn(page, mailbox);
      await seen(t, page, 'Konto und Sicherheit', 'account');
      for (const [path, heading] of [
        ['/agents?add', 'Agenten'],
        [`/agents/${agent.agent_id}`, 'Agent ohne Namen'],
        [`/agents/${agent.agent_id}/rename`, 'Diesen Agenten umbenennen'],
        [`/agents/${agent.agent_id}/undo`, 'Diesen Agenten aus Ihrem Konto herauslösen?'],
        [`/agents/${agent.agent_id}/revoke`, 'Diesen Agenten widerrufen?'],
        ['/keys', 'Schlüssel'],
        ['/account/activity', 'Aktivität'],
        ['/account/delete', 'Ihr Konto löschen?'],
        ['/sign-in/again', 'Bestätigen Sie, dass Sie es sind'],
        ['/connect', 'Geben Sie den Code ein, den Ihr Agent oder Gerät zeigt'],
        ['/dev/mailbox', 'Entwicklungspostfach'],
        ['/nothing/here', 'Seite nicht gefunden'],
        ['/keys/new', 'Schlüssel erstellen'],
      ] as const) {
        await page.goto(house.on.url + path);
        await seen(t, page, heading, path.replaceAll(/(?:\W|agt_\w+)+/g, ' ').trim());
      }
      await page.getByLabel('Name', { exact: true }).fill('Nachtsicherung');
      await page.getByRole('button', { name: 'Schlüssel erstellen' }).click();
      await seen(t, page, 'Schlüssel erstellt', 'made key');
      await page.goto(`${house.on.url}/keys`);
      await seen(t, page, 'Schlüssel', 'keys');
      await page.getByRole('link', { name: 'Nachtsicherung widerrufen' }).click();
      await seen(t, page, '„Nachtsicherung“ widerrufen?', 'revoke key');

      await page.goto(`${house.on.url}/account/authenticator`);
      await seen(t, page, 'App einrichten', 'authenticator setup');
      const secret = (await page.locator('#letters').innerText()).replaceAll(' ', '');
      await page.getByLabel('Code aus der App').fill(appCode(house.on, secret));
      await page.getByRole('button', { name: 'Einschalten' }).click();
      await seen(t, page, 'Die Anmeldung in zwei Schritten ist eingeschaltet', 'recovery codes');
      await page.getByRole('link', { name: 'Ich habe sie gespeichert' }).click();
      await page.getByRole('link', { name: 'App und Codes' }).click();
      await seen(t, page, 'Anmeldung in zwei Schritten', 'authenticator');
      await page.getByRole('link', { name: 'Anmeldung in zwei Schritten ausschalten' }).click();
      await seen(t, page, 'Anmeldung in zwei Schritten ausschalten?', 'authenticator remove');
    });
  });

  test('fit and have no finding: an app that asks, and one that asks to sign out', async (t) => {
    const app = await registerApp(house.on);
    const query = { scope: 'openid read write', login_hint: newMailbox() };
    await visiting(askFor(app, query).path, async (page) => {
      await seen(t, page, 'Anmelden', 'app, sign in');
      await signInOn(page, query.login_hint);
      await seen(t, page, 'Diese App genehmigen?', 'app');
      await page.goto(
        house.on.url + askFor(app, { ...query, acr_values: 'urn:vouchsafe:acr:second-factor' }).path,
      );
      await seen(t, page, 'Anmeldung in zwei Schritten nötig', 'app, second factor');
      await page.goto(`${house.on.url}/oauth2/end-session`);
      await seen(t, page, 'Abmelden?', 'app, end session');
      await page.getByRole('button', { name: 'Abmelden' }).click();
      await seen(t, page, 'Sie sind abgemeldet', 'app, signed out');
    });
  });
});
