import { createRender } from '../../src/mail/render.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { givenBy, keyClient, newPerson, newSessionKey, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces } from '../helpers/workspaces.ts';

onEveryEngine('who is told of session keys and requests', (engine, test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
    await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => on.stop());

  /** All that a mailbox is told, as the mails say it: an hour later the rest of it has come. */
  async function told(mailbox: string, kind: string) {
    for (let count = 1; ; count += 1) {
      on.clock.advance(3601);
      const mail = await on.noticeTo(mailbox, count);
      const entry = mail.happened.find((each) => each.kind === kind);
      if (entry !== undefined) return { mail, entry, ...createRender(on.service.deps.config)(mail) };
    }
  }

  test('only the agent’s own key from registration or claim binds one: none that was replaced, no token, no person’s key', async (t) => {
    const mailbox = newMailbox();
    const { credential, old } = await on.claimed(mailbox);
    const holder = keyClient(on);
    const request = await holder.request();
    await holder.post(request, credential);
    await givenBy(on, request, (await newPerson(places)).id);
    const { access_token } = (await holder.token()).body;
    const before = await countOf(on, 'session_keys');
    for (const [what, presented] of Object.entries({ old, access_token, nothing: 'sk_nothing' })) {
      const reply = await keyClient(on).ask({}, presented);
      t.true([401, 403].includes(reply.status), `${what}: ${reply.text}`);
    }
    t.is(await countOf(on, 'session_keys'), before);
  });

  test('a request names the agent of its key or none', async (t) => {
    const { credential, agent_id: agentId } = await on.register();
    const other = await on.register();
    const agent = keyClient(on);
    t.is((await agent.ask({ agentId }, credential)).status, 200);
    for (const [key, wrong] of [
      [agent.key, other.agent_id],
      [newSessionKey(), agentId],
    ] as const) {
      const reply = await keyClient(on, key).ask({
        agentId: wrong,
        permissions: [{ ...READ_DOCUMENTS, path: `${wrong}/` }],
      });
      t.deepEqual([reply.status, reply.body.error?.field], [400, 'requester.agent_id'], reply.text);
    }
  });

  test('the owner of an agent is mailed when a session key is bound to it', async (t) => {
    const mailbox = newMailbox();
    const { credential } = await on.claimed(mailbox);
    await keyClient(on).ask({}, credential);
    const { text } = await told(mailbox, 'session_key.bound');
    t.regex(text, /got a session key, with which it asks for permissions/);
  });

  test('the owner is mailed what an agent asks for, in the very words of its action, with a link to the request', async (t) => {
    const mailbox = newMailbox();
    const { credential } = await on.claimed(mailbox);
    const agent = keyClient(on);
    const action = 'Pay invoice A-17 of <b>ACME</b>\u202e'.replace('\u202e', '');
    const request = await agent.request({ action, once: true });
    const { verification_uri: link } = (await agent.post(request, credential)).body.data;
    const { mail, entry, text, html, subject } = await told(mailbox, 'permission.asked');
    t.is(entry.pageUrl, link);
    t.true(text.includes(`“${action}”`), text);
    t.true(html.includes('“Pay invoice A-17 of &lt;b&gt;ACME&lt;/b&gt;”'));
    for (const part of [text, html]) t.true(part.includes(link));
    t.false(subject.includes('ACME'));
    t.regex(text, /written by agents, and checked by no one/);
    const german = createRender(on.service.deps.config)({ ...mail, locale: 'de' });
    t.true(german.text.includes(`„${action}“`), german.text);
  });

  test('a person is mailed of each terminal that acts for them, of each rotation of its key, and of what they granted', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const sql = 'SELECT id FROM accounts WHERE mailbox = ?';
    const { id } = (await on.service.deps.db.get<{ id: string }>(sql, [mailbox]))!;
    const terminal = keyClient(on);
    const { user_code: code } = (await terminal.ask({ permissions: undefined, name: 'Laptop' })).body.data;
    await browser.get('/permissions');
    await browser.post('/permissions', { code });
    await browser.post('/permissions/review', {
      decision: 'approve',
      'scope:read': 'on',
      [`in:${id}`]: 'on',
    });
    t.regex((await told(mailbox, 'terminal.connected')).text, /terminal/i);
    const bound = (await terminal.held()).body.data.key;
    const next = newSessionKey();
    t.is((await terminal.rotate(next)).status, 200);
    const successor = (await keyClient(on, next).held()).body.data.key;
    t.deepEqual([successor.bound, successor.expires_at], [bound.bound, bound.expires_at], 'to the letter');
    t.regex((await told(mailbox, 'session_key.rotated')).text, /session key was replaced/i);
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request);
    await givenBy(on, request, id);
    t.regex((await told(mailbox, 'permission.granted')).text, /You granted permissions to/);
  });

  test('the page for a terminal says where it is beside where the browser is, and warns where that differs', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const open = async (origin?: string) => {
      const { user_code: code } = (await keyClient(on).ask({ permissions: undefined })).body.data;
      if (origin !== undefined) {
        await on.service.deps.db.tx((tx) =>
          tx.run('UPDATE permission_requests SET origin = ? WHERE login = 1', [origin]),
        );
      }
      await browser.get('/permissions');
      return (await browser.post('/permissions', { code })).text;
    };
    const near = await open();
    t.true(near.includes('Your network') || near.includes('This browser'));
    t.false(near.includes('in another network than this browser'));
    const far = await open('203.0.113.0/24');
    t.true(far.includes('203.0.113.0/24'));
    t.true(far.includes('in another network than this browser'));
    t.true(far.includes('You didn’t start this?'));
  });
});
