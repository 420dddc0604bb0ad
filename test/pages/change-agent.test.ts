import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { agentPages, CHANGES, change, fact, listed, pathOf } from '../helpers/agent-pages.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, bearer, newMailbox } from '../helpers/common.ts';
import { type Home, openHome, type Vouched } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/service.ts';

onEveryEngine('changing an agent on its page', (engine) => {
  let home: Home;
  before(async () => {
    home = await openHome(engine);
  });
  after(() => home.stop());

  const { me, owned } = agentPages(() => ({ home }));
  const makeKey = (key: string, body: object = {}) =>
    home.on.post('/api/tokens', { name: 'helper', scope: 'read write', ...body }, bearer(key));

  /** Asserts that an agent works alone again, as one that nobody vouched for. */
  async function assertAlone(agent: Vouched, userId: string): Promise<void> {
    const about = await me(agent.credential);
    assert.equal(about.user_id, userId);
    assert.equal(about.agent_id, agent.agent_id);
    assert.deepEqual(about.scopes, ['read']);
    assert.deepEqual(about.claim, { status: 'expired' });
    for (const name of ['owner', 'mode', 'merged_from']) assert.equal(about[name], undefined, name);
    const heard = await home.api.ask(agent.credential);
    assert.equal(heard.active, true);
    assert.equal(heard.sub, userId);
    assert.equal(heard.scope, 'read');
    for (const name of ['owner', 'merged_from']) assert.equal(heard[name], undefined, name);
    assert.equal(said(await home.on.get('/api/tokens', agent.credential)), '403 insufficient_scope');
    assert.equal(said(await makeKey(agent.credential, { scope: 'read' })), '403 insufficient_scope');
    const { claim_token } = agent;
    const email = newMailbox();
    assert.equal(said(await home.on.post('/agent/auth/claim', { claim_token, email })), '410 claim_expired');
    const complete = (otp?: string) => home.on.post('/agent/auth/claim/complete', { claim_token, otp });
    assert.equal(said(await complete('123456')), '410 claim_expired');
    assert.equal(said(await complete()), '410 claim_expired');
  }

  describe('leaving an agent fewer scopes', () => {
    test('takes them from all its keys at the next introspection, and ends a key that is left with nothing', async () => {
      for (const link of [false, true]) {
        const { agent, browser } = await owned({ link });
        const writer = (await makeKey(agent.credential, { scope: 'write' })).body.data;
        const both = (await makeKey(agent.credential)).body.data;
        const reader = (await makeKey(agent.credential, { scope: 'read' })).body.data;
        assert.equal((await home.api.ask(writer.credential)).scope, 'write');

        const page = await change(browser, agent, 'narrow', { 'scope:read': 'on' });
        assert.equal(page.path, pathOf(agent));
        for (const { credential } of [agent, both, reader]) {
          assert.equal((await home.api.ask(credential)).scope, 'read');
          assert.deepEqual((await me(credential)).scopes, ['read']);
        }
        assert.deepEqual(await home.api.ask(writer.credential), { active: false });
        assert.equal((await home.on.get('/api/me', writer.credential)).status, 401);
        assert.equal(fact(page.text, 'May'), 'read');
        assert.match(page.text, new RegExp(`<s><b>helper</b> <code>${writer.prefix}…</code></s>`));
        assert.throws(() => browser.form(pathOf(agent, 'narrow')), 'there is nothing left to take away');
      }
    });

    test('to nothing at all is refused on a page, and changes nothing', async () => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      const form = browser.form(pathOf(agent, 'narrow'));
      const before = await home.rows();
      for (const fields of [{}, { 'scope:admin': 'on' }, { 'scope:': 'on' }, { scope: 'read' }]) {
        const page = await browser.send(pathOf(agent, 'narrow'), { ...form, ...fields });
        assert.equal(page.status, 400, JSON.stringify(fields));
        assert.match(page.text, 'scope' in fields ? /scope.* is not known here/ : /one of its scopes/);
      }
      assert.deepEqual(await home.rows(), before);
    });

    test('a form from before the last narrowing cannot end all keys by what is no longer there', async () => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      const older = browser.form(pathOf(agent, 'narrow'));
      await browser.send(pathOf(agent, 'narrow'), { ...older, 'scope:read': 'on' });
      const page = await browser.send(pathOf(agent, 'narrow'), { ...older, 'scope:write': 'on' });
      assert.equal(page.status, 400);
      assert.equal((await home.api.ask(agent.credential)).scope, 'read');
    });

    test('an agent whose name shows nothing can still be found and opened', async () => {
      for (const name of ['\u200b', '\u3164', '   ']) {
        const { agent, browser } = await owned({ name });
        const list = await browser.get('/agents');
        assert.match(
          list.text,
          new RegExp(`<a href="/agents/${agent.agent_id}">An agent without a name</a>`),
        );
        assert.equal(heading(await browser.get(pathOf(agent))), 'An agent without a name');
      }
    });

    test('is for good: neither a key of the agent nor the form gives them back', async () => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      const form = browser.form(pathOf(agent, 'narrow'));
      const other = (await makeKey(agent.credential)).body.data;
      await browser.send(pathOf(agent, 'narrow'), { ...form, 'scope:read': 'on' });
      for (const { credential } of [agent, other]) {
        for (const scope of ['write', 'read write']) {
          assert.equal(said(await makeKey(credential, { scope })), '403 insufficient_scope');
        }
        const { data } = (await makeKey(credential, { scope: 'read' })).body;
        assert.equal((await home.api.ask(data.credential)).scope, 'read');
      }
      await browser.send(pathOf(agent, 'narrow'), { ...form, 'scope:read': 'on', 'scope:write': 'on' });
      assert.equal((await home.api.ask(agent.credential)).scope, 'read');
    });

    test('leaves no key with a lost scope, also of twenty that are made at the same moment', async () => {
      for (let round = 0; round < 3; round += 1) {
        const { agent, browser } = await owned({ link: round === 1 });
        await browser.get(pathOf(agent));
        const form = { ...browser.form(pathOf(agent, 'narrow')), 'scope:read': 'on' };
        const makers = [agent.credential, (await makeKey(agent.credential)).body.data.credential];
        const asked = atOnce(20, (index) => makeKey(makers[index % 2]!));
        const [narrowed, replies] = await Promise.all([browser.send(pathOf(agent, 'narrow'), form), asked]);
        assert.equal(narrowed.status, 200, narrowed.text);
        for (const reply of replies) {
          assert.ok(['200', '401 invalid_token', '403 insufficient_scope'].includes(said(reply)), reply.text);
          if (reply.status !== 200) continue;
          assert.equal((await home.api.ask(reply.body.data.credential)).scope, 'read');
        }
        const live = `credentials WHERE agent_id = ? AND revoked_at IS NULL AND scope <> 'read'`;
        assert.equal(await countOf(home.on, live, [agent.agent_id]), 0);
      }
    });
  });

  describe('unlinking an agent', () => {
    test('leaves it its account and what a stranger may, and nothing of its human', async () => {
      const { agent, browser } = await owned({ link: true });
      const helper = (await makeKey(agent.credential)).body.data;
      const page = await change(browser, agent, 'unlink');
      assert.equal(page.path, '/agents');
      assert.deepEqual(await listed(browser), []);
      assert.equal((await browser.get(pathOf(agent))).status, 404);
      assert.equal(agent.user_id, agent.own);
      await assertAlone(agent, agent.own);
      await assertAlone({ ...agent, credential: helper.credential }, agent.own);
      assert.equal(await home.eventsOf('agent.released', agent.agent_id), 1);
    });

    test('also one that came with a mailbox', async () => {
      const { agent, browser } = await owned({ link: true, asserted: true });
      await change(browser, agent, 'unlink');
      await assertAlone(agent, agent.user_id);
    });

    test('is not for one that is merged', async () => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      assert.throws(() => browser.form(pathOf(agent, 'unlink')));
      const { csrf } = browser.form(pathOf(agent, 'rename'));
      const before = await home.rows();
      assert.equal((await browser.send(pathOf(agent, 'unlink'), { csrf })).status, 400);
      assert.deepEqual(await home.rows(), before);
    });
  });

  describe('undoing a merge', () => {
    test('gives the agent its own account back, with what a stranger may and nothing of its human', async () => {
      const { mailbox, agent, browser } = await owned();
      const stays = await home.vouched(mailbox);
      const helper = (await makeKey(agent.credential)).body.data;
      assert.equal((await me(agent.credential)).merged_from, agent.own);
      assert.notEqual(agent.user_id, agent.own);
      const page = await change(browser, agent, 'undo');
      assert.equal(page.path, '/agents');
      assert.deepEqual(await listed(browser), [stays.agent_id]);
      assert.equal((await browser.get(pathOf(agent))).status, 404);
      await assertAlone(agent, agent.own);
      await assertAlone({ ...agent, credential: helper.credential }, agent.own);
      assert.equal(await home.eventsOf('agent.merge_undone', agent.agent_id), 1);
      assert.equal((await me(stays.credential)).user_id, agent.user_id);
    });

    test('whoever came with a mailbox, and never had an account, gets one', async () => {
      const { agent, browser } = await owned({ asserted: true, name: 'Robin' });
      assert.equal((await me(agent.credential)).merged_from, undefined);
      await change(browser, agent, 'undo');
      const { user_id } = await me(agent.credential);
      assert.notEqual(user_id, agent.user_id);
      assert.match(user_id, /^usr_/);
      await assertAlone(agent, user_id);
    });

    test('takes back what an agent was given, also where its new key was not used yet', async () => {
      const { agent, browser } = await owned();
      assert.equal((await me(agent.old)).user_id, agent.own);
      await change(browser, agent, 'undo');
      const about = await me(agent.old);
      assert.equal(about.user_id, agent.own);
      assert.deepEqual(about.scopes, ['read']);
      await assertAlone(agent, agent.own);
    });

    test('is not for one that is linked', async () => {
      const { agent, browser } = await owned({ link: true });
      await browser.get(pathOf(agent));
      assert.throws(() => browser.form(pathOf(agent, 'undo')));
      const { csrf } = browser.form(pathOf(agent, 'rename'));
      const before = await home.rows();
      assert.equal((await browser.send(pathOf(agent, 'undo'), { csrf })).status, 400);
      assert.deepEqual(await home.rows(), before);
    });
  });

  describe('revoking an agent', () => {
    test('ends its keys at the next introspection, and leaves it in the list struck through', async () => {
      for (const link of [false, true]) {
        const { agent, browser } = await owned({ link, name: 'Robin' });
        const helper = (await makeKey(agent.credential)).body.data;
        assert.equal((await home.api.ask(agent.credential)).active, true);
        const page = await change(browser, agent, 'revoke');
        for (const { credential } of [agent, helper]) {
          assert.deepEqual(await home.api.ask(credential), { active: false });
          assert.equal(said(await home.on.get('/api/me', credential)), '401 invalid_token');
        }
        assert.equal(page.path, pathOf(agent));
        assert.match(page.text, /<h1><s>Robin<\/s><\/h1>\n<p class="lead">It was revoked /);
        assert.equal(fact(page.text, 'May'), 'nothing');
        assert.doesNotMatch(page.text, /<form/);
        assert.deepEqual(await listed(browser), [agent.agent_id]);
        const { text } = await browser.get('/agents');
        assert.match(text, new RegExp(`<h2><s><a href="${pathOf(agent)}">Robin</a></s></h2>`));
        assert.equal(await home.eventsOf('agent.revoked', agent.agent_id), 1);
      }
    });

    test('is for good: nothing about it can be changed any more', async () => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      const { csrf } = browser.form(pathOf(agent, 'revoke'));
      await browser.send(pathOf(agent, 'revoke'), { csrf });
      const before = await home.rows();
      for (const [name, fields] of Object.entries(CHANGES)) {
        const page = await browser.send(pathOf(agent, name), { csrf, ...fields });
        assert.equal(page.status, name === 'revoke' ? 200 : 400, name);
      }
      assert.deepEqual(await home.rows(), before);
      assert.deepEqual(await home.api.ask(agent.credential), { active: false });
    });
  });

  describe('many changes at once', () => {
    test('of five undos one does it, and an agent that had no account gets one', async () => {
      for (const asserted of [false, true]) {
        const { agent, browser } = await owned({ asserted });
        await browser.get(pathOf(agent));
        const form = browser.form(pathOf(agent, 'undo'));
        const accounts = await countOf(home.on, 'accounts');
        const pages = await atOnce(5, () => browser.send(pathOf(agent, 'undo'), form));
        assert.deepEqual(pages.map(({ status }) => status).sort(), [200, 404, 404, 404, 404]);
        assert.equal(await home.eventsOf('agent.merge_undone', agent.agent_id), 1);
        assert.equal(await countOf(home.on, 'accounts'), accounts + (asserted ? 1 : 0));
        await assertAlone(agent, (await me(agent.credential)).user_id);
      }
    });

    test('of five that unlink one does it', async () => {
      const { agent, browser } = await owned({ link: true });
      await browser.get(pathOf(agent));
      const form = browser.form(pathOf(agent, 'unlink'));
      const pages = await atOnce(5, () => browser.send(pathOf(agent, 'unlink'), form));
      assert.deepEqual(pages.map(({ status }) => status).sort(), [200, 404, 404, 404, 404]);
      assert.equal(await home.eventsOf('agent.released', agent.agent_id), 1);
      await assertAlone(agent, agent.own);
    });

    test('letting go, narrowing and revoking at once leave an agent that is alone or revoked, and never between', async () => {
      const mailbox = newMailbox();
      const browser = await home.signIn(mailbox);
      for (let round = 0; round < 4; round += 1) {
        const agents = [
          await home.vouched(mailbox),
          await home.vouched(mailbox, { asserted: true }),
          await home.vouched(mailbox, { link: true }),
        ];
        await browser.get(pathOf(agents[0]!));
        const { csrf } = browser.form(pathOf(agents[0]!, 'revoke'));
        const names = ['undo', 'revoke', 'unlink', 'narrow', 'revoke', 'undo', 'unlink'];
        const pages = await Promise.all(
          agents.flatMap((agent) =>
            [...names.slice(round), ...names.slice(0, round)].map((name) =>
              browser.send(pathOf(agent, name), { csrf, ...CHANGES[name] }),
            ),
          ),
        );
        for (const { status, text } of pages) assert.ok([200, 400, 404].includes(status), text);
        const left = await listed(browser);
        for (const agent of agents) {
          const count = (kind: string) => home.eventsOf(kind, agent.agent_id);
          const letGo = (await count('agent.merge_undone')) + (await count('agent.released'));
          const revoked = await count('agent.revoked');
          assert.ok(letGo <= 1 && revoked <= 1 && letGo + revoked > 0);
          assert.equal(left.includes(agent.agent_id), letGo === 0);
          if (revoked === 0) await assertAlone(agent, (await me(agent.credential)).user_id);
          else assert.deepEqual(await home.api.ask(agent.credential), { active: false });
        }
      }
    });
  });
});
