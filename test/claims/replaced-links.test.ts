import type { ExecutionContext } from 'ava';
import { openBrowser } from '../helpers/browser.ts';
import { DENIED, type House, heading, openHouse, REPLACED, WAITING } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('each time an agent asks, its link is a new one', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine);
  });
  test.after(() => house.stop());

  /** Every way in which an agent asks again, and the answer's `verification_uri`. */
  const WAYS: Record<string, (t: ExecutionContext, mailbox: string) => Promise<[string, string]>> = {
    async tinysend(_t, mailbox) {
      const first = await house.ask({ mailbox });
      const second = await house.ask({ agent: first, mailbox });
      return [first.viewUrl, second.viewUrl];
    },
    async 'auth.md v0.6'(t, mailbox) {
      const { on } = house;
      const registered = await on.post('/agent/identity', { type: 'anonymous' });
      t.is(registered.status, 200, registered.text);
      const ask = async (): Promise<string> => {
        const reply = await on.post('/agent/identity/claim', {
          claim_token: registered.body.claim_token,
          email: mailbox,
        });
        t.is(reply.status, 200, reply.text);
        const { body } = reply;
        return body.claim?.verification_uri ?? body.claim_attempt?.verification_uri ?? body.verification_uri;
      };
      return [await ask(), await ask()];
    },
  };

  for (const [way, ask] of Object.entries(WAYS)) {
    test(`${way}: the older one answers 410, also in a browser that holds it, and says why`, async (t) => {
      const mailbox = newMailbox();
      const [older, newer] = await ask(t, mailbox);
      t.not(older, newer);
      const held = openBrowser(house.on);
      for (const url of [older, '/claim']) {
        const page = await held.get(url);
        t.deepEqual([page.status, heading(page)], [410, REPLACED]);
        t.regex(page.text, /newest link/);
      }
      const page = await openBrowser(house.on).get(newer);
      t.deepEqual([page.status, heading(page)], [200, WAITING]);
    });
  }

  test('a page that was open when the agent asked again decides nothing, and says why', async (t) => {
    const first = await house.ask();
    const browser = await house.open(first.viewUrl);
    const form = browser.form('/claim');
    await house.ask({ agent: first, mailbox: first.mailbox });
    const page = await browser.send('/claim', { ...form, code: '123456' });
    t.true(page.status >= 400 && page.status < 500, `${page.status}`);
    t.is(heading(await browser.get('/claim')), REPLACED);
  });

  test('an older mail still turns the agent away', async (t) => {
    const first = await house.ask();
    await house.ask({ agent: first, mailbox: first.mailbox });
    const human = await house.open(first.mail.denyUrl);
    t.is(heading(await human.post('/claim/deny')), DENIED);
  });

  test('the link of the registration leads to whatever was asked last', async (t) => {
    const { on } = house;
    const registered = await on.post('/agent/auth', { type: 'anonymous' });
    const link = registered.body.data.verification_uri ?? registered.body.data.verification?.verification_uri;
    if (link === undefined) t.fail(`no link in ${registered.text}`);
    for (let times = 0; times < 2; times += 1) {
      await on.post('/agent/auth/claim', {
        claim_token: registered.body.data.claim_token,
        email: newMailbox(),
      });
      t.is(heading(await openBrowser(on).get(link)), WAITING);
    }
  });
});
