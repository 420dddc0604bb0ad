import type { z } from 'zod';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { newId } from '../../src/lib/ids.ts';
import { principalOf } from '../../src/lib/principals.ts';
import { insertLinkRequest } from '../../src/store/link-requests.ts';
import { insertNodes } from '../../src/store/nodes.ts';
import { localOrigin } from '../../src/work.ts';
import { openAgentClient } from '../helpers/agent-client.ts';
import { askFor, newHuman, registerApp } from '../helpers/app-client.ts';
import { createAssertingApp } from '../helpers/asserting-apps.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import { routesOf } from '../helpers/bad-input.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { type House, openHouse } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { askForCode, secretOn, setUpApp, signIn, typeMailedCode } from '../helpers/human.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { keyClient, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** A field that the schema of a form refuses: the form comes back with the field, the reason and what was typed. */

/** Longer than any field may be, and short enough for a body. */
const LONG = 'x'.repeat(5000);
const TOO_LONG = /That’s too long\. It can have [\d,]+ characters\./;
const NOT_OFFERED = /That isn’t one of the choices\. Choose again\./;

/** Fields that pages write and nobody types: a wrong one is no mistake of a human, and has the page of failures. */
const HIDDEN =
  'csrf once sealed next attempt approval request session all api id client_id post_logout_redirect_uri state'.split(
    ' ',
  );

/** An organization that is trusted. */
const ISSUER = 'https://acme.example';

/** A form on the last page of a browser. */
interface Opened {
  browser: Browser;
  /** Where it is posted to. */
  path: string;
}

