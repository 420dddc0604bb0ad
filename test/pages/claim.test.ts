import { openBrowser } from '../helpers/browser.ts';
import { said, tally } from '../helpers/ceremony.ts';
import {
  APPROVED,
  assertPage,
  CLAIMED,
  codeIn,
  DENIED,
  ENDED,
  type House,
  heading,
  openHouse,
  REPLACED,
  tokenIn,
} from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { createTestClock, createTestDatabase, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the claim page', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine);
  });
  test.after(() => house.stop());

  test.describe('approval', (test) => {
    for (const link of [false, true]) {
      const mode = link ? 'link' : 'merge';
      test(`typing the mailed code approves, and the agent that asks without it gets its key once (${mode})`, async (t) => {
        const { on, ask, open, poll } = house;
        const asked = await ask({ link, name: 'Robin' });
        const pending = await poll(asked.claim_token);
        t.is(said(pending), '400 authorization_pending');
        t.regex(pending.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
        t.is(pending.body.error.verification_uri, asked.viewUrl);
        t.true(pending.body.error.retryable);

        const human = await open(asked.viewUrl);
        t.is(said(await poll(asked.claim_token)), '400 authorization_pending');
        const approved = await human.post('/claim', { code: codeIn(asked.mail) });
        assertPage(t, approved, 200);
        t.is(heading(approved), APPROVED);
        t.deepEqual(approved.redirects, [`${on.url}/claim`]);

        const collected = await poll(asked.claim_token);
        t.is(said(collected), '200');
        t.is(collected.body.data.mode, mode);
        t.is(collected.body.data.agent_id, asked.agent_id);
        t.is(collected.body.data.user_id === asked.user_id, link);
        const me = (await on.get('/api/me', collected.body.data.credential)).body.data;
        t.deepEqual(me.scopes, ['read', 'write']);
        t.is(me.claim.status, 'claimed');
        t.is(me.agent_name, 'Robin');

        const again = await poll(asked.claim_token);
        t.is(said(again), '409 already_claimed');
        t.notRegex(again.text, /sk_|ct_/);
        const page = await human.get('/claim');
        t.is(heading(page), APPROVED);
        t.regex(page.text, /The agent has its key/);
      });
    }

    test('a code with the spaces or hyphens that people type is the same code', async (t) => {
      for (const gap of [' ', '-']) {
        const asked = await house.ask();
        const code = codeIn(asked.mail);
        const human = await house.open(asked.viewUrl);
        const page = await human.post('/claim', { code: ` ${code.slice(0, 3)}${gap}${code.slice(3)} ` });
        t.is(heading(page), APPROVED);
      }
    });

    test('of five that ask at once after the approval one gets the key, and the others no secret', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      await human.post('/claim', { code: codeIn(asked.mail) });
      const replies = await Promise.all(Array.from({ length: 5 }, () => house.poll(asked.claim_token)));
      t.deepEqual(tally(replies), { '200': 1, '409 already_claimed': 4 });
      for (const { status, text } of replies) if (status === 409) t.notRegex(text, /sk_|ct_/);
    });

    test('one that asked just before another collected the key is told so, and not that its code is over', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      await human.post('/claim', { code: codeIn(asked.mail) });
      const { db } = house.on.service.deps;
      const get = db.get;
      const [reached, collected] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      // The first poll stands still between its look at the claim and its look at the approval.
      db.get = async (sql, params) => {
        if (/FROM claim_attempts WHERE registration_id/.test(sql)) {
          db.get = get;
          reached.resolve();
          await collected.promise;
        }
        return get(sql, params);
      };
      const slow = house.poll(asked.claim_token);
      await reached.promise;
      t.is(said(await house.poll(asked.claim_token)), '200');
      collected.resolve();
      t.is(said(await slow), '409 already_claimed');
    });

    test('reading the code to the agent still completes, before and after an approval on the page', async (t) => {
      const told = await house.ask();
      t.is(said(await house.complete(told.claim_token, codeIn(told.mail))), '200');

      const both = await house.ask({ link: true });
      const human = await house.open(both.viewUrl);
      await human.post('/claim', { code: codeIn(both.mail) });
      const completed = await house.complete(both.claim_token, codeIn(both.mail));
      t.is(said(completed), '200');
      t.is(completed.body.data.user_id, both.user_id);
      t.is(said(await house.poll(both.claim_token)), '409 already_claimed');
    });

    test('an approval waits for the agent also when the time of the code is over', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      await human.post('/claim', { code: codeIn(asked.mail) });
      house.on.clock.advance(601);
      t.is(heading(await human.get('/claim')), APPROVED);
      t.is(said(await house.poll(asked.claim_token)), '200');
    });

    test('an approval is for the mailbox and mode that were shown: asking anew takes it back', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      await human.post('/claim', { code: codeIn(asked.mail) });
      await house.ask({ agent: asked, mailbox: newMailbox() });
      t.is(said(await house.poll(asked.claim_token)), '400 authorization_pending');
      t.is(heading(await human.get('/claim')), REPLACED);
    });

    test('a form of an older attempt approves nothing, whatever code comes with it', async (t) => {
      for (const change of [{ mailbox: newMailbox() }, { link: true }]) {
        const first = await house.ask();
        const human = await house.open(first.viewUrl);
        const form = human.form('/claim');
        const second = await house.ask({ agent: first, mailbox: first.mailbox, ...change });
        const before = await house.rows();
        for (const code of [codeIn(first.mail), codeIn(second.mail)]) {
          assertPage(t, await human.send('/claim', { ...form, code }), 400);
        }
        // By the first mail's own link, too, which leads to the attempt that is over.
        const reader = await house.open(first.mail.denyUrl);
        assertPage(
          t,
          await reader.send('/claim', {
            ...form,
            csrf: reader.form('/claim/deny').csrf,
            code: codeIn(first.mail),
          }),
          400,
        );
        t.deepEqual(await house.rows(), before);
        t.is(said(await house.poll(first.claim_token)), '400 authorization_pending');
      }
    });

    test('a form that comes too late shows what became of the claim', async (t) => {
      const [claimed, denied] = [await house.ask(), await house.ask()];
      const humans = [await house.open(claimed.viewUrl), await house.open(denied.viewUrl)] as const;
      const forms = humans.map((human) => human.form('/claim'));
      await house.complete(claimed.claim_token, codeIn(claimed.mail));
      await (await house.open(denied.mail.denyUrl)).post('/claim/deny');
      const before = await house.rows();
      const late = await humans[0].send('/claim', { ...forms[0], code: codeIn(claimed.mail) });
      assertPage(t, late, 409);
      t.is(heading(late), CLAIMED);
      t.true(late.text.includes(`href="/agents/${claimed.agent_id}"`), late.text);
      const gone = await humans[1].send('/claim', { ...forms[1], code: codeIn(denied.mail) });
      assertPage(t, gone, 410);
      t.is(heading(gone), DENIED);
      for (const { text } of [late, gone]) t.notRegex(text, /<title>Error|role="alert"|<form/);
      t.deepEqual(await house.rows(), before);
    });

    test('what was approved stands on the page, and it can be declined until the key is collected', async (t) => {
      for (const link of [false, true]) {
        const asked = await house.ask({ link, name: 'Robin' });
        const human = await house.open(asked.viewUrl);
        t.regex(
          (await human.get('/claim')).text,
          link ? /It is linked to you/ : /It moves into your account/,
        );
        const { text } = await human.post('/claim', { code: codeIn(asked.mail) });
        t.regex(text, /<b><bdi>Robin<\/bdi><\/b> can now act for you/);
        t.regex(
          text,
          /You approved[\s\S]*Waiting for the agent to collect its key[\s\S]*href="\/claim">Check again/,
        );
        t.regex(
          text,
          /<dt>Permissions<\/dt><dd><span class="chips"><span class="chip">read<\/span> <span class="chip">write</,
        );
        t.is(/<dt>Undo until<\/dt>/.test(text), !link);
        t.regex(text, /href="\/claim\/deny">Decline after all</);
        await human.get('/claim/deny');
        t.is(heading(await human.post('/claim/deny')), DENIED);
        t.is(said(await house.poll(asked.claim_token)), '410 claim_denied');
      }
    });

    test("one agent's form approves no other agent's claim", async (t) => {
      const mailbox = newMailbox();
      const mine = await house.ask({ mailbox });
      const theirs = await house.ask({ mailbox });
      const human = await house.open(mine.viewUrl);
      const form = human.form('/claim');
      await human.get(theirs.viewUrl);
      const page = await human.send('/claim', { ...form, code: codeIn(theirs.mail) });
      assertPage(t, page, 400);
      for (const each of [mine, theirs]) {
        t.is(said(await house.poll(each.claim_token)), '400 authorization_pending');
      }
    });

    test('the page follows the claim: nobody asked yet, over, ended by another claim', async (t) => {
      const { on, register, poll } = house;
      const registered = await on.post('/agent/auth', { type: 'anonymous' });
      const human = await house.open(registered.body.data.verification_uri);
      t.regex((await human.get('/claim')).text, /Waiting for the agent/);
      t.is(said(await poll(registered.body.data.claim_token)), '400 otp_not_generated');

      const mailbox = newMailbox();
      const [one, other] = [
        await house.ask({ mailbox }),
        await house.ask({ mailbox, agent: await register() }),
      ];
      const waiting = await house.open(one.viewUrl);
      await house.complete(other.claim_token, codeIn(other.mail));
      t.is(heading(await waiting.get('/claim')), ENDED);
      t.is(said(await poll(one.claim_token)), '410 claim_superseded');
    });
  });

  test.describe('links', (test) => {
    test('a bot that opens every link ten times changes nothing, and the human still completes', async (t) => {
      const { on, ask, poll, open, rows } = house;
      const asked = await ask({ name: 'Robin' });
      const urls = [asked.mail.claimUrl, asked.mail.denyUrl, asked.viewUrl];
      const before = await rows();
      const headers = { 'User-Agent': 'Mozilla/5.0 (compatible; LinkScanner/1.0; +https://scanner.example)' };
      for (const url of urls) {
        for (let round = 0; round < 10; round += 1) {
          for (const method of ['GET', 'HEAD']) {
            const reply = await on.request(method, url.slice(on.url.length), { headers });
            t.is(reply.status, 303);
            const cookie = reply.headers
              .getSetCookie()
              .map((line) => line.split(';')[0])
              .join('; ');
            const path = reply.headers.get('location')!.slice(on.url.length);
            const page = await on.request(method, path, { headers: { ...headers, Cookie: cookie } });
            t.is(page.status, 200);
            t.is(page.text === '', method === 'HEAD');
          }
        }
      }
      t.deepEqual(await rows(), before);
      t.is(said(await poll(asked.claim_token)), '400 authorization_pending');
      const human = await open(asked.mail.claimUrl);
      t.is(heading(await human.post('/claim', { code: codeIn(asked.mail) })), APPROVED);
      t.is(said(await poll(asked.claim_token)), '200');
    });

    test("a link's token moves into a cookie by one redirect, and is in no later page, URL or log line", async (t) => {
      const { on, ask } = house;
      const asked = await ask();
      for (const [url, path] of [
        [asked.viewUrl, '/claim'],
        [asked.mail.denyUrl, '/claim/deny'],
      ] as const) {
        const token = tokenIn(url);
        const human = openBrowser(on);
        const opened = await human.get(url);
        t.deepEqual(opened.redirects, [on.url + path]);
        t.is(opened.path, path);
        t.is(human.cookies.get('vouchsafe_claim'), token);
        const wrong = wrongCode(codeIn(asked.mail));
        const later = [opened, await human.get('/claim/deny'), await human.get('/claim')];
        later.push(await human.post('/claim', { code: wrong }));
        for (const page of later) {
          const told = page.text + page.redirects.join() + [...page.headers].join();
          t.true(!told.includes(token) && !told.includes(token.split('.').at(-1)!), page.text);
        }
        t.false(on.logged.join('').includes(token.split('.').at(-1)!));
      }
      t.true(on.logged.length > 0);
    });

    test("the page holds no claim token, no code, no key, and by the agent's own link no full mailbox", async (t) => {
      const asked = await house.ask({ name: 'Robin' });
      const secrets = [asked.claim_token, codeIn(asked.mail), asked.credential];
      const byAgentsLink = openBrowser(house.on);
      const byMail = openBrowser(house.on);
      const pages = [await byAgentsLink.get(asked.viewUrl), await byAgentsLink.get('/claim/deny')];
      for (const { text } of pages) t.false(text.includes(asked.mailbox), text);
      t.true(pages[0]!.text.includes('h***@example.com'));
      const mailed = [await byMail.get(asked.mail.denyUrl), await byMail.get('/claim')];
      for (const { text } of mailed) t.true(text.includes(asked.mailbox), text);
      for (const { text } of [...pages, ...mailed]) {
        for (const secret of secrets) t.false(text.includes(secret), text);
      }
    });

    test('a guessed or altered link leads nowhere, in the URL and in the cookie', async (t) => {
      const { on } = house;
      const [one, other] = [await house.ask(), await house.ask()];
      const [view, viewOther] = [tokenIn(one.viewUrl), tokenIn(other.viewUrl)];
      const deny = tokenIn(one.mail.denyUrl);
      const mac = (token: string) => token.slice(token.lastIndexOf('.') + 1);
      const text = (token: string) => token.slice(0, token.lastIndexOf('.'));
      const altered = [
        '',
        '.',
        'v',
        text(view),
        `${text(view)}.`,
        `${text(viewOther)}.${mac(view)}`,
        `${text(deny)}.${mac(view)}`,
        `a${text(deny).slice(1)}.1.${mac(deny)}`,
        `a${text(deny).slice(1)}.1.${mac(view)}`,
        `d${text(view).slice(1)}.${mac(view)}`,
        `${view}x`,
        view.slice(0, -1),
        `${text(view)}.${mac(view).toUpperCase()}`,
        `${text(view)}.${'A'.repeat(27)}`,
        'ü'.repeat(40),
        '\0.\0',
        'v.'.repeat(1000),
      ];
      const before = await house.rows();
      for (const token of altered) {
        const about = JSON.stringify(token);
        const human = openBrowser(on);
        for (const path of ['/claim', '/claim/deny']) {
          assertPage(t, await human.get(`${path}?t=${encodeURIComponent(token)}`), 404, about);
        }
        t.is(human.cookies.size, 0);
        await human.get(one.viewUrl);
        const form = human.form('/claim');
        if (!/^[\x21-\x7e]*$/.test(token)) continue; // no cookie
        human.cookies.set('vouchsafe_claim', token);
        assertPage(t, await human.get('/claim'), 404, about);
        assertPage(t, await human.send('/claim', { ...form, code: codeIn(one.mail) }), 404, about);
        assertPage(t, await human.send('/claim/deny', form), 404, about);
      }
      t.deepEqual(await house.rows(), before);
    });
  });
});

