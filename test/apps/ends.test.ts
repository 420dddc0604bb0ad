import { createHash } from 'node:crypto';
import { findMailbox } from '../../src/domain/accounts/find-or-create-account.ts';
import { revokeConsent } from '../../src/domain/apps/consents.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { unavailable } from '../../src/errors.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import {
  answerOf,
  askFor,
  decide,
  getCode,
  listConsents,
  newHuman,
  redeem,
  registerApp,
} from '../helpers/app-client.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('how an app ends', (engine, test) => {
  let on: TestService;
  let api: Api;
  let isBroken = false;
  test.before(async () => {
    on = await startTestService(engine, {
      wrapDb: (db) => ({
        ...db,
        get: (sql, params) =>
          isBroken && sql.includes('oauth_clients')
            ? Promise.reject(unavailable(new Error('broken')))
            : db.get(sql, params),
      }),
    });
    api = await addApi(on);
  });
  test.after(() => on.stop());

  async function connect() {
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'read', resource: api.resource } });
    const { body } = await redeem(on, app, got);
    const token = await api.verifier().verify(body.access_token);
    return { app, browser: got.browser, token: body.access_token as string, accountId: token.subject };
  }

  test('every API that follows the revocations is told of it when the human revokes it', async (t) => {
    const { token, accountId } = await connect();
    const headers = basic(api.clientId, api.clientSecret);
    const { last } = (await on.request('GET', '/resource/events', { headers })).body;
    const [consent] = await listConsents(on.service.deps, accountId);
    await revokeConsent(on.service.deps, localOrigin('test'), accountId, consent!.id);
    const { events } = (await on.request('GET', `/resource/events?after=${last}`, { headers })).body;
    t.like(events, [{ type: 'revoked', token_hashes: [createHash('sha256').update(token).digest('hex')] }]);
    await t.throwsAsync(api.verifier().verify(token));
    t.is((await listConsents(on.service.deps, accountId)).length, 0);
  });

  test('a code whose consent was revoked before it is redeemed is refused', async (t) => {
    const { app, browser, accountId } = await connect();
    const got = await getCode(on, app, { query: { scope: 'read', resource: api.resource }, browser });
    const [consent] = await listConsents(on.service.deps, accountId);
    await revokeConsent(on.service.deps, localOrigin('test'), accountId, consent!.id);
    const reply = await redeem(on, app, got);
    t.deepEqual([reply.status, reply.body.error], [400, 'invalid_grant']);
  });

  test('it ends with the account', async (t) => {
    const { token, accountId } = await connect();
    await deleteAccount(on.service.deps, localOrigin('test'), accountId);
    await t.throwsAsync(api.verifier().verify(token));
  });

  test('a consent that gives less ends the tokens of the earlier one, and there is one for each app and API', async (t) => {
    const { app, browser, token, accountId } = await connect();
    const query = { scope: 'read write', resource: api.resource };
    await getCode(on, app, { query, boxes: ['scope:read', 'scope:write'], browser });
    await api.verifier().verify(token);
    await getCode(on, app, { query, boxes: ['scope:write'], browser });
    await t.throwsAsync(api.verifier().verify(token));
    t.deepEqual(
      (await listConsents(on.service.deps, accountId)).map(({ scope }) => scope),
      ['write'],
    );
  });

  test('two people in one browser: what one began the other decides for their own account', async (t) => {
    const app = await registerApp(on);
    const { browser, mailbox } = await newHuman(on);
    const asked = askFor(app, { scope: 'read', resource: api.resource });
    const page = await browser.get(asked.path);
    t.is(heading(page), 'Approve this app?');
    const form = browser.form(page.path);
    browser.cookies.delete('vouchsafe_session');
    const other = newMailbox('other');
    await signIn(on, other, { browser });
    const stale = await browser.get(page.path);
    t.is(heading(stale), 'Approve this app?');
    t.true(stale.text.includes(other));
    t.false(stale.text.includes(mailbox));
    t.not((await browser.send(page.path, { ...form, decision: 'approve', 'scope:read': 'on' })).status, 303);
    const { access_token } = (
      await redeem(on, app, {
        code: answerOf(await decide(browser, await browser.get(stale.path), 'approve')).code!,
        asked,
      })
    ).body;
    const { subject } = await api.verifier().verify(access_token);
    const [consent] = await listConsents(on.service.deps, subject);
    t.is(consent!.clientId, app.clientId);
    t.is(await findMailbox(on.service.deps, subject), other);
  });

  test('a form of another browser, or without the token of the page, changes nothing', async (t) => {
    const app = await registerApp(on);
    const [{ browser }, thief] = [await newHuman(on), await newHuman(on)];
    const page = await browser.get(askFor(app, { scope: 'read' }).path);
    t.is((await thief.browser.get(page.path)).status, 404);
    const reply = await browser.send(page.path, { decision: 'approve', 'scope:read': 'on' });
    t.is(reply.status, 403);
    await browser.get(page.path);
    const foreign = await browser.post(
      page.path,
      { decision: 'approve', 'scope:read': 'on' },
      { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
    );
    t.is(foreign.status, 403);
  });

  test('while the database cannot answer it is 503, in JSON, with a request id', async (t) => {
    const app = await registerApp(on);
    isBroken = true;
    const reply = await on.form('/oauth2/token', {
      grant_type: 'authorization_code',
      code: 'x',
      client_id: app.clientId,
    });
    isBroken = false;
    t.is(reply.status, 503);
    t.is(reply.body.error, 'temporarily_unavailable');
    t.regex(reply.headers.get('x-request-id')!, /^req_/);
    t.is(reply.headers.get('x-content-type-options'), 'nosniff');
  });
});
