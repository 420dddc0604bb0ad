import type { ExecutionContext } from 'ava';
import {
  agentPages,
  CHANGES,
  change,
  formPageOf,
  listed,
  pathOf,
  permissionsOn,
  rowsOn,
  struckOn,
} from '../helpers/agent-pages.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, bearer, newMailbox } from '../helpers/common.ts';
import { type Home, openHome, type Vouched } from '../helpers/own-pages.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('changing an agent on its page', (engine, test) => {
  let home: Home;
  test.before(async () => {
    home = await openHome(engine);
  });
  test.after(() => home.stop());

  const { me, owned } = agentPages(() => ({ home }));
  const makeKey = (key: string, body: object = {}) =>
    home.on.post('/api/tokens', { name: 'helper', scope: 'read write', ...body }, bearer(key));

  /** Asserts that an agent works alone again, as one that nobody vouched for. */
  async function assertAlone(t: ExecutionContext, agent: Vouched, userId: string): Promise<void> {
    const about = await me(agent.credential);
    t.is(about.user_id, userId);
    t.is(about.agent_id, agent.agent_id);
    t.deepEqual(about.scopes, ['read']);
    t.deepEqual(about.claim, { status: 'expired' });
    for (const name of ['owner', 'mode', 'merged_from']) t.is(about[name], undefined, name);
    const heard = await home.api.ask(agent.credential);
    t.true(heard.active);
    t.is(heard.sub, userId);
    t.is(heard.scope, 'read');
    for (const name of ['owner', 'merged_from']) t.is(heard[name], undefined, name);
    t.is(said(await home.on.get('/api/tokens', agent.credential)), '403 insufficient_scope');
    t.is(said(await makeKey(agent.credential, { scope: 'read' })), '403 insufficient_scope');
    const { claim_token } = agent;
    const email = newMailbox();
    t.is(said(await home.on.post('/agent/auth/claim', { claim_token, email })), '410 claim_expired');
    const complete = (otp?: string) => home.on.post('/agent/auth/claim/complete', { claim_token, otp });
    t.is(said(await complete('123456')), '410 claim_expired');
    t.is(said(await complete()), '410 claim_expired');
  }

  test.describe('leaving an agent fewer scopes', (test) => {
    test('takes them from all its keys at the next introspection, and ends a key that is left with nothing', async (t) => {
      for (const link of [false, true]) {
        const { agent, browser } = await owned({ link });
        const writer = (await makeKey(agent.credential, { scope: 'write' })).body.data;
        const both = (await makeKey(agent.credential)).body.data;
        const reader = (await makeKey(agent.credential, { scope: 'read' })).body.data;
        t.is((await home.api.ask(writer.credential)).scope, 'write');

        const page = await change(browser, agent, 'narrow', { 'scope:read': 'on' });
        t.is(page.path, pathOf(agent));
        for (const { credential } of [agent, both, reader]) {
          t.is((await home.api.ask(credential)).scope, 'read');
          t.deepEqual((await me(credential)).scopes, ['read']);
        }
        t.deepEqual(await home.api.ask(writer.credential), { active: false });
        t.is((await home.on.get('/api/me', writer.credential)).status, 401);
        t.deepEqual(permissionsOn(page.text), ['read']);
        t.regex(
          page.text,
          new RegExp(
            `<s><b><bdi>helper</bdi></b></s><span class="under mono"><s>${writer.prefix}…</s></span>`,
          ),
        );
        t.regex(page.text, /To take the last one away, revoke the agent\./);
        t.throws(() => browser.form(pathOf(agent, 'narrow')), undefined, 'nothing is left to take away');
      }
    });

    test('to nothing at all is refused on a page, and changes nothing', async (t) => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      const form = browser.form(pathOf(agent, 'narrow'));
      const before = await home.rows();
      for (const fields of [{}, { 'scope:admin': 'on' }, { 'scope:': 'on' }, { scope: 'read' }]) {
        const page = await browser.send(pathOf(agent, 'narrow'), { ...form, ...fields });
        t.is(page.status, 400, JSON.stringify(fields));
        t.regex(
          page.text,
          'scope' in fields ? /The field “scope” isn’t right\./ : /Keep at least one permission/,
        );
      }
      t.deepEqual(await home.rows(), before);
    });

    test('a form from before the last narrowing cannot end all keys by what is no longer there', async (t) => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      const older = browser.form(pathOf(agent, 'narrow'));
      await browser.send(pathOf(agent, 'narrow'), { ...older, 'scope:read': 'on' });
      const page = await browser.send(pathOf(agent, 'narrow'), { ...older, 'scope:write': 'on' });
      t.is(page.status, 400);
      t.is((await home.api.ask(agent.credential)).scope, 'read');
    });

    test('an agent whose name shows nothing can still be found and opened', async (t) => {
      for (const name of ['\u200b', '\u3164', '   ']) {
        const { agent, browser } = await owned({ name });
        const list = await browser.get('/agents');
        t.regex(list.text, new RegExp(`<a href="/agents/${agent.agent_id}"><bdi>Unnamed agent</bdi></a>`));
        t.is(heading(await browser.get(pathOf(agent))), 'Unnamed agent');
      }
    });

    test('is for good: neither a key of the agent nor the form gives them back', async (t) => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent));
      const form = browser.form(pathOf(agent, 'narrow'));
      const other = (await makeKey(agent.credential)).body.data;
      await browser.send(pathOf(agent, 'narrow'), { ...form, 'scope:read': 'on' });
      for (const { credential } of [agent, other]) {
        for (const scope of ['write', 'read write']) {
          t.is(said(await makeKey(credential, { scope })), '403 insufficient_scope');
        }
        const { data } = (await makeKey(credential, { scope: 'read' })).body;
        t.is((await home.api.ask(data.credential)).scope, 'read');
      }
      await browser.send(pathOf(agent, 'narrow'), { ...form, 'scope:read': 'on', 'scope:write': 'on' });
      t.is((await home.api.ask(agent.credential)).scope, 'read');
    });

    test('leaves no key with a lost scope, also of twenty that are made at the same moment', async (t) => {
      for (let round = 0; round < 3; round += 1) {
        const { agent, browser } = await owned({ link: round === 1 });
        await browser.get(pathOf(agent));
        const form = { ...browser.form(pathOf(agent, 'narrow')), 'scope:read': 'on' };
        const makers = [agent.credential, (await makeKey(agent.credential)).body.data.credential];
        const asked = atOnce(20, (index) => makeKey(makers[index % 2]!));
        const [narrowed, replies] = await Promise.all([browser.send(pathOf(agent, 'narrow'), form), asked]);
        t.is(narrowed.status, 200, narrowed.text);
        for (const reply of replies) {
          t.true(['200', '401 invalid_token', '403 insufficient_scope'].includes(said(reply)), reply.text);
          if (reply.status !== 200) continue;
          t.is((await home.api.ask(reply.body.data.credential)).scope, 'read');
        }
        const live = `credentials WHERE agent_id = ? AND revoked_at IS NULL AND scope <> 'read'`;
        t.is(await countOf(home.on, live, [agent.agent_id]), 0);
      }
    });
  });

  test.describe('unlinking an agent', (test) => {
    test('leaves it its account and what a stranger may, and nothing of its human', async (t) => {
      const { agent, browser } = await owned({ link: true });
      const helper = (await makeKey(agent.credential)).body.data;
      const page = await change(browser, agent, 'unlink');
      t.is(page.path, '/agents');
      t.deepEqual(await listed(browser), []);
      t.is((await browser.get(pathOf(agent))).status, 404);
      t.is(agent.user_id, agent.own);
      await assertAlone(t, agent, agent.own);
      await assertAlone(t, { ...agent, credential: helper.credential }, agent.own);
      t.is(await home.eventsOf('agent.released', agent.agent_id), 1);
    });

    test('also one that came with a mailbox', async (t) => {
      const { agent, browser } = await owned({ link: true, asserted: true });
      await change(browser, agent, 'unlink');
      await assertAlone(t, agent, agent.user_id);
    });

    test('is not for one that is merged', async (t) => {
      const { agent, browser } = await owned();
      t.notRegex((await browser.get(pathOf(agent))).text, /\/unlink"/);
      t.is((await browser.get(pathOf(agent, 'unlink'))).path, pathOf(agent));
      const { csrf } = browser.form(pathOf(agent, 'narrow'));
      const before = await home.rows();
      t.is((await browser.send(pathOf(agent, 'unlink'), { csrf })).status, 400);
      t.deepEqual(await home.rows(), before);
    });
  });

  test.describe('undoing a merge', (test) => {
    test('gives the agent its own account back, with what a stranger may and nothing of its human', async (t) => {
      const { mailbox, agent, browser } = await owned();
      const stays = await home.vouched(mailbox);
      const helper = (await makeKey(agent.credential)).body.data;
      t.is((await me(agent.credential)).merged_from, agent.own);
      t.not(agent.user_id, agent.own);
      const page = await change(browser, agent, 'undo');
      t.is(page.path, '/agents');
      t.deepEqual(await listed(browser), [stays.agent_id]);
      t.is((await browser.get(pathOf(agent))).status, 404);
      await assertAlone(t, agent, agent.own);
      await assertAlone(t, { ...agent, credential: helper.credential }, agent.own);
      t.is(await home.eventsOf('agent.merge_undone', agent.agent_id), 1);
      t.is((await me(stays.credential)).user_id, agent.user_id);
    });

    test('whoever came with a mailbox, and never had an account, gets one', async (t) => {
      const { agent, browser } = await owned({ asserted: true, name: 'Robin' });
      t.is((await me(agent.credential)).merged_from, undefined);
      await change(browser, agent, 'undo');
      const { user_id } = await me(agent.credential);
      t.not(user_id, agent.user_id);
      t.regex(user_id, /^usr_/);
      await assertAlone(t, agent, user_id);
    });

    test('takes back what an agent was given, also where its new key was not used yet', async (t) => {
      const { agent, browser } = await owned();
      t.is((await me(agent.old)).user_id, agent.own);
      await change(browser, agent, 'undo');
      const about = await me(agent.old);
      t.is(about.user_id, agent.own);
      t.deepEqual(about.scopes, ['read']);
      await assertAlone(t, agent, agent.own);
    });

    test('is not for one that is linked', async (t) => {
      const { agent, browser } = await owned({ link: true });
      t.notRegex((await browser.get(pathOf(agent))).text, /\/undo"/);
      t.is((await browser.get(pathOf(agent, 'undo'))).path, pathOf(agent));
      const { csrf } = browser.form(pathOf(agent, 'narrow'));
      const before = await home.rows();
      t.is((await browser.send(pathOf(agent, 'undo'), { csrf })).status, 400);
      t.deepEqual(await home.rows(), before);
    });
  });

  test.describe('revoking an agent', (test) => {
    test('ends its keys at the next introspection, and leaves it in the list struck through', async (t) => {
      for (const link of [false, true]) {
        const { agent, browser } = await owned({ link, name: 'Robin' });
        const helper = (await makeKey(agent.credential)).body.data;
        t.true((await home.api.ask(agent.credential)).active);
        const page = await change(browser, agent, 'revoke');
        for (const { credential } of [agent, helper]) {
          t.deepEqual(await home.api.ask(credential), { active: false });
          t.is(said(await home.on.get('/api/me', credential)), '401 invalid_token');
        }
        t.is(page.path, pathOf(agent));
        t.regex(page.text, /<h1><s><bdi>Robin<\/bdi><\/s><\/h1>/);
        t.regex(page.text, /Revoked on <time[^>]*>[^<]*<\/time>\. Nothing it held works any more\./);
        t.regex(page.text, /role="status">.*Agent revoked\./s);
        t.deepEqual(permissionsOn(page.text), []);
        const main = /<main[\s\S]*<\/main>/.exec(page.text)![0];
        t.notRegex(main, /<form|\/(?:rename|undo|unlink|revoke)"/);
        t.deepEqual(await listed(browser), [agent.agent_id]);
        const { text } = await browser.get('/agents');
        t.regex(text, new RegExp(`<s><a href="${pathOf(agent)}"><bdi>Robin</bdi></a></s>`));
        t.regex(rowsOn(text)[0]!, /Revoked/);
        for (const name of ['rename', 'undo', 'unlink', 'revoke'])
          t.is((await browser.get(pathOf(agent, name))).path, pathOf(agent), name);
        t.is(await home.eventsOf('agent.revoked', agent.agent_id), 1);
      }
    });

    test('shows what it could do until then struck through, without what was taken from it before', async (t) => {
      const { agent, browser } = await owned();
      const reader = await owned();
      await change(reader.browser, reader.agent, 'narrow', { 'scope:read': 'on' });
      for (const [of, scopes] of [
        [{ agent, browser }, ['read', 'write']],
        [reader, ['read']],
      ] as const) {
        const page = await change(of.browser, of.agent, 'revoke');
        const card = /id="permissions"[\s\S]*?<\/section>/.exec(page.text)![0];
        t.deepEqual(struckOn(card), [...scopes]);
        t.notRegex(card, /None|<form/);
        t.deepEqual(struckOn(rowsOn((await of.browser.get('/agents')).text)[0]!), [...scopes]);
        const exported = JSON.parse((await of.browser.get('/account/export')).text);
        t.deepEqual(exported.agents[0].scopes, [], 'it has none any more');
      }
    });

    test('is for good: nothing about it can be changed any more', async (t) => {
      const { agent, browser } = await owned();
      await browser.get(pathOf(agent, 'revoke'));
      const { csrf } = browser.form(pathOf(agent, 'revoke'));
      await browser.send(pathOf(agent, 'revoke'), { csrf });
      const before = await home.rows();
      for (const [name, fields] of Object.entries(CHANGES)) {
        const page = await browser.send(pathOf(agent, name), { csrf, ...fields });
        t.is(page.status, name === 'revoke' ? 200 : 400, name);
      }
      t.deepEqual(await home.rows(), before);
      t.deepEqual(await home.api.ask(agent.credential), { active: false });
    });
  });

  test.describe('the pages that ask before a change', (test) => {
    test('say what happens to which agent, and change nothing', async (t) => {
      const mailbox = newMailbox();
      const browser = await home.signIn(mailbox);
      const merged = await home.vouched(mailbox, { name: 'Robin' });
      const linked = await home.vouched(mailbox, { name: 'Marlin', link: true });
      const asked = [
        [merged, 'undo', 'Move “Robin” out of your account?', /without your data/],
        [merged, 'revoke', 'Revoke “Robin”?', /All its keys and tokens stop working immediately/],
        [linked, 'unlink', 'Unlink “Marlin”?', /is no longer yours/],
        [linked, 'revoke', 'Revoke “Marlin”?', /This can’t be undone/],
        [linked, 'rename', 'Rename this agent', /value="Marlin"/],
      ] as const;
      const before = await home.rows();
      for (const [agent, name, title, says] of asked) {
        const page = await browser.get(formPageOf(agent, name));
        t.is(page.status, 200);
        t.is(heading(page), title);
        t.regex(page.text, says);
        t.true(page.text.includes(`<a class="button" href="${pathOf(agent)}">Cancel</a>`));
        if (name !== 'rename') t.true(page.text.includes(`<code>${agent.agent_id}</code>`));
        t.notThrows(() => browser.form(pathOf(agent, name)));
      }
      t.deepEqual(await home.rows(), before);
    });

    test('do not name an agent that has no name', async (t) => {
      const { agent, browser } = await owned();
      t.is(heading(await browser.get(pathOf(agent, 'revoke'))), 'Revoke this agent?');
    });
  });

  test.describe('many changes at once', (test) => {
    test('of five undos one does it, and an agent that had no account gets one', async (t) => {
      for (const asserted of [false, true]) {
        const { agent, browser } = await owned({ asserted });
        await browser.get(pathOf(agent, 'undo'));
        const form = browser.form(pathOf(agent, 'undo'));
        const accounts = await countOf(home.on, 'accounts');
        const pages = await atOnce(5, () => browser.send(pathOf(agent, 'undo'), form));
        t.deepEqual(pages.map(({ status }) => status).sort(), [200, 404, 404, 404, 404]);
        t.is(await home.eventsOf('agent.merge_undone', agent.agent_id), 1);
        t.is(await countOf(home.on, 'accounts'), accounts + (asserted ? 1 : 0));
        await assertAlone(t, agent, (await me(agent.credential)).user_id);
      }
    });

    test('of five that unlink one does it', async (t) => {
      const { agent, browser } = await owned({ link: true });
      await browser.get(pathOf(agent, 'unlink'));
      const form = browser.form(pathOf(agent, 'unlink'));
      const pages = await atOnce(5, () => browser.send(pathOf(agent, 'unlink'), form));
      t.deepEqual(pages.map(({ status }) => status).sort(), [200, 404, 404, 404, 404]);
      t.is(await home.eventsOf('agent.released', agent.agent_id), 1);
      await assertAlone(t, agent, agent.own);
    });

    test('letting go, narrowing and revoking at once leave an agent that is alone or revoked, and never between', async (t) => {
      const mailbox = newMailbox();
      const browser = await home.signIn(mailbox);
      for (let round = 0; round < 4; round += 1) {
        const agents = [
          await home.vouched(mailbox),
          await home.vouched(mailbox, { asserted: true }),
          await home.vouched(mailbox, { link: true }),
        ];
        await browser.get(pathOf(agents[0]!, 'revoke'));
        const { csrf } = browser.form(pathOf(agents[0]!, 'revoke'));
        const names = ['undo', 'revoke', 'unlink', 'narrow', 'revoke', 'undo', 'unlink'];
        const pages = await Promise.all(
          agents.flatMap((agent) =>
            [...names.slice(round), ...names.slice(0, round)].map((name) =>
              browser.send(pathOf(agent, name), { csrf, ...CHANGES[name] }),
            ),
          ),
        );
        for (const { status, text } of pages) t.true([200, 400, 404].includes(status), text);
        const left = await listed(browser);
        for (const agent of agents) {
          const count = (kind: string) => home.eventsOf(kind, agent.agent_id);
          const letGo = (await count('agent.merge_undone')) + (await count('agent.released'));
          const revoked = await count('agent.revoked');
          t.true(letGo <= 1 && revoked <= 1 && letGo + revoked > 0);
          t.is(left.includes(agent.agent_id), letGo === 0);
          if (revoked === 0) await assertAlone(t, agent, (await me(agent.credential)).user_id);
          else t.deepEqual(await home.api.ask(agent.credential), { active: false });
        }
      }
    });
  });
});

onEveryEngine('an agent whose scopes include others', (engine, test) => {
  const scopes = {
    read: { description: 'Look' },
    write: { description: 'Change', implies: ['read'] },
    wipe: { description: 'Wipe', destructive: true },
  };
  let home: Home;
  test.before(async () => {
    home = await withConfigFile({ scopes, claimedScopes: Object.keys(scopes) }, (CONFIG) =>
      openHome(engine, { env: { CONFIG } }),
    );
  });
  test.after(() => home.stop());

  test('keeps what those include that its owner leaves it, and the page says so', async (t) => {
    const mailbox = newMailbox();
    const agent = await home.vouched(mailbox);
    const browser = await home.signIn(mailbox);
    const page = await browser.get(pathOf(agent));
    t.regex(page.text, />write<\/span><span class="hint">Includes read, selected or not\.</);
    t.is(page.text.match(/selected or not/g)?.length, 1);
    const narrowed = await change(browser, agent, 'narrow', { 'scope:write': 'on' });
    t.deepEqual(permissionsOn(narrowed.text), ['read', 'write']);
    t.is((await home.api.ask(agent.credential)).scope, 'read write');
  });
});
