import { accountSteps } from '../helpers/account-steps.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { isIn, SESSION, setUpApp, signIn } from '../helpers/human.ts';
import { violations } from '../helpers/oracle.ts';
import { happenings } from '../helpers/own-pages.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the account', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(async (t) => {
    const found = await violations(on.service.deps.db);
    await on.stop();
    t.deepEqual(found, []);
  });

  const { accountOf, ownKey, vouched } = accountSteps(() => ({ on }));

  test.describe('its sessions', (test) => {
    test('all others end at once, and not the one that asks, nor anybody else’s', async (t) => {
      const mailbox = newMailbox();
      const [here, second] = [await signIn(on, mailbox), await signIn(on, mailbox)];
      const stranger = await signIn(on, newMailbox());
      const endOthers = 'action="/account/sessions/end-others"';
      t.false((await here.get('/account')).text.includes(endOthers), 'with one other');
      const third = await signIn(on, mailbox);
      const page = await here.get('/account');
      t.true(page.text.includes(endOthers), 'with two others');
      t.is(page.text.match(/>This browser</g)?.length, 1);
      t.is(page.text.match(/>End session</g)?.length, 2);

      const ended = async () =>
        countOf(on, `events WHERE kind = 'session.ended' AND account_id = ?`, [await accountOf(mailbox)]);
      t.is((await here.send('/account/sessions/end-others', {})).status, 403);
      t.true((await isIn(second)) && (await isIn(third)));
      t.is(await ended(), 0);

      await here.get('/account');
      const after = await here.post('/account/sessions/end-others', {});
      t.is(after.path, '/account');
      t.regex(after.text, /All other sessions ended\./);
      t.false((await isIn(second)) || (await isIn(third)));
      t.true((await isIn(here)) && (await isIn(stranger)));
      t.is(await ended(), 2);
      const { csrf } = here.form('/sign-out');
      await here.send('/account/sessions/end-others', { csrf });
      t.is(await ended(), 2, 'nothing is left to end');
      t.is(happenings(await here.get('/account/activity'))[0]!.what, 'You ended a session');
    });
  });

  test.describe('the export', (test) => {
    test('is all that is known of its owner, as a file, without a secret, a hash or anything of others', async (t) => {
      const [mailbox, other] = [newMailbox(), newMailbox()];
      const browser = await signIn(on, mailbox);
      const merged = await vouched(mailbox, 'Mover');
      const linked = await vouched(mailbox, 'Neighbour', true);
      const key = await ownKey(browser, 'Backup');
      const { secret, recoveryCodes } = await setUpApp(on, browser);
      const theirs = await vouched(other, 'Foreigner');
      const foreign = await signIn(on, other);
      const foreignKey = await ownKey(foreign, 'Foreign key');
      await browser.get('/account');
      await browser.post('/account/mail', { wanted: 'no' });

      const page = await browser.get('/account/export');
      t.is(page.status, 200);
      t.is(page.headers.get('content-type'), 'application/json; charset=utf-8');
      t.is(page.headers.get('content-disposition'), 'attachment; filename="account.json"');
      t.is(page.headers.get('cache-control'), 'no-store');
      const data = JSON.parse(page.text);
      t.deepEqual(Object.keys(data), [
        'account',
        'agents',
        'keys',
        'apps',
        'providers',
        'oauth_clients',
        'sessions',
        'activity',
      ]);
      const user_id = await accountOf(mailbox);
      t.deepEqual(data.account, {
        user_id,
        mailbox,
        authenticator: true,
        mail_of_agents: false,
        name: null,
        language: null,
      });
      t.deepEqual(
        data.agents.map(({ agent_id, name, mode, scopes }: Record<string, unknown>) => ({
          agent_id,
          name,
          mode,
          scopes,
        })),
        [
          { agent_id: merged.agent_id, name: 'Mover', mode: 'merge', scopes: ['read', 'write'] },
          { agent_id: linked.agent_id, name: 'Neighbour', mode: 'link', scopes: ['read', 'write'] },
        ],
      );
      const [exported, ...more] = data.keys;
      t.deepEqual(more, []);
      t.deepEqual(
        [exported.name, exported.prefix, exported.last_four, exported.scopes],
        ['Backup', key.slice(0, 7), key.slice(-4), ['read', 'write']],
      );
      t.is(data.sessions.length, 1);
      t.is(data.sessions[0].from, '127.0.x.x');
      t.is(
        data.activity.length,
        await countOf(on, 'events WHERE account_id = ?', [user_id]),
        'each line of the audit that is theirs',
      );
      t.deepEqual(
        [data.activity.at(-1).kind, data.activity.at(-1).what],
        ['account.created', 'Your account was created'],
      );
      for (const { at } of data.activity) t.is(new Date(at).toISOString(), at);

      const hashes = await on.service.deps.db.all<{ hash: Buffer }>(
        'SELECT hash FROM credentials UNION SELECT hash FROM sessions UNION SELECT hash FROM recovery_codes',
      );
      const spelt = hashes.flatMap(({ hash }) =>
        (['hex', 'base64', 'base64url'] as const).map((as) => Buffer.from(hash).toString(as)),
      );
      const ofOthers = [
        other,
        theirs.agent_id,
        theirs.user_id,
        'Foreigner',
        'Foreign key',
        foreignKey.slice(-8),
      ];
      const secrets = [
        key.slice(3),
        merged.credential.slice(3),
        linked.credential.slice(3),
        browser.cookies.get(SESSION)!.slice(4),
        secret,
        ...recoveryCodes,
      ];
      for (const text of [...spelt, ...ofOthers, ...secrets]) t.false(page.text.includes(text), text);
    });

    test('needs a session, and no more than that', async (t) => {
      const browser = openBrowser(on);
      const page = await browser.get('/account/export');
      t.is(page.path, '/sign-in?next=/account');
      t.is(page.headers.get('content-disposition'), null);
      const signedIn = await signIn(on, newMailbox());
      on.clock.advance(1000);
      t.is((await signedIn.get('/account/export')).status, 200);
    });
  });
});