onEveryEngine('the claim page and accounts that exist', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine, { env: { CLAIM_EXISTING_ACCOUNT: 'confirm' } });
  });
  test.after(() => house.stop());

  test('where a merge must be confirmed, a code alone does not merge into an existing account; it still links', async (t) => {
    const mailbox = newMailbox();
    const first = await house.ask({ mailbox });
    t.is(said(await house.complete(first.claim_token, codeIn(first.mail))), '200');

    const merging = await house.ask({ mailbox });
    const before = await house.rows();
    const refused = await house.complete(merging.claim_token, codeIn(merging.mail));
    t.is(said(refused), '401 interaction_required');
    t.is(refused.body.error.verification_uri, merging.viewUrl);
    t.regex(refused.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
    t.regex(refused.headers.get('www-authenticate') ?? '', /AgentAuth error="interaction_required"/);
    t.notRegex(refused.text, /sk_|ct_/);
    t.deepEqual(await house.rows(), before);

    // Nor can somebody approve who is not signed in; how its owner does is told in sign-in.test.ts.
    const human = await house.open(merging.viewUrl);
    const page = await human.get('/claim');
    t.notRegex(page.text, /<form/);
    t.regex(page.text, /href="\/sign-in\?next=\/claim"/);
    t.is(said(await house.poll(merging.claim_token)), '400 authorization_pending');
    t.deepEqual((await house.on.get('/api/me', merging.credential)).body.data.scopes, ['read']);

    const linking = await house.ask({ mailbox, link: true });
    t.is(said(await house.complete(linking.claim_token, codeIn(linking.mail))), '200');
  });
});

