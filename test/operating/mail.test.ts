import { request as httpRequest } from 'node:http';
import type { ExecutionContext } from 'ava';
import { loadConfig } from '../../src/config/load.ts';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { sendNextMail } from '../../src/domain/mail/deliver.ts';
import { formatClock, formatDateTime } from '../../src/lib/format-time.ts';
import { createTranslator, createTranslators } from '../../src/lib/translate.ts';
import { createMailer } from '../../src/mail/mailer.ts';
import type { ClaimCodeMail } from '../../src/ports/mailer.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { localOrigin } from '../../src/work.ts';
import { type CommitWatch, watchCommits } from '../helpers/commits.ts';
import {
  createTestClock,
  createTestDatabase,
  startTestService,
  TEST_SECRET,
  type TestOptions,
  type TestService,
  wrongCode,
} from '../helpers/service.ts';
import { type ArrivedMail, type SmtpSink, startSmtpSink } from '../helpers/smtp.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** Statements that end a worker's turn at a mail. */
const TURN_ENDS = /^UPDATE outbox SET (sent_at = \?|next_at = \?, error|dead_at = \?, error = \? WHERE id)/;
const SENT = /^UPDATE outbox SET sent_at/;

test.describe('the mail that carries a code', (test) => {
  let sink: SmtpSink;
  let on: TestService;
  test.before(async () => {
    sink = await startSmtpSink();
    on = await startTestService('sqlite', { env: { SMTP_URL: sink.url, MAIL_FROM: 'hello@example.org' } });
  });
  test.after(async () => {
    await on.stop();
    await sink.close();
  });

  async function mailFor(
    t: ExecutionContext,
    mailbox: string,
    ask: { agent_name?: string; link?: boolean } = {},
  ): Promise<ArrivedMail> {
    const { agent_name, link = false } = ask;
    const { data } = (await on.post('/agent/auth', { type: 'anonymous', agent_name })).body;
    const answer = await on.post('/agent/auth/claim', {
      claim_token: data.claim_token,
      email: mailbox,
      link,
    });
    t.is(answer.status, 200, answer.text);
    return sink.mailTo(mailbox);
  }

  test('it goes to one recipient, once, and names nobody else', async (t) => {
    const mail = await mailFor(t, 'one@example.com');
    t.is(mail.from, 'hello@example.org');
    t.deepEqual(mail.recipients, ['one@example.com']);
    t.deepEqual(headerNames(mail, /^(to|cc|bcc|resent-.*)$/), ['to']);
    t.is(addressesOf(t, mail.parsed.to), 'one@example.com');
    t.is(addressesOf(t, mail.parsed.from), 'hello@example.org');
    t.false(await sendNextMail(on.service.deps));
    t.is(sink.mails.filter(({ recipients }) => recipients[0] === 'one@example.com').length, 1);
  });

  test('it has a text and an HTML part that say the same code, and no header says it', async (t) => {
    const mail = await mailFor(t, 'parts@example.com');
    t.regex(mail.code, /^\d{6}$/);
    t.is(shown(mail).split(mail.code).length, 2, shown(mail));
    for (const { line } of mail.parsed.headerLines) t.false(line.includes(mail.code), line);
    t.is(mail.parsed.subject, 'Vouchsafe: an agent asks for your approval');
  });

  test('it is marked as written by a program, under an id of ours', async (t) => {
    const { parsed } = await mailFor(t, 'marked@example.com');
    t.is(parsed.headers.get('auto-submitted'), 'auto-generated');
    t.regex(parsed.messageId ?? '', /^<out_\w+@localhost>$/);
  });

  for (const [mode, link, promise] of [
    ['merge', false, 'It moves into your account: what it owns becomes yours'],
    ['link', true, 'It is linked to you: it keeps an account of its own'],
  ] as const) {
    test(`it says who asks for what, when, from where, and that doing nothing changes nothing (${mode})`, async (t) => {
      const mail = await mailFor(t, `says-${mode}@example.com`, { agent_name: 'Robin', link });
      const { codeTtlSeconds } = on.service.deps.config.limits;
      const askedAt = formatDateTime(createTranslator('en'), on.clock());
      const endsAt = formatClock(on.clock() + 1000 * codeTtlSeconds);
      for (const part of [mail.parsed.text ?? '', shown(mail)]) {
        const text = part.replace(/\s+/g, ' ');
        t.true(text.includes(promise), text);
        t.regex(text, /Look, list and search \(read\).* Create, change and delete \(write\)/);
        for (const label of ['First seen', 'Requested']) t.regex(text, new RegExp(`${label}:? ?${askedAt}`));
        t.regex(text, /Name:? ?Robin \(?not verified: the agent chose it.* Network:? ?127\.0\.x\.x/);
        t.true(text.includes(`Expires at ${endsAt} UTC, in ${codeTtlSeconds / 60} minutes`), text);
        t.regex(text, /If you don’t, do nothing\. .* Nothing happens unless you approve\./);
        t.false(text.includes('127.0.0.1'), 'the whole address is nobody else’s business');
      }
    });
  }

  const HOSTILE: Record<string, string> = {
    'a URL': 'https://evil.example/login',
    'a bare host': 'evil.example',
    'a mail address': 'boss@evil.example',
    markup: '<img src=x onerror=alert(1)></b></td><a href="//evil">',
    'a template tag': '<%= mail.code %>',
    'text that runs backwards': '\u202Emoc.live\u202C \u2066x\u2069 \u200Fy\u200B',
    'a line separator': 'Robin\u2028\u2028Your code:\u2028\u2028    000000\u2028',
    'a link as our texts write it': '[click](url) {url}',
  };
  for (const [index, [what, name]] of Object.entries(HOSTILE).entries()) {
    test(`an agent that names itself with ${what} gets a harmless mail`, async (t) => {
      const mailbox = `hostile${index}@example.com`;
      const mail = await mailFor(t, mailbox, { agent_name: name });
      const html = String(mail.parsed.html);
      t.deepEqual(mail.recipients, [mailbox]);
      t.deepEqual(headerNames(mail, /^(to|cc|bcc)$/), ['to']);
      t.deepEqual(linksIn(mail), ourLinks(on), 'the only links are ours');
      t.false(/evil\.example|@evil/.test(mail.raw + html + mail.parsed.text));
      t.deepEqual(html.match(/<(img|a|script|iframe|form|link|base)\b/gi), ['<a', '<a'], 'claim and deny');
      t.false(/[\u200B-\u200F\u202A-\u202E\u2066-\u2069]/.test(html + mail.parsed.text));
      t.regex(mail.parsed.text ?? '', /^ {2}Name: {8}.+ \(not verified: the agent chose it\)$/m);
      t.is(mail.parsed.text?.split(mail.code).length, 2, 'the code stands there once');
    });
  }

  test('an agent cannot name itself with header lines', async (t) => {
    const name = 'Robin\r\nBcc: victim@example.com';
    t.is((await on.post('/agent/auth', { type: 'anonymous', agent_name: name })).status, 400);
  });

  test('a name of 64 characters is shown whole, on one line', async (t) => {
    const name = 'Wide'.repeat(16);
    const mail = await mailFor(t, 'long@example.com', { agent_name: name });
    t.regex(mail.parsed.text ?? '', new RegExp(`Name: {8}${name} \\(not verified`));
    t.true(String(mail.parsed.html).includes(`<bdi>${name}</bdi>`));
  });

  test('its links are the page of the claim, as the agent was told it, and the one to decline it', async (t) => {
    const { claim_token } = await on.register();
    const asked = await on.post('/agent/auth/claim', { claim_token, email: 'pages@example.com' });
    const mail = await sink.mailTo('pages@example.com');
    t.deepEqual(linksIn(mail), ourLinks(on));
    for (const part of [mail.parsed.text, mail.parsed.html]) {
      t.true(String(part).includes(asked.body.data.verification_uri), String(part));
    }
  });

  test('where codes are guessed at too much, a link of ours that approves stands in place of the code', async (t) => {
    const guessed = await startTestService('sqlite', {
      env: { SMTP_URL: sink.url },
      limits: { wrongPerMailboxDay: 1 },
    });
    t.teardown(() => guessed.stop());
    const { claim_token } = await guessed.register();
    const claim = { claim_token, email: 'guessed@example.com' };
    await guessed.post('/agent/auth/claim', claim);
    const { code } = await sink.mailTo('guessed@example.com');
    const wrong = await guessed.post('/agent/auth/claim/complete', { claim_token, otp: wrongCode(code) });
    t.is(wrong.status, 401, wrong.text);
    await guessed.post('/agent/auth/claim', claim);
    const mail = await sink.mailTo('guessed@example.com', 1);
    t.deepEqual(linksIn(mail), ourLinks(guessed, 'approve'));
    const { proof } = await guessed.mailTo('guessed@example.com', 1);
    if (proof.kind !== 'link') return t.fail(proof.kind);
    for (const part of [mail.parsed.text, mail.parsed.html]) {
      t.true(String(part).includes(proof.approveUrl), String(part));
      t.notRegex(String(part).replaceAll(/https?:\/\/[^\s<"]+/g, ''), /\d{6}/);
    }
    for (const { line } of mail.parsed.headerLines) t.false(line.includes('claim?t='), line);
  });

  test('no header of a request can change a link in it', async (t) => {
    const { claim_token } = await on.register();
    const port = new URL(on.url).port;
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const body = JSON.stringify({ claim_token, email: 'links@example.com' });
      httpRequest(
        `${on.url}/agent/auth/claim`,
        {
          method: 'POST',
          headers: {
            Host: `127.0.0.1:${port}`,
            'Content-Type': 'application/json',
            'X-Forwarded-Host': 'evil.example',
            'X-Forwarded-Proto': 'https',
            'X-Forwarded-For': '203.0.113.9',
            Forwarded: 'host=evil.example;proto=https',
            Origin: 'https://evil.example',
          },
        },
        (response) => resolve(response.resume().statusCode),
      )
        .on('error', reject)
        .end(body);
    });
    t.is(status, 200);
    const mail = await sink.mailTo('links@example.com');
    t.deepEqual(linksIn(mail), ourLinks(on));
    t.false(mail.raw.includes('evil'));
    t.regex(mail.parsed.text ?? '', /Network: {5}127\.0\.x\.x/);
  });
});

test.describe('the way to the mail server', (test) => {
  const users: Record<string, string> = { 'vouch@example.org': 'p@ss/word' };
  const onAuth: NonNullable<Parameters<typeof startSmtpSink>[0]>['onAuth'] = (auth, _session, done) => {
    const known = users[auth.username ?? ''] === auth.password;
    done(known ? null : new Error('no such user'), known ? { user: auth.username } : undefined);
  };
  const urlOf = (sink: SmtpSink, password: string, query: string, scheme = 'smtp') =>
    `${scheme}://vouch%40example.org:${encodeURIComponent(password)}@127.0.0.1:${sink.port}${query}`;

  test('STARTTLS and AUTH are taken from SMTP_URL', async (t) => {
    const sink = await startSmtpSink({ onAuth });
    t.teardown(() => sink.close());
    const delivery = await handOver(urlOf(sink, 'p@ss/word', '?tls.rejectUnauthorized=false'));
    t.deepEqual(delivery, { kind: 'accepted' });
    t.true(sink.mails[0]!.secure);
    t.is(sink.mails[0]!.user, 'vouch@example.org');
  });

  test('smtps is TLS from the first byte', async (t) => {
    const sink = await startSmtpSink({ onAuth, secure: true });
    t.teardown(() => sink.close());
    const delivery = await handOver(urlOf(sink, 'p@ss/word', '?tls.rejectUnauthorized=false', 'smtps'));
    t.deepEqual(delivery, { kind: 'accepted' });
    t.true(sink.mails[0]!.secure);
  });

  test('a server with a certificate that nobody vouches for gets neither mail nor password', async (t) => {
    let asked = 0;
    const sink = await startSmtpSink({
      onAuth(_auth, _session, done) {
        asked += 1;
        done(null, { user: 'anyone' });
      },
    });
    t.teardown(() => sink.close());
    t.is((await handOver(urlOf(sink, 'p@ss/word', ''))).kind, 'delayed');
    t.is(sink.mails.length, 0);
    t.is(asked, 0);
  });

  test('a wrong password delays mail, since the operator can mend it, and is told to nobody', async (t) => {
    const sink = await startSmtpSink({ onAuth });
    t.teardown(() => sink.close());
    const delivery = await handOver(urlOf(sink, 'wrong-one', '?tls.rejectUnauthorized=false'));
    t.deepEqual(delivery, { kind: 'delayed', reason: 'SMTP 535' });
  });

  test('a server that stalls is left at the deadline, with its connection', async (t) => {
    const sink = await startSmtpSink();
    t.teardown(() => sink.close());
    sink.behave((recipient) => (recipient.startsWith('stall') ? 'stall' : 'accept'));
    const mailer = openMailer(sink.url, 1000);
    t.teardown(() => mailer.close());
    const stalled = await mailer.send(mailTo('stall@example.com'));
    t.is(stalled.kind, 'delayed');
    await sink.until(() => sink.sockets.size === 0);
    t.is(sink.tries.get('stall@example.com'), 1);
    t.deepEqual(await mailer.send(mailTo('next@example.com')), { kind: 'accepted' });
  });

  test('a connection cut in the place of the answer is one try, not several', async (t) => {
    const sink = await startSmtpSink();
    t.teardown(() => sink.close());
    sink.behave('close');
    const delivery = await handOver(sink.url);
    t.is(delivery.kind, 'delayed');
    t.is(sink.mails.length, 1);
  });

  function openMailer(smtpUrl: string, deadlineMs?: number) {
    const config = loadConfig({ SECRET: TEST_SECRET, SMTP_URL: smtpUrl });
    return createMailer(config, createTranslators(), undefined, deadlineMs);
  }

  async function handOver(smtpUrl: string) {
    const mailer = openMailer(smtpUrl);
    const delivery = await mailer.send(mailTo('human@example.com'));
    mailer.close();
    return delivery;
  }

  function mailTo(to: string): ClaimCodeMail {
    return {
      kind: 'claim-code',
      id: 'out_test',
      to,
      locale: 'en',
      proof: { kind: 'code', code: '123456' },
      claimUrl: 'https://id.example.com/claim?t=v',
      denyUrl: 'https://id.example.com/claim?t=d',
      agentName: undefined,
      firstSeenAt: undefined,
      mode: 'merge',
      scopes: [],
      origin: '127.0.x.x',
      askedAt: 0,
      codeExpiresAt: 600_000,
      sentAt: 0,
    };
  }
});

onEveryEngine('the outbox', (engine, test) => {
  /** A service whose mail goes to a sink of its own, and a watch on what it commits. */
  async function start(
    t: ExecutionContext,
    options: TestOptions = {},
  ): Promise<{ on: TestService; sink: SmtpSink; watch: CommitWatch }> {
    const sink = await startSmtpSink();
    const watch = watchCommits();
    const on = await startTestService(engine, {
      wrapDb: watch.wrapDb,
      ...options,
      env: { SMTP_URL: sink.url, ...options.env },
    });
    t.teardown(async () => {
      await sink.close();
      await on.stop();
    });
    return { on, sink, watch };
  }

  async function askToClaim(t: ExecutionContext, on: TestService, mailbox: string) {
    const agent = await on.register();
    const asked = await on.post('/agent/auth/claim', { claim_token: agent.claim_token, email: mailbox });
    t.is(asked.status, 200, asked.text);
    return agent;
  }
  const claimOf = async (on: TestService, key: string) => (await on.get('/api/me', key)).body.data.claim;
  const complete = (on: TestService, claim_token: string, otp: string) =>
    on.post('/agent/auth/claim/complete', { claim_token, otp });

  /** Moves the clock and has the mail tried, by this call or by the worker behind it. */
  async function tryAfter(on: TestService, watch: CommitWatch, seconds: number): Promise<void> {
    const turns = watch.committed(TURN_ENDS);
    on.clock.advance(seconds);
    await sendNextMail(on.service.deps);
    await watch.until(() => watch.committed(TURN_ENDS) > turns);
  }

  test('a mail server that is away for an hour costs no claim, and within a minute of its return the mail is there with a code that works', async (t) => {
    const { on, sink, watch } = await start(t);
    await sink.close();
    const agent = await askToClaim(t, on, 'patient@example.com');
    await watch.until(() => watch.committed(TURN_ENDS) === 1);
    t.is((await claimOf(on, agent.credential)).mail, 'queued');

    for (let minute = 0; minute < 60; minute += 1) await tryAfter(on, watch, 60);
    const turns = watch.committed(TURN_ENDS);
    await askToClaim(t, on, 'other@example.com');
    await watch.until(() => watch.committed(TURN_ENDS) > turns);
    const state = await claimOf(on, agent.credential);
    t.is(state.status, 'pending');
    t.is(state.mail, 'queued');

    await sink.open();
    on.clock.advance(60);
    while (await sendNextMail(on.service.deps));
    const mail = await sink.mailTo('patient@example.com');
    await watch.until(() => watch.committed(SENT) === 2);
    t.is((await claimOf(on, agent.credential)).mail, 'sent');
    on.clock.advance(299);
    t.is((await complete(on, agent.claim_token, mail.code)).status, 200);
    t.is(sink.mails.filter(({ recipients }) => recipients[0] === 'patient@example.com').length, 1);
  });

  test('a mail refused for the moment for twelve minutes is delivered once, and its code has five minutes to live', async (t) => {
    const { on, sink, watch } = await start(t);
    sink.behave({ code: 451, text: 'greylisted, come back later' });
    const agent = await askToClaim(t, on, 'grey@example.com');
    await watch.until(() => watch.committed(TURN_ENDS) === 1);
    for (const pause of [30, 120, 300]) {
      await tryAfter(on, watch, pause);
      t.is((await claimOf(on, agent.credential)).mail, 'queued');
    }
    t.is(sink.tries.get('grey@example.com'), 4);
    on.clock.advance(270); // twelve minutes in all
    sink.behave('accept');
    t.false(await sendNextMail(on.service.deps), 'the pauses grow');
    await tryAfter(on, watch, 630);
    const mail = await sink.mailTo('grey@example.com');
    t.is(sink.tries.get('grey@example.com'), 5);
    t.is(sink.mails.length, 1);
    on.clock.advance(299);
    t.is((await complete(on, agent.claim_token, mail.code)).status, 200);
  });

  test('a mail refused for good is told to the agent and written into the audit, and not tried again', async (t) => {
    const { on, sink, watch } = await start(t);
    sink.behave({ code: 550, text: 'no such mailbox: gone@example.com' });
    const agent = await askToClaim(t, on, 'gone@example.com');
    await watch.until(() => watch.committed(TURN_ENDS) === 1);
    const state = await claimOf(on, agent.credential);
    t.deepEqual([state.status, state.mail], ['pending', 'failed']);
    on.clock.advance(7200);
    t.false(await sendNextMail(on.service.deps));
    t.is(sink.tries.get('gone@example.com'), 1);
    const events = await on.service.deps.db.all<{ subject: string; details: string }>(
      `SELECT subject, details FROM events WHERE kind = 'mail.dead'`,
    );
    t.is(events.length, 1);
    t.regex(events[0]!.subject, /^out_/);
    t.deepEqual(JSON.parse(events[0]!.details), { reason: 'SMTP 550' });

    // The next claim is not held back by the failed one.
    sink.behave('accept');
    const claim = { claim_token: agent.claim_token, email: 'here@example.com' };
    t.is((await on.post('/agent/auth/claim', claim)).status, 200);
    const { code } = await sink.mailTo('here@example.com');
    t.is((await complete(on, agent.claim_token, code)).status, 200);
  });

  test('mails that the server stalls over do not hold up the others', async (t) => {
    const { on, sink } = await start(t);
    sink.behave((recipient) => (recipient.startsWith('stall') ? 'stall' : 'accept'));
    const startedAt = performance.now();
    for (let index = 0; index < 3; index += 1) await askToClaim(t, on, `stall${index}@example.com`);
    await sink.until(() => [0, 1, 2].every((index) => sink.tries.get(`stall${index}@example.com`) === 1));
    for (let index = 0; index < 10; index += 1) await askToClaim(t, on, `flows${index}@example.com`);
    for (let index = 0; index < 10; index += 1) await sink.mailTo(`flows${index}@example.com`);
    t.true(performance.now() - startedAt < 10_000, 'sooner than any deadline');
    t.true(sink.sockets.size <= 4);
  });

  test('a new attempt takes the place of one whose mail has not left: only the new mail leaves', async (t) => {
    const { on, sink, watch } = await start(t);
    sink.behave({ code: 451, text: 'later' });
    const agent = await askToClaim(t, on, 'first@example.com');
    await watch.until(() => watch.committed(TURN_ENDS) === 1);
    sink.behave('accept');
    const again = { claim_token: agent.claim_token, email: 'second@example.com' };
    t.is((await on.post('/agent/auth/claim', again)).status, 200);
    const { code } = await sink.mailTo('second@example.com');
    await watch.until(() => watch.committed(SENT) === 1);
    for (let hour = 0; hour < 3; hour += 1) {
      on.clock.advance(hour === 0 ? 60 : 3600);
      while (await sendNextMail(on.service.deps));
    }
    t.deepEqual(
      sink.mails.map(({ recipients }) => recipients[0]),
      ['second@example.com'],
    );
    t.regex(code, /^\d{6}$/);
  });

  test('the mail of an agent that was revoked meanwhile does not leave', async (t) => {
    const { on, sink, watch } = await start(t);
    sink.behave({ code: 451, text: 'later' });
    const agent = await askToClaim(t, on, 'late@example.com');
    await watch.until(() => watch.committed(TURN_ENDS) === 1);
    sink.behave('accept');
    const { deps } = on.service;
    t.true(await revokeAgent(deps, localOrigin('test'), agent.agent_id));
    on.clock.advance(3600);
    while (await sendNextMail(deps));
    t.is(sink.mails.length, 0);
  });

  test('three services on one database deliver each of sixty mails once', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const sink = await startSmtpSink();
    const watch = watchCommits();
    const services = await Promise.all(
      [0, 1, 2].map(() =>
        startTestService(engine, {
          database,
          clock,
          wrapDb: watch.wrapDb,
          env: { SMTP_URL: sink.url },
        }),
      ),
    );
    t.teardown(async () => {
      await Promise.all(services.map((on) => on.stop()));
      await sink.close();
      await database.drop();
    });
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        await askToClaim(t, services[index % 3]!, `sixty${index}@example.com`);
        // All workers are called for every mail.
        for (const on of services) on.service.deps.wakeOutbox();
      }),
    );
    await watch.until(() => watch.committed(SENT) === 60);
    clock.advance(3600);
    for (const on of services) t.false(await sendNextMail(on.service.deps));
    t.is(sink.mails.length, 60);
    t.is(new Set(sink.mails.map(({ recipients }) => recipients[0])).size, 60);
  });

  test('a service that dies between handing a mail over and noting it sends the same mail again, once, under the same id', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const watch = watchCommits();
    const { on: dying, sink } = await start(t, {
      database,
      clock,
      wrapDb: (db) => failingAt(watch.wrapDb(db), SENT),
    });
    const agent = await askToClaim(t, dying, 'twice@example.com');
    const first = await sink.mailTo('twice@example.com');

    const next = await startTestService(engine, {
      database,
      clock,
      wrapDb: watch.wrapDb,
      env: { SMTP_URL: sink.url },
    });
    t.teardown(async () => {
      await next.stop();
      await database.drop();
    });
    t.false(await sendNextMail(next.service.deps), 'the lease holds until the dead one is given up');
    clock.advance(31);
    await sendNextMail(next.service.deps);
    const second = await sink.mailTo('twice@example.com', 1);
    t.is(second.parsed.messageId, first.parsed.messageId);
    t.is(second.code, first.code);
    await watch.until(() => watch.committed(SENT) === 1);
    clock.advance(3600);
    t.false(await sendNextMail(next.service.deps));
    t.is(sink.mails.length, 2);
    clock.advance(-3600);
    t.is((await complete(next, agent.claim_token, second.code)).status, 200);
  });
});

