import { saveConsent } from '../../src/domain/apps/consents.ts';
import { createClient, type NewClient } from '../../src/domain/apps/create-client.ts';
import { endLeftConsents } from '../../src/domain/apps/end-consents.ts';
import {
  removeClient,
  resumeClient,
  rotateClientSecret,
  suspendClient,
} from '../../src/domain/apps/manage-clients.ts';
import { AT_COMMAND_LINE } from '../../src/domain/audit/operator-acts.ts';
import { DAY_MS } from '../../src/lib/time.ts';
import { insertHumanAccount } from '../../src/store/accounts.ts';
import { insertOAuthGrant } from '../../src/store/oauth-grants.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import {
  type App,
  getCode,
  listConsents,
  newHuman,
  PUBLIC_CLIENT,
  REDIRECT,
  redeem,
  refresh,
} from '../helpers/app-client.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const NEW: NewClient = {
  ...PUBLIC_CLIENT,
  authMethod: 'client_secret_basic',
  grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
};
const BY_OPERATOR = { operator: { accountId: undefined, reason: 'abuse' } };
/** More than one request ends. */
const MANY = 510;

onEveryEngine('a client that very many people use', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const origin = localOrigin('test');

  /** A client of the operator with very many consents, and one human whose token works. The human's account sorts last. */
  async function popular() {
    const { deps } = on.service;
    const { client, secret } = await createClient(deps, origin, NEW);
    await deps.db.tx(async (tx) => {
      const now = on.clock();
      const given = { clientId: client.id, redirectUri: REDIRECT, resource: api.resource };
      for (let index = 0; index < MANY; index += 1) {
        const accountId = `usr_00${index}${client.id}`;
        await insertHumanAccount(tx, accountId, newMailbox(), now);
        const terms = {
          scope: 'read',
          openidScope: '',
          principal: null,
          createdAt: now,
          expiresAt: now + DAY_MS,
        };
        await insertOAuthGrant(tx, { id: `con_00${index}${client.id}`, accountId, ...given, ...terms });
      }
    });
    const { browser } = await newHuman(on);
    const app: App = { clientId: client.id, secret, registered: undefined };
    const query = { scope: 'read', resource: api.resource };
    const code = () => getCode(on, app, { query, browser });
    const { body } = await redeem(on, app, await code(), { client_secret: secret! });
    return {
      app,
      code,
      id: client.id,
      token: body.access_token as string,
      refreshToken: body.refresh_token as string,
    };
  }

  const left = (id: string) => countOf(on, 'oauth_grants WHERE client_id = ? AND revoked_at IS NULL', [id]);
  const isLeft = (id: string) => countOf(on, 'oauth_clients WHERE id = ? AND consents_ending = 1', [id]);

  for (const [what, act] of Object.entries({ removed: removeClient, suspended: suspendClient })) {
    test(`${what}: nothing works from then on, and a job ends the consents that the request left`, async (t) => {
      const { id, app, token, refreshToken, code } = await popular();
      const got = await code();
      t.true(await api.isActive(token));
      if (act === removeClient) await removeClient(on.service.deps, origin, id, BY_OPERATOR);
      else await suspendClient(on.service.deps, origin, id, BY_OPERATOR.operator);
      t.true((await left(id)) > 0);
      t.false(await api.isActive(token));
      const secret = { client_secret: app.secret! };
      t.is((await refresh(on, app, refreshToken, secret)).status, 401);
      t.is((await redeem(on, app, got, secret)).status, 401);
      t.is((await on.get('/oauth2/userinfo', token)).status, 401);
      t.is(await isLeft(id), 1);
      await endLeftConsents(on.service.deps, origin);
      t.deepEqual([await left(id), await isLeft(id)], [0, 0]);
      const ended = `events WHERE kind = 'app.revoked' AND details LIKE ?`;
      t.is(await countOf(on, ended, [`%${id}%`]), MANY + 1);
      await endLeftConsents(on.service.deps, origin);
      t.is(await countOf(on, ended, [`%${id}%`]), MANY + 1);
    });
  }

  test('resumed before all consents ended: they end first, and none lives again', async (t) => {
    const { id, token } = await popular();
    await suspendClient(on.service.deps, origin, id, AT_COMMAND_LINE);
    t.true(await resumeClient(on.service.deps, origin, id, AT_COMMAND_LINE));
    t.is(await left(id), 0);
    t.false(await api.isActive(token));
  });
});

onEveryEngine('what operators do to clients', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const origin = localOrigin('test');
  const accountOf = async (mailbox: string) =>
    (await on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]))!
      .id;

  test('is in the audit under the operator with the reason, and under the owner without', async (t) => {
    const { deps } = on.service;
    const [owner, operator] = [
      await accountOf((await newHuman(on)).mailbox),
      await accountOf((await newHuman(on)).mailbox),
    ];
    const { client } = await createClient(deps, origin, NEW, { owner });
    const act = { accountId: operator, reason: 'abuse' };
    await rotateClientSecret(deps, origin, client.id, 0, { operator: act });
    t.true(await suspendClient(deps, origin, client.id, act));
    t.true(await resumeClient(deps, origin, client.id, act));
    await removeClient(deps, origin, client.id, { operator: act });
    for (const what of ['rotated', 'suspended', 'resumed', 'removed']) {
      const find = (kind: string) =>
        deps.db.get<{ accountId: string; details: string; requestId: string }>(
          'SELECT account_id AS "accountId", details, request_id AS "requestId" FROM events WHERE kind = ? AND subject = ?',
          [kind, client.id],
        );
      const [done, happened] = [await find(`operator.client_${what}`), await find(`client.${what}`)];
      t.is(done!.accountId, operator, what);
      t.deepEqual(JSON.parse(done!.details), { reason: 'abuse' }, what);
      t.is(happened!.accountId, owner, what);
      t.false(happened!.details.includes('abuse') || happened!.details.includes(operator), what);
      t.is(done!.requestId, happened!.requestId, what);
    }
  });

  test('an owner who uses the own client, while it gets tokens for itself, can be removed with it: no deadlock', async (t) => {
    for (let round = 0; round < 8; round += 1) {
      const { deps } = on.service;
      const { browser, mailbox } = await newHuman(on);
      const owner = await accountOf(mailbox);
      const { client, secret } = await createClient(deps, origin, NEW, { owner });
      const app: App = { clientId: client.id, secret, registered: undefined };
      const query = { scope: 'read', resource: api.resource };
      await redeem(on, app, await getCode(on, app, { query, browser }), { client_secret: secret! });
      const form = { grant_type: 'client_credentials', resource: api.resource };
      const getToken = () => on.form('/oauth2/token', form, basic(client.id, secret!));
      const asked = {
        accountId: owner,
        clientId: client.id,
        redirectUri: REDIRECT,
        resource: api.resource,
        scopes: ['read', 'write'],
        openidScopes: [],
        places: [],
      };
      const [, , ...replies] = await Promise.all([
        removeClient(deps, origin, client.id, BY_OPERATOR),
        saveConsent(deps, origin, asked).catch(() => {}), // too late
        getToken(),
        getToken(),
        getToken(),
      ]);
      for (const { status, body, text } of replies) {
        t.true([200, 400, 401].includes(status), text);
        if (body.access_token) t.false(await api.isActive(body.access_token), `round ${round}`);
      }
      t.deepEqual(await listConsents(deps, owner), []);
    }
  });
});