onEveryEngine('a form with a field that its schema refuses', (engine, test) => {
  let house: House;
  let operator: Operator;
  test.before(async () => {
    const trustedIssuers = [{ issuer: ISSUER, displayName: 'Acme' }];
    house = await withConfigFile({ trustedIssuers }, (CONFIG) => openHouse(engine, { env: { CONFIG } }));
    operator = await newOperator(house.on);
  });
  test.after(() => house.stop());

  /** Opens a page in a browser where its owner signed in just now. */
  async function own(page: string, path = page): Promise<Opened> {
    const browser = await signIn(house.on, newMailbox());
    await browser.get(page);
    return { browser, path };
  }
  async function stranger(page: string, path = page): Promise<Opened> {
    const browser = openBrowser(house.on);
    await browser.get(page);
    return { browser, path };
  }
  async function ofAgent(change: string): Promise<Opened> {
    const mailbox = newMailbox();
    const { agent_id } = await house.on.claimed(mailbox);
    const browser = await signIn(house.on, mailbox);
    const path = `/agents/${agent_id}/${change}`;
    await browser.get(path);
    return { browser, path };
  }
  async function ofOperator(page: string, path = page): Promise<Opened> {
    await operator.signInAgain();
    await operator.browser.get(page);
    return { browser: operator.browser, path };
  }
  async function ofAccount(act: string): Promise<Opened> {
    const mailbox = newMailbox();
    await signIn(house.on, mailbox);
    const row = await house.on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM accounts WHERE mailbox = ?',
      [mailbox],
    );
    return ofOperator(`/console/accounts/${row!.id}/${act}`);
  }
  async function ofServer(act: string): Promise<Opened> {
    const { browser } = await ofOperator('/console/resource-servers/new');
    const name = newMailbox('api').replace(/@.*/, '');
    await browser.post('/console/resource-servers/new', {
      name,
      url: `https://${name}.example`,
      reason: 'For this test',
    });
    const listed = await browser.get('/console/resource-servers');
    const id = new RegExp(`href="/console/resource-servers/(rs_\\w+)"[^>]*>(?:<bdi>)?${name}`).exec(
      listed.text,
    )![1]!;
    return ofOperator(`/console/resource-servers/${id}/${act}`);
  }
  /** An app that asks a human. */
  async function ofApp(): Promise<Opened> {
    const app = await registerApp(house.on);
    const { browser } = await newHuman(house.on);
    const page = await browser.get(askFor(app, { prompt: 'consent', scope: 'read' }).path);
    return { browser, path: page.path };
  }
  async function ofDevice(): Promise<Opened> {
    const app = await registerApp(house.on, {
      grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
    });
    const asked = { client_id: app.clientId, scope: 'read' };
    const { body } = await house.on.form('/oauth2/device_authorization', asked);
    const { browser } = await newHuman(house.on);
    await browser.get('/connect');
    await browser.post('/connect', { code: body.user_code });
    return { browser, path: '/connect/device' };
  }
  /** An organization that asks the owner of an account. */
  async function ofOrganization(): Promise<Opened> {
    const { browser, mailbox } = await newHuman(house.on);
    const { deps } = house.on.service;
    const sql = 'SELECT id FROM accounts WHERE mailbox = ?';
    const { id: accountId } = (await deps.db.get<{ id: string }>(sql, [mailbox]))!;
    const { clientId } = await createAssertingApp({ on: house.on });
    const request = {
      id: newId('lnk', deps.clock(), deps.random),
      principal: principalOf({ issuer: ISSUER, tenant: '', subject: mailbox }),
      accountId,
      clientId,
      scope: 'read',
      resource: 'https://api.example.com',
      createdAt: deps.clock(),
      expiresAt: deps.clock() + 60_000,
    };
    await deps.db.tx((tx) => insertLinkRequest(tx, request));
    const path = `/apps/links/${request.id}`;
    await browser.get(path);
    return { browser, path };
  }
  /** A workspace of somebody who signed in. @param page below its path */
  async function ofWorkspace(page: string, form: string = page): Promise<Opened> {
    const { browser, id } = await newWorkspace();
    await browser.get(`/workspaces/${id}${page}`);
    return { browser, path: `/workspaces/${id}${form}` };
  }
  let hasWorkspaces = false;
  /** A page of somebody, where an API understands workspaces. */
  async function offered(page: string): Promise<Opened> {
    const { deps } = house.on.service;
    if (!hasWorkspaces) {
      const server = { url: 'https://tree.example.com', name: 'Tree', scopes: undefined };
      await addResourceServer(deps, localOrigin('test'), server);
      await deps.db.tx((tx) => tx.run('UPDATE resource_servers SET workspaces = 1'));
      hasWorkspaces = true;
    }
    return own(page);
  }
  async function newWorkspace() {
    const { browser } = await offered('/workspaces/new');
    const made = await browser.post('/workspaces/new', { name: 'Atlas' });
    return { browser, id: /wsp_\w+/.exec(made.path)![0] };
  }
  /** A thing in it that can have keys. */
  async function ofThing(): Promise<Opened> {
    const { browser, id: workspaceId } = await newWorkspace();
    const { db, random, clock } = house.on.service.deps;
    const id = newId('nod', clock(), random);
    const node = {
      id,
      workspaceId,
      resource: 'https://tree.example.com',
      externalId: 'app_1',
      parentId: null,
    };
    await db.tx((tx) => insertNodes(tx, [{ ...node, kind: 'app', name: 'Shop' }], clock()));
    const path = `/workspaces/${workspaceId}/apps/${id}`;
    await browser.get(path);
    return { browser, path };
  }
  /** An invitation to it. */
  async function invited() {
    const { browser, id } = await newWorkspace();
    const mailbox = newMailbox();
    await browser.get(`/workspaces/${id}`);
    await browser.post(`/workspaces/${id}/invite`, { email: mailbox, role: 'member' });
    const mail = await house.on.invitationFor(mailbox);
    const other = await signIn(house.on, mailbox);
    return { browser, id, mailbox, mail, other };
  }
  const accountOf = async (mailbox: string) =>
    (await house.on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [
      mailbox,
    ]))!.id;
  const pathOf = (url: string) => url.slice(house.on.url.length);
  async function ofMember(): Promise<Opened> {
    const { browser, id, mail, mailbox, other } = await invited();
    await other.get(pathOf(mail.pageUrl));
    await other.post('/invitation', { decision: 'join' });
    const path = `/workspaces/${id}/members/${await accountOf(mailbox)}`;
    await browser.get(path);
    return { browser, path };
  }
  async function ofInvitation(url: 'pageUrl' | 'declineUrl', path: string): Promise<Opened> {
    const { mail, other } = await invited();
    await other.get(pathOf(mail[url]));
    return { browser: other, path };
  }
  async function ofOwnClient(act: string): Promise<Opened> {
    const { browser } = await own('/apps/clients/new');
    const made = await browser.post('/apps/clients/new', {
      name: 'Robot',
      auth: 'client_secret_post',
      'use:people': 'on',
      redirects: 'https://app.example/callback',
      'scope:read': 'on',
    });
    const path = `/apps/clients/${/cli_\w+/.exec(made.text)![0]}/${act}`;
    await browser.get(path);
    return { browser, path };
  }
  async function ofClient(act: string): Promise<Opened> {
    const path = `/console/oauth-clients/${(await registerApp(house.on)).clientId}`;
    if (act === 'resume') {
      const { browser } = await ofOperator(`${path}/suspend`);
      await browser.post(`${path}/suspend`, { reason: 'For this test' });
    }
    return ofOperator(`${path}/${act}`);
  }
  async function toConnect(how: object): Promise<{ mailbox: string; link: string; denyUrl?: string }> {
    const mailbox = newMailbox();
    const client = openAgentClient(house.on);
    const earlier = house.on.approvalMails.length;
    const { reply } = await client.connect(client.newHost('laptop'), {
      name: 'Release helper',
      capabilities: ['read'],
      ...(how === undefined ? {} : { ...how, ...('preferred_method' in how && { login_hint: mailbox }) }),
    });
    await house.settled(mailbox);
    return {
      mailbox,
      link: reply.body.approval?.verification_uri_complete,
      ...house.on.approvalMails[earlier],
    };
  }

  /** What an agent asks for, or a terminal that wants to act for somebody, before them. */
  async function ofPermissions(options: Parameters<ReturnType<typeof keyClient>['ask']>[0]) {
    const mailbox = newMailbox();
    const browser = await signIn(house.on, mailbox);
    const client = keyClient(house.on);
    const { user_code: code } = (await client.ask(options)).body.data;
    await browser.get('/permissions');
    await browser.post('/permissions', { code });
    const accountId = await accountOf(mailbox);
    return { browser, path: '/permissions/review', thumbprint: client.key.thumbprint, accountId };
  }

  /** What opens the form of each row, by its path. */
  const OPEN: Record<string, () => Promise<Opened>> = {
    '/claim': async () => {
      const { viewUrl } = await house.ask();
      return { browser: await house.open(viewUrl), path: '/claim' };
    },
    '/claim/deny': async () => {
      const { mail } = await house.ask();
      return { browser: await house.open(mail.denyUrl), path: '/claim/deny' };
    },
    '/connect': () => stranger('/connect'),
    '/connect/deny': async () => {
      const { denyUrl } = await toConnect({ preferred_method: 'ciba' });
      return { browser: await house.open(denyUrl!), path: '/connect/deny' };
    },
    '/connect/review': async () => {
      const { mailbox, link } = await toConnect({});
      const browser = await signIn(house.on, mailbox);
      await browser.get(link);
      return { browser, path: '/connect/review' };
    },
    '/permissions': () => stranger('/permissions'),
    '/permissions/review': () => ofPermissions({}),
    '/permissions/review/refer': async () => {
      const { other, id, mail } = await invited();
      await other.get(pathOf(mail.pageUrl));
      await other.post('/invitation', { decision: 'join' });
      const { data } = (await keyClient(house.on).ask({ permissions: [{ ...READ_DOCUMENTS, space: id }] }))
        .body;
      await other.get(pathOf(data.verification_uri));
      return { browser: other, path: '/permissions/review/refer' };
    },
    '/account/terminals/:thumbprint/end': async () => {
      const { browser, thumbprint, accountId } = await ofPermissions({ permissions: undefined });
      await browser.post('/permissions/review', {
        decision: 'approve',
        'scope:read': 'on',
        [`in:${accountId}`]: 'on',
      });
      const path = `/account/terminals/${thumbprint}/end`;
      await browser.get(path);
      return { browser, path };
    },
    '/sign-in': () => stranger('/sign-in'),
    '/sign-in/code': async () => {
      const browser = openBrowser(house.on);
      await askForCode(house.on, newMailbox(), { browser });
      return { browser, path: '/sign-in/code' };
    },
    '/agents/:id/rename': () => ofAgent('rename'),
    '/keys/new': () => own('/keys/new'),
    '/workspaces/new': () => offered('/workspaces/new'),
    '/workspaces/:id/invite': () => ofWorkspace('', '/invite'),
    '/workspaces/:id/withdraw': async () => {
      const { browser, id } = await invited();
      await browser.get(`/workspaces/${id}`);
      return { browser, path: `/workspaces/${id}/withdraw` };
    },
    '/workspaces/:id/rename': () => ofWorkspace('/rename'),
    '/workspaces/:id/transfer': () => ofWorkspace('/transfer'),
    '/workspaces/:id/delete': () => ofWorkspace('/delete'),
    '/workspaces/:id/members/:member': ofMember,
    '/workspaces/:id/apps/:node': ofThing,
    '/invitation': () => ofInvitation('pageUrl', '/invitation'),
    '/invitation/decline': () => ofInvitation('declineUrl', '/invitation/decline'),
    '/account/invitations': async () => {
      const { browser } = await newWorkspace();
      await browser.get('/account');
      return { browser, path: '/account/invitations' };
    },
    '/account/name': async () => {
      const { browser } = await newWorkspace();
      await browser.get('/account');
      return { browser, path: '/account/name' };
    },
    '/account/mail': () => own('/account', '/account/mail'),
    '/account/language': () => own('/account', '/account/language'),
    '/account/authenticator': () => own('/account/authenticator'),
    '/account/delete': () => own('/account/delete'),
    '/console/agents/revoke': async () => {
      const { agent_id } = await house.on.claimed(newMailbox());
      return ofOperator(`/console/agents/revoke?id=${agent_id}`, '/console/agents/revoke');
    },
    '/console/agents/:id/end': async () => {
      const { agent_id, credential } = await house.on.claimed(newMailbox());
      const client = keyClient(house.on);
      await client.ask({}, credential);
      const path = `/console/agents/${agent_id}/end`;
      return ofOperator(`${path}?id=${client.key.thumbprint}`, path);
    },
    '/console/keys/revoke': async () => {
      const { agent_id } = await house.on.claimed(newMailbox());
      const { text } = await operator.browser.get(`/console/keys?q=${agent_id}`);
      const id = /name="id" value="(key_\w+)"/.exec(text)![1];
      return ofOperator(`/console/keys/revoke?id=${id}`, '/console/keys/revoke');
    },
    ...Object.fromEntries(
      ['end-sessions', 'revoke-keys', 'stop-mail', 'allow-mail'].map((act) => [
        `/console/accounts/:id/${act}`,
        () => ofAccount(act),
      ]),
    ),
    '/console/resource-servers/new': () => ofOperator('/console/resource-servers/new'),
    '/console/resource-servers/:id/rotate': () => ofServer('rotate'),
    '/console/resource-servers/:id/remove': () => ofServer('remove'),
    '/authorize/:uid': ofApp,
    '/connect/device': ofDevice,
    '/apps/links/:id': ofOrganization,
    '/apps/clients/new': () => own('/apps/clients/new'),
    '/apps/clients/:id/edit': () => ofOwnClient('edit'),
    '/apps/clients/:id/rotate': () => ofOwnClient('rotate'),
    ...Object.fromEntries(
      ['suspend', 'resume', 'remove'].map((act) => [
        `/console/oauth-clients/:id/${act}`,
        () => ofClient(act),
      ]),
    ),
    '/console/workspaces/:id/delete': async () => {
      const { id } = await newWorkspace();
      return ofOperator(`/console/workspaces/${id}/delete`);
    },
    '/console/mail/retry': () => ofOperator('/console/mail/retry?all=on', '/console/mail/retry'),
    '/console/mail/allow': async () => {
      const { mail } = await house.ask();
      const browser = await house.open(mail.denyUrl);
      await browser.post('/claim/deny', { no_more: 'on' });
      await operator.signInAgain();
      const { text } = await operator.browser.get('/console/mail/suppressed');
      const [, sealed] = /href="\/console\/mail\/allow\?mailbox=([^"]+)"/.exec(text)!;
      return ofOperator(`/console/mail/allow?mailbox=${sealed}`, '/console/mail/allow');
    },
  };

  /** Fields whose value comes back: codes do not. */
  const isShown = (field: string) => ['email', 'name', 'mailbox', 'reason', 'url'].includes(field);

  test('comes back from every row with the field, the reason and what was typed, and nothing is done', async (t) => {
    const rows = routesOf(house.on).routes.filter(
      ({ method, dialect, body, caller }) =>
        method === 'POST' && dialect.name === 'page' && body !== undefined && caller !== 'anyone',
    );
    let count = 0;
    for (const { path: row, body } of rows) {
      const fields = Object.keys((body!.schema as z.ZodObject).shape).filter(
        (field) => !HIDDEN.includes(field),
      );
      for (const field of fields) {
        const open = OPEN[row];
        if (open === undefined) {
          t.fail(`no form of ${row} is opened here, for its field ${field}`);
          continue;
        }
        const about = `${row} ${field}`;
        const { browser, path } = await open();
        const before = await house.rows();
        const sent = { ...browser.form(path), [field]: LONG };
        const page = await browser.send(path, sent);
        t.is(page.status, 400, `${about}: ${page.text}`);
        // What its schema takes, the handler refuses in words of its own.
        const isOfSchema = !body!.schema.safeParse(sent).success;
        const isChoice = !body!.schema.safeParse({ ...sent, [field]: 'xyz' }).success;
        if (isOfSchema) t.regex(page.text, isChoice ? NOT_OFFERED : TOO_LONG, about);
        t.regex(page.text, /<title>Error: /, about);
        t.regex(page.text, /role="alert"/, about);
        t.true(page.text.includes(`action="${path}"`), `${about}: the form`);
        if (isShown(field)) t.true(page.text.includes(LONG), `${about}: what was typed`);
        t.deepEqual(await house.rows(), before, `${about}: nothing is done`);
        count += 1;
      }
    }
    t.true(count >= 32, `${count} fields`);
  });

  test('keeps the other fields', async (t) => {
    const { browser } = await own('/keys/new');
    const page = await browser.post('/keys/new', {
      name: LONG,
      preset: 'choose',
      'scope:write': 'on',
      life: '30',
    });
    t.is(page.status, 400);
    for (const part of [
      'value="choose" checked',
      'name="scope:write" value="on" checked',
      'value="30" checked',
    ])
      t.true(page.text.includes(part), part);
    t.regex(page.text, /id="name-error"[\s\S]*?That’s too long\. It can have 64 characters\./);
  });

  test('keeps the setup of an authenticator that is being added', async (t) => {
    const { browser } = await own('/account/authenticator');
    const secret = secretOn(await browser.get('/account/authenticator'));
    const page = await browser.post('/account/authenticator', { code: LONG });
    t.is(page.status, 400);
    t.is(secretOn(page), secret);
  });

  test('comes back for the second factor, too', async (t) => {
    const mailbox = newMailbox();
    await setUpApp(house.on, await signIn(house.on, mailbox));
    const browser = openBrowser(house.on);
    await typeMailedCode(house.on, mailbox, { browser });
    const page = await browser.post('/sign-in/code', { code: LONG });
    t.is(page.status, 400);
    t.regex(page.text, TOO_LONG);
  });

  test('is no way around the checks of a post: without its token, from another site and in another session it shows nothing', async (t) => {
    const { browser } = await own('/account/delete');
    const fields = { ...browser.form('/account/delete'), mailbox: LONG };
    const foreign = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' };
    const others = [
      await browser.send('/account/delete', { ...fields, csrf: 'none' }),
      await browser.send('/account/delete', fields, foreign),
      await (await own('/account/delete')).browser.send('/account/delete', fields),
      await openBrowser(house.on).send('/account/delete', fields),
    ];
    for (const page of others) {
      t.is(page.status, 400);
      t.false(page.text.includes(LONG));
      t.false(page.text.includes('<form method="post" action="/account/delete"'));
    }
  });
});