/** A database that breaks at one statement, as often as it is asked. */
function failingAt(db: Db, statement: RegExp): Db {
  return {
    ...db,
    tx: (work) =>
      db.tx((tx) =>
        work({
          ...tx,
          run(sql, params) {
            return statement.test(sql) ? Promise.reject(new Error('the power went')) : tx.run(sql, params);
          },
        }),
      ),
  };
}

function headerNames(mail: ArrivedMail, pattern: RegExp): string[] {
  return mail.parsed.headerLines.map(({ key }) => key).filter((key) => pattern.test(key));
}

function addressesOf(
  t: ExecutionContext,
  field: ArrivedMail['parsed']['to'] | ArrivedMail['parsed']['from'],
): string {
  if (field === undefined || Array.isArray(field)) return t.fail('there is one field of that name');
  return field.value.map(({ address }) => address).join(', ');
}

/** What a mail program shows of the HTML part. */
function shown(mail: ArrivedMail): string {
  return String(mail.parsed.html)
    .replace(/^[\s\S]*<body/, '<body')
    .replace(/<(?:br|\/td)>/g, ' ')
    .replace(/<[^>]*>/g, '')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

/** What a mail program would make clickable, in both parts; of our own links without their ids and MACs. */
function linksIn(mail: ArrivedMail): string[] {
  const written = /(?:https?:\/\/|www\.)[^\s<>"']+/gi;
  const html = String(mail.parsed.html);
  const found = [
    ...(mail.parsed.text?.match(written) ?? []),
    ...(html.match(written) ?? []),
    // A tag that leads anywhere in another way than our anchors do stays whole, and so is no link of ours.
    ...(html.match(/<[^>]+(?:href|src)\s*=[^>]+>/gi) ?? []).map((tag) =>
      tag.replace(/^<a href="([^"]+)"(?: style="[^"]+")?>$/, '$1'),
    ),
  ];
  const bare = found.map((link) =>
    link.replace(
      /\?t=(v\.reg|d\.cla|a\.cla)_[0-9A-Za-z]{24}(?:\.\d+|\.cla_[0-9A-Za-z]{24})?\.[\w-]{27}$/,
      '?t=$1',
    ),
  );
  return [...new Set(bare)].sort();
}

/** The links of a mail, as linksIn gives them: a mail that approves by its link does not lead to the page without it. */
function ourLinks({ url }: TestService, kind: 'view' | 'approve' = 'view'): string[] {
  const page = `${url}/claim?t=${kind === 'view' ? 'v.reg' : 'a.cla'}`;
  return [`${url}/claim/deny?t=d.cla`, page].sort();
}
