import type { ExecutionContext } from 'ava';
import { type AgentClient, openAgentClient } from '../helpers/agent-client.ts';
import { openBrowser, type Page } from '../helpers/browser.ts';
import { type House, heading, openHouse } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the mail of an agent that asks to be let in', (engine, test) => {
  let house: House;
  let client: AgentClient;
  test.before(async () => {
    house = await openHouse(engine);
    client = openAgentClient(house.on);
  });
  test.after(() => house.stop());

  async function ask(
    t: ExecutionContext,
    mailbox: string,
    name = 'Release helper',
    host = client.newHost('laptop'),
  ) {
    const earlier = house.on.approvalMails.length;
    const { agent, reply } = await client.connect(host, {
      name,
      capabilities: ['read'],
      preferred_method: 'ciba',
      login_hint: mailbox,
    });
    t.is(reply.status, 200, JSON.stringify(reply.body));
    await house.settled(mailbox);
    return { agent, host, mails: house.on.approvalMails.slice(earlier) };
  }

  async function deny(t: ExecutionContext, url: string, fields: Record<string, string> = {}): Promise<Page> {
    const browser = openBrowser(house.on);
    const page = await browser.get(url);
    t.is(page.path, '/connect/deny', 'the token stays in no history');
    t.is(heading(page), 'Decline this agent?');
    return browser.post('/connect/deny', fields);
  }

  test('carries a link that turns it away without signing in; opening it does nothing', async (t) => {
    const { agent, mails } = await ask(t, newMailbox());
    const [mail] = mails;
    for (let times = 0; times < 3; times += 1) await openBrowser(house.on).get(mail!.denyUrl);
    t.is((await client.status(agent)).body.status, 'pending');
    const page = await deny(t, mail!.denyUrl);
    t.is(heading(page), 'Declined');
    t.is((await client.status(agent)).body.status, 'rejected');
    const later = await openBrowser(house.on).get(mail!.denyUrl);
    t.deepEqual([later.status, heading(later)], [410, 'This request was decided already']);
  });

  test('comes no more for a day from the host that was turned away, and none where no more are wanted', async (t) => {
    const mailbox = newMailbox();
    const first = await ask(t, mailbox);
    await deny(t, first.mails[0]!.denyUrl);
    t.is((await ask(t, mailbox, 'Another name', first.host)).mails.length, 0);
    t.is((await ask(t, mailbox)).mails.length, 0, 'a new host that says it is the same');
    const other = await ask(t, mailbox, 'Somebody else');
    t.is(other.mails.length, 1);
    await deny(t, other.mails[0]!.denyUrl, { no_more: 'on' });
    t.is((await ask(t, mailbox, 'Anybody')).mails.length, 0);
    const account = await (await signIn(house.on, mailbox)).get('/account');
    t.regex(account.text, /Turn on emails about requests from agents/);
  });

  test('a link that was made up, or of a question on a page, turns nobody away', async (t) => {
    const { agent, mails } = await ask(t, newMailbox());
    const { denyUrl, pageUrl } = mails[0]!;
    const token = new URL(denyUrl).searchParams.get('t')!;
    const pageToken = new URL(pageUrl).searchParams.get('t')!;
    for (const forged of [`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`, pageToken, 'x', '']) {
      const page = await openBrowser(house.on).get(`/connect/deny?t=${encodeURIComponent(forged)}`);
      t.is(page.status, 404, forged);
    }
    const none = await openBrowser(house.on).get('/connect/deny');
    t.is(none.status, 404);
    // Nor does the link that says no let anybody in.
    const page = await openBrowser(house.on).get(`/connect?t=${encodeURIComponent(token)}`);
    t.is(page.status, 404);
    t.is((await client.status(agent)).body.status, 'pending');
  });

  test('a mailbox whose host became somebody else’s ends its question, and nothing of theirs', async (t) => {
    const [stranger, owner] = [newMailbox(), newMailbox()];
    const first = await ask(t, stranger);
    const second = await ask(t, owner, 'Second', first.host);
    const browser = await signIn(house.on, owner);
    await browser.get(second.mails[0]!.pageUrl);
    const { approval } = browser.form('/connect/review');
    await browser.post('/connect/review', { approval, decision: 'approve', 'allow:read': 'on' });
    t.is((await client.status(second.agent)).body.status, 'active');
    await deny(t, first.mails[0]!.denyUrl);
    t.is((await client.status(second.agent)).body.status, 'active');
    t.not((await client.status(first.agent)).body.status, 'rejected');
  });
});
