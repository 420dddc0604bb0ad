import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { deriveClaimCode } from '../../src/domain/codes/one-time-codes.ts';
import { findLastAttempt, updateAttemptRevealed } from '../../src/store/claim-attempts.ts';
import { listEvents } from '../../src/store/events.ts';
import { localOrigin } from '../../src/work.ts';
import { serve, spawnServe } from '../helpers/served.ts';
import {
  basic,
  createTestClock,
  createTestDatabase,
  type Reply,
  startTestService,
  type TestService,
  wrongCode,
} from '../helpers/service.ts';
import { startSmtpSink } from '../helpers/smtp.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';
import { parseRaw, send, sendRaw } from '../helpers/wire.ts';

async function opsGet(opsPort: number, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${opsPort}${path}`);
  return { status: response.status, text: await response.text() };
}

test.describe('the operator’s port', (test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService('sqlite');
  });
  test.after(() => on.stop());

  test('health and metrics are there, and not on the public port', async (t) => {
    await on.register();
    const { opsPort } = on.service;
    t.deepEqual(await opsGet(opsPort, '/livez'), { status: 200, text: 'ok\n' });
    t.deepEqual(await opsGet(opsPort, '/readyz'), { status: 200, text: 'ok\n' });
    const { status, text } = await opsGet(opsPort, '/metrics');
    t.is(status, 200);
    t.regex(text, /^vouchsafe_http_request_seconds_count\{route="POST \/agent\/auth",status="200"\} 1$/m);
    t.regex(text, /^vouchsafe_mails_waiting 0$/m);
    for (const path of ['/livez', '/readyz', '/metrics']) t.is((await on.get(path)).status, 404, path);
  });

  test('nothing public is there', async (t) => {
    for (const path of ['/', '/auth.md', '/api/me', '/agent/auth', '/dev/mailbox']) {
      t.is((await opsGet(on.service.opsPort, path)).status, 404, path);
    }
  });
});

test.describe('the development mailbox', (test) => {
  const CAUGHT = ['/dev/mailbox', '/dev/mailbox.json', '/dev/mailbox/1'];

  test('without SMTP_URL, on this machine, mail is caught and shown as a page and as JSON', async (t) => {
    const on = await startTestService('sqlite');
    t.teardown(() => on.stop());
    const { data } = (await on.post('/agent/auth', { type: 'anonymous', agent_name: '<b>Robin</b>' })).body;
    await on.post('/agent/auth/claim', { claim_token: data.claim_token, email: 'dev@example.com' });
    const code = await on.codeFor('dev@example.com');
    const page = await on.get('/dev/mailbox');
    t.regex(page.headers.get('content-type') ?? '', /^text\/html/);
    t.regex(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    t.true(page.text.includes(code));
    t.false(page.text.includes('<b>Robin'), 'a name is text');
    const { mails } = (await on.get('/dev/mailbox.json')).body;
    t.is(mails.length, 1);
    t.is(mails[0].to, 'dev@example.com');
    t.truthy(mails[0].text.includes(code));
  });

  test('the HTML of a mail stands in a frame, runs nothing and loads nothing; the newest mail comes first', async (t) => {
    const on = await startTestService('sqlite');
    t.teardown(() => on.stop());
    const empty = await on.get('/dev/mailbox');
    t.regex(empty.text, /No emails yet/);
    t.is((await on.get('/dev/mailbox/1')).status, 404);
    for (const name of ['one', 'two']) {
      const { data } = (await on.post('/agent/auth', { type: 'anonymous', agent_name: name })).body;
      await on.post('/agent/auth/claim', { claim_token: data.claim_token, email: `${name}@example.com` });
      await on.codeFor(`${name}@example.com`);
    }
    const page = await on.get('/dev/mailbox');
    const frames = [...page.text.matchAll(/<iframe [^>]*src="([^"]*)"/g)].map(([, src]) => src!);
    t.deepEqual(frames, ['/dev/mailbox/2', '/dev/mailbox/1']);
    const policy = page.headers.get('content-security-policy')!.split('; ');
    t.true(policy.includes("frame-src 'self'") && policy.includes("frame-ancestors 'none'"), policy.join());
    const mail = await on.get('/dev/mailbox/2');
    t.is(mail.status, 200);
    t.is(mail.headers.get('content-type'), 'text/html; charset=utf-8');
    t.is(mail.text, (await on.get('/dev/mailbox.json')).body.mails[0].html);
    t.is(
      mail.headers.get('content-security-policy'),
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox",
    );
    t.is(mail.headers.get('x-frame-options'), null);
    t.false(mail.headers.has('set-cookie'));
    const other = await on.get('/sign-in');
    t.false(other.headers.get('content-security-policy')!.includes('frame-src'), 'on the mailbox page alone');
    for (const number of ['0', '3', '01', '1.0', '%31', 'x', '2/']) {
      t.is((await on.get(`/dev/mailbox/${number}`)).status, 404, number);
    }
  });

  test('with SMTP_URL there is none', async (t) => {
    const sink = await startSmtpSink();
    const on = await startTestService('sqlite', { env: { SMTP_URL: sink.url } });
    t.teardown(async () => {
      await on.stop();
      await sink.close();
    });
    for (const path of CAUGHT) t.is((await on.get(path)).status, 404);
  });

  test('at a public address there is none', async (t) => {
    const sink = await startSmtpSink();
    const on = await startTestService('sqlite', {
      env: { SMTP_URL: sink.url, PUBLIC_URL: 'https://id.example.com' },
    });
    t.teardown(async () => {
      await on.stop();
      await sink.close();
    });
    const host = [['Host', 'id.example.com']] as const;
    for (const path of CAUGHT) t.is((await send(on, 'GET', path, host)).status, 404);
    t.is((await send(on, 'GET', '/auth.md', host)).status, 200);
  });
});

onEveryEngine('what a run leaves behind', (engine, test) => {
  let on: TestService;
  const secrets = new Set<string>();
  const mailboxes = ['robin', 'linked', 'ida', 'taken', 'hinted', 'by-link'].map(
    (name) => `${name}@example.com`,
  );
  const SECRETS = /\b(?:sk|ct|clm|at|art|rss)_[0-9A-Za-z_]{20,}|\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g;
  const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
  const notice = (body: string) => ({ body, headers: { 'Content-Type': 'application/secevent+jwt' } });
  const requests: Record<string, Reply> = {};
  let count = 0;

  /** Confirms a claim as its human does on the page, but asks for no page; the code that they are shown. */
  async function confirmInTheirPlace(registrationId: string): Promise<string> {
    const { deps } = on.service;
    const attempt = (await findLastAttempt(deps.db, registrationId))!;
    const decision = { confirmedBy: null, scope: null };
    await deps.db.tx((tx) => updateAttemptRevealed(tx, attempt.id, decision, deps.clock()));
    return deriveClaimCode(deps, attempt)!;
  }

  /** All that happens in a service's life, with every secret of it noted. */
  test.before(async () => {
    on = await startTestService(engine, { limits: { triesPerCode: 3, claimMailPerAgent: '2/d' } });
    const call = async (name: string, reply: Promise<Reply>): Promise<Reply> => {
      count += 1;
      const got = await reply;
      requests[name] = got;
      for (const secret of got.text.match(SECRETS) ?? []) secrets.add(secret);
      return got;
    };
    const post = (name: string, path: string, body: object, headers: Record<string, string> = {}) =>
      call(name, on.post(path, body, headers));
    const codeFor = async (mailbox: string, beyond = 0) => {
      const code = await on.codeFor(mailbox, beyond);
      secrets.add(code);
      return code;
    };
    const { server, secret } = await addResourceServer(on.service.deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'API',
      scopes: undefined,
    });
    secrets.add(secret);

    const repeated = { 'Idempotency-Key': 'a-key-that-nobody-else-should-know' };
    secrets.add(repeated['Idempotency-Key']);
    const anonymous = { type: 'anonymous', agent_name: 'Robin' };
    const first = (await post('register', '/agent/auth', anonymous, repeated)).body.data;
    await post('register again', '/agent/auth', anonymous, repeated);
    const rival = (await post('rival', '/agent/auth', anonymous)).body.data;
    await post('rival claim', '/agent/auth/claim', { claim_token: rival.claim_token, email: mailboxes[0] });
    await codeFor(mailboxes[0]!);
    await post('claim', '/agent/auth/claim', { claim_token: first.claim_token, email: mailboxes[0] });
    const otp = await codeFor(mailboxes[0]!, 1);
    const guess = wrongCode(otp);
    secrets.add(guess);
    await post('wrong', '/agent/auth/claim/complete', { claim_token: first.claim_token, otp: guess });
    const completion = { claim_token: first.claim_token, otp };
    const done = (await post('complete', '/agent/auth/claim/complete', completion, repeated)).body.data;
    await post('complete again', '/agent/auth/claim/complete', completion, repeated);
    const bearer = { Authorization: `Bearer ${done.credential}` };
    await call('me', on.get('/api/me', done.credential));
    const made = (await post('make key', '/api/tokens', { name: 'helper', scope: 'read' }, bearer)).body.data;
    await call('tokens', on.get('/api/tokens', done.credential));
    await call(
      'introspect',
      on.form('/oauth2/introspect', { token: made.credential }, basic(server.id, secret)),
    );
    await call('delete key', on.del(`/api/tokens/${made.id}`, done.credential));
    await call('revoke', on.form('/oauth2/revoke', { token: done.credential }));

    const linked = (await post('register 2', '/agent/auth', anonymous)).body.data;
    const link = { claim_token: linked.claim_token, email: mailboxes[1], link: true };
    await post('link claim', '/agent/auth/claim', link);
    const linkCode = { claim_token: linked.claim_token, otp: await codeFor(mailboxes[1]!) };
    await post('link', '/agent/auth/claim/complete', linkCode);

    const assertions = [{ type: 'verified_email', email: mailboxes[2] }];
    await post('asserted', '/agent/auth', { type: 'identity_assertion', assertions });
    await codeFor(mailboxes[2]!);
    const greedy = (await post('register 3', '/agent/auth', anonymous)).body.data;
    for (let times = 0; times < 3; times += 1) {
      const ask = { claim_token: greedy.claim_token, email: mailboxes[3] };
      await post(`greedy ${times}`, '/agent/auth/claim', ask);
      if (times < 2) await codeFor(mailboxes[3]!, times); // the next attempt would withdraw a mail that has not left
    }
    await revokeAgent(on.service.deps, localOrigin('test'), greedy.agent_id);

    // Identities, by which auth.md's own versions go.
    const robin = (await post('identity', '/agent/identity', anonymous, repeated)).body;
    await post('identity again', '/agent/identity', anonymous, repeated);
    const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const exchange = { grant_type: JWT_BEARER, assertion: robin.identity_assertion };
    const { access_token } = (await call('exchange', on.form('/oauth2/token', exchange))).body;
    await call(
      'introspect token',
      on.form('/oauth2/introspect', { token: access_token }, basic(server.id, secret)),
    );
    const renewal = { type: 'refresh', refresh_token: robin.identity.refresh_token.value };
    await post('renewal', '/agent/identity', renewal);
    await call('revoke token', on.form('/oauth2/revoke', { token: access_token }));
    const hinted = (
      await post('hinted', '/agent/identity', { type: 'service_auth', login_hint: mailboxes[4] })
    ).body;
    secrets.add(hinted.claim.user_code);
    const { claim_token } = hinted;
    const poll = { grant_type: 'urn:workos:agent-auth:grant-type:claim', claim_token };
    await call('poll', on.form('/oauth2/token', poll));
    const readOut = await confirmInTheirPlace(hinted.registration_id);
    secrets.add(readOut);
    const completeIdentity = '/agent/identity/claim/complete';
    await post('wrong user_code', completeIdentity, { claim_token, user_code: 'BBBB-BBBB' });
    await post('identified', completeIdentity, { claim_token, user_code: readOut }, repeated);
    const byLink = { type: 'identity_assertion', assertion_type: 'verified_email', assertion: mailboxes[5] };
    await post('by link', '/agent/auth', { ...byLink, requested_credential_type: 'api_key' });
    await on.mailTo(mailboxes[5]!);
    await post('word', '/agent/identity', {
      ...byLink,
      assertion_type: ID_JAG,
      assertion: robin.identity_assertion,
    });
    await call('notice', on.request('POST', '/agent/event/notify', notice(robin.identity_assertion)));

    // Secrets where they do not belong.
    await call('assertion in query', on.get(`/agent/identity?assertion=${robin.identity_assertion}`));
    await call('refresh token in path', on.get(`/agent/identity/${robin.identity.refresh_token.value}`));
    await call('assertion as key', on.get('/api/me', robin.identity_assertion));
    await call('no grant', on.form('/oauth2/token', { ...exchange, grant_type: robin.claim_token }));
    await call(
      'no resource',
      on.form('/oauth2/token', { ...exchange, resource: `https://${robin.claim_token}` }),
    );
    await call('no scope', on.form('/oauth2/token', { ...exchange, scope: robin.claim_token }));
    await call('no type', on.post('/agent/identity', { type: robin.claim_token }));
    await call(
      'bad hint',
      on.post('/agent/identity', { type: 'service_auth', login_hint: `${mailboxes[4]},x@y` }),
    );
    await call('key in query', on.get(`/api/me?access_token=${first.credential}`));
    await call('key in path', on.get(`/api/tokens/${first.credential}`));
    await call('token in path', on.get(`/${first.claim_token}`));
    await call('no JSON', on.post('/agent/auth', `{"claim_token":"${first.claim_token}`));
    await call('bad email', on.post('/agent/auth/claim', { ...link, email: `${mailboxes[1]},x@y` }));
  });
  test.after(() => on.stop());

  test('the run was what it should be', (t) => {
    t.is(requests.complete?.status, 200);
    t.is(requests.link?.status, 200);
    t.is(requests['delete key']?.status, 200);
    t.is(requests['greedy 2']?.status, 429);
    for (const name of [
      'identity again',
      'exchange',
      'introspect token',
      'renewal',
      'identified',
      'by link',
    ]) {
      t.is(requests[name]?.status, 200, `${name}: ${requests[name]?.text}`);
    }
    t.true(secrets.size >= 30, `${secrets.size} secrets`);
  });

  function assertHoldsNoSecret(t: ExecutionContext, text: string): void {
    t.notRegex(text, /\b(?:sk|ct|clm|at|art|rss)_[0-9A-Za-z]{12,}|\beyJ/);
    for (const secret of secrets) {
      t.false(new RegExp(`(?<![0-9A-Za-z.])${secret}(?![0-9A-Za-z])`).test(text), secret);
    }
    for (const mailbox of mailboxes) t.false(text.includes(mailbox), mailbox);
  }

  test('the log names every request by its row, and holds no secret, no code and no mailbox', (t) => {
    const log = on.logged.join('');
    assertHoldsNoSecret(t, log);
    const lines = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const requestLines = lines.filter(({ msg }) => msg === 'request');
    t.is(requestLines.length, count);
    for (const [name, reply] of Object.entries(requests)) {
      const line = requestLines.find(({ id }) => id === reply.headers.get('x-request-id'));
      t.is(line?.status, reply.status, name);
    }
    const routes = new Set(requestLines.map(({ route }) => route));
    t.true(routes.has('POST /agent/auth/claim/complete') && routes.has('DELETE /api/tokens/:id'));
    t.true(routes.has('POST /agent/identity') && routes.has('POST /oauth2/token'));
  });

  test('the metrics hold no secret, no mailbox, no id and no address', async (t) => {
    const { text } = await opsGet(on.service.opsPort, '/metrics');
    assertHoldsNoSecret(t, text);
    t.notRegex(text, /\b(?:agt|usr|reg|key|req|out)_[0-9a-z]{9}/);
    t.notRegex(text, /127\.0\.0\.1/);
    t.regex(text, /^vouchsafe_limit_hits_total\{limit="claimMailPerAgent"\} 1$/m);
  });

  test('the audit tells of every change, of who asked and under which request, and holds no secret', async (t) => {
    const events = await listEvents(on.service.deps.db, '', 1000);
    assertHoldsNoSecret(t, JSON.stringify(events));
    const times: Record<string, number> = {};
    for (const { kind } of events) times[kind] = (times[kind] ?? 0) + 1;
    t.deepEqual(times, {
      'resource.added': 1,
      'registration.created': 8,
      'claim.started': 8,
      'claim.guess_failed': 2,
      'account.created': 3,
      'agent.merged': 2,
      'agent.linked': 1,
      'claim.completed': 3,
      'claim.superseded': 1,
      'key.retired': 1,
      'key.created': 1,
      'key.revoked': 3,
      'token.issued': 1,
      'limit.hit': 1,
      'agent.revoked': 1,
    });
    const by = (name: string) =>
      events
        .filter(({ requestId }) => requestId === requests[name]!.headers.get('x-request-id'))
        .map(({ kind }) => kind)
        .sort();
    t.deepEqual(by('register'), ['registration.created']);
    t.deepEqual(by('register again'), []);
    t.deepEqual(by('claim'), ['claim.started']);
    t.deepEqual(by('wrong'), ['claim.guess_failed']);
    t.deepEqual(by('complete'), ['account.created', 'agent.merged', 'claim.completed', 'claim.superseded']);
    t.deepEqual(by('complete again'), []);
    t.deepEqual(by('me'), ['key.retired']);
    t.deepEqual(by('make key'), ['key.created']);
    t.deepEqual(by('delete key'), ['key.revoked']);
    t.deepEqual(by('revoke'), ['key.revoked']);
    t.deepEqual(by('link'), ['account.created', 'agent.linked', 'claim.completed']);
    t.deepEqual(by('asserted'), ['claim.started', 'registration.created']);
    t.deepEqual(by('greedy 2'), ['limit.hit']);
    t.deepEqual(by('identity'), ['registration.created']);
    t.deepEqual(by('identity again'), []);
    t.deepEqual(by('exchange'), ['token.issued']);
    t.deepEqual(by('introspect token'), []);
    t.deepEqual(by('renewal'), []);
    t.deepEqual(by('revoke token'), ['key.revoked']);
    t.deepEqual(by('hinted'), ['claim.started', 'registration.created']);
    t.deepEqual(by('poll'), []);
    t.deepEqual(by('wrong user_code'), ['claim.guess_failed']);
    t.deepEqual(by('identified'), ['account.created', 'agent.merged', 'claim.completed']);
    t.deepEqual(by('by link'), ['claim.started', 'registration.created']);
    for (const name of ['word', 'notice', 'no grant', 'no resource', 'no scope', 'no type', 'bad hint']) {
      t.deepEqual([requests[name]?.status, by(name)], [400, []], name);
    }
    for (const { requestId, address, at } of events) {
      t.regex(requestId ?? '', /^(req_\w+|test)$/);
      t.regex(address ?? '', /^(127\.0\.0\.1|::1|local)$/);
      t.is(at, on.clock());
    }
  });
});

