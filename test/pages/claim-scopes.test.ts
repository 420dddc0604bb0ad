import { fact, permissionsOn } from '../helpers/agent-pages.ts';
import { boxesOn } from '../helpers/agent-world.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import type { Browser } from '../helpers/browser.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import { APPROVED, codeIn, type House, heading, openHouse, WAITING } from '../helpers/claim-page.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { appCode, SESSION, setUpApp, signIn, typeMailedCode } from '../helpers/human.ts';
import { basic, createTestClock, createTestDatabase, type Engine, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** On the page the human chooses what an agent gets; auth-md/narrowed-claims.test.ts holds the same of other versions of auth.md. */

const NOTHING = /Nothing is selected\. Select something, or decline\./;
const OFF = /Off unless you turn it on\./;

const SCOPES = {
  read: { description: 'Look, list and search' },
  write: { description: 'Create and change' },
  delete: { description: 'Remove documents for good', destructive: true },
};
const FILE = { scopes: SCOPES, claimedScopes: Object.keys(SCOPES) };

const openHouseWith = (engine: Engine, file: object) =>
  withConfigFile(file, (CONFIG) => openHouse(engine, { env: { CONFIG } }));

/** Changes of the form that leave only these boxes on. */
const only = (...scopes: string[]) =>
  Object.fromEntries(
    Object.keys(SCOPES).map((scope) => [`scope:${scope}`, scopes.includes(scope) ? 'on' : undefined]),
  );

onEveryEngine('the permissions on the claim page', (engine, test) => {
  let house: House;
  let api: Api;
  test.before(async () => {
    house = await openHouseWith(engine, FILE);
    api = await addApi(house.on);
  });
  test.after(() => house.stop());

  const me = async (key: string) => (await house.on.get('/api/me', key)).body.data;
  const isDead = async (key: string) => (await house.on.get('/api/me', key)).status === 401;

  /** What an API hears of a key. */
  async function introspected(token: string) {
    const credentials = basic(api.clientId, api.clientSecret);
    return (await house.on.form('/oauth2/introspect', { token }, credentials)).body;
  }

  /** An agent that asks, and its human at the page. */
  async function atPage(input: Parameters<House['ask']>[0] = {}) {
    const asked = await house.ask(input);
    return { ...asked, code: codeIn(asked.mail), human: await house.open(asked.viewUrl) };
  }

  /** The key that an agent collects. */
  async function collected(claimToken: string) {
    const reply = await house.poll(claimToken);
    return reply.body.data as { credential: string; scopes: string[]; user_id: string };
  }

  test('each has a box, and all are ticked but destructive ones, which say so', async (t) => {
    const { human } = await atPage();
    const page = await human.get('/claim');
    t.deepEqual(boxesOn(page), { 'scope:read': true, 'scope:write': true, 'scope:delete': false });
    t.deepEqual(page.text.match(/Destructive/g)?.length, 1);
    t.regex(
      page.text,
      /Remove documents for good <span class="chip">delete<[\s\S]*Off unless you turn it on\./,
    );
    t.deepEqual(page.text.match(new RegExp(OFF, 'g'))?.length, 1);
    t.regex(page.text, /If you read the code to the agent instead, it gets all of these\./);
  });

  for (const link of [false, true]) {
    const mode = link ? 'link' : 'merge';
    test(`what is ticked is what the agent gets, and no more later (${mode})`, async (t) => {
      for (const given of [['write'], ['read'], ['delete', 'read'], ['delete', 'read', 'write']]) {
        const { human, mailbox, ...asked } = await atPage({ link, name: 'Robin' });
        const page = await human.post('/claim', { code: asked.code, ...only(...given) });
        t.is(heading(page), APPROVED);
        t.is(fact(page.text, 'Permissions'), given.join(' '));

        const key = await collected(asked.claim_token);
        t.deepEqual(key.scopes, given);
        t.deepEqual((await me(key.credential)).scopes, given);
        t.is((await introspected(key.credential)).scope, given.join(' '));
        const body = { name: 'helper', scope: 'read write delete' };
        const headers = { Authorization: `Bearer ${key.credential}` };
        const wider = await house.on.post('/api/tokens', body, headers);
        t.is(wider.status === 200, given.length === 3, wider.text);

        const owner = await signIn(house.on, mailbox);
        t.deepEqual(permissionsOn((await owner.get(`/agents/${asked.agent_id}`)).text), given);
      }
    });
  }

  test('a key from before the claim loses what its human did not give, at once', async (t) => {
    const kept = await atPage();
    await kept.human.post('/claim', { code: kept.code, ...only('read') });
    await collected(kept.claim_token);
    t.is((await introspected(kept.credential)).scope, 'read');

    const lost = await atPage();
    await lost.human.post('/claim', { code: lost.code, ...only('write') });
    t.false(await isDead(lost.credential));
    await collected(lost.claim_token);
    t.true(await isDead(lost.credential));
  });

  test('nothing ticked is refused by name, spends no try and keeps the code', async (t) => {
    const { human, code, claim_token, mailbox } = await atPage();
    const tries = () => countOf(house.on, 'claim_attempts WHERE mailbox = ? AND tries > 0', [mailbox]);
    for (const sent of [only(), { ...only(), 'scope:admin': 'on' }, { ...only(), 'scope:': 'on' }]) {
      const page = await human.post('/claim', { code, ...sent });
      t.is(page.status, 400);
      t.is(heading(page), WAITING);
      t.regex(page.text, NOTHING);
      t.regex(page.text, /<title>Error: /);
      t.regex(
        page.text,
        /name="scope:read"[^>]*aria-invalid="true" aria-describedby="permissions-error" autofocus/,
      );
      t.true(page.text.includes(`value="${code}"`), page.text);
      t.deepEqual(boxesOn(page), { 'scope:read': false, 'scope:write': false, 'scope:delete': false });
    }
    t.is(await tries(), 0);
    t.is(said(await house.poll(claim_token)), '400 authorization_pending');
    t.is(heading(await human.post('/claim', { code, ...only('read') })), APPROVED);
  });

  test('a scope that is not offered is left out', async (t) => {
    const { human, code, claim_token } = await atPage();
    await human.post('/claim', { code, ...only('read'), 'scope:admin': 'on', 'scope:__proto__': 'on' });
    t.deepEqual((await collected(claim_token)).scopes, ['read']);
  });

  test('a wrong code keeps the boxes as they were', async (t) => {
    const { human, code } = await atPage();
    for (const [wrong, kept] of [
      [wrongCode(code), ''],
      ['12', '12'],
    ] as const) {
      const page = await human.post('/claim', { code: wrong, ...only('read', 'delete') });
      t.is(page.status, 400);
      t.regex(page.text, new RegExp(`name="code"[^>]* value="${kept}"`));
      t.deepEqual(boxesOn(page), { 'scope:read': true, 'scope:write': false, 'scope:delete': true });
    }
  });

  test('a new attempt starts anew', async (t) => {
    const first = await atPage();
    await first.human.post('/claim', { code: first.code, ...only('read') });
    const second = await atPage({ agent: first, mailbox: first.mailbox });
    const page = await second.human.get('/claim');
    t.deepEqual(boxesOn(page), { 'scope:read': true, 'scope:write': true, 'scope:delete': false });
    await second.human.post('/claim', { code: second.code, ...only('write') });
    t.deepEqual((await collected(first.claim_token)).scopes, ['write']);
  });

  test('who reads the code to the agent gives all that the page says', async (t) => {
    const asked = await house.ask();
    const told = await house.complete(asked.claim_token, codeIn(asked.mail));
    t.deepEqual(told.body.data.scopes, ['delete', 'read', 'write']);

    // Once the human has chosen on the page, their choice holds, whatever the agent sends.
    const both = await atPage();
    await both.human.post('/claim', { code: both.code, ...only('read') });
    const completed = await house.complete(both.claim_token, both.code);
    t.deepEqual(completed.body.data.scopes, ['read']);
  });

  test('a form that is sent again, with other boxes, too, changes nothing that was approved', async (t) => {
    const { human, code, claim_token } = await atPage();
    const form = { ...human.form('/claim'), code };
    await human.send('/claim', { ...form, ...only('read') });
    const before = await house.rows();
    for (const sent of [only('read'), only('read', 'write', 'delete'), only()]) {
      const again = await human.send('/claim', { ...form, ...sent });
      t.is(heading(again), APPROVED);
      t.is(fact(again.text, 'Permissions'), 'read');
    }
    t.deepEqual(await house.rows(), before);
    t.deepEqual((await collected(claim_token)).scopes, ['read']);
  });

  test('of two sets that are sent at once one holds, and the key has that one', async (t) => {
    for (let round = 0; round < 8; round += 1) {
      const { human, code, claim_token } = await atPage();
      const form = { ...human.form('/claim'), code };
      const sets = [['read'], ['delete', 'write']];
      const pages = await atOnce(4, (index) =>
        human.send('/claim', { ...form, ...only(...sets[index % 2]!) }),
      );
      t.deepEqual([...new Set(pages.map(heading))], [APPROVED]);
      const [shown, ...others] = new Set(pages.map(({ text }) => fact(text, 'Permissions')));
      t.deepEqual(others, []);
      const key = await collected(claim_token);
      t.is(key.scopes.join(' '), shown!);
      t.is((await introspected(key.credential)).scope, shown);
    }
  });

  test('an approval and the code brought at once: the key has what was approved, or all if it came first', async (t) => {
    for (let round = 0; round < 8; round += 1) {
      const { human, code, claim_token } = await atPage();
      const form = { ...human.form('/claim'), code, ...only('read') };
      const [page, reply] = await Promise.all([
        human.send('/claim', form),
        house.complete(claim_token, code),
      ]);
      t.is(reply.status, 200, reply.text);
      const wasFirst = heading(page) === APPROVED;
      t.deepEqual(reply.body.data.scopes, wasFirst ? ['read'] : ['delete', 'read', 'write'], heading(page));
    }
  });

  test.describe('a form outlives', (test) => {
    const chosen = only('read', 'delete');
    const boxes = { 'scope:read': true, 'scope:write': false, 'scope:delete': true };

    test('a detour by signing in, where the owner must be signed in', async (t) => {
      const mailbox = newMailbox();
      const owner = await signIn(house.on, mailbox);
      const { secret } = await setUpApp(house.on, owner);
      const { human, code, claim_token } = await atPage({ mailbox });
      const refused = await human.post('/claim', { code, ...chosen });
      t.is(refused.status, 401);
      t.regex(refused.text, /href="\/sign-in\?next=\/claim"/);
      t.is(said(await house.poll(claim_token)), '400 authorization_pending');

      const back = await signInWithApp(human, mailbox, secret);
      t.is(heading(back), WAITING);
      t.deepEqual(boxesOn(back), boxes);
      t.true(back.text.includes(`value="${code}"`), back.text);
      t.is(heading(await human.post('/claim', { code })), APPROVED);
      t.deepEqual((await collected(claim_token)).scopes, ['delete', 'read']);
    });

    test('its session', async (t) => {
      const mailbox = newMailbox();
      const { human, code } = await atPage({ mailbox });
      await signIn(house.on, mailbox, { browser: human });
      await human.get('/claim');
      const form = human.form('/claim');
      human.cookies.set(SESSION, 'ended');
      const led = await human.send('/claim', { ...form, code, ...chosen });
      t.is(led.path, '/sign-in?next=/claim');
      const back = await typeMailedCode(house.on, mailbox, { browser: human, next: '/claim' });
      t.deepEqual(boxesOn(back), boxes);
      t.true(back.text.includes(`value="${code}"`), back.text);
      await human.post('/claim', { code });
      t.regex((await human.get('/account/activity')).text, /It moves into your account · delete, read/);
    });

    test('no newer attempt', async (t) => {
      const mailbox = newMailbox();
      const first = await atPage({ mailbox });
      await signIn(house.on, mailbox, { browser: first.human });
      await first.human.get('/claim');
      const form = first.human.form('/claim');
      first.human.cookies.set(SESSION, 'ended');
      await first.human.send('/claim', { ...form, code: first.code, ...chosen });
      const second = await house.ask({ agent: first, mailbox });
      first.human.cookies.delete(SESSION);
      const page = await first.human.get(second.viewUrl);
      t.deepEqual(boxesOn(page), { 'scope:read': true, 'scope:write': true, 'scope:delete': false });
      t.false(page.text.includes(first.code), page.text);
    });

    async function signInWithApp(browser: Browser, mailbox: string, secret: string) {
      const earlier = house.on.signInMails.filter(({ to }) => to === mailbox).length;
      await browser.get('/sign-in?next=/claim');
      await browser.post('/sign-in', { email: mailbox });
      await browser.post('/sign-in/code', { code: await house.on.signInCodeFor(mailbox, earlier + 1) });
      house.on.clock.advance(30); // the app shows another code than at setting up
      return browser.post('/sign-in/code', { code: appCode(house.on, secret) });
    }
  });
});

onEveryEngine('permissions that include others', (engine, test) => {
  const scopes = {
    read: { description: 'Look' },
    write: { description: 'Change', implies: ['read'] },
    wipe: { description: 'Wipe', destructive: true },
    all: { description: 'Everything', implies: ['write', 'wipe'] },
  };
  let house: House;
  test.before(async () => {
    house = await openHouseWith(engine, { scopes, claimedScopes: Object.keys(scopes) });
  });
  test.after(() => house.stop());

  test('say so, give the others, too, and are off beforehand if one of these is destructive', async (t) => {
    const asked = await house.ask();
    const human = await house.open(asked.viewUrl);
    const page = await human.get('/claim');
    t.deepEqual(boxesOn(page), {
      'scope:read': true,
      'scope:write': true,
      'scope:wipe': false,
      'scope:all': false,
    });
    t.regex(
      page.text,
      /Change <span class="chip">write<\/span><span class="hint">Includes read, selected or not\.</,
    );
    t.regex(page.text, /Includes write, wipe, read, selected or not\.<\/span><span class="hint">Off unless/);
    const boxes = { 'scope:read': undefined, 'scope:write': 'on' };
    const approved = await human.post('/claim', { code: codeIn(asked.mail), ...boxes });
    t.is(fact(approved.text, 'Permissions'), 'read write');
    t.deepEqual((await house.poll(asked.claim_token)).body.data.scopes, ['read', 'write']);
  });
});

onEveryEngine('a single permission', (engine, test) => {
  test('that is destructive must be turned on, too', async (t) => {
    const house = await openHouseWith(engine, { scopes: SCOPES, claimedScopes: ['delete'] });
    const asked = await house.ask();
    const human = await house.open(asked.viewUrl);
    t.deepEqual(boxesOn(await human.get('/claim')), { 'scope:delete': false });
    const code = codeIn(asked.mail);
    t.regex((await human.post('/claim', { code })).text, NOTHING);
    t.is(heading(await human.post('/claim', { code, 'scope:delete': 'on' })), APPROVED);
    t.deepEqual((await house.poll(asked.claim_token)).body.data.scopes, ['delete']);
    await house.stop();
  });
});

onEveryEngine('a permission that the operator withdraws', (engine, test) => {
  test('before the agent collects its key is not in it; without any other the agent must ask again', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const open = (claimedScopes: string[]) =>
      withConfigFile({ scopes: SCOPES, claimedScopes }, (CONFIG) =>
        openHouse(engine, { database, clock, env: { CONFIG } }),
      );
    try {
      const before = await open(['read', 'write']);
      const asked = await Promise.all(
        [['write'], ['read', 'write']].map(async (given) => {
          const one = await before.ask();
          const human = await before.open(one.viewUrl);
          t.is(heading(await human.post('/claim', { code: codeIn(one.mail), ...only(...given) })), APPROVED);
          return one;
        }),
      );
      await before.stop();

      const after = await open(['read']);
      t.is(said(await after.poll(asked[0]!.claim_token)), '410 otp_expired');
      t.deepEqual((await after.poll(asked[1]!.claim_token)).body.data.scopes, ['read']);
      const again = await after.ask({ agent: asked[0]! });
      const human = await after.open(again.viewUrl);
      await human.post('/claim', { code: codeIn(again.mail) });
      t.deepEqual((await after.poll(again.claim_token)).body.data.scopes, ['read']);
      await after.on.stop();
    } finally {
      await database.drop();
    }
  });
});
