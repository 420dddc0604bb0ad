import type { ExecutionContext } from 'ava';
import { fact } from '../helpers/agent-pages.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { said } from '../helpers/ceremony.ts';
import {
  APPROVED,
  assertPage,
  codeIn,
  DENIED,
  type House,
  heading,
  openHouse,
  WAITING,
} from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** A page that waits for its agent: the script of it asks how far the claim is, and people without scripts press "Check again". */

onEveryEngine('a page that waits', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine);
  });
  test.after(() => house.stop());

  async function stateAt(t: ExecutionContext, human: Browser): Promise<string> {
    const { status, text, headers, redirects } = await human.get('/claim/state');
    t.is(status, 200, text);
    t.deepEqual(redirects, []);
    t.is(headers.get('content-type'), 'application/json; charset=utf-8');
    t.is(headers.get('cache-control'), 'no-store');
    t.deepEqual(Object.keys(JSON.parse(text)), ['state']);
    return JSON.parse(text).state;
  }

  test('is told how far the claim is, and nothing else', async (t) => {
    const agent = await house.on.post('/agent/auth', { type: 'anonymous', agent_name: 'Robin' });
    const human = await house.open(agent.body.data.verification_uri);
    t.is(await stateAt(t, human), 'unasked');
    const unasked = await human.get('/claim');
    t.regex(unasked.text, /data-state="unasked"[^>]* data-watch="\/claim\/state"/);
    t.regex(unasked.text, /hidden>This page updates by itself\.<[\s\S]*href="\/claim">Check again</);
    t.regex(unasked.text, /<script src="\/assets\/watch-claim\.[0-9a-f]{12}\.js" defer>/);

    const asked = await house.ask({ agent: agent.body.data });
    t.is(await stateAt(t, human), 'waiting');
    const waiting = await human.get('/claim');
    t.is(heading(waiting), WAITING);
    t.notRegex(waiting.text, /data-watch|watch-claim/);

    await human.post('/claim', { code: codeIn(asked.mail) });
    t.is(await stateAt(t, human), 'approved');
    const approved = await human.get('/claim');
    t.regex(approved.text, /data-state="approved"[^>]* data-watch/);
    t.regex(
      approved.text,
      /Usually takes a few seconds\.[\s\S]*hidden>This page updates by itself\.<[\s\S]*Check again/,
    );
    t.regex(approved.text, /Decline after all/);

    t.is(said(await house.poll(asked.claim_token)), '200');
    t.is(await stateAt(t, human), 'collected');
    const collected = await human.get('/claim');
    t.is(heading(collected), APPROVED);
    t.regex(collected.text, /data-status="The agent has its key"/);
    t.regex(collected.text, /You approved[\s\S]*The agent has its key/);
    t.is(fact(collected.text, 'How'), 'It moved into your account');
    t.is(fact(collected.text, 'Permissions'), 'read write');
    t.true(collected.text.includes(`href="/agents/${asked.agent_id}"`));
    t.notRegex(collected.text, /Waiting for the agent|Decline after all|Check again|data-watch|watch-claim/);
  });

  test('sees the ends, too', async (t) => {
    const denied = await house.ask();
    const human = await house.open(denied.viewUrl);
    await human.post('/claim', { code: codeIn(denied.mail) });
    await (await house.open(denied.mail.denyUrl)).post('/claim/deny');
    t.is(await stateAt(t, human), 'denied');
    t.is(heading(await human.get('/claim')), DENIED);

    const replaced = await house.ask();
    const other = await house.open(replaced.viewUrl);
    await house.ask({ agent: replaced });
    t.is(await stateAt(t, other), 'replaced');

    const told = await house.ask();
    const third = await house.open(told.viewUrl);
    await house.complete(told.claim_token, codeIn(told.mail));
    t.is(await stateAt(t, third), 'claimed');
  });

  test('says nothing of an agent that was revoked since, but that it was approved', async (t) => {
    const mailbox = newMailbox();
    const asked = await house.ask({ mailbox });
    const human = await house.open(asked.viewUrl);
    await human.post('/claim', { code: codeIn(asked.mail) });
    await house.poll(asked.claim_token);
    const owner = await signIn(house.on, mailbox);
    await owner.get(`/agents/${asked.agent_id}/revoke`);
    await owner.post(`/agents/${asked.agent_id}/revoke`);
    t.is(await stateAt(t, human), 'claimed');
  });

  test('is told nothing without the link, by an altered one, or in the session of somebody else', async (t) => {
    const asked = await house.ask();
    assertPage(t, await openBrowser(house.on).get('/claim/state'), 404);
    assertPage(t, await openBrowser(house.on).get(`/claim/state?t=${asked.viewUrl.split('t=')[1]}`), 404);

    const human = await house.open(asked.viewUrl);
    const link = human.cookies.get('vouchsafe_claim')!;
    human.cookies.set('vouchsafe_claim', `${link}x`);
    assertPage(t, await human.get('/claim/state'), 404);

    const stranger = await signIn(house.on, newMailbox());
    stranger.cookies.set('vouchsafe_claim', link);
    assertPage(t, await stranger.get('/claim/state'), 404);
    const owner = await signIn(house.on, asked.mailbox);
    owner.cookies.set('vouchsafe_claim', link);
    t.is(await stateAt(t, owner), 'waiting');
  });

  test('changes nothing by asking, and keeps what was typed elsewhere', async (t) => {
    const asked = await house.ask();
    const human = await house.open(asked.viewUrl);
    human.cookies.set('vouchsafe_draft', 'kept');
    human.cookies.set('vouchsafe_flash', 'keyRevoked');
    const before = await house.rows();
    for (let round = 0; round < 20; round += 1) await stateAt(t, human);
    t.deepEqual(await house.rows(), before);
    t.is(human.cookies.get('vouchsafe_draft'), 'kept');
    t.is(human.cookies.get('vouchsafe_flash'), 'keyRevoked');
  });
});
