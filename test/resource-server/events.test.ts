import { createHash } from 'node:crypto';
import { revokeAgent } from '../../src/domain/agents/end-agent.ts';
import { listResourceServers, removeResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import type { RevocationEvent } from '../../src/domain/audiences/revocation-feed.ts';
import type { Db, Value } from '../../src/store/engine/db.ts';
import { localOrigin } from '../../src/work.ts';
import { createRevocationFeedHub } from '../../src/workers/revocation-feed-hub.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { basic, createTestDatabase, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const PATH = '/resource/events';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

interface Event {
  id: string;
  type: string;
  token_hashes: string[];
  key_ids: string[];
  merged_from?: string;
  user_id?: string;
}

onEveryEngine('what resource servers follow', (engine, test) => {
  let on: TestService;
  let api: Api;
  let other: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
    other = await addApi(on, 'https://other.example.com');
  });
  test.after(() => on.stop());

  const asked = (who: Api, query = '', headers: Record<string, string> = {}) =>
    on.request('GET', PATH + query, { headers: { ...basic(who.clientId, who.clientSecret), ...headers } });
  const now = async (who = api) => (await asked(who)).body.last as string;
  const since = async (last: string, who = api) =>
    (await asked(who, `?after=${last}`)).body as { events: Event[]; last: string };

  /** Opens the stream, and reads events from it one by one. */
  async function listen(who: Api, headers: Record<string, string> = {}, service = on) {
    const stop = new AbortController();
    const response = await fetch(service.url + PATH, {
      headers: {
        ...basic(who.clientId, who.clientSecret),
        Accept: 'text/event-stream',
        ...headers,
      },
      signal: stop.signal,
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    async function block(): Promise<string | undefined> {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end !== -1) {
          const found = text.slice(0, end);
          text = text.slice(end + 2);
          return found;
        }
        const { value, done } = await reader.read();
        if (done) return undefined;
        text += value;
      }
    }
    return {
      response,
      begun: await block(),
      async next(): Promise<Event | undefined> {
        for (;;) {
          const found = await block();
          if (found === undefined) return undefined;
          const data = /^data: (.*)$/m.exec(found)?.[1];
          if (data !== undefined) return JSON.parse(data) as Event;
        }
      },
      stop: () => stop.abort(),
    };
  }

  test('only resource servers may follow', async (t) => {
    const { credential } = await on.register();
    for (const headers of [{}, { Authorization: `Bearer ${credential}` }, basic(api.clientId, 'rss_wrong')]) {
      for (const Accept of ['*/*', 'text/event-stream']) {
        const reply = await on.request('GET', PATH, {
          headers: { ...headers, Accept } as Record<string, string>,
        });
        t.is(reply.status, 401);
        t.is(reply.body.error, 'invalid_client');
      }
    }
    t.is((await on.request('POST', PATH)).status, 405);
  });

  test('without an id it begins now; with one it goes on behind it, and says where to go on next', async (t) => {
    const { credential } = await on.register();
    await on.form('/oauth2/revoke', { token: credential });
    on.clock.advance(1);
    const last = await now();
    t.deepEqual(await since(last), { events: [], last });
    const next = await on.register();
    await on.form('/oauth2/revoke', { token: next.credential });
    const page = await since(last);
    t.deepEqual(
      page.events.map(({ type, token_hashes }) => [type, token_hashes]),
      [['revoked', [sha256(next.credential)]]],
    );
    t.is(page.last, page.events[0]!.id);
    t.deepEqual(await since(page.last), { events: [], last: page.last });
    for (const wrong of ['x', 'evt_', 'evt_0%00', `evt_${'0'.repeat(60)}`]) {
      t.is((await asked(api, `?after=${wrong}`)).status, 400, wrong);
    }
  });

  test('it tells of revocations, changes and merges, and holds no secret', async (t) => {
    on.clock.advance(1);
    const last = await now();
    const agent = await on.claimed('told@example.com');
    await on.get('/api/me', agent.credential);
    await revokeAgent(on.service.deps, localOrigin('test'), agent.agent_id);
    const page = await since(last);
    t.deepEqual(
      page.events.map(({ type }) => type),
      ['account_merged', 'revoked', 'revoked'],
    );
    const [merged, , revoked] = page.events;
    t.is(merged!.user_id, agent.user_id);
    t.regex(merged!.merged_from!, /^usr_/);
    t.true(merged!.token_hashes.includes(sha256(agent.old)));
    t.true(revoked!.token_hashes.includes(sha256(agent.credential)));
    const text = JSON.stringify(page);
    for (const secret of [agent.credential, agent.old, agent.claim_token, 'told@example.com', '127.0.0.1']) {
      t.false(text.includes(secret), secret);
    }
  });

  test('a key for one resource server is nobody else’s business', async (t) => {
    const agent = await on.claimed('narrow@example.com');
    const made = await on.post(
      '/api/tokens',
      { name: 'one', scope: 'read', resources: [api.resource] },
      { Authorization: `Bearer ${agent.credential}` },
    );
    on.clock.advance(1);
    const last = await now();
    await on.form('/oauth2/revoke', { token: made.body.data.credential });
    t.is((await since(last)).events.length, 1);
    t.is((await since(last, other)).events.length, 0);
  });

  test('the stream tells each event as it happens, and says at once where it begins', async (t) => {
    const stream = await listen(api);
    t.is(stream.response.status, 200);
    t.is(stream.response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    t.is(stream.response.headers.get('cache-control'), 'no-store');
    t.regex(stream.begun!, /^id: evt_/);
    on.clock.advance(1);
    const { credential } = await on.register();
    await on.form('/oauth2/revoke', { token: credential });
    for (;;) {
      const event = await stream.next();
      if (event!.token_hashes.includes(sha256(credential))) break;
    }
    stream.stop();
  });

  test('what happened while a stream was cut off comes when it is back, in order', async (t) => {
    on.clock.advance(60);
    const first = await listen(api);
    const known = await on.register();
    await on.form('/oauth2/revoke', { token: known.credential });
    const last = (await first.next())!.id;
    first.stop();

    on.clock.advance(60);
    const missed = [await on.register(), await on.register(), await on.register()];
    for (const { credential } of missed) await on.form('/oauth2/revoke', { token: credential });
    const second = await listen(api, { 'Last-Event-ID': last });
    const hashes: string[] = [];
    while (hashes.length < 3) {
      const event = (await second.next())!;
      if (event.id > last) hashes.push(...event.token_hashes);
    }
    t.deepEqual(
      hashes,
      missed.map(({ credential }) => sha256(credential)),
    );
    second.stop();
  });

  test('a resource server that is removed is told nothing more', async (t) => {
    const gone = await addApi(on, 'https://gone.example.com');
    const stream = await listen(gone);
    await removeResourceServer(on.service.deps, localOrigin('test'), gone.clientId);
    await on.form('/oauth2/revoke', { token: (await on.register()).credential });
    t.is(await stream.next(), undefined);
  });
});

