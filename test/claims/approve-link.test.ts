import type { ExecutionContext } from 'ava';
import { createRender } from '../../src/mail/render.ts';
import type { ClaimCodeMail } from '../../src/ports/mailer.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import {
  APPROVED,
  approveUrlIn,
  assertPage,
  codeIn,
  type House,
  heading,
  LINK_OVER,
  openHouse,
  REPLACED,
  tokenIn,
  WAITING,
} from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the claim page where a mailbox was guessed at', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine, { limits: { wrongPerMailboxDay: 10 } });
  });
  test.after(() => house.stop());

  /** Spends the mailbox's wrong guesses of the day: half on the page, half by the API. */
  async function spendGuesses(t: ExecutionContext, mailbox: string): Promise<void> {
    const onPage = await house.ask({ mailbox });
    const human = await house.open(onPage.viewUrl);
    const form = human.form('/claim');
    for (let tries = 0; tries < 5; tries += 1) {
      assertPage(t, await human.send('/claim', { ...form, code: wrongCode(codeIn(onPage.mail)) }), 400);
    }
    const byApi = await house.ask({ mailbox });
    for (let tries = 0; tries < 5; tries += 1) {
      const reply = await house.complete(byApi.claim_token, wrongCode(codeIn(byApi.mail)));
      t.is(said(reply), '401 otp_invalid');
    }
  }

  /** An agent whose human got a link instead of a code. */
  async function linked(t: ExecutionContext, mailbox = newMailbox()) {
    await spendGuesses(t, mailbox);
    const asked = await house.ask({ mailbox });
    return { ...asked, approveUrl: approveUrlIn(asked.mail) };
  }

  test('ten wrong codes a day, page and API together; then also the right one is refused on both', async (t) => {
    const mailbox = newMailbox();
    const waiting = await house.ask({ mailbox });
    await spendGuesses(t, mailbox);
    const human = await house.open(waiting.viewUrl);
    const page = await human.post('/claim', { code: codeIn(waiting.mail) });
    assertPage(t, page, 429);
    t.regex(page.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
    t.is(said(await house.complete(waiting.claim_token, codeIn(waiting.mail))), '429 rate_limited');
    t.is(said(await house.poll(waiting.claim_token)), '400 authorization_pending');
  });

  test('the next mail carries a link and no digits; opening it does nothing; its button approves once', async (t) => {
    const { on, open, rows, poll } = house;
    const asked = await linked(t);
    const { text, html } = createRender(on.service.deps.config)(asked.mail);
    for (const body of [text, html]) {
      t.true(body.includes(asked.approveUrl));
      t.notRegex(body.replace(/https?:[^\s"<]+/g, ''), /\d{6}/);
    }

    const before = await rows();
    const browsers = await Promise.all(Array.from({ length: 10 }, () => open(asked.approveUrl)));
    for (const browser of browsers) t.is(heading(await browser.get('/claim')), WAITING);
    t.is((await on.request('HEAD', asked.approveUrl.slice(on.url.length))).status, 303);
    t.deepEqual(await rows(), before);
    t.is(said(await poll(asked.claim_token)), '400 authorization_pending');
    // The agent's own link shows no button: who has that alone has not read the mail.
    const stranger = await open(asked.viewUrl);
    const strangers = await stranger.get('/claim');
    t.notRegex(strangers.text, /<button|name="code"/);
    assertPage(t, await stranger.send('/claim', stranger.form('/claim')), 400);
    const form = stranger.form('/claim');
    for (const code of ['000000', '123456']) {
      assertPage(t, await stranger.send('/claim', { ...form, code, 'scope:read': 'on' }), 429);
    }

    const approved = await Promise.all(
      browsers.map((browser) => browser.send('/claim', browser.form('/claim'))),
    );
    for (const page of approved) t.is(heading(page), APPROVED);
    t.is(await house.approvals(asked), 1);
    const collected = await poll(asked.claim_token);
    t.is(said(collected), '200');
    t.is((await on.get('/api/me', collected.body.data.credential)).body.data.claim.status, 'claimed');
    t.false(on.logged.join('').includes(tokenIn(asked.approveUrl).split('.').at(-1)!));
  });

  test('the link is dead after its use', async (t) => {
    const asked = await linked(t);
    const human = await house.open(asked.approveUrl);
    const form = human.form('/claim');
    await human.post('/claim');
    const before = await house.rows();
    const again = await house.open(asked.approveUrl);
    t.throws(() => again.form('/claim'));
    t.is(heading(await human.send('/claim', form)), APPROVED);
    t.deepEqual(await house.rows(), before);
    await house.poll(asked.claim_token);
    const claimed = await house.rows();
    assertPage(t, await human.send('/claim', form), 409);
    t.deepEqual(await house.rows(), claimed);
  });

  test('the link is dead after the agent asked anew', async (t) => {
    const asked = await linked(t);
    const human = await house.open(asked.approveUrl);
    const form = human.form('/claim');
    const anew = await house.ask({ agent: asked, mailbox: asked.mailbox });
    t.not(approveUrlIn(anew.mail), asked.approveUrl);
    const before = await house.rows();
    t.is(heading(await human.get('/claim')), REPLACED);
    assertPage(t, await human.send('/claim', form), 400);
    // Nor does it stand for the new attempt.
    const fresh = await house.open(approveUrlIn(anew.mail));
    assertPage(t, await human.send('/claim', { ...form, attempt: fresh.form('/claim').attempt }), 400);
    t.deepEqual(await house.rows(), before);
    t.is(heading(await fresh.post('/claim')), APPROVED);
    t.is(said(await house.poll(asked.claim_token)), '200');
  });

  test('the link is dead after its time', async (t) => {
    const asked = await linked(t);
    const human = await house.open(asked.approveUrl);
    const form = human.form('/claim');
    house.on.clock.advance(600);
    const before = await house.rows();
    t.is(heading(await human.get('/claim')), LINK_OVER);
    assertPage(t, await human.send('/claim', form), 400);
    t.deepEqual(await house.rows(), before);
    t.is(said(await house.poll(asked.claim_token)), '410 otp_expired');
  });

  test('a link of another attempt, of another sending or with another MAC leads nowhere', async (t) => {
    const [one, other] = [await linked(t), await linked(t)];
    const [letter, id, counter, mac] = tokenIn(one.approveUrl).split('.');
    const [, otherId, , otherMac] = tokenIn(other.approveUrl).split('.');
    t.is(letter, 'a');
    const altered = [
      `a.${otherId}.${counter}.${mac}`,
      `a.${id}.${Number(counter) + 1}.${mac}`,
      `a.${id}.0${counter}.${mac}`,
      `a.${id}.${counter}.${otherMac}`,
      `a.${id}.${counter}.${tokenIn(one.viewUrl).split('.').at(-1)}`,
      `a.${id}.${counter}.${tokenIn(one.mail.denyUrl).split('.').at(-1)}`,
      `a.${id}.${counter}`,
      `a.${id}.${mac}`,
      `d.${id}.${mac}`,
    ];
    const before = await house.rows();
    for (const token of altered) {
      const human = openBrowser(house.on);
      assertPage(t, await human.get(`/claim?t=${token}`), 404, token);
      t.is(human.cookies.size, 0);
    }
    t.deepEqual(await house.rows(), before);
  });

  test('the link is dead when its mail was sent again with a new one', async (t) => {
    const { on, until, settled } = house;
    const { deps } = on.service;
    const mailbox = newMailbox();
    await spendGuesses(t, mailbox);
    const agent = await house.register();

    // The server takes the mail, but its answer is lost, so that the outbox knows nothing of it.
    const taken: ClaimCodeMail[] = [];
    const send = deps.mailer.send;
    deps.mailer.send = async (mail) => {
      if (mail.kind === 'claim-code') taken.push(mail);
      return { kind: 'delayed', reason: 'the answer was lost' };
    };
    await on.post('/agent/auth/claim', { claim_token: agent.claim_token, email: mailbox });
    await until(
      async () => (await countOf(on, 'outbox WHERE mailbox = ? AND error IS NOT NULL', [mailbox])) === 1,
    );
    deps.mailer.send = send;
    on.clock.advance(400);
    deps.wakeOutbox();
    await settled(mailbox);
    const second = approveUrlIn(on.mails.findLast(({ to }) => to === mailbox)!);
    const first = approveUrlIn(taken[0]!);
    t.not(first, second);

    const human = await house.open(first);
    const before = await house.rows();
    assertPage(t, await human.send('/claim', human.form('/claim')), 400);
    t.deepEqual(await house.rows(), before);
    t.is(said(await house.poll(agent.claim_token)), '400 authorization_pending');
    const again = await house.open(second);
    t.is(heading(await again.post('/claim')), APPROVED);
  });
});
