import type { ExecutionContext } from 'ava';
import { fine, openAgentWorld } from '../helpers/agent-world.ts';
import {
  type AuthMd,
  confirm,
  ID_JAG,
  openAuthMd,
  says,
  succeeded,
  withConfigFile,
} from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { newMailbox } from '../helpers/common.ts';
import type { TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Whatever an access token is given for, it counts, is in the audit, and is what its API takes. */

const API = 'https://api.example.com';
const signing = [{ url: API, name: 'API', tokens: 'jwt' as const, scopes: ['read'] }];

const issuedOf = async (on: TestService): Promise<number> =>
  (await on.service.deps.db.get<{ count: number }>(
    `SELECT COUNT(*) AS count FROM events WHERE kind = 'token.issued'`,
  ))!.count;

/** The claims of a token that its API takes: signed, short, for it alone, and no wider than it knows. */
function assertSigned(t: ExecutionContext, token: string, lifeSeconds: number): void {
  t.is(token.split('.').length, 3, token);
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  t.deepEqual([claims.aud, claims.scope, claims.exp - claims.iat], [API, 'read', lifeSeconds]);
}

onEveryEngine('an access token', (engine, test) => {
  test.describe('of auth.md 0.1', (test) => {
    let world: AuthMd;
    test.before(async () => {
      world = await openAuthMd(engine, {
        file: { resources: signing },
        env: { LIMITS: '{"tokensPerAgent":"2/h"}' },
      });
    });
    test.after(() => world.stop());

    test('that completing the claim gives counts, is audited, and is signed where its API wants that', async (t) => {
      const { on } = world;
      const mailbox = newMailbox();
      const { claim_token } = succeeded(
        await on.post('/agent/auth', {
          type: 'identity_assertion',
          assertion_type: 'verified_email',
          assertion: mailbox,
          requested_credential_type: 'access_token',
        }),
      );
      const human = openBrowser(on);
      await human.get(await world.mailedPage(mailbox));
      const otp = await confirm(human);
      const earlier = await issuedOf(on);
      const done = succeeded(await on.post('/agent/auth/claim/complete', { claim_token, otp }));
      assertSigned(t, done.credential, 300);
      t.deepEqual(done.scopes, ['read']);
      t.is(await issuedOf(on), earlier + 1);
    });

    test('that the word of a provider gives counts against tokensPerAgent', async (t) => {
      const { on, idJag } = world;
      const mailbox = newMailbox();
      const present = () =>
        on.post('/agent/auth', {
          type: 'identity_assertion',
          assertion_type: ID_JAG,
          assertion: idJag({ sub: mailbox, email: mailbox }),
          requested_credential_type: 'access_token',
        });
      const earlier = await issuedOf(on);
      assertSigned(t, succeeded(await present()).credential, 300);
      assertSigned(t, succeeded(await present()).credential, 300);
      t.is(await issuedOf(on), earlier + 2);
      const spent = await present();
      t.is(says(spent).slice(0, 3), '429', spent.text);
      t.is(await issuedOf(on), earlier + 2);
    });
  });

  test('of a capability of the Agent Auth Protocol is signed where its API wants that, and no longer than signed ones are', async (t) => {
    const world = await withConfigFile({ resources: signing }, (CONFIG) =>
      openAgentWorld(engine, { env: { CONFIG } }),
    );
    try {
      const agent = await world.letIn(newMailbox());
      for (const [seconds, life] of [
        [60, 60],
        [300, 300],
      ] as const) {
        const { data } = fine(await world.client.execute(agent, 'read', { seconds }));
        assertSigned(t, data.access_token, life);
        t.is(data.expires_in, life);
      }
    } finally {
      await world.stop();
    }
  });
});
