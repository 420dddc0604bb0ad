import { type Api, addApi } from '../helpers/api.ts';
import { type App, answerOf, askFor, decide, newHuman, redeem, registerApp } from '../helpers/app-client.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce } from '../helpers/common.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('a pushed authorization request', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  async function push(
    app: App,
    query: Record<string, string> = {},
    headers: Record<string, string> = {},
    without: string[] = [],
  ) {
    const asked = askFor(app, { scope: 'read', resource: api.resource, ...query });
    const form = Object.fromEntries(new URL(asked.path, on.url).searchParams);
    for (const name of without) delete form[name];
    const reply = await on.form('/oauth2/par', form, headers);
    const { request_uri } = reply.body;
    return {
      asked,
      reply,
      path: `/oauth2/authorize?${new URLSearchParams({ client_id: app.clientId, request_uri })}`,
    };
  }

  test('stands in the metadata, and is answered with a name that lives a minute', async (t) => {
    const { body } = await on.get('/.well-known/oauth-authorization-server');
    t.is(body.pushed_authorization_request_endpoint, `${on.url}/oauth2/par`);
    const { reply } = await push(await registerApp(on));
    t.is(reply.status, 201, reply.text);
    t.regex(reply.body.request_uri, /^urn:ietf:params:oauth:request_uri:/);
    t.is(reply.body.expires_in, 60);
    t.is(reply.headers.get('cache-control'), 'no-store');
  });

  test('leads to the consent and to a token for what was pushed, whatever the URL says', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const { asked, path } = await push(app);
    const page = await browser.get(`${path}&scope=write&state=other&redirect_uri=https://evil.example/`);
    t.is(heading(page), 'Approve this app?');
    t.false(page.text.includes('scope:write'));
    const back = await decide(browser, page, 'approve');
    t.like(answerOf(back), { state: 'st', iss: on.url });
    const { body } = await redeem(on, app, { code: answerOf(back).code!, asked });
    t.is(body.scope, 'read');
    // Its name is used.
    t.like(answerOf(await browser.get(path)), { error: 'invalid_request_uri', iss: on.url });
  });

  test('a confidential client authenticates, and need not repeat its id', async (t) => {
    const app = await registerApp(on, { token_endpoint_auth_method: 'client_secret_basic' });
    t.deepEqual(
      [(await push(app)).reply.status, (await push(app)).reply.body.error],
      [401, 'invalid_client'],
    );
    const { reply } = await push(app, {}, basic(app.clientId, app.secret!), ['client_id']);
    t.is(reply.status, 201, reply.text);
  });

  test('what is wrong is refused when it is pushed', async (t) => {
    const app = await registerApp(on);
    const cases: [Record<string, string>, string][] = [
      [{ response_mode: 'form_post' }, 'invalid_request'],
      [{ state: 's'.repeat(2049) }, 'invalid_request'],
      [{ redirect_uri: 'https://evil.example/' }, 'invalid_request'],
      [{ resource: 'https://nowhere.example' }, 'invalid_target'],
      [{ code_challenge: '' }, 'invalid_request'],
      [{ request_uri: 'urn:ietf:params:oauth:request_uri:x' }, 'request_uri_not_supported'],
    ];
    for (const [query, error] of cases) {
      const { reply } = await push(app, query);
      t.deepEqual([reply.status, reply.body.error], [400, error], JSON.stringify(query).slice(0, 80));
    }
    const { reply } = await push({ ...app, clientId: 'cli_none' });
    t.deepEqual([reply.status, reply.body.error], [401, 'invalid_client']);
  });

  test('without a scope asks for what the API has', async (t) => {
    const { browser } = await newHuman(on);
    const { path } = await push(await registerApp(on), {}, {}, ['scope']);
    const page = await browser.get(path);
    t.is(heading(page), 'Approve this app?');
    for (const scope of ['read', 'write']) t.true(page.text.includes(`name="scope:${scope}"`), scope);
  });

  test('of 20 that use one at once, one gets a code', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const first = await push(app);
    await decide(browser, await browser.get(first.path), 'approve'); // what follows needs no question
    const { asked, path } = await push(app);
    const pages = await atOnce(20, () => browser.get(path));
    const codes = pages.flatMap((page) => (page.status === 303 ? (answerOf(page).code ?? []) : []));
    t.is(codes.length, 1);
    const others = pages.map((page) => (page.status === 303 ? answerOf(page).error : `${page.status}`));
    t.true(new Set(others).isSubsetOf(new Set([undefined, 'invalid_request_uri', '400'])), others.join());
    t.is((await redeem(on, app, { code: codes[0]!, asked })).status, 200);
  });

  test('another client cannot use it', async (t) => {
    const { browser } = await newHuman(on);
    const { path } = await push(await registerApp(on));
    const other = new URL(path, on.url);
    other.searchParams.set('client_id', (await registerApp(on)).clientId);
    const { code, error } = answerOf(await browser.get(other.pathname + other.search));
    t.deepEqual([code, error], [undefined, 'invalid_request_object']);
  });

  test('after its minute it leads nowhere', async (t) => {
    const { browser } = await newHuman(on);
    const { path } = await push(await registerApp(on));
    on.clock.advance(61);
    t.like(answerOf(await browser.get(path)), { error: 'invalid_request_uri', iss: on.url });
  });
});

onEveryEngine('pushed authorization requests of one address', (engine, test) => {
  test('are limited', async (t) => {
    const on = await startTestService(engine, { limits: { pushedRequestsPerIp: '2/h' } });
    try {
      const app = await registerApp(on);
      const form = Object.fromEntries(new URL(askFor(app, { scope: 'read' }).path, on.url).searchParams);
      const statuses = [];
      for (let turn = 0; turn < 3; turn += 1) statuses.push((await on.form('/oauth2/par', form)).status);
      t.deepEqual(statuses, [201, 201, 429]);
    } finally {
      await on.stop();
    }
  });
});
