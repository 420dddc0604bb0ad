import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from '../helpers/browser.ts';
import { DENIED, type House, heading, openHouse, REPLACED, WAITING } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/service.ts';

onEveryEngine('each time an agent asks, its link is a new one', (engine) => {
  let house: House;
  before(async () => {
    house = await openHouse(engine);
  });
  after(() => house.stop());

  /** Every way in which an agent asks again, and the answer's `verification_uri`. */
  const WAYS: Record<string, (mailbox: string) => Promise<[string, string]>> = {
    async tinysend(mailbox) {
      const first = await house.ask({ mailbox });
      const second = await house.ask({ agent: first, mailbox });
      return [first.viewUrl, second.viewUrl];
    },
    async 'auth.md v0.6'(mailbox) {
      const { on } = house;
      const registered = await on.post('/agent/identity', { type: 'anonymous' });
      assert.equal(registered.status, 200, registered.text);
      const ask = async (): Promise<string> => {
        const reply = await on.post('/agent/identity/claim', {
          claim_token: registered.body.claim_token,
          email: mailbox,
        });
        assert.equal(reply.status, 200, reply.text);
        const { body } = reply;
        return body.claim?.verification_uri ?? body.claim_attempt?.verification_uri ?? body.verification_uri;
      };
      return [await ask(), await ask()];
    },
  };

  for (const [way, ask] of Object.entries(WAYS)) {
    test(`${way}: the older one answers 410, also in a browser that holds it, and says why`, async () => {
      const mailbox = newMailbox();
      const [older, newer] = await ask(mailbox);
      assert.notEqual(older, newer);
      const held = openBrowser(house.on);
      for (const url of [older, '/claim']) {
        const page = await held.get(url);
        assert.deepEqual([page.status, heading(page)], [410, REPLACED]);
        assert.match(page.text, /newest link/);
      }
      const page = await openBrowser(house.on).get(newer);
      assert.deepEqual([page.status, heading(page)], [200, WAITING]);
    });
  }

  test('a page that was open when the agent asked again decides nothing, and says why', async () => {
    const first = await house.ask();
    const browser = await house.open(first.viewUrl);
    const form = browser.form('/claim');
    await house.ask({ agent: first, mailbox: first.mailbox });
    const page = await browser.send('/claim', { ...form, code: '123456' });
    assert.ok(page.status >= 400 && page.status < 500, `${page.status}`);
    assert.equal(heading(await browser.get('/claim')), REPLACED);
  });

  test('an older mail still turns the agent away', async () => {
    const first = await house.ask();
    await house.ask({ agent: first, mailbox: first.mailbox });
    const human = await house.open(first.mail.denyUrl);
    assert.equal(heading(await human.post('/claim/deny')), DENIED);
  });

  test('the link of the registration leads to whatever was asked last', async () => {
    const { on } = house;
    const registered = await on.post('/agent/auth', { type: 'anonymous' });
    const link = registered.body.data.verification_uri ?? registered.body.data.verification?.verification_uri;
    if (link === undefined) assert.fail(`no link in ${registered.text}`);
    for (let times = 0; times < 2; times += 1) {
      await on.post('/agent/auth/claim', {
        claim_token: registered.body.data.claim_token,
        email: newMailbox(),
      });
      assert.equal(heading(await openBrowser(on).get(link)), WAITING);
    }
  });
});
