import { type Api, addApi } from '../helpers/api.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { ensure } from '../helpers/ensure.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Agents in the operator's console: found, exported and revoked. */

/** The ids of the agents that a list shows, in its order. */
const listed = (text: string) =>
  [...text.matchAll(/<a href="\/console\/agents\/(agt_\w+)">/g)].map(([, id]) => id!);

onEveryEngine('agents in the console', (engine, test) => {
  let on: TestService;
  let operator: Operator;
  let isActive: Api['isActive'];
  test.before(async () => {
    on = await startTestService(engine);
    operator = await newOperator(on);
    ({ isActive } = await addApi(on));
  });
  test.after(() => on.stop());

  const find = async (query: Record<string, string>) =>
    listed((await operator.browser.get(`/console/agents?${new URLSearchParams(query)}`)).text);
  const named = async (agent_name: string) => {
    const reply = await on.post('/agent/auth', { type: 'anonymous', agent_name });
    ensure(reply.status === 200, reply.text);
    return reply.body.data as { agent_id: string; credential: string; user_id: string };
  };

  test('are listed newest first, and found by id, name, owner, account, key and network', async (t) => {
    const first = await named('Zelda the first');
    const mailbox = newMailbox();
    const merged = await on.claimed(mailbox);
    const linked = await on.claimed(mailbox, true);
    t.deepEqual((await find({})).slice(0, 3), [linked.agent_id, merged.agent_id, first.agent_id]);
    const searches: [q: string, found: string[]][] = [
      [first.agent_id, [first.agent_id]],
      [first.agent_id.slice(0, 18), [first.agent_id]],
      [
        `${first.agent_id.slice(0, 12)}${first.agent_id.slice(12, 20)}…${first.agent_id.slice(-4)}`,
        [first.agent_id],
      ],
      ['zelda', [first.agent_id]],
      ['ZELDA THE', [first.agent_id]],
      ['the first', []],
      [mailbox.toUpperCase(), [linked.agent_id, merged.agent_id]],
      [mailbox.slice(1), []],
      [merged.user_id, [linked.agent_id, merged.agent_id]],
      [first.credential.slice(0, 7), [first.agent_id]],
      [`${first.credential.slice(0, 20)}`, [first.agent_id]],
      ['evt_0', []],
      ['%', []],
    ];
    for (const [q, found] of searches) t.deepEqual(await find({ q }), found, q);
    for (const q of ['127.0', '127.0.x.x', '127.0.0.9', '127.'])
      t.true((await find({ q })).includes(first.agent_id), q);
    t.deepEqual(await find({ q: '128.0' }), []);
    t.deepEqual(await find({ q: '127.1' }), []);
  });

  test('are narrowed by status, type and time', async (t) => {
    const mailbox = newMailbox();
    const merged = await on.claimed(mailbox);
    const linked = await on.claimed(mailbox, true);
    t.deepEqual(await find({ q: mailbox, type: 'merge' }), [merged.agent_id]);
    t.deepEqual(await find({ q: mailbox, type: 'link' }), [linked.agent_id]);
    t.deepEqual(await find({ q: mailbox, type: 'anonymous' }), []);
    t.deepEqual(await find({ q: mailbox, status: 'revoked' }), []);
    t.deepEqual(await find({ q: mailbox, status: 'active' }), [linked.agent_id, merged.agent_id]);
    const anonymous = await named('Short-lived');
    on.clock.advance(31 * 86_400);
    await operator.signInAgain();
    t.deepEqual(await find({ q: 'Short-lived', status: 'expired' }), [anonymous.agent_id]);
    t.deepEqual(await find({ q: 'Short-lived', status: 'active' }), []);
    t.deepEqual(await find({ q: mailbox, time: '30d' }), []);
    t.deepEqual(await find({ q: mailbox, time: '', status: 'nonsense' }), [linked.agent_id, merged.agent_id]);
  });

  test('come 50 a page, and older ones by the mark of the last', async (t) => {
    const name = 'Paged';
    for (let count = 0; count < 53; count += 1) await named(`${name} ${count}`);
    const first = await operator.browser.get(`/console/agents?q=${name}&status=active`);
    t.is(listed(first.text).length, 50);
    const older = /href="([^"]*)"[^>]*>Older/.exec(first.text)![1]!.replaceAll('&amp;', '&');
    t.regex(older, /q=Paged&status=active&before=agt_/);
    const second = await operator.browser.get(older);
    t.is(listed(second.text).length, 3);
    t.is(new Set([...listed(first.text), ...listed(second.text)]).size, 53);
    t.notRegex(second.text, />Older/);
    t.regex(second.text, /href="\/console\/agents\?q=Paged&amp;status=active"[^>]*>.*Newest/s);
  });

  test('have a page with what an operator may know: the owner masked, no key in full', async (t) => {
    const mailbox = newMailbox('grace');
    const agent = await on.claimed(mailbox);
    const page = await operator.browser.get(`/console/agents/${agent.agent_id}`);
    t.is(page.status, 200);
    t.is(heading(page), 'Unnamed agent');
    for (const text of ['g***@example.com', agent.agent_id, '127.0.x.x', 'Agent merged', 'Merged']) {
      t.true(page.text.includes(text), text);
    }
    t.true(page.text.includes(`${agent.credential.slice(0, 7)}…`));
    t.false(page.text.includes(mailbox));
    t.false(page.text.includes(agent.credential.slice(0, 9)));
    for (const id of ['agt_0', 'agt_zzzzzzzzzzzzzzzzzzzzzzzz', 'usr_1', '%00', "'"]) {
      t.is((await operator.browser.get(`/console/agents/${id}`)).status, 404, id);
    }
  });

  test('show no whole mailbox and no formula in the table to download, which has what the filter finds', async (t) => {
    const mailbox = newMailbox('csv');
    const agent = await on.claimed(mailbox);
    const evil = await named('=HYPERLINK("x"),1');
    const table = await operator.browser.get('/console/agents.csv?status=active');
    t.is(table.headers.get('content-type'), 'text/csv; charset=utf-8; header=present');
    t.is(table.headers.get('content-disposition'), 'attachment; filename="agents.csv"');
    const lines = table.text.trimEnd().split('\r\n');
    t.is(lines[0], 'ID,Name,Owner,Type,Status,First seen,Network,Last used,Last used from');
    const lineOf = (id: string) => lines.find((line) => line.startsWith(`${id},`))!;
    t.true(lineOf(agent.agent_id).includes(',c***@example.com,Merged,Active,'));
    t.true(lineOf(evil.agent_id).includes(`,"'=HYPERLINK(""x""),1",`));
    t.false(table.text.includes(mailbox));
    const found = await operator.browser.get(`/console/agents.csv?q=${encodeURIComponent(mailbox)}`);
    t.is(found.text.trimEnd().split('\r\n').length, 2);
    t.is(
      lines.length - 1,
      await countOf(
        on,
        `agents a JOIN registrations r ON r.id = a.registration_id
      WHERE a.revoked_at IS NULL AND (a.owned_at IS NOT NULL OR r.expires_at > ?)`,
        [String(on.clock())],
      ),
    );
  });

  test('take no whole secret in a search, and do not repeat it', async (t) => {
    const { credential } = await on.register();
    const page = await operator.browser.get(`/console/agents?q=${credential}`);
    t.is(page.status, 400);
    t.regex(page.text, /That’s a whole secret/);
    t.regex(page.text, /<title>Error: /);
    t.false(page.text.includes(credential));
    t.false(on.logged.some((line) => line.includes(credential)));
  });

  test('are revoked many at once, with a reason, at the next introspection, and their owners are told', async (t) => {
    await operator.signInAgain();
    const claimed = await on.claimed(newMailbox());
    const others = await Promise.all(Array.from({ length: 20 }, () => on.register()));
    const agents = [claimed, ...others];
    for (const { credential } of agents) t.true(await isActive(credential));
    const query = agents.map(({ agent_id }) => `id=${agent_id}`).join('&');
    const asked = await operator.browser.get(`/console/agents/revoke?${query}`);
    t.is(heading(asked), 'Revoke 21 agents?');
    for (const { agent_id } of agents) t.true(asked.text.includes(agent_id));
    const done = await operator.browser.post('/console/agents/revoke', {
      reason: '  Spam\u202e from   one network ',
    });
    t.is(done.path, '/console/agents');
    t.regex(done.text, /role="status">.*Agents revoked/s);
    for (const { credential } of agents) t.false(await isActive(credential));
    const { deps } = on.service;
    const acts = await deps.db.all<{ subject: string; details: string; account_id: string }>(
      `SELECT subject, details, account_id FROM events WHERE kind = 'operator.agent_revoked' ORDER BY subject`,
    );
    t.deepEqual(
      acts.map(({ subject }) => subject),
      agents.map(({ agent_id }) => agent_id).toSorted(),
    );
    for (const act of acts) {
      t.is(act.account_id, operator.accountId);
      t.deepEqual(JSON.parse(act.details), { reason: 'Spam from one network' });
    }
    const told = `notices JOIN events ON id = event_id WHERE kind = 'agent.revoked' AND agent_id = ?`;
    t.is(await countOf(on, told, [claimed.agent_id]), 1);
    t.regex(
      (await operator.browser.get('/account/activity')).text,
      /as an operator.*Reason: Spam from one network/s,
    );
    // Once more, by an old page, changes nothing.
    await operator.browser.get(`/console/agents/revoke?${query}`);
    t.is(await countOf(on, `events WHERE kind = 'operator.agent_revoked'`), 21);
  });

  test('are not revoked without a reason, with one that is too long, or when none is selected', async (t) => {
    await operator.signInAgain();
    const { browser } = operator;
    const agent = await on.register();
    const path = `/console/agents/revoke?id=${agent.agent_id}`;
    const reasons: [reason: string, says: RegExp][] = [
      ['', /Enter a reason\./],
      [' \u200b ', /Enter a reason\./],
      ['x'.repeat(201), /Shorten the reason to 200 characters\./],
    ];
    for (const [reason, says] of reasons) {
      await browser.get(path);
      const page = await browser.post('/console/agents/revoke', { reason });
      t.is(page.status, 400);
      t.regex(page.text, says);
      t.regex(page.text, /<title>Error: /);
      t.true(page.text.includes(`value="${reason}"`), 'what was typed stays');
      t.true(page.text.includes(`name="agent:${agent.agent_id}"`));
    }
    t.regex((await browser.get('/console/agents/revoke')).text, /Nothing is selected/);
    t.is((await browser.get('/console/agents/revoke?id=agt_0')).status, 404);
    await browser.get(path);
    const { csrf } = browser.form('/console/agents/revoke');
    t.is(
      (await browser.send('/console/agents/revoke', { csrf, reason: 'x', 'agent:agt_0': 'on' })).status,
      404,
    );
    t.true(await isActive(agent.credential));
  });

  test('keep what was typed when the code is older than a quarter of an hour', async (t) => {
    await operator.signInAgain();
    const { browser } = operator;
    const agents = [await on.register(), await on.register()];
    await browser.get(`/console/agents/revoke?${agents.map(({ agent_id }) => `id=${agent_id}`).join('&')}`);
    on.clock.advance(16 * 60);
    const asked = await browser.post('/console/agents/revoke', { reason: 'reported' });
    t.is(asked.path, '/sign-in/again?next=/console/agents/revoke');
    for (const { credential } of agents) t.true(await isActive(credential));
    const draft = browser.cookies.get('vouchsafe_draft')!;
    await operator.signInAgain();
    browser.cookies.set('vouchsafe_draft', draft);
    const filled = await browser.get('/console/agents/revoke');
    t.is(heading(filled), 'Revoke 2 agents?');
    t.true(filled.text.includes('value="reported"'));
    await browser.post('/console/agents/revoke', { reason: 'reported' });
    for (const { credential } of agents) t.false(await isActive(credential));
  });
});