test('nothing that a caller sends can forge a line of the log', async (t) => {
  const on = await startTestService('sqlite');
  t.teardown(() => on.stop());
  const forged = '{"level":60,"msg":"forged"}';
  for (const name of [`Robin\n${forged}`, `Robin\u2028${forged}`, `Robin\u0085${forged}`, `"}${forged}`]) {
    const { status } = await on.post('/agent/auth', { type: 'anonymous', agent_name: name });
    t.true(status === 200 || status === 400);
  }
  await on.get(`/%0a${encodeURIComponent(forged)}`);
  await on.request('GET', '/api/me', { headers: { 'X-Request-Id': forged, 'User-Agent': forged } });
  await sendRaw(on, `GET / HTTP/1.1\r\nHost: localhost\r\nX: a\n${forged}\r\nConnection: close\r\n\r\n`);
  for (const line of on.logged) {
    t.is(line.indexOf('\n'), line.length - 1, line);
    t.not(JSON.parse(line).msg, 'forged');
    t.false(line.includes('forged'), line);
  }
});

onEveryEngine('stopping', (engine, test) => {
  test('a claim begun before a restart is completed after it', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const first = await startTestService(engine, { database, clock });
    const { claim_token, user_id } = await first.register();
    await first.post('/agent/auth/claim', { claim_token, email: 'restart@example.com', link: true });
    const otp = await first.codeFor('restart@example.com');
    await first.stop();
    const second = await startTestService(engine, { database, clock });
    t.teardown(async () => {
      await second.stop();
      await database.drop();
    });
    const completed = await second.post('/agent/auth/claim/complete', { claim_token, otp });
    t.is(completed.status, 200, completed.text);
    t.is(completed.body.data.user_id, user_id);
    t.is((await second.get('/api/me', completed.body.data.credential)).status, 200);
  });

  test('at SIGTERM what is under way is finished, nothing more is taken, and the process ends well', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const server = await serve(t, { DATABASE_URL: database.url });
    const idle = await openSocket(t, server.port);
    idle.write('GET /llms.txt HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(idle, 'data');

    const requests = await Promise.all([1, 2, 3].map(() => halfARequest(t, server.port)));
    server.child.kill('SIGTERM');
    await server.says(/"signal":"SIGTERM"/);
    t.deepEqual(await opsGet(server.opsPort, '/readyz'), { status: 503, text: 'shutting down\n' });
    t.is((await opsGet(server.opsPort, '/livez')).status, 200);
    await t.throwsAsync(fetch(`http://localhost:${server.port}/llms.txt`), undefined, 'no new connection');
    if (!idle.closed) await once(idle, 'close');

    const replies = await Promise.all(requests.map((request) => request.finish()));
    const finishedAt = performance.now();
    for (const { status, headers, body } of replies) {
      t.is(status, 200);
      t.regex(body.data.credential, /^sk_/);
      t.is(headers.get('connection'), 'close');
    }
    t.deepEqual(await server.ended, [0, null]);
    t.true(performance.now() - finishedAt < 3000, 'at once');
  });

  test('a second signal ends it at once', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const server = await serve(t, { DATABASE_URL: database.url });
    await halfARequest(t, server.port);
    server.child.kill('SIGTERM');
    await server.says(/"signal":"SIGTERM"/);
    server.child.kill('SIGTERM');
    t.deepEqual(await server.ended, [1, null]);
  });

  test('a service that cannot have both of its ports has neither, and ends with a sentence', async (t) => {
    const database = await createTestDatabase(engine);
    const occupant = createServer().listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    t.teardown(async () => {
      occupant.close();
      await database.drop();
    });
    const { port } = occupant.address() as { port: number };
    const child = spawnServe({ DATABASE_URL: database.url, PORT: '0', OPS_PORT: String(port) });
    t.teardown(() => child.kill('SIGKILL'));
    let said = '';
    child.stderr!.on('data', (chunk) => {
      said += chunk;
    });
    t.deepEqual(await once(child, 'close'), [2, null]);
    t.regex(said, new RegExp(`^OPS_PORT: another process listens at port ${port} of [^\\n]* already\\.\\n$`));
  });
});

