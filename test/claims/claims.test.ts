import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { localOrigin } from '../../src/work.ts';
import { ceremony, codeOf, countOf, from, said } from '../helpers/ceremony.ts';
import { claimSteps } from '../helpers/claim-steps.ts';
import { type Reply, startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('claims', (engine, test) => {
  let on: TestService;
  let call: ReturnType<typeof ceremony>;
  test.before(async () => {
    on = await startTestService(engine, { env: { TRUST_PROXY: '1' } });
    call = ceremony(on);
  });
  test.after(() => on.stop());

  let made = 0;
  const newMailbox = (name = 'human') => `${name}${++made}@example.com`;

  const { pending, scopesOf, account, humansAt } = claimSteps(() => ({ on, call }));

  test.describe('what a claim does to accounts', (test) => {
    test("merging moves the agent into the owner's account; its own account ends and points there", async (t) => {
      const mailbox = newMailbox();
      const agent = await pending(mailbox);
      const { data } = (await call.complete(agent.claim_token, agent.otp)).body;
      t.is(data.mode, 'merge');
      t.is(data.agent_id, agent.agent_id);
      t.not(data.user_id, agent.user_id);
      t.deepEqual(await account(data.user_id), {
        kind: 'human',
        mailbox,
        parentId: null,
        mergedInto: null,
        endedAt: null,
      });
      t.deepEqual(await account(agent.user_id), {
        kind: 'agent',
        mailbox: null,
        parentId: null,
        mergedInto: data.user_id,
        endedAt: on.clock(),
      });
      const me = (await on.get('/api/me', data.credential)).body.data;
      t.is(me.user_id, data.user_id);
      t.is(me.merged_from, agent.user_id);
    });

    test('all agents merged by one mailbox, however it is written, work in one account', async (t) => {
      const mailbox = newMailbox();
      const first = await on.claimed(mailbox);
      const second = await on.register();
      const seen = on.mails.length;
      await call.claim(second.claim_token, mailbox.toUpperCase());
      const otp = await on.codeFor(mailbox, on.mails.slice(0, seen).filter((m) => m.to === mailbox).length);
      const { data } = (await call.complete(second.claim_token, otp)).body;
      t.is(data.user_id, first.user_id);
      t.not(data.agent_id, first.agent_id);
      t.is(await humansAt(mailbox), 1);
    });

    test("linking keeps the agent's account and puts it below the owner's", async (t) => {
      const mailbox = newMailbox();
      const merged = await on.claimed(mailbox);
      const agent = await pending(mailbox, true);
      const { data } = (await call.complete(agent.claim_token, agent.otp)).body;
      t.is(data.mode, 'link');
      t.is(data.user_id, agent.user_id);
      t.deepEqual(await account(agent.user_id), {
        kind: 'agent',
        mailbox: null,
        parentId: merged.user_id,
        mergedInto: null,
        endedAt: null,
      });
      const me = (await on.get('/api/me', data.credential)).body.data;
      t.is(me.merged_from, undefined);
      t.regex(me.owner, /\*\*\*@example\.com$/);
    });

    test('an agent that named its mailbox starts in the account of its owner, or linked in one of its own', async (t) => {
      const mailbox = newMailbox();
      const users = [];
      for (const link of [false, true]) {
        const { claim_token } = (await call.assert(mailbox, {}, { link })).body.data;
        const otp = await codeOf(on, claim_token);
        users.push((await call.complete(claim_token, otp)).body.data.user_id);
      }
      const owner = await on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM accounts WHERE mailbox = ?',
        [mailbox],
      );
      t.is(users[0], owner!.id);
      t.is((await account(users[1]))!.parentId, owner!.id);
    });

    test('a claim that is not finished creates nothing and gives nothing (S-34)', async (t) => {
      const mailbox = newMailbox('victim');
      const agent = await on.register();
      const before = await Promise.all(
        ['accounts', 'agents', 'credentials'].map((name) => countOf(on, name)),
      );
      await call.claim(agent.claim_token, mailbox);
      await call.claim(agent.claim_token, mailbox, {}, true);
      const asserted = (await call.assert(mailbox)).body.data;
      const right = await codeOf(on, asserted.claim_token);
      t.is(said(await call.complete(asserted.claim_token, wrongCode(right))), '401 otp_invalid');
      const after = await Promise.all(['accounts', 'agents', 'credentials'].map((name) => countOf(on, name)));
      t.deepEqual(after, before);
      t.deepEqual(await scopesOf(agent.credential), ['read']);

      // Later the owner of the mailbox comes: nothing of the stranger's is there.
      const owner = await on.claimed(mailbox);
      t.is(await countOf(on, 'agents WHERE account_id = ?', [owner.user_id]), 1);
      t.is((await account(agent.user_id))!.parentId, null);
    });

    test('whoever completes a claim on a mailbox ends all others that wait there (S-35)', async (t) => {
      const mailbox = newMailbox();
      const strangers = [await pending(mailbox), await pending(mailbox, true)];
      const asserted = (await call.assert(mailbox)).body.data.claim_token;
      const elsewhere = await pending(newMailbox());
      const owner = await pending(mailbox);
      t.is(said(await call.complete(owner.claim_token, owner.otp)), '200');
      for (const { claim_token, otp } of strangers) {
        t.is(said(await call.complete(claim_token, otp)), '410 claim_superseded');
        t.is(said(await call.claim(claim_token, newMailbox())), '410 claim_superseded');
      }
      t.is(said(await call.complete(asserted, '000000')), '410 claim_superseded');
      t.is(said(await call.complete(elsewhere.claim_token, elsewhere.otp)), '200');
    });
  });

  test.describe('keys around a claim', (test) => {
    test('the new key writes; the old one never does, and ends at the first use of the new one', async (t) => {
      const { old, credential } = await on.claimed(newMailbox());
      t.deepEqual(await scopesOf(old), ['read']);
      t.deepEqual(await scopesOf(credential), ['read', 'write']);
      t.is(await scopesOf(old), 'dead');
    });

    test('the old key ends ten minutes after the claim, also when the new one is never used', async (t) => {
      const { old, credential } = await on.claimed(newMailbox());
      on.clock.advance(599);
      t.deepEqual(await scopesOf(old), ['read']);
      on.clock.advance(1);
      t.is(await scopesOf(old), 'dead');
      t.deepEqual(await scopesOf(credential), ['read', 'write']);
    });

    test('the key from before a claim manages no keys after it, so it cannot outlive itself (S-26, S-27)', async (t) => {
      for (const link of [false, true]) {
        const { old } = await on.claimed(newMailbox(), link);
        const headers = { Authorization: `Bearer ${old}` };
        const created = await on.post('/api/tokens', { name: 'heir', scope: 'read' }, headers);
        t.is(said(created), '403 insufficient_scope', `link: ${link}`);
        t.is(said(await on.get('/api/tokens', old)), '403 insufficient_scope', `link: ${link}`);
      }
    });

    test('an agent that is revoked loses its keys and its claim', async (t) => {
      const { deps } = on.service;
      const agent = await pending(newMailbox());
      t.true(await revokeAgent(deps, localOrigin('test'), agent.agent_id));
      t.is(await scopesOf(agent.credential), 'dead');
      t.is(said(await call.complete(agent.claim_token, agent.otp)), '410 claim_expired');
      t.is(said(await call.claim(agent.claim_token, newMailbox())), '410 claim_expired');

      const claimed = await on.claimed(newMailbox());
      await revokeAgent(deps, localOrigin('test'), claimed.agent_id);
      t.is(await scopesOf(claimed.credential), 'dead');
      t.is(await scopesOf(claimed.old), 'dead');
    });
  });

  test.describe('mailboxes', (test) => {
    test('what is not a plain address gets no mail (S-42)', async (t) => {
      const { claim_token } = await on.register();
      const mails = await countOf(on, 'outbox');
      for (const email of [...HOSTILE, ...WITH_CONTROLS]) {
        const refusal = HOSTILE.includes(email) ? '400 invalid_email' : '400 invalid_request';
        for (const reply of [await call.claim(claim_token, email), await call.assert(email)]) {
          t.is(said(reply), refusal, JSON.stringify(email));
        }
      }
      t.true(HOSTILE.length >= 30);
      t.is(await countOf(on, 'outbox'), mails);
    });

    test('a letter that only looks or folds like another does not stand for it (S-40)', async (t) => {
      const victim = await on.claimed('admin@admin.example');
      const lookalikes = ['adm\u0131n@admin.example', 'admin@adm\u0131n.example', 'ADM\u0130N@admin.example'];
      for (const email of lookalikes) {
        const agent = await on.register();
        const reply = await call.claim(agent.claim_token, email);
        if (reply.status !== 200) {
          t.is(said(reply), '400 invalid_email');
          continue;
        }
        const otp = await codeOf(on, agent.claim_token);
        const { data } = (await call.complete(agent.claim_token, otp)).body;
        t.not(data.user_id, victim.user_id);
      }
      t.is(on.mails.filter((mail) => mail.to === 'admin@admin.example').length, 1);
    });

    test('mailboxes with different +tags or dots are different owners (S-41)', async (t) => {
      const users = new Set<string>();
      for (const mailbox of [
        'v@tags.example',
        'v+1@tags.example',
        'v+2@tags.example',
        'a.b@gmail.com',
        'ab@gmail.com',
      ]) {
        users.add((await on.claimed(mailbox)).user_id);
      }
      t.is(users.size, 5);
    });
  });

  test('the answers to a claim do not tell what the mailbox is (S-44)', async (t) => {
    const known = newMailbox('k');
    const linked = newMailbox('k');
    const waiting = newMailbox('k');
    const unknown = newMailbox('k');
    await on.claimed(known);
    await on.claimed(linked, true);
    await pending(waiting);
    t.is(new Set([known, linked, waiting, unknown].map(({ length }) => length)).size, 1);

    const seen = { claim: new Set<string>(), assert: new Set<string>() };
    let host = 0;
    for (const mailbox of [known, linked, waiting, unknown]) {
      const { claim_token } = await on.register();
      const address = from(`203.0.113.${++host}`);
      seen.claim.add(withoutIds(await call.claim(claim_token, mailbox, address), mailbox));
      seen.assert.add(withoutIds(await call.assert(mailbox, address), mailbox));
    }
    t.is(seen.claim.size, 1, [...seen.claim].join('\n'));
    t.is(seen.assert.size, 1, [...seen.assert].join('\n'));

    function withoutIds(reply: Reply, mailbox: string): string {
      const { 'x-request-id': _id, date: _date, ...headers } = Object.fromEntries(reply.headers);
      const text = reply.text
        .replaceAll(mailbox, 'MAILBOX')
        .replace(/ct_[0-9A-Za-z]+/, 'CT')
        .replace(/\/claim\?t=v\.reg_[0-9a-z]+(\.\w+)?\.[\w-]+"/i, '/claim?t=LINK"');
      return JSON.stringify([reply.status, headers, reply.text.length, text]);
    }
  });
});

onEveryEngine('claims where merging into an account needs its owner', (engine, test) => {
  let on: TestService;
  let call: ReturnType<typeof ceremony>;
  test.before(async () => {
    on = await startTestService(engine, { env: { CLAIM_EXISTING_ACCOUNT: 'confirm' } });
    call = ceremony(on);
  });
  test.after(() => on.stop());

  test('a code alone opens new accounts and links, but does not merge into an existing one (S-16)', async (t) => {
    const mailbox = 'owner@example.com';
    const first = await on.claimed(mailbox);
    t.regex(first.credential, /^sk_/);
    const linked = await on.claimed(mailbox, true);
    t.regex(linked.credential, /^sk_/);

    const agent = await on.register();
    t.is(said(await call.claim(agent.claim_token, mailbox)), '200');
    const otp = await codeOf(on, agent.claim_token);
    const refused = await call.complete(agent.claim_token, otp);
    t.is(said(refused), '401 interaction_required');
    t.regex(refused.headers.get('www-authenticate') ?? '', /AgentAuth error="interaction_required"/);
    t.is(await countOf(on, 'agents WHERE account_id = ?', [first.user_id]), 1);
    t.deepEqual((await on.get('/api/me', agent.credential)).body.data.scopes, ['read']);

    t.is(said(await call.claim(agent.claim_token, mailbox, {}, true)), '200');
    t.is(said(await call.complete(agent.claim_token, await codeOf(on, agent.claim_token))), '200');
  });

  test('the same holds for an agent that named the mailbox itself', async (t) => {
    const mailbox = 'other@example.com';
    const fresh = (await call.assert(mailbox)).body.data.claim_token;
    t.is(said(await call.complete(fresh, await codeOf(on, fresh))), '200');
    const second = await call.assert(mailbox);
    t.is(said(second), '200');
    const { claim_token } = second.body.data;
    t.is(said(await call.complete(claim_token, await codeOf(on, claim_token))), '401 interaction_required');
  });
});

const HOSTILE = [
  '',
  'human',
  '@example.com',
  'human@',
  'human@localhost',
  'a@b@example.com',
  'a@example.com,b@example.com',
  'a@example.com;b@example.com',
  'a@example.com b@example.com',
  'Human <a@example.com>',
  '<a@example.com>',
  '"a b"@example.com',
  '"a@evil.example"@example.com',
  'a(comment)@example.com',
  'a@example.com (comment)',
  'group:a@example.com;',
  'a@[192.0.2.1]',
  'a@[IPv6:2001:db8::1]',
  'a@192.0.2.1',
  'a@0x7f.1',
  '.a@example.com',
  'a.@example.com',
  'a..b@example.com',
  'a@.example.com',
  'a@example..com',
  'a@-example.com',
  'a@exa_mple.com',
  'a@example.com?cc=b@example.com',
  'a@exam%70le.com',
  'mailto:a@example.com/',
  'adm\u0131n@example.com',
  '\uff41@example.com',
  'a@\uff45xample.com',
  'a@\u212aelvin.com',
  'a\u202e@example.com',
  'a@exa\u200bmple.com',
  `${'a'.repeat(65)}@example.com`,
  `a@${'b'.repeat(64)}.com`,
];

/** Control characters are refused in every text of a body, before it is known to be an address. */
const WITH_CONTROLS = [
  'a@example.com\r\nBcc: b@example.com',
  'a\r\nTo: b@example.com',
  'a@example.com\u0000',
  'a\u0000@example.com',
  'a@exam\nple.com',
];
