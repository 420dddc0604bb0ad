import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/work.ts';
import { newKey, openAgentClient } from '../helpers/agent-client.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { signIn } from '../helpers/human.ts';
import { type FakeIssuer, startFakeIssuer } from '../helpers/issuer.ts';
import { basic, createTestClock, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertShown, startTranscript } from '../helpers/transcript.ts';

/** What docs/dialects/ shows of each dialect is what is really said, from registering to working with more scope. */

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const CLAIM_GRANT = 'urn:workos:agent-auth:grant-type:claim';
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const API = 'https://api.example.com';

onEveryEngine('the transcripts of docs/dialects', (engine, test) => {
  let on: TestService;
  let issuer: FakeIssuer;
  let folder: string;
  let server: { id: string; secret: string };

  test.before(async () => {
    const clock = createTestClock();
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-dialects-'));
    const file = join(folder, 'config.json');
    issuer = await startFakeIssuer({ audience: API, clock });
    const resources = [{ url: API, name: 'API' }];
    const trustedIssuers = [issuer.entry({ displayName: 'Example Agents' })];
    writeFileSync(file, JSON.stringify({ resources, trustedIssuers }));
    on = await startTestService(engine, { env: { CONFIG: file }, clock });
    const added = await addResourceServer(on.service.deps, localOrigin('test'), {
      url: API,
      name: 'API',
      scopes: undefined,
    });
    server = { id: added.server.id, secret: added.secret };
  });
  test.after(async () => {
    await on.stop();
    await issuer.stop();
    rmSync(folder, { recursive: true });
  });

  /** The page of a claim, on which somebody confirms and reads the code. */
  async function readCode(t: ExecutionContext, url: string, browser: Browser): Promise<string> {
    await browser.get(url);
    const page = await browser.post('/claim', { way: 'reveal' });
    const code = /<p class="code-shown">([^<]+)<\/p>/.exec(page.text)?.[1];
    return code ?? t.fail(page.text);
  }

  async function mailedPage(t: ExecutionContext, mailbox: string): Promise<string> {
    await on.mailTo(mailbox);
    const { proof } = on.mails.findLast(({ to }) => to === mailbox)!;
    t.is(proof.kind, 'page');
    return proof.kind === 'page' ? proof.pageUrl : '';
  }

  test('the tinysend profile', async (t) => {
    const said = startTranscript(on);
    const { claim_token } = (await said.post('/agent/auth', { type: 'anonymous' })).body.data;
    const email = 'ann@example.com';
    await said.post('/agent/auth/claim', { claim_token, email });
    await said.post('/agent/auth/claim/complete', { claim_token });
    said.told('Ann reads the code in her mail to the agent.');
    const otp = await on.codeFor(email);
    const done = await said.post('/agent/auth/claim/complete', { claim_token, otp });
    await said.get('/api/me', { Authorization: `Bearer ${done.body.data.credential}` });
    assertShown(t, 'tinysend.md', said);
  });

  test('0.1', async (t) => {
    const said = startTranscript(on);
    const anonymous = { type: 'anonymous', requested_credential_type: 'api_key' };
    const { claim_token } = (await said.post('/agent/auth', anonymous)).body;
    const email = 'bob@example.com';
    await said.post('/agent/auth/claim', { claim_token, email });
    said.told('Bob opens the link in his mail, confirms, and reads the code on the page to the agent.');
    const otp = await readCode(t, await mailedPage(t, email), openBrowser(on));
    await said.post('/agent/auth/claim/complete', { claim_token, otp });
    said.told('The same key has all scopes now. Another agent names the mailbox at once:');
    const asserted = await said.post('/agent/auth', {
      type: 'identity_assertion',
      assertion_type: 'verified_email',
      assertion: 'cleo@example.com',
      requested_credential_type: 'access_token',
    });
    said.told('Cleo does the same.');
    const code = await readCode(t, await mailedPage(t, 'cleo@example.com'), openBrowser(on));
    await said.post('/agent/auth/claim/complete', { claim_token: asserted.body.claim_token, otp: code });
    assertShown(t, 'v0.1.md', said);
  });

  test('0.2 and 0.3', async (t) => {
    const said = startTranscript(on);
    const { claim_token, identity_assertion } = (await said.post('/agent/identity', { type: 'anonymous' }))
      .body;
    const exchange = { grant_type: JWT_BEARER, assertion: identity_assertion };
    await said.form('/oauth2/token', exchange);
    const email = 'dora@example.com';
    await said.post('/agent/identity/claim', { claim_token, email });
    said.told('Dora opens the link in her mail, confirms, and reads the code on the page to the agent.');
    const otp = await readCode(t, await mailedPage(t, email), openBrowser(on));
    await said.post('/agent/identity/claim/complete', { claim_token, otp });
    said.told('The assertion from before gets the new scopes.');
    await said.form('/oauth2/token', exchange);
    assertShown(t, 'v0.2.md', said);
  });

  test('0.4 to 0.7', async (t) => {
    const said = startTranscript(on);
    const login_hint = 'emil@example.com';
    const { claim } = (await said.post('/agent/identity', { type: 'service_auth', login_hint })).body;
    const poll = { grant_type: CLAIM_GRANT, claim_token: claim.token };
    await said.form('/oauth2/token', poll);
    said.told('Emil opens verification_uri, signs in, and types the user_code that the agent shows him.');
    const browser = await signIn(on, login_hint);
    await browser.get(claim.verification_uri);
    await browser.post('/claim', { code: claim.user_code });
    await said.form('/oauth2/token', poll);
    assertShown(t, 'v0.4.md', said);
  });

  test('production', async (t) => {
    const said = startTranscript(on);
    const { claim, identity } = (await said.post('/agent/identity', { type: 'anonymous' })).body;
    await said.form('/oauth2/token', {
      grant_type: JWT_BEARER,
      assertion: identity.assertion,
      resource: API,
    });
    const login_hint = 'fred@example.com';
    const asked = await said.post('/agent/identity/claim', {
      type: 'service_auth',
      claim_token: claim.token,
      login_hint,
    });
    const guess = { claim_token: claim.token, user_code: 'BCDF-GHJK' };
    await said.post('/agent/identity/claim/complete', guess);
    said.told(
      'Fred opens verification_uri, signs in, confirms, and reads the code on the page to the agent.',
    );
    const browser = await signIn(on, login_hint);
    const user_code = await readCode(t, asked.body.attempt.verification_uri, browser);
    const done = await said.post('/agent/identity/claim/complete', { claim_token: claim.token, user_code });
    said.told('What was signed before the claim is over. The new assertion is renewed by its refresh token.');
    await said.form('/oauth2/token', { grant_type: JWT_BEARER, assertion: identity.assertion });
    const { value } = done.body.identity.refresh_token;
    await said.post('/agent/identity', { type: 'refresh', refresh_token: value });
    assertShown(t, 'production.md', said);
  });

  test('agent providers', async (t) => {
    const said = startTranscript(on);
    const user = { sub: 'user-7', email: 'gina@example.com' };
    const present = (claims: object) =>
      said.post('/agent/identity', {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: issuer.idJag({ claims: { ...user, ...claims } }),
      });
    said.told('Nobody has the mailbox gina@example.com yet.');
    await present({});
    said.told('Gina logged in at her provider long ago.');
    await present({ auth_time: Math.floor(on.clock() / 1000) - 7200 });
    said.told('The provider takes its word back.');
    await said.token(
      '/agent/event/notify',
      'application/secevent+jwt',
      issuer.securityEvent({ claims: { sub: user.sub } }),
    );
    said.told('Now the mailbox has an account, so its owner must confirm.');
    const { claim } = (await present({})).body;
    said.told(
      'Gina opens verification_uri, signs in, confirms, and reads the code on the page to the agent.',
    );
    const browser = await signIn(on, user.email);
    const user_code = await readCode(t, claim.attempt.verification_uri, browser);
    await said.post('/agent/identity/claim/complete', { claim_token: claim.token, user_code });
    said.told('From now on the word of the provider is enough again.');
    await present({});
    assertShown(t, 'providers.md', said);
  });

  test('the Agent Auth Protocol', async (t) => {
    const said = startTranscript(on);
    const client = openAgentClient(on);
    const host = client.newHost('ci-box');
    const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
    const agentKey = newKey();
    const asHost = (more: object = {}) => bearer(client.hostToken(host, {}, more));
    said.told('A host that nobody knows signs for an agent that works for itself.');
    const alone = await said.post(
      '/agent/register',
      {
        name: 'AI Agent on ci-box',
        mode: 'autonomous',
        capabilities: ['whoami', 'write'],
        host_name: 'ci-box',
      },
      asHost({ agent_public_key: agentKey.jwk, host_name: 'ci-box' }),
    );
    const own = { id: alone.body.agent_id, key: agentKey };
    await said.post(
      '/capability/execute',
      { capability: 'whoami' },
      bearer(client.agentToken(own, client.executeAt(), { claims: { capabilities: ['whoami'] } })),
    );
    said.told('The same host signs for one that works for a human.');
    const helperKey = newKey();
    const asked = await said.post(
      '/agent/register',
      {
        name: 'Release helper',
        mode: 'delegated',
        capabilities: ['read', { name: 'write', constraints: { seconds: { max: 120 } } }],
        reason: 'To publish the release',
        login_hint: 'hugo@example.com',
        host_name: 'ci-box',
      },
      asHost({ agent_public_key: helperKey.jwk, host_name: 'ci-box' }),
    );
    said.told('Hugo opens the link, signs in, leaves both boxes on, and presses "Approve selected".');
    const browser = await signIn(on, 'hugo@example.com');
    await browser.get(asked.body.approval.verification_uri_complete);
    await browser.post('/connect/review', { decision: 'approve', 'allow:read': 'on', 'allow:write': 'on' });
    const id = asked.body.agent_id;
    await said.get(`/agent/status?agent_id=${id}`, asHost());
    const helper = { id, key: helperKey };
    const executing = () =>
      bearer(client.agentToken(helper, client.executeAt(), { claims: { capabilities: ['write'] } }));
    const write = { capability: 'write', arguments: { seconds: 300 } };
    await said.post('/capability/execute', write, executing());
    await said.post('/capability/execute', { ...write, arguments: { seconds: 120 } }, executing());
    said.told('A resource server asks about a token that the agent signed for it.');
    const shown = client.agentToken(helper, API);
    await said.post('/agent/introspect', { token: shown }, basic(server.id, server.secret));
    await said.post('/agent/introspect', { token: shown }, basic(server.id, server.secret));
    said.told('The agent that worked for itself has ended: what it did is Hugo’s.');
    await said.get(`/agent/status?agent_id=${own.id}`, asHost());
    assertShown(t, 'agent-auth-protocol.md', said);
  });

  test('OAuth', async (t) => {
    const { identity_assertion } = (await on.post('/agent/identity', { type: 'anonymous' })).body;
    const said = startTranscript(on);
    const exchange = { grant_type: JWT_BEARER, assertion: identity_assertion };
    const { access_token } = (await said.form('/oauth2/token', { ...exchange, resource: API, scope: 'read' }))
      .body;
    await said.form('/oauth2/introspect', { token: access_token }, basic(server.id, server.secret));
    await said.form('/oauth2/revoke', { token: access_token });
    await said.form('/oauth2/introspect', { token: access_token }, basic(server.id, server.secret));
    await said.form('/oauth2/token', { ...exchange, resource: 'https://nobody.example.com' });
    await said.form('/oauth2/token', { ...exchange, scope: 'write' });
    await said.get('/.well-known/jwks.json');
    assertShown(t, 'oauth.md', said);
  });
});
