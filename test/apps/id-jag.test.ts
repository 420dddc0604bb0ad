import { suspendClient } from '../../src/domain/apps/manage-clients.ts';
import { AT_COMMAND_LINE } from '../../src/domain/audit/operator-acts.ts';
import { revokeUntrustedIssuers } from '../../src/domain/jobs/revoke-untrusted-issuers.ts';
import { localOrigin } from '../../src/work.ts';
import { errorOf, getCode, newHuman, redeem, registerApp } from '../helpers/app-client.ts';
import {
  type AssertingWorld,
  createAssertingApp as createApp,
  openAsserting as open,
} from '../helpers/asserting-apps.ts';
import {
  API,
  type AuthMd,
  JWT_BEARER,
  newUser,
  READING_API,
  SIGNED_API,
  succeeded,
} from '../helpers/auth-md.ts';
import { countOf } from '../helpers/ceremony.ts';
import { assertClient, newClientKey, proveKey } from '../helpers/client-proofs.ts';
import { atOnce, tallyBy } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { newSigningKey } from '../helpers/issuer.ts';
import { happenings } from '../helpers/own-pages.ts';
import { basic } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Clients that authenticate and present the word of a provider (draft-ietf-oauth-identity-assertion-authz-grant). */

const withNoMailbox = { email: undefined, email_verified: undefined };