onEveryEngine('the claim page and a restart', (engine, test) => {
  test('between approval and collection nothing is lost, and a repeated collection gives the same key', async (t) => {
    const database = await createTestDatabase(engine);
    const options = { database, clock: createTestClock() };
    const headers = { 'Idempotency-Key': 'collect' };
    try {
      const house = await openHouse(engine, options);
      const [asked, plain] = [await house.ask(), await house.ask({ link: true })];
      t.is(said(await house.poll(asked.claim_token, headers)), '400 authorization_pending');
      for (const { viewUrl, mail } of [asked, plain]) {
        const human = await house.open(viewUrl);
        t.is(heading(await human.post('/claim', { code: codeIn(mail) })), APPROVED);
      }
      await house.stop();

      const restarted = await openHouse(engine, options);
      t.is(said(await restarted.poll(plain.claim_token)), '200');
      const first = await restarted.poll(asked.claim_token, headers);
      t.is(said(first), '200');
      t.deepEqual((await restarted.poll(asked.claim_token, headers)).body, first.body);
      t.is(said(await restarted.poll(asked.claim_token)), '409 already_claimed');
      await restarted.stop();

      const later = await openHouse(engine, options);
      const again = (await later.poll(asked.claim_token, headers)).body;
      // Each of these services has a port of its own, which stands in what to do next.
      t.is(JSON.stringify(again).replaceAll(later.on.url, restarted.on.url), JSON.stringify(first.body));
      t.is((await later.on.get('/api/me', first.body.data.credential)).status, 200);
      await later.stop();
    } finally {
      await database.drop();
    }
  });
});
