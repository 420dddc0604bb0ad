import { revokeConsent } from '../../src/domain/apps/consents.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import {
  type App,
  answerOf,
  askFor,
  errorOf,
  getCode,
  listConsents,
  newHuman,
  redeem,
  refresh,
  registerApp,
} from '../helpers/app-client.ts';
import { countOf } from '../helpers/ceremony.ts';
import { atOnce, bearer, tallyBy } from '../helpers/common.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const ROUNDS = 8;

onEveryEngine('what happens to an app at the same time', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const asked = () => ({ query: { scope: 'read', resource: api.resource } });

  async function connect() {
    const app = await registerApp(on);
    const got = await getCode(on, app, asked());
    const { body } = await redeem(on, app, got);
    const { subject: accountId } = await api.verifier().verify(body.access_token);
    return { app, accountId, browser: got.browser, refreshToken: body.refresh_token as string };
  }

  const live = (accountId: string) => listConsents(on.service.deps, accountId);

  /** Every token that was given. */
  const tokensOf = (replies: readonly Reply[]): string[] =>
    replies.flatMap(({ body }) => (body.access_token === undefined ? [] : [body.access_token]));

  const ENDS: Record<string, (app: App, accountId: string) => Promise<unknown>> = {
    'the human revokes it': async (_app, accountId) => {
      const [consent] = await live(accountId);
      await revokeConsent(on.service.deps, localOrigin('test'), accountId, consent!.id);
    },
    'its registration is deleted': (app) =>
      on.request('DELETE', `/oauth2/register/${app.clientId}`, {
        headers: bearer(app.registered.registration_access_token),
      }),
    'the account is deleted': (_app, accountId) =>
      deleteAccount(on.service.deps, localOrigin('test'), accountId),
  };

  for (const [what, end] of Object.entries(ENDS)) {
    test(`while ${what} it refreshes: nothing that it got works afterwards`, async (t) => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const { app, accountId, refreshToken } = await connect();
        const [, ...replies] = await Promise.all([
          end(app, accountId),
          refresh(on, app, refreshToken),
          refresh(on, app, refreshToken),
        ]);
        for (const reply of replies) {
          t.true(['200', '400 invalid_grant', '401 invalid_client'].includes(errorOf(reply)), reply.text);
        }
        for (const token of tokensOf(replies)) t.false(await api.isActive(token), `round ${round}`);
        for (const { body } of replies) {
          const next = body.refresh_token ?? refreshToken;
          t.regex(errorOf(await refresh(on, app, next)), /^40[01] invalid_(grant|client)$/);
        }
        t.is((await live(accountId)).length, 0);
        t.is(await countOf(on, `events WHERE account_id = ? AND kind = 'app.revoked'`, [accountId]), 1);
      }
    });

    test(`while ${what} it redeems a code: nothing that it got works afterwards`, async (t) => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const { app, accountId, browser } = await connect();
        const got = await getCode(on, app, { ...asked(), browser });
        const [, reply] = await Promise.all([end(app, accountId), redeem(on, app, got)]);
        t.true(['200', '400 invalid_grant', '401 invalid_client'].includes(errorOf(reply)), reply.text);
        for (const token of tokensOf([reply])) t.false(await api.isActive(token), `round ${round}`);
      }
    });
  }

  test('approving pressed twice gives one consent, one mail, and a code that works', async (t) => {
    const app = await registerApp(on);
    const { browser, mailbox } = await newHuman(on);
    const request = askFor(app, { scope: 'read', resource: api.resource });
    const { path } = await browser.get(request.path);
    const form = { ...browser.wholeForm(path), decision: 'approve', 'scope:read': 'on' };
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`);
    // Of the interaction and its signature, whose path is that of the page.
    const ofPath = browser.setCookies.filter((line) => line.includes(`path=${path};`));
    const headers = {
      Cookie: [...ofPath.map((line) => line.split(';')[0]), ...cookie].join('; '),
      Origin: 'null',
      'Sec-Fetch-Site': 'same-origin',
    };
    const replies = await atOnce(2, () => on.form(path, form, headers));
    for (const { status, headers } of replies) {
      t.is(status, 303);
      t.is(headers.get('location'), replies[0]!.headers.get('location'));
    }
    const back = await browser.get(replies[1]!.headers.get('location')!);
    const reply = await redeem(on, app, { code: answerOf(back).code!, asked: request });
    t.is(reply.status, 200, reply.text);
    t.true(await api.isActive(reply.body.access_token));
    const { subject } = await api.verifier().verify(reply.body.access_token);
    t.is((await live(subject)).length, 1);
    t.is(await countOf(on, `events WHERE account_id = ? AND kind = 'app.connected'`, [subject]), 1);
    await on.noticeTo(mailbox);
    // Pressed once more, when all is over, it leads to no second code.
    const late = await browser.send(path, form);
    t.is(late.status, 404);
    t.false(late.redirects.some((location) => location.includes('code=')));
  });

  test('a request that goes on twice at once gives one code, which works', async (t) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const app = await registerApp(on);
      const { browser } = await newHuman(on);
      const request = askFor(app, { scope: 'read', resource: api.resource });
      const { path } = await browser.get(request.path);
      const ofPath = browser.setCookies.filter((line) => line.includes(`${path};`));
      const cookies = [
        ...ofPath.map((line) => line.split(';')[0]),
        ...browser.cookies.entries().map((pair) => pair.join('=')),
      ];
      const headers = { Cookie: cookies.join('; '), Origin: 'null', 'Sec-Fetch-Site': 'same-origin' };
      const form = { ...browser.wholeForm(path), decision: 'approve', 'scope:read': 'on' };
      const decided = await on.form(path, form, headers);
      t.is(decided.status, 303, decided.text);
      const goOn = new URL(decided.headers.get('location')!, on.url).pathname;
      const replies = await atOnce(5, () => on.request('GET', goOn, { headers: { Cookie: headers.Cookie } }));
      const locations = replies.map((reply) => reply.headers.get('location') ?? String(reply.status));
      const codes = locations.flatMap((to) =>
        to.includes('code=') ? [new URL(to).searchParams.get('code')!] : [],
      );
      t.is(codes.length, 1, locations.join());
      t.true(
        locations.every((to) => to.includes('code=') || to === '404'),
        locations.join(),
      );
      t.is((await redeem(on, app, { code: codes[0]!, asked: request })).status, 200);
    }
  });

  test('two clients that found the same refresh token: it works for its own alone, also at once', async (t) => {
    const { app, refreshToken } = await connect();
    const thief = await registerApp(on, { client_name: 'Thief' });
    const replies = await Promise.all([
      refresh(on, thief, refreshToken),
      refresh(on, app, refreshToken),
      refresh(on, thief, refreshToken),
    ]);
    t.deepEqual(replies.map(errorOf), ['400 invalid_grant', '200', '400 invalid_grant']);
    t.is(errorOf(await refresh(on, thief, refreshToken)), '400 invalid_grant');
    t.is(tallyBy([await refresh(on, app, refreshToken)], errorOf)['200'], 1);
    t.true(await api.isActive(replies[1]!.body.access_token));
  });
});
