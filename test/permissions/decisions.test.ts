import { grantByTerminal } from '../../src/domain/permissions/decide-by-terminal.ts';
import { denyPermissions } from '../../src/domain/permissions/decide-request.ts';
import { createPolicy, createVerifier } from '../../src/resource-server/index.ts';
import { addApi } from '../helpers/api.ts';
import { asker } from '../helpers/api-keys.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { allOf, givenBy, keyClient, newPerson, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openPlaces, type TreeApi } from '../helpers/workspaces.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

onEveryEngine('decisions about permission requests', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    const limits = { permissionsPerIp: '100000/h', permissionSeconds: 30 * 86_400 };
    on = await startTestService(engine, { limits });
    api = await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => on.stop());

  const person = async () => (await newPerson(places)).id;
  async function asked(options: object = {}) {
    const agent = keyClient(on);
    const request = await agent.request(options);
    await agent.post(request);
    return { agent, request };
  }
  const endOf = async (options: object, giving: object = {}) => {
    const { agent, request } = await asked(options);
    await givenBy(on, request, await person(), giving);
    const { grant } = (await agent.show(request.id)).body.data;
    return Date.parse(grant.expires_at) - on.clock();
  };

  test('of sixteen people at once one decides: the others are told so, and one grant or none is there', async (t) => {
    const { request } = await asked();
    const people = await Promise.all(Array.from({ length: 16 }, person));
    const decided = await Promise.allSettled(
      people.map((by, index) =>
        index % 2 === 0 ? givenBy(on, request, by) : denyPermissions(on.service.deps, asker, request.id, by),
      ),
    );
    const [won, ...others] = decided.filter(({ status }) => status === 'fulfilled');
    t.truthy(won);
    t.is(others.length, 0);
    for (const each of decided) {
      if (each.status === 'rejected') t.is(each.reason.kind, 'requestDecided');
    }
    const grants = await countOf(on, 'permission_grants WHERE request_id = ?', [request.id]);
    const granted = await countOf(on, `events WHERE kind = 'permission.granted' AND details LIKE ?`, [
      `%${request.id}%`,
    ]);
    const denied = await countOf(on, `events WHERE kind = 'permission.denied' AND subject = ?`, [request.id]);
    t.deepEqual([granted, denied], grants === 1 ? [1, 0] : [0, 1]);
  });

  test('a grant ends with the least of what was asked, what was given and the limit of the service', async (t) => {
    const days = (count: number) => count * 86_400;
    // The end is cut to the second, and the clock goes on.
    const isAbout = (ms: number, wanted: number) => ms <= wanted && ms > wanted - 10_000;
    t.true(isAbout(await endOf({ lifetimeSeconds: days(3) }), 3 * DAY));
    t.true(isAbout(await endOf({ lifetimeSeconds: days(3) }, { lifetimeSeconds: 3600 }), HOUR));
    t.true(isAbout(await endOf({ lifetimeSeconds: days(90) }), 30 * DAY));
  });

  test('an entry that asks for less time ends before the grant, and nothing else does', async (t) => {
    const { agent, request } = await asked({
      permissions: [
        { ...READ_DOCUMENTS, path: 'long/' },
        { ...READ_DOCUMENTS, path: 'short/', lifetime_seconds: 3600 },
      ],
    });
    await givenBy(on, request, await person());
    const paths = async () =>
      (await agent.held()).body.data.grants[0].permissions
        .map(({ path }: { path: string }) => path)
        .toSorted();
    t.deepEqual(await paths(), ['long/', 'short/']);
    const { grant } = (await agent.show(request.id)).body.data;
    const of = (path: string) => grant.permissions.find((each: { path: string }) => each.path === path);
    const [long, short] = [of('long/'), of('short/')];
    t.is(long.expires_at, undefined);
    t.true(Date.parse(short.expires_at) <= on.clock() + HOUR);
    on.clock.advance(3601);
    t.deepEqual(await paths(), ['long/']);
    const { access_token } = (await agent.token()).body;
    t.deepEqual(
      (await api.ask(access_token)).body.authorization_details.map(({ path }: { path: string }) => path),
      ['long/'],
    );
  });

  test('what an unclaimed agent gets ends with it at the latest', async (t) => {
    const own = await startTestService(engine, {
      limits: { permissionsPerIp: '100000/h', unclaimedTtlSeconds: 7200 },
    });
    t.teardown(() => own.stop());
    const agent = keyClient(own);
    const request = await agent.request();
    await agent.post(request);
    await givenBy(own, request, (await own.claimed('a@example.com')).user_id);
    const { grant } = (await agent.show(request.id)).body.data;
    t.true(Date.parse(grant.expires_at) <= own.clock() + 2 * HOUR);
  });

  test('only APIs that understand workspaces see a token of a grant', async (t) => {
    const { agent, request } = await asked();
    await givenBy(on, request, await person());
    const { access_token } = (await agent.token()).body;
    t.true((await api.ask(access_token)).body.active);
    const plain = await addApi(on, 'https://plain.example.com');
    t.false(await plain.isActive(access_token));
  });

  test('neither an agent’s key, nor its token, nor another agent’s session key decides', async (t) => {
    const { agent, request } = await asked();
    const { credential } = await on.claimed(`${request.id.toLowerCase()}@example.com`);
    const other = keyClient(on);
    const own = await other.request({ permissions: [{ ...READ_DOCUMENTS, path: 'own/' }] });
    await other.post(own);
    await givenBy(on, own, await person());
    const { access_token } = (await other.token()).body;
    const path = `/agent/permissions/${request.id}/grant`;
    const body = { permissions: allOf(request) };
    for (const bearer of [credential, access_token]) t.is((await on.post(path, body, bearer)).status, 401);
    for (const by of [agent, other]) {
      t.is((await by.grant(request.id, body)).body.error.code, 'grant_not_allowed');
      t.is((await by.deny(request.id)).body.error.code, 'grant_not_allowed');
    }
    await t.throwsAsync(
      grantByTerminal(
        on.service.deps,
        asker,
        request.id,
        { thumbprint: agent.key.thumbprint, holder: undefined },
        body,
      ),
      { message: /Only a human/ },
    );
    t.is(await countOf(on, 'permission_grants WHERE request_id = ?', [request.id]), 0);
  });

  test('a call that was refused for want of a permission works as it was, once that is asked for and granted', async (t) => {
    const verifier = createVerifier({
      issuer: on.service.deps.config.publicUrl,
      resource: api.url,
      clientId: api.id,
      clientSecret: api.secret,
      follow: false,
    });
    const by = await person();
    const { agent, request } = await asked();
    await givenBy(on, request, by);
    const policy = createPolicy({
      scopes: { read: {}, write: { implies: ['read'] } },
      tools: { look: 'read' },
      service: 'vouchsafe.api',
      resolveResource: (_, { path }) => ({ workspace: by, path: String(path) }),
    });
    const call = async () => {
      const token = await verifier.verify((await agent.token()).body.access_token);
      return policy.decide(token, 'look', { path: 'notes/today.md' });
    };
    const refused = await call();
    t.false(refused.allowed);
    const { cap } = refused as { cap?: string };
    t.is(cap, `vouchsafe.api:${by}:notes/today.md:read`);
    const [, space, path, action] = cap!.split(':');
    const more = await agent.request({
      permissions: [{ ...READ_DOCUMENTS, space: space!, path: path!, actions: [action!] }],
    });
    await agent.post(more);
    await givenBy(on, more, by);
    t.true((await call()).allowed);
    await verifier.close();
  });

  test('a token for one action is asked about anew each time, by the kit, too', async (t) => {
    const verifier = createVerifier({
      issuer: on.service.deps.config.publicUrl,
      resource: api.url,
      clientId: api.id,
      clientSecret: api.secret,
      follow: false,
      cacheSeconds: 60,
    });
    const { agent, request } = await asked({ action: 'Read the plan', once: true });
    const { grantId } = await givenBy(on, request, await person());
    const { access_token } = (await agent.token()).body;
    t.regex((await verifier.verify(access_token)).actionHash!, /^[\w-]{43}$/);
    t.is((await agent.revoke(grantId)).status, 200);
    await t.throwsAsync(verifier.verify(access_token), { message: /./ }, 'nothing of it was remembered');
    await verifier.close();
  });

  test('codes are guessed from one budget over all replicas, and the answer is the same for all that are wrong', async (t) => {
    const limits = { permissionsPerIp: '100000/h', wrongPerIpHour: 4 };
    const one = await startTestService(engine, { limits });
    const other = await startTestService(engine, { limits, database: one.database, clock: one.clock });
    t.teardown(async () => {
      await other.stop();
      await one.stop();
    });
    const { user_code: code } = (await keyClient(one).ask()).body.data;
    const guess = async (at: TestService, guessed: string) => {
      const browser = openBrowser(at);
      await browser.get('/permissions');
      return (await browser.post('/permissions', { code: guessed })).status;
    };
    for (const [at, guessed] of [
      [one, 'AAAA-AAAA'],
      [other, 'BBBB-BBBB'],
      [one, 'CCCC-CCCC'],
      [other, 'DDDD-DDDD'],
    ] as const) {
      t.is(await guess(at, guessed), 400);
    }
    for (const at of [one, other]) t.is(await guess(at, code), 429);
  });

  test('a request is over when its time is, whoever decides', async (t) => {
    const { agent, request } = await asked({ requestLifeMs: DAY });
    on.clock.advance(86_401);
    await t.throwsAsync(givenBy(on, request, await person()), { message: /over/ });
    t.is((await agent.show(request.id)).body.data.state, 'expired');
    const again = await agent.post(request);
    t.deepEqual([again.status, again.body.error.code], [410, 'request_expired']);
  });
});