test('"npm start" greets with lines that can be pasted, and says where the mail is', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-start-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  t.is(scripts.start, 'exec node src/cli.ts serve', 'which is what this test starts');
  const server = await serve(t, { DATABASE_URL: `file:${folder}/vouchsafe.db` });
  const url = `http://localhost:${server.port}`;
  const lines = server.greeting.split('\n').flatMap((line) => {
    const found = /^ {2}curl -s -X POST (\S+) -H 'Content-Type: application\/json' -d '(.+)'$/.exec(line);
    return found ? [{ target: found[1]!, body: JSON.parse(found[2]!) }] : [];
  });
  t.deepEqual(
    lines.map(({ target }) => target),
    [`${url}/agent/auth`, `${url}/agent/auth/claim`, `${url}/agent/auth/claim/complete`],
  );
  const paste = async (index: number, over: object) => {
    const { target, body } = lines[index]!;
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(target, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ...body, ...over }),
    });
    return (await response.json()) as { ok: boolean; data: { claim_token: string; credential: string } };
  };
  const { claim_token } = (await paste(0, {})).data;
  t.true((await paste(1, { claim_token })).ok);

  const mailbox = `${url}/dev/mailbox`;
  t.is(/Mail is caught at (\S+)/.exec(server.greeting)?.[1], mailbox);
  let otp: string | undefined;
  while (otp === undefined) {
    otp = /^ {4}(\d{6})$/m.exec(await (await fetch(mailbox)).text())?.[1];
  }
  t.regex((await paste(2, { claim_token, otp })).data.credential, /^sk_/);
  const authMd = /for agents: (\S+)/.exec(server.greeting)?.[1];
  t.is((await fetch(authMd!)).status, 200);
});

