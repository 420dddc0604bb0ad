import type { PermissionEntry } from '../../src/lib/artifacts/permission-entry.ts';
import { createRender } from '../../src/mail/render.ts';
import { openBrowser, type Page } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { keyClient, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces } from '../helpers/workspaces.ts';

const REVIEW = '/permissions/review';
const REFER = '/permissions/review/refer';

/** What the service signed, as a page shows it to be copied. */
const answerOn = ({ text }: Page) =>
  JSON.parse(/<textarea id="answer"[^>]*>([^<]*)</.exec(text)![1]!.replaceAll('&quot;', '"'));

onEveryEngine('pages of permission requests', (engine, test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService(engine, {
      limits: { permissionsPerIp: '100000/h', invitesPerWorkspace: '20/d' },
    });
    await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => on.stop());

  /** A signed-in human. */
  async function human() {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const row = await on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [
      mailbox,
    ]);
    return { mailbox, browser, id: row!.id };
  }

  async function asked(entries: readonly Partial<PermissionEntry>[] = [{}], more: object = {}) {
    const agent = keyClient(on);
    const permissions = entries.map((entry) => ({ ...READ_DOCUMENTS, ...entry }));
    const request = await agent.request({ name: 'CI bot', permissions, ...more });
    const { data } = (await agent.post(request)).body;
    return { agent, request, link: new URL(data.verification_uri), code: data.user_code as string };
  }

  test('the link leads to what is asked, and what is ticked is granted', async (t) => {
    const { browser, id } = await human();
    const { agent, request, link } = await asked([
      { actions: ['read', 'write'], reason: 'Nightly <b>index</b>' },
    ]);
    const page = await browser.get(link.pathname + link.search);
    t.is(page.path, REVIEW);
    t.is(heading(page), 'Approve these permissions?');
    t.true(page.text.includes('CI bot'));
    t.true(page.text.includes('Nightly &lt;b&gt;index'));
    t.true(page.text.indexOf('documents/') < page.text.indexOf('Nightly'));
    const done = await browser.post(REVIEW, { decision: 'approve', 'may:0:read': 'on' });
    t.is(heading(done), 'Approved', done.text);
    t.true(done.text.includes('vouchsafe.auth.grant'));
    const { grant, state } = (await agent.show(request.id)).body.data;
    t.is(state, 'granted');
    t.like(grant.permissions[0], { space: id, actions: ['read'] });
    t.like(grant.withheld[0], { actions: ['write'] });
    t.is((await agent.token()).status, 200);
    const again = await browser.get(link.pathname + link.search);
    t.deepEqual([again.status, heading(again)], [410, 'This request was decided already']);
    await browser.get('/permissions');
    t.true((await browser.get('/permissions')).text.includes('CI bot'));
    await browser.get(`/permissions/${grant.id}/revoke`);
    t.is((await browser.post(`/permissions/${grant.id}/revoke`, {})).path, '/permissions');
    t.is((await agent.token()).status, 400);
  });

  test('the code, in any spelling, and the pasted file lead to the same page; what is no request says why', async (t) => {
    const { browser } = await human();
    const { code, request } = await asked();
    await browser.get('/permissions');
    t.is((await browser.post('/permissions', { code: code.toLowerCase().replace('-', ' ') })).path, REVIEW);
    await browser.get('/connect');
    t.is((await browser.post('/connect', { code })).path, REVIEW);
    await browser.get('/permissions');
    const pasted = JSON.stringify(request, null, '\t').replaceAll('\n', '\r\n');
    t.is((await browser.post('/permissions', { artifact: pasted })).path, REVIEW);
    const unposted = keyClient(on);
    await browser.get('/permissions');
    const own = await unposted.request();
    t.is((await browser.post('/permissions', { artifact: JSON.stringify(own) })).path, REVIEW);
    t.is((await unposted.show(own.id)).body.data.state, 'pending');
    const wrong: [string, RegExp][] = [
      ['{"a":', /no permission request/],
      [JSON.stringify({ ...request, lifetime_seconds: 60 }), /signature doesn’t fit/],
      [JSON.stringify(await unposted.request({ service: 'https://other.example' })), /another service/],
      [JSON.stringify(await unposted.request({ permissions: undefined })), /Type that code/],
    ];
    for (const [artifact, reason] of wrong) {
      await browser.get('/permissions');
      const page = await browser.post('/permissions', { artifact });
      t.is(page.status, 400);
      t.regex(page.text, reason);
    }
    await browser.get('/permissions');
    const wrongCode = await browser.post('/permissions', { code: 'AAAA-AAAA' });
    t.deepEqual([wrongCode.status, wrongCode.text.includes('AAAA-AAAA')], [400, true]);
  });

  test('nothing wide is ticked, nothing ticked grants nothing, and no is an answer', async (t) => {
    const { browser } = await human();
    const { agent, request, link } = await asked([{ path: '', actions: ['read'] }]);
    const page = await browser.get(link.pathname + link.search);
    t.true(page.text.includes('Wide access'));
    t.false(/name="may:0:read"[^>]*checked/.test(page.text));
    const nothing = await browser.post(REVIEW, { decision: 'approve' });
    t.deepEqual([nothing.status, nothing.text.includes('Nothing is selected')], [400, true]);
    t.is((await agent.show(request.id)).body.data.state, 'pending');
    t.is(heading(await browser.post(REVIEW, { decision: 'deny' })), 'Declined');
    on.clock.advance(6);
    t.is((await agent.show(request.id)).body.data.state, 'denied');
  });

  test('of several workspaces none is chosen before, and one must be', async (t) => {
    const { browser, id } = await human();
    const workspace = await places.workspace([id, 'owner']);
    const { agent, request, link } = await asked();
    const page = await browser.get(link.pathname + link.search);
    t.false(/<option value="wsp_[^"]*" selected/.test(page.text));
    const missing = await browser.post(REVIEW, { decision: 'approve', 'may:0:read': 'on' });
    t.deepEqual([missing.status, missing.text.includes('Choose the workspace')], [400, true]);
    t.regex(missing.text, /name="may:0:read"[^>]*checked/);
    const done = await browser.post(REVIEW, { decision: 'approve', 'may:0:read': 'on', workspace });
    t.is(heading(done), 'Approved', done.text);
    t.is((await agent.show(request.id)).body.data.grant.permissions[0].space, workspace);
  });

  test('in a workspace of others nothing can be given', async (t) => {
    const owner = await human();
    const { browser } = await human();
    const workspace = await places.workspace([owner.id, 'owner']);
    const { agent, request, link } = await asked([{ space: workspace }]);
    const page = await browser.get(link.pathname + link.search);
    t.true(page.text.includes('Ask an owner or admin'));
    const forged = await browser.post(REVIEW, { decision: 'approve', 'may:0:read': 'on' });
    t.is(forged.status, 404);
    t.is((await agent.show(request.id)).body.data.state, 'pending');
  });

  test('a member who may not give it asks the owners and admins by mail, whose link leads to the request', async (t) => {
    const [owner, admin, member] = [await human(), await human(), await human()];
    const workspace = await places.workspace([owner.id, 'owner'], [admin.id, 'admin'], [member.id, 'member']);
    const { agent, request, link } = await asked([{ space: workspace }], { action: 'Read the plan' });
    const page = await member.browser.get(link.pathname + link.search);
    t.true(page.text.includes('Ask an owner or admin'));
    const sent = await member.browser.post(REFER, { workspace });
    t.is(sent.path, REVIEW);
    t.regex(sent.text, /role="status">[\s\S]*get an email/);
    for (const { mailbox } of [owner, admin]) {
      const notice = await on.noticeTo(mailbox);
      t.is(notice.happened.length, 1);
      t.like(notice.happened[0], {
        kind: 'permission.referred',
        workspaceName: 'Launch team',
        pageUrl: link.href,
      });
      const { subject, text, html } = createRender(on.service.deps.config)(notice);
      for (const part of [text, html]) {
        t.true(part.includes('“Read the plan”'), 'the very text');
        t.true(part.includes('Launch team'));
      }
      t.regex(text, new RegExp(`^Review the request:\\n${RegExp.escape(link.href)}$`, 'm'));
      t.notRegex(subject, /Launch team|plan/);
    }
    const { pageUrl } = (await on.noticeTo(admin.mailbox)).happened[0]!;
    await admin.browser.get(new URL(pageUrl!).pathname + new URL(pageUrl!).search);
    const done = await admin.browser.post(REVIEW, { decision: 'approve', 'may:0:read': 'on' });
    t.is(heading(done), 'Approved', done.text);
    t.is((await agent.show(request.id)).body.data.grant.permissions[0].space, workspace);
  });

  test('only members ask, about a request that names their workspace and waits, and so often a day', async (t) => {
    const [owner, member, stranger] = [await human(), await human(), await human()];
    const workspace = await places.workspace([owner.id, 'owner'], [member.id, 'viewer']);
    const elsewhere = await places.workspace([member.id, 'owner']);
    const { request, link } = await asked([{ space: workspace }]);
    const page = await stranger.browser.get(link.pathname + link.search);
    t.true(page.text.includes('Ask an owner or admin'));
    t.false(page.text.includes(REFER), 'who is not in it learns nothing of it');
    const csrf = stranger.browser.form(REVIEW).csrf!;
    const asks = async (of: typeof member, fields: object) =>
      (await of.browser.send(REFER, { ...fields } as Record<string, string>)).status;
    t.is(await asks(stranger, { csrf, request: request.id, workspace }), 404);
    await member.browser.get(link.pathname + link.search);
    const form = member.browser.form(REFER);
    t.is(await asks(member, { ...form, workspace: elsewhere }), 404);
    t.is(await asks(member, { ...form, workspace, request: `prq_${'A'.repeat(32)}` }), 404);
    t.is(await asks(member, { ...form, workspace, csrf: 'none' }), 403);
    t.is(on.notices.filter((mail) => mail.to === owner.mailbox).length, 0);
    const statuses = [];
    for (let count = 0; count < 21; count += 1) {
      await member.browser.get(REVIEW);
      statuses.push(await asks(member, { ...member.browser.form(REFER), workspace }));
    }
    t.deepEqual(statuses, [...Array(20).fill(200), 429]);
    await member.browser.get(REVIEW);
    await member.browser.post(REVIEW, { decision: 'deny' });
    t.is(await asks(member, { ...form, workspace }), 404, 'it is decided, and forgotten by this browser');
  });

  test('a refusal is shown as the service signed it, for who can only be handed things', async (t) => {
    const { browser } = await human();
    const { agent, request, link } = await asked();
    await browser.get(link.pathname + link.search);
    const done = await browser.post(REVIEW, { decision: 'deny' });
    on.clock.advance(6);
    t.deepEqual(answerOn(done), (await agent.show(request.id)).body.data.denial);
  });

  test('one action is shown in its words, its token works once and says which action', async (t) => {
    const { browser } = await human();
    const { agent, request, link } = await asked([{}], { action: 'Send the invoice 4711', once: true });
    const page = await browser.get(link.pathname + link.search);
    t.is(heading(page), 'Allow this one action?');
    t.true(page.text.indexOf('Send the invoice 4711') < page.text.indexOf('documents/'));
    await browser.post(REVIEW, { decision: 'approve', 'may:0:read': 'on' });
    t.is((await agent.show(request.id)).body.data.state, 'granted');
    const tokens = await Promise.all(Array.from({ length: 16 }, () => agent.token()));
    const won = tokens.filter(({ status }) => status === 200);
    t.is(won.length, 1);
    t.is(won[0]!.body.expires_in, 60);
    t.regex(won[0]!.body.action_hash, /^[\w-]{43}$/);
  });

  test('a terminal is connected by its code, within what is ticked, and ended on the account page', async (t) => {
    const { browser, id } = await human();
    const terminal = keyClient(on);
    const request = await terminal.request({ permissions: undefined, name: 'Laptop' });
    const { data } = (await terminal.post(request)).body;
    t.is(new URL(data.verification_uri).search, '');
    await browser.get('/permissions');
    const page = await browser.post('/permissions', { code: data.user_code });
    t.is(heading(page), 'Let this terminal act for you?');
    t.true(page.text.includes(data.user_code));
    const nothing = await browser.post(REVIEW, { decision: 'approve' });
    t.is(nothing.status, 400);
    const done = await browser.post(REVIEW, { decision: 'approve', 'scope:read': 'on', [`in:${id}`]: 'on' });
    t.is(heading(done), 'The terminal acts for you', done.text);
    t.like(answerOn(done), {
      kind: 'vouchsafe.auth.login',
      request_id: request.id,
      audience: { thumbprint: terminal.key.thumbprint },
      account: id,
      bound: { scopes: ['read'], workspaces: [id] },
    });
    t.like((await terminal.held()).body.data.key, {
      kind: 'human',
      account: id,
      bound: { scopes: ['read'] },
    });
    t.true((await browser.get('/account')).text.includes('Laptop'));
    const end = `/account/terminals/${terminal.key.thumbprint}/end`;
    await browser.get(end);
    t.is((await browser.post(end, {})).path, '/account');
    t.is((await terminal.held()).status, 401);
  });

  test('the page of an agent has what it asks, what it got and its session keys', async (t) => {
    const mailbox = newMailbox();
    const { credential, agent_id } = await on.claimed(mailbox);
    const browser = await signIn(on, mailbox);
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request, credential);
    const page = await browser.get(`/agents/${agent_id}`);
    t.true(page.text.includes('Asks for more'));
    t.true(page.text.includes(agent.key.thumbprint.slice(0, 12)));
    const link = /href="(\/permissions\?t=[^"]+)"/.exec(page.text)![1]!;
    const asksInList = async () =>
      /<a class="asks" href="([^"]*)"><span class="badge[^>]*>.*?Asks for more<\/span><\/a>/.exec(
        (await browser.get('/agents')).text,
      )?.[1];
    t.is(await asksInList(), link, 'the list leads to the same review');
    await browser.get(link);
    await browser.post(REVIEW, { decision: 'approve', 'may:0:read': 'on' });
    t.is(await asksInList(), undefined);
    const granted = await browser.get(`/agents/${agent_id}`);
    t.true(granted.text.includes('Granted by request'));
    t.false(granted.text.includes('Asks for more'));
    const path = `/agents/${agent_id}/session-keys/${agent.key.thumbprint}`;
    await browser.get(`/agents/${agent_id}`);
    await browser.post(`${path}/keep`, {});
    const me = (await on.get('/api/me', credential)).body.data;
    await on.del(`/api/tokens/${me.key.id}`, credential);
    t.is((await agent.held()).status, 200);
    await browser.get(`/agents/${agent_id}`);
    await browser.post(`${path}/end`, {});
    t.is((await agent.held()).status, 401);
  });

  test('who is not signed in is led to the request after they are; other people’s grants and keys are 404', async (t) => {
    const { link } = await asked();
    const stranger = openBrowser(on);
    const page = await stranger.get(link.pathname + link.search);
    t.is(page.path, `/sign-in?next=${REVIEW}`);
    const { browser } = await human();
    for (const path of ['/permissions/grt_0/revoke', `/account/terminals/${'a'.repeat(43)}/end`]) {
      t.is((await browser.get(path)).status, 404);
    }
  });
});