onEveryEngine('what resource servers follow, when two begin at once', (engine, test) => {
  test('what the first has yet to be told is not taken for old by the second', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    await addApi(on);
    const { deps } = on.service;
    const [server] = await listResourceServers(deps);
    const { credential } = await on.register();
    let looks = 0;
    const gate = Promise.withResolvers<void>();
    const db: Db = {
      ...deps.db,
      async all<Row>(sql: string, params?: readonly Value[]) {
        looks += 1;
        if (looks === 2) await gate.promise;
        return deps.db.all<Row>(sql, params);
      },
    };
    const hub = createRevocationFeedHub({ ...deps, db });
    t.teardown(() => hub.stop());
    const told = Promise.withResolvers<RevocationEvent>();
    const first = hub.follow(server!, undefined, { notify: told.resolve, end() {} });
    const second = hub.follow(server!, undefined, { notify() {}, end() {} });
    await first;
    await on.form('/oauth2/revoke', { token: credential });
    gate.resolve();
    await second;
    t.is((await told.promise).keys[0]!.hash.toString('hex'), sha256(credential));
  });
});

onEveryEngine('what resource servers follow, and several processes', (engine, test) => {
  test('what happens at one process is told by the other within a second; and a stop ends the streams', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const one = await startTestService(engine, { database });
    const two = await startTestService(engine, { database, clock: one.clock });
    const api = await addApi(one);
    const response = await fetch(two.url + PATH, {
      headers: { ...basic(api.clientId, api.clientSecret), Accept: 'text/event-stream' },
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const { credential } = await one.register();
    await one.form('/oauth2/revoke', { token: credential });
    const began = Date.now();
    for (let text = ''; !text.includes(sha256(credential)); ) text += (await reader.read()).value ?? '';
    t.true(Date.now() - began < 1000);
    await Promise.all([one.stop(), two.stop()]);
    while (!(await reader.read()).done);
  });
});