test.describe('a client that dawdles', (test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService('sqlite');
  });
  test.after(() => on.stop());

  test.concurrent('one that never ends its headers is let go within 12 seconds', async (t) => {
    const startedAt = performance.now();
    const received = await sendRaw(on, 'POST /agent/auth HTTP/1.1\r\nHost: localhost\r\n');
    t.true(performance.now() - startedAt < 12_500);
    t.is(parseRaw(received).status, 408);
  });

  test.concurrent('one that never ends its body is let go within 17 seconds', async (t) => {
    const startedAt = performance.now();
    const received = await sendRaw(
      on,
      'POST /agent/auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"type":',
    );
    t.true(performance.now() - startedAt < 17_500);
    t.is(parseRaw(received).status, 408);
  });

  test.concurrent('one that keeps a connection and asks nothing is let go within 7 seconds', async (t) => {
    const startedAt = performance.now();
    const received = await sendRaw(on, 'GET /llms.txt HTTP/1.1\r\nHost: localhost\r\n\r\n');
    t.true(performance.now() - startedAt < 7500);
    t.regex(received, /^HTTP\/1\.1 200 /);
  });
});

async function openSocket(t: ExecutionContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** A registration of which the server has the headers; `finish` sends the rest and reads the answer. */
async function halfARequest(t: ExecutionContext, port: number): Promise<{ finish(): Promise<Reply> }> {
  const body = '{"type":"anonymous"}';
  const socket = await openSocket(t, port);
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk) => {
    received += chunk;
  });
  socket.write(
    `POST /agent/auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
  );
  while (!received.startsWith('HTTP/1.1 100')) await once(socket, 'data');
  return {
    async finish() {
      received = '';
      socket.write(body);
      await once(socket, 'close');
      return parseRaw(received);
    },
  };
}
