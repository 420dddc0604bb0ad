import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { narrowAgent, undoMerge, unlinkAgent } from '../../src/domain/owner/manage-agents.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { newSecret } from '../../src/lib/secrets.ts';
import { type Cursor, createVerifier, VerificationError } from '../../src/resource-server/index.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi, until } from '../helpers/api.ts';
import { untilFollowing, untilRefused } from '../helpers/following.ts';
import { createTestDatabase, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** One whose tokens are looked up, and one whose tokens are signed. */
const RESOURCES = [
  { url: 'https://opaque.example.com', name: 'Opaque' },
  { url: 'https://signed.example.com', name: 'Signed', tokens: 'jwt' },
];
const asker = localOrigin('test');
const isInvalid = (error: unknown) =>
  error instanceof VerificationError && error.code === 'invalid_token' && error.status === 401;
const isUnavailable = (error: unknown) =>
  error instanceof VerificationError && error.code === 'unavailable' && error.status === 503;

async function assertRejected(
  t: ExecutionContext,
  verified: Promise<unknown>,
  isAsExpected: (error: unknown) => boolean,
  about = '',
): Promise<Error> {
  const error = await t.throwsAsync(verified, undefined, about);
  t.true(isAsExpected(error), `${about} ${error}`);
  return error;
}

onEveryEngine('the verifier', (engine, test) => {
  let on: TestService;
  let api: Api;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-verifier-'));
    const file = join(folder, 'config.json');
    writeFileSync(file, JSON.stringify({ resources: RESOURCES }));
    on = await startTestService(engine, { env: { CONFIG: file } });
    api = await addApi(on);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  test('a key that works resolves to who stands behind it, frozen', async (t) => {
    const agent = await on.claimed('frozen@example.com');
    const verifier = api.verifier();
    const token = await verifier.verify(agent.credential);
    const { subject, agentId, scopes, audience, owner } = token;
    t.deepEqual(
      { subject, agentId, scopes, audience, owner },
      {
        subject: agent.user_id,
        agentId: agent.agent_id,
        scopes: ['read', 'write'],
        audience: api.resource,
        owner: agent.user_id,
      },
    );
    t.true(Number.isInteger(token.expiresAt) && token.expiresAt > Date.now() / 1000);
    t.regex(token.keyId, /^key_/);
    t.regex(token.mergedFrom!, /^usr_/);
    t.true(Object.isFrozen(token) && Object.isFrozen(token.scopes));
  });

  test('an invented key is refused without a question, and an unknown one is asked about once', async (t) => {
    const verifier = api.verifier();
    const asked = api.asked();
    const good = (await on.register()).credential;
    const mistyped = good.slice(0, -1) + (good.endsWith('a') ? 'b' : 'a');
    for (const token of ['', 'sk_', 'x'.repeat(200), mistyped, good.replace('sk_', 'ct_'), `${good} `]) {
      await assertRejected(t, verifier.verify(token), isInvalid, token);
    }
    t.is(api.asked(), asked);
    const unknown = newSecret('sk', systemRandom);
    for (let times = 0; times < 3; times += 1) await assertRejected(t, verifier.verify(unknown), isInvalid);
    t.is(api.asked(), asked + 1);
  });

  test('two hundred callers at once are one question, and later ones none', async (t) => {
    const { credential } = await on.register();
    const verifier = api.verifier();
    const asked = api.asked();
    const answers = await Promise.all(Array.from({ length: 200 }, () => verifier.verify(credential)));
    t.is(new Set(answers).size, 1);
    await verifier.verify(credential);
    t.is(api.asked(), asked + 1);
  });

  test('a key for another resource, or with none of the scopes known here, is invalid', async (t) => {
    const agent = await on.claimed('elsewhere@example.com');
    const made = await on.post(
      '/api/tokens',
      { name: 'elsewhere', scope: 'read', resources: ['https://other.example.com'] },
      { Authorization: `Bearer ${agent.credential}` },
    );
    await assertRejected(t, api.verifier().verify(made.body.data.credential), isInvalid);
    const writing = await addApi(on, 'https://writing.example.com', ['write']);
    await assertRejected(t, writing.verifier().verify((await on.register()).credential), isInvalid);
  });

  test('a wrong client secret is "unavailable", and its cause says what is wrong', async (t) => {
    const { credential } = await on.register();
    const verifier = api.verifier({ clientSecret: newSecret('rss', systemRandom) });
    const error = await assertRejected(t, verifier.verify(credential), isUnavailable);
    t.regex(String((error.cause as Error).message), /clientSecret is wrong/);
  });

  test('options that cannot be right are refused at once', (t) => {
    const own = { issuer: on.url, resource: api.resource, clientId: 'rs_x', clientSecret: 'rss_x' };
    for (const wrong of [{ issuer: 'id' }, { resource: 'api' }, { clientId: '' }, { cacheSeconds: 61 }]) {
      t.throws(() => createVerifier({ ...own, follow: false, ...wrong }), undefined, JSON.stringify(wrong));
    }
  });

  test.describe('following what happens', (test) => {
    /** A verifier that follows already, and knows the key. */
    async function knowing(credential: string) {
      const verifier = api.verifier({ follow: true });
      await verifier.verify(credential);
      return verifier;
    }

    test('a key that is revoked stops working within a second, in whichever way it ends', async (t) => {
      const made = await on.claimed('ways@example.com');
      const linked = await on.claimed('ways@example.com', true);
      const other = await on.claimed('ways@example.com');
      const ways: [string, string, () => Promise<unknown>][] = [
        ['held', made.credential, () => on.form('/oauth2/revoke', { token: made.credential })],
        ['operator', linked.credential, () => revokeAgent(on.service.deps, asker, linked.agent_id)],
        ['its page', other.credential, () => revokeAgent(on.service.deps, asker, other.agent_id)],
      ];
      for (const [name, credential, end] of ways) {
        const verifier = await knowing(credential);
        await untilFollowing(on, verifier);
        await end();
        const began = Date.now();
        await untilRefused(verifier, credential);
        t.true(Date.now() - began < 1000, `${name}: ${Date.now() - began} ms`);
        verifier.close();
      }
    });

    test('access tokens too, opaque and signed, are known, and refused within a second of their end', async (t) => {
      for (const [resource, start] of [
        ['https://opaque.example.com', 'at_'],
        ['https://signed.example.com', 'eyJ'],
      ] as const) {
        const own = await addApi(on, resource);
        const { body } = await on.post('/agent/identity', { type: 'anonymous' });
        const exchanged = await on.form('/oauth2/token', {
          grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          assertion: body.identity_assertion,
          resource,
        });
        const { access_token } = exchanged.body;
        t.truthy(access_token.startsWith(start), exchanged.text);
        const verifier = own.verifier({ follow: true });
        t.deepEqual((await verifier.verify(access_token)).scopes, ['read']);
        await assertRejected(t, api.verifier().verify(access_token), isInvalid, 'it is for another resource');
        await untilFollowing(on, verifier);
        await on.form('/oauth2/revoke', { token: access_token });
        const began = Date.now();
        await untilRefused(verifier, access_token);
        t.true(Date.now() - began < 1000, `${resource}: ${Date.now() - began} ms`);
        verifier.close();
      }
    });

    test('held under a stream of requests, all of twenty keys are refused within a second of their revocation', async (t) => {
      const agents = await Promise.all(Array.from({ length: 20 }, () => on.register()));
      const verifier = api.verifier({ follow: true });
      await Promise.all(agents.map(({ credential }) => verifier.verify(credential)));
      await untilFollowing(on, verifier);
      const times = await Promise.all(
        agents.map(async ({ credential }) => {
          await on.form('/oauth2/revoke', { token: credential });
          const began = Date.now();
          await untilRefused(verifier, credential);
          return Date.now() - began;
        }),
      );
      times.sort((a, b) => a - b);
      console.log(`until the first refusal: median ${times[10]} ms, p99 ${times.at(-1)} ms`);
      t.true(times.at(-1)! < 1000);
      verifier.close();
    });

    test('without the stream it is refused when the cached answer is over', async (t) => {
      const { credential } = await on.register();
      const verifier = api.verifier({ cacheSeconds: 1 });
      await verifier.verify(credential);
      await on.form('/oauth2/revoke', { token: credential });
      const began = Date.now();
      await verifier.verify(credential);
      await untilRefused(verifier, credential);
      t.true(Date.now() - began < 1500);
    });

    test('fewer scopes, an unlinked agent and an undone merge are known within a second', async (t) => {
      const mailbox = 'changes@example.com';
      const merged = await on.claimed(mailbox);
      const linked = await on.claimed(mailbox, true);
      const { deps } = on.service;
      const owner = merged.user_id;
      const changes: [string, () => Promise<void>, string[], string | undefined][] = [
        [
          merged.credential,
          () => narrowAgent(deps, asker, owner, merged.agent_id, ['read']),
          ['read'],
          owner,
        ],
        [merged.credential, () => undoMerge(deps, asker, owner, merged.agent_id), ['read'], undefined],
        [linked.credential, () => unlinkAgent(deps, asker, owner, linked.agent_id), ['read'], undefined],
      ];
      for (const [credential, change, scopes, ownerThen] of changes) {
        const verifier = await knowing(credential);
        await untilFollowing(on, verifier);
        await change();
        const began = Date.now();
        await until(async () => {
          const token = await verifier.verify(credential);
          return token.owner === ownerThen && token.scopes.join() === scopes.join();
        });
        t.true(Date.now() - began < 1000);
        verifier.close();
      }
    });

    test('a merge is told once, and one made while the program was away when it is back', async (t) => {
      const merges: { from: string; to: string }[] = [];
      let saved: string | undefined;
      const save = (id: string) => {
        saved = id;
      };
      const cursor: Cursor = { load: () => saved, save };
      const onMerge = (merge: { from: string; to: string }) => void merges.push(merge);
      const of = (agent: { user_id: string }) => merges.filter(({ to }) => to === agent.user_id).length;

      const first = api.verifier({ follow: true, cursor, onMerge });
      await untilFollowing(on, first);
      const one = await on.claimed('merge-one@example.com');
      await until(() => of(one) === 1);
      first.close();

      const two = await on.claimed('merge-two@example.com');
      const second = api.verifier({ follow: true, cursor, onMerge });
      await until(() => of(two) === 1);
      const three = await on.claimed('merge-three@example.com');
      await until(() => of(three) === 1);
      t.deepEqual([of(two), of(three)], [1, 1]);
      second.close();
    });

    test('a cursor that cannot be loaded is loaded again until it can', async (t) => {
      let loads = 0;
      const errors: unknown[] = [];
      const load = () => {
        loads += 1;
        if (loads < 3) throw new Error('the disk is away');
        return undefined;
      };
      const verifier = api.verifier({
        follow: true,
        cursor: { load, save() {} },
        onError: (error) => void errors.push(error),
      });
      await untilFollowing(on, verifier);
      t.deepEqual([loads, errors.length], [3, 2]);
      verifier.close();
    });

    test('a handler that fails is asked again until it succeeds', async (t) => {
      on.clock.advance(60); // what happened before was before this verifier's time
      let calls = 0;
      const errors: unknown[] = [];
      const verifier = api.verifier({
        follow: true,
        onMerge() {
          calls += 1;
          if (calls < 3) throw new Error('not now');
        },
        onError: (error) => void errors.push(error),
      });
      await untilFollowing(on, verifier);
      await on.claimed('again@example.com');
      await until(() => calls === 3);
      await on.claimed('afterwards@example.com');
      await until(() => calls === 4);
      t.is(errors.length, 2);
      verifier.close();
    });
  });
});

onEveryEngine('the verifier and outages', (engine, test) => {
  test('cached answers live on, others are "unavailable", and recovery is noticed', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const first = await startTestService(engine, { database });
    const api = await addApi(first);
    const port = new URL(first.url).port;
    const [known, fresh] = [await first.register(), await first.register()];
    const verifier = api.verifier({ cacheSeconds: 2 });
    const token = await verifier.verify(known.credential);
    await first.stop();

    t.is(await verifier.verify(known.credential), token);
    await assertRejected(t, verifier.verify(fresh.credential), isUnavailable);
    await until(() => verifier.verify(known.credential).then(() => false, isUnavailable));

    const second = await startTestService(engine, { database, env: { PORT: port, PUBLIC_URL: first.url } });
    t.teardown(() => second.stop());
    const began = Date.now();
    await until(() =>
      verifier.verify(known.credential).then(
        () => true,
        () => false,
      ),
    );
    t.true(Date.now() - began < 5000);
    await verifier.verify(fresh.credential);
  });

  test('a hanging authority is given up, and asked by one of many callers only', async (t) => {
    let connections = 0;
    const mute = createServer(() => {
      connections += 1;
    }).listen(0);
    await once(mute, 'listening');
    t.teardown(() => mute.close());
    const { port } = mute.address() as { port: number };
    const verifier = createVerifier({
      issuer: `http://localhost:${port}`,
      resource: 'https://api.example.com',
      clientId: 'rs_x',
      clientSecret: 'rss_x',
      timeoutSeconds: 0.3,
      follow: false,
    });
    const token = newSecret('sk', systemRandom);
    const all = await Promise.allSettled(Array.from({ length: 100 }, () => verifier.verify(token)));
    t.true(all.every((each) => each.status === 'rejected' && isUnavailable(each.reason)));
    await assertRejected(t, verifier.verify(newSecret('sk', systemRandom)), isUnavailable);
    t.is(connections, 1);
  });
});