onEveryEngine('the assertion of a provider that a client presents', (engine, test) => {
  let world: AuthMd;
  let app: Awaited<ReturnType<typeof createApp>>;
  let sign: AssertingWorld['sign'];
  let exchange: AssertingWorld['exchange'];
  let isActive: AssertingWorld['isActive'];
  let accountAt: AssertingWorld['accountAt'];
  test.before(async () => {
    ({ world, sign, exchange, isActive, accountAt } = await open(engine));
    app = await createApp(world);
  });
  test.after(() => world.stop());

  test('gives a token of an app for the account of the user, and no refresh token', async (t) => {
    const user = newUser();
    const assertion = sign(app, user, { scope: 'read write', resource: API });
    const { refresh_token, id_token, ...body } = succeeded(await exchange(app, assertion));
    t.like(body, { token_type: 'Bearer', scope: 'read write', expires_in: 600 });
    t.regex(body.access_token, /^at_/);
    t.deepEqual([refresh_token, id_token], [undefined, undefined]);
    const id = await accountAt(user.email);
    const told = await world.introspected(body.access_token);
    t.like(told, { active: true, sub: id, owner: id, client_id: app.clientId, aud: API });
    t.like(told, { credential_kind: 'app', credential_form: 'token' });
    t.is(told.agent_id, undefined);
  });

  test('is taken again while it is valid, and from a user who is known without a mailbox', async (t) => {
    const user = newUser();
    const assertion = sign(app, user);
    const replies = await atOnce(10, () => exchange(app, assertion));
    t.deepEqual(tallyBy(replies, errorOf), { '200': 10 });
    t.is(await countOf(world.on, 'accounts WHERE mailbox = ?', [user.email]), 1);
    t.is(await countOf(world.on, 'oauth_grants WHERE account_id = ?', [(await accountAt(user.email))!]), 1);
    t.is(errorOf(await exchange(app, sign(app, user, withNoMailbox))), '200');
    t.is(errorOf(await exchange(app, sign(app, newUser(), withNoMailbox))), '400 invalid_grant');
    world.clock.advance(361);
    t.is(errorOf(await exchange(app, assertion)), '400 invalid_grant');
  });

  test('bounds the API and the scopes; without a scope nothing destructive comes of it', async (t) => {
    const user = newUser();
    const rows: [claims: Record<string, unknown>, form: Record<string, string>, expected: string][] = [
      [{ scope: 'read' }, {}, 'read'],
      [{ scope: 'read' }, { scope: 'read write' }, 'read'],
      [{ scope: 'read write' }, { scope: 'read' }, 'read'],
      [{ scope: 'read' }, { scope: 'write' }, '400 invalid_scope'],
      [{ scope: 'unknown' }, {}, '400 invalid_scope'],
      [{ scope: 'read write' }, { scope: 'openid' }, '400 invalid_scope'],
      [{ scope: 'read write', resource: READING_API }, {}, 'read'],
      [{ scope: 'read', resource: [READING_API, API] }, { resource: API }, 'read'],
      [{ scope: 'read', resource: READING_API }, { resource: API }, '400 invalid_target'],
      [{ scope: 'read', resource: 'https://unknown.example' }, {}, '400 invalid_target'],
      [{ scope: 'read' }, { resource: 'https://unknown.example' }, '400 invalid_target'],
    ];
    for (const [claims, form, expected] of rows) {
      const reply = await exchange(app, sign(app, user, claims), form);
      const said = reply.status === 200 ? reply.body.scope : errorOf(reply);
      t.is(said, expected, JSON.stringify([claims, form]));
    }
    const narrow = await createApp(world, { scopes: ['read'] });
    const { body } = await exchange(narrow, sign(narrow, user, { scope: 'read write' }));
    t.is(body.scope, 'read');
  });

  test('gives a signed token where the API wants one', async (t) => {
    const user = newUser();
    const { access_token } = succeeded(await exchange(app, sign(app, user, { resource: SIGNED_API })));
    t.regex(access_token, /^eyJ/);
    t.like(await world.introspected(access_token, SIGNED_API), { active: true, client_id: app.clientId });
  });

  test('is refused where it is not for this client, not for this service alone, or not what it should be', async (t) => {
    const user = newUser();
    const other = await createApp(world);
    const now = Math.floor(world.clock() / 1000);
    const issuer = world.on.url;
    const rows: [about: string, claims: Record<string, unknown>][] = [
      ['of another client', { client_id: other.clientId }],
      ['of the provider itself', { client_id: world.provider.url }],
      ['of no client', { client_id: undefined }],
      ['for an API', { aud: API }],
      ['for the token endpoint', { aud: `${issuer}/oauth2/token` }],
      ['for the issuer with a slash', { aud: `${issuer}/` }],
      ['for two', { aud: [issuer, 'https://other.example'] }],
      ['for nobody', { aud: undefined }],
      ['by a stranger', { iss: 'https://stranger.example' }],
      ['in our own name', { iss: issuer }],
      ['without sub', { sub: undefined }],
      ['without jti', { jti: undefined }],
      ['without exp', { exp: undefined }],
      ['without iat', { iat: undefined }],
      ['expired', { iat: now - 400, exp: now - 100 }],
      ['of the future', { iat: now + 120, exp: now + 300 }],
      ['that lives too long', { exp: now + 3600 }],
      ['of an old sign-in', { auth_time: now - 7200 }],
      ['with an unverified mailbox', { email_verified: false }],
      ['with a mailbox that is none', { email: 'nobody' }],
      ['with a scope that is none', { scope: ['read'] }],
      ['with an empty scope', { scope: ' ' }],
      ['with a resource that is none', { resource: 7 }],
      ['with no resource', { resource: [] }],
      ['with a key that is none', { cnf: { jkt: 'x' } }],
      ['with a key of another kind', { cnf: { jwk: {} } }],
      ['with null for a key', { cnf: null }],
    ];
    for (const [about, claims] of rows) {
      const reply = await exchange(app, sign(app, user, claims));
      t.is(errorOf(reply), '400 invalid_grant', about);
      t.is(reply.headers.get('cache-control'), 'no-store');
    }
    const strange = [
      ['no JWT', 'x'],
      ['of another type', world.idJag(user, { client_id: app.clientId }, { header: { typ: 'JWT' } })],
      ['an event', world.securityEvent(user)],
      ['by another key', world.idJag(user, { client_id: app.clientId }, { key: newSigningKey('ES256') })],
    ] as const;
    for (const [about, assertion] of strange) {
      t.is(errorOf(await exchange(app, assertion)), '400 invalid_grant', about);
    }
    for (const none of ['', sign(app, user, { more: 'x'.repeat(7000) })]) {
      t.is(errorOf(await exchange(app, none)), '400 invalid_request');
    }
    t.is(await accountAt(user.email), undefined, 'none of it left an account');
    t.is(await countOf(world.on, 'oauth_grants WHERE client_id = ?', [other.clientId]), 0);
  });

  test('is taken for the issuer in a list of one', async (t) => {
    t.is(errorOf(await exchange(app, sign(app, newUser(), { aud: [world.on.url] }))), '200');
  });

  test('is taken of a client alone that authenticates, by each way', async (t) => {
    const user = newUser();
    const assertion = sign(app, user);
    const noHeaders = {};
    t.is(errorOf(await exchange(app, assertion, {}, noHeaders)), '400 invalid_grant');
    t.is(
      errorOf(await exchange(app, assertion, { client_id: app.clientId }, noHeaders)),
      '401 invalid_client',
    );
    const wrong = basic(app.clientId, `${app.secret}0`);
    t.is(errorOf(await exchange(app, assertion, {}, wrong)), '401 invalid_client');
    t.is(errorOf(await exchange(app, assertion, {}, { Authorization: 'Basic x' })).slice(0, 1), '4');
    t.is(await accountAt(user.email), undefined);

    const post = await createApp(world, { authMethod: 'client_secret_post' });
    const secret = { client_id: post.clientId, client_secret: post.secret };
    t.is(errorOf(await exchange(post, sign(post, user), secret, noHeaders)), '200');
    const key = await newClientKey();
    const signing = await createApp(world, {
      authMethod: 'private_key_jwt',
      jwks: { keys: [key.publicJwk] },
    });
    const proof = await assertClient(world.on, signing, key);
    t.is(errorOf(await exchange(signing, sign(signing, user), proof, noHeaders)), '200');
  });

  test('is taken of a client alone for which a person or the operator chose this grant (O-1)', async (t) => {
    const user = newUser();
    const job = await createApp(world, { grantTypes: ['client_credentials'] });
    t.is(errorOf(await exchange(job, sign(job, user))), '400 unauthorized_client');
    const { clientId, secret, registered } = await registerApp(world.on, {
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', JWT_BEARER],
    });
    t.deepEqual(registered.grant_types, ['authorization_code']);
    const stranger = { clientId, secret: secret!, headers: basic(clientId, secret!) };
    t.is(errorOf(await exchange(stranger, sign(stranger, user))), '400 unauthorized_client');
    await t.throwsAsync(createApp(world, { authMethod: 'none' }), { message: /has to authenticate/ });
    t.is(await accountAt(user.email), undefined);
  });

  test('what this service signed for an agent is none, whoever presents it (S-91)', async (t) => {
    const { identity_assertion: ours } = succeeded(await world.present(world.idJag(newUser())));
    t.is(errorOf(await exchange(app, ours)), '400 invalid_grant');
    t.is(errorOf(await world.exchange(ours)), '200');
  });

  test('opens no account that exists, unless its owner let the provider (S-34)', async (t) => {
    const user = newUser();
    const browser = await signIn(world.on, user.email);
    t.is(errorOf(await exchange(app, sign(app, user))), '400 interaction_required');
    t.true((await browser.get('/apps')).text.includes('No connected apps'));
    // The same name at another provider is another user.
    const known = newUser();
    t.is(errorOf(await exchange(app, sign(app, known))), '200');
    const foreign = world.otherIdJag(known, { client_id: app.clientId });
    t.is(errorOf(await exchange(app, foreign)), '400 interaction_required');
    t.is(errorOf(await exchange(app, sign(app, known, { tenant: 'other' }))), '400 interaction_required');
  });

  test('that is bound to a key is taken with the proof of that key alone, and the token is bound too', async (t) => {
    const [key, thief] = [await newClientKey(), await newClientKey()];
    const user = newUser();
    const bound = sign(app, user, { cnf: { jkt: key.thumbprint } });
    const proven = async (by: typeof key) => {
      const DPoP = await proveKey(by, { method: 'POST', url: `${world.on.url}/oauth2/token` });
      return { ...app.headers, DPoP };
    };
    t.is(errorOf(await exchange(app, bound)), '400 invalid_grant');
    t.is(errorOf(await exchange(app, bound, {}, await proven(thief))), '400 invalid_grant');
    t.is(await accountAt(user.email), undefined);
    const headers = await proven(key);
    const body = succeeded(await exchange(app, bound, {}, headers));
    t.is(body.token_type, 'DPoP');
    t.like(await world.introspected(body.access_token), { active: true, cnf: { jkt: key.thumbprint } });
    t.is(errorOf(await exchange(app, bound, {}, headers)), '400 invalid_grant', 'a proof is used once');
    const free = succeeded(await exchange(app, sign(app, user), {}, await proven(thief)));
    t.is(free.token_type, 'DPoP');
  });

  test('the app is listed with the provider, the owner is told once, and revoking it ends it', async (t) => {
    const user = newUser();
    const old = sign(app, user, { scope: 'read' });
    const { access_token: token } = succeeded(await exchange(app, old));
    succeeded(await exchange(app, sign(app, user, { scope: 'read' })));
    const browser = await signIn(world.on, user.email);
    const page = await browser.get('/apps');
    t.regex(page.text, /<bdi>Wiki<\/bdi>/);
    t.regex(page.text, /<span class="under">Through Fake Provider<\/span>/);
    t.false(page.text.includes('undefined'), 'it has no redirect that could be named');
    const path = `/apps/${/href="\/apps\/(\w+)\/revoke"/.exec(page.text)![1]}/revoke`;
    t.regex(
      (await browser.get(path)).text,
      /Fake Provider can connect it again once you have signed in there/,
    );
    world.clock.advance(2);
    await browser.post(path);
    t.is(await isActive(token), false);
    const lines = happenings(await browser.get('/account/activity?kind=apps')).map(({ what }) => what);
    t.deepEqual(lines, ['You revoked the app Wiki', 'The app Wiki was connected through your organization']);

    // What was signed before, or of a sign-in before, does not bring it back.
    const before = Math.floor(world.clock() / 1000) - 60;
    t.is(errorOf(await exchange(app, old)), '400 invalid_grant');
    t.is(errorOf(await exchange(app, sign(app, user, { auth_time: before }))), '400 invalid_grant');
    t.is(errorOf(await exchange(app, sign(app, user, { auth_time: undefined }))), '400 invalid_grant');
    world.clock.advance(2);
    t.is(errorOf(await exchange(app, sign(app, user))), '200');
  });

  test('a consent that the human gave the same client stands beside it', async (t) => {
    const both = await createApp(world, {
      grantTypes: ['authorization_code', 'refresh_token', JWT_BEARER],
      redirectUris: ['https://app.example/callback'],
      authMethod: 'client_secret_post',
    });
    const client = { client_id: both.clientId, client_secret: both.secret };
    const user = newUser();
    const { access_token: word } = succeeded(
      await exchange(both, sign(both, user, { scope: 'read write' }), client, {}),
    );
    const browser = await signIn(world.on, user.email);
    const own = { clientId: both.clientId, secret: both.secret, registered: {} };
    const got = await getCode(world.on, own, { browser, query: { scope: 'read', resource: API } });
    const { body } = await redeem(world.on, own, got, { client_secret: both.secret });
    t.is((await world.introspected(body.access_token)).scope, 'read');
    t.is((await world.introspected(word)).scope, 'read write', 'it gave less, which ends only its own');
    t.is([...(await browser.get('/apps')).text.matchAll(/\/revoke"/g)].length, 2);
    t.is((await world.notify(world.securityEvent(user))).status, 202);
    t.is(await isActive(word), false);
    t.is(await isActive(body.access_token), true, 'the human gave it, and not the provider');
  });

  test('when the provider takes its word back, the tokens end, which APIs are told of, and the owner too', async (t) => {
    const user = newUser();
    const assertion = sign(app, user);
    const { access_token: token } = succeeded(await exchange(app, assertion));
    const bystander = succeeded(await exchange(app, sign(app, newUser())));
    t.is((await world.notify(world.securityEvent(user))).status, 202);
    t.is(await isActive(token), false);
    t.is(await isActive(bystander.access_token), true);
    t.is(errorOf(await exchange(app, assertion)), '400 invalid_grant');
    const browser = await signIn(world.on, user.email);
    t.true((await browser.get('/apps')).text.includes('No connected apps'));
    const lines = happenings(await browser.get('/account/activity?kind=apps')).map(({ what }) => what);
    t.is(lines[0], 'The app Wiki was revoked');
  });

  test('while the provider takes its word back, twenty exchanges at once leave no token that works', async (t) => {
    const user = newUser();
    const assertion = sign(app, user);
    const first = succeeded(await exchange(app, assertion));
    const [event, ...replies] = await atOnce(21, (index) =>
      index === 0 ? world.notify(world.securityEvent(user)) : exchange(app, assertion),
    );
    t.is(event!.status, 202);
    t.deepEqual(
      replies
        .map(errorOf)
        .filter((each) => !['200', '400 invalid_grant', '400 interaction_required'].includes(each)),
      [],
    );
    const tokens = [first, ...replies.filter(({ status }) => status === 200).map(({ body }) => body)];
    const active = await Promise.all(tokens.map(({ access_token }) => isActive(access_token)));
    t.false(active.includes(true));
  });

  test('when the client is suspended, its tokens end and it gets no more', async (t) => {
    const own = await createApp(world);
    const user = newUser();
    const { access_token: token } = succeeded(await exchange(own, sign(own, user)));
    await suspendClient(world.on.service.deps, localOrigin('test'), own.clientId, AT_COMMAND_LINE);
    t.is(await isActive(token), false);
    t.is(errorOf(await exchange(own, sign(own, user))), '401 invalid_client');
  });

  test('a person registers such a client at the page, and needs a way to authenticate', async (t) => {
    const { browser } = await newHuman(world.on);
    const path = '/apps/clients/new';
    t.true((await browser.get(path)).text.includes('name="use:assertions"'));
    const fields = { name: 'Intranet', redirects: '', 'use:people': '', 'use:assertions': 'on' };
    const refused = await browser.post(path, { ...fields, auth: 'none' });
    t.is(refused.status, 400);
    t.regex(refused.text, /id="auth-error"/);
    await browser.get(path);
    const page = await browser.post(path, { ...fields, auth: 'client_secret_basic', 'scope:read': 'on' });
    const clientId = /<code id="(?:client-)?id">(cli_\w+)</.exec(page.text)![1]!;
    const secret = /<code id="secret">(cs_\w+)</.exec(page.text)![1]!;
    const own = { clientId, secret, headers: basic(clientId, secret) };
    const { body } = await exchange(own, sign(own, newUser(), { scope: 'read write' }));
    t.is(body.scope, 'read');
    const shown = await browser.get(`/apps/clients/${clientId}`);
    t.true(shown.text.includes('Signs people in by their organization'));
  });

  test('the audit has who presented whose word', async (t) => {
    const user = newUser();
    succeeded(await exchange(app, sign(app, user)));
    const id = await accountAt(user.email);
    const sql = `SELECT e.kind FROM events e JOIN oauth_grants g ON g.id = e.subject WHERE g.account_id = ?`;
    const events = await world.on.service.deps.db.all<{ kind: string }>(sql, [id!]);
    t.deepEqual(events.map(({ kind }) => kind).sort(), ['app.connected', 'assertion.taken']);
  });
});

onEveryEngine('what the operator sets about such assertions', (engine, test) => {
  test('a provider whose assertions are used once: of twenty at once one wins, and a refusal uses none', async (t) => {
    const { world, sign, exchange } = await open(engine, { issuer: { singleUse: true } });
    t.teardown(() => world.stop());
    const app = await createApp(world);
    const assertion = sign(app, newUser());
    const replies = await atOnce(20, () => exchange(app, assertion));
    t.deepEqual(tallyBy(replies, errorOf), { '200': 1, '400 invalid_grant': 19 });
    const other = sign(app, newUser(), { scope: 'read' });
    t.is(errorOf(await exchange(app, other, { scope: 'write' })), '400 invalid_scope');
    t.is(errorOf(await exchange(app, other)), '200');
    t.is(errorOf(await exchange(app, other)), '400 invalid_grant');
  });

  test('all users of a provider share its limit', async (t) => {
    const { world, sign, exchange } = await open(engine, {
      env: { LIMITS: '{"assertionsPerIssuer":"2/m"}' },
    });
    t.teardown(() => world.stop());
    const app = await createApp(world);
    for (const expected of [200, 200, 429]) {
      const reply = await exchange(app, sign(app, newUser()));
      t.is(reply.status, expected);
      if (expected === 429) t.truthy(reply.headers.get('retry-after'));
    }
  });

  test('a provider whose keys cannot be had is asked again later, and one that is not trusted any more ends', async (t) => {
    const { world, sign, exchange, isActive } = await open(engine);
    t.teardown(() => world.stop());
    const app = await createApp(world);
    const user = newUser();
    world.provider.answerWith('failure');
    const later = await exchange(app, sign(app, user));
    t.is(errorOf(later), '503 temporarily_unavailable');
    t.truthy(later.headers.get('retry-after'));
    world.provider.answerWith('keys');
    world.clock.advance(61);
    const { access_token: token } = succeeded(await exchange(app, sign(app, user)));
    const { deps } = world.on.service;
    const config = { ...deps.config, trustedIssuers: new Map() };
    await revokeUntrustedIssuers({ ...deps, config }, () => true);
    t.is(await isActive(token), false);
  });
});
