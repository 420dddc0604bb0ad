import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { createCallApi } from '../../src/lib/call-api.ts';
import { openAgentClient } from '../helpers/agent-client.ts';
import { type AgentWorld, fine, grantsIn, openAgentWorld, said } from '../helpers/agent-world.ts';
import { addApi } from '../helpers/api.ts';
import { newMailbox } from '../helpers/common.ts';
import { createTestDatabase, type Reply, TEST_SECRET } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';
import { assertRefused } from '../helpers/wire.ts';

/** Capabilities that the operator adds (Agent Auth Protocol 1.0-draft, section 5.11), over a real API behind them. */

/** What the API was asked. */
interface Asked {
  path: string;
  bearer: string | undefined;
  contentType: string | undefined;
  body: unknown;
}

/** An API with a path for each way to answer. */
async function startApi() {
  const asked: Asked[] = [];
  const answers: Record<string, (response: ServerResponse) => void> = {
    '/echo': (response) => json(response, 200, { done: true, asked: asked.at(-1)!.body }),
    '/deep/echo': (response) => json(response, 201, [1, 'two', null]),
    '/null': (response) => json(response, 200, null),
    '/silent': () => {},
    '/half': (response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.write('{"done":');
    },
    '/drip': (response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    },
    '/error': (response) => json(response, 500, { secret: 'stack trace' }),
    '/refusal': (response) => json(response, 403, { error: 'no' }),
    '/garbage': (response) => response.end('<html>secret</html>'),
    '/nothing': (response) => response.writeHead(204).end(),
    '/huge': (response) => json(response, 200, { text: 'x'.repeat(300 * 1024) }),
    '/redirect': (response) => response.writeHead(302, { Location: '/echo' }).end(),
    '/hang-up': (response) => response.destroy(),
  };
  function json(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  }
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += chunk;
    const { authorization, 'content-type': contentType } = request.headers;
    const bearer = /^Bearer (.*)$/.exec(authorization ?? '')?.[1];
    asked.push({ path: request.url!, bearer, contentType, body: text === '' ? undefined : JSON.parse(text) });
    answers[request.url!]!(response);
  }
  const server: Server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    asked,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function configFile(content: object): string {
  const path = join(mkdtempSync(join(tmpdir(), 'vouchsafe-capabilities-')), 'config.json');
  writeFileSync(path, JSON.stringify(content));
  return path;
}

const TRANSFER = {
  type: 'object',
  properties: {
    to: { type: 'string', minLength: 1 },
    amount: { type: 'number', exclusiveMinimum: 0 },
    note: { type: 'string' },
  },
  required: ['to', 'amount'],
  additionalProperties: false,
};

const FAULTS = [
  'half',
  'drip',
  'silent',
  'error',
  'refusal',
  'garbage',
  'nothing',
  'huge',
  'redirect',
  'hang-up',
];
const nameOf = (path: string) => path.replace('-', '_');

onEveryEngine('capabilities of the operator', (engine, test) => {
  let backend: Awaited<ReturnType<typeof startApi>>;
  let world: AgentWorld;
  test.before(async () => {
    backend = await startApi();
    const own = (name: string, path: string, more: object = {}) => ({
      name,
      description: `Does ${name}`,
      scope: 'write',
      forwardTo: backend.url + path,
      ...more,
    });
    const CONFIG = configFile({
      capabilities: [
        own('transfer', '/echo', { input: TRANSFER, output: { type: 'object' } }),
        own('anything', '/echo'),
        own('deep', '/deep/echo', { scope: 'read' }),
        own('null', '/null'),
        ...FAULTS.map((path) => own(nameOf(path), `/${path}`)),
        { name: 'away', description: 'Elsewhere', scope: 'read', location: `${backend.url}/away/run` },
        {
          name: 'further',
          description: 'Further away',
          scope: 'read',
          location: 'https://further.example.com',
        },
      ],
    });
    world = await openAgentWorld(engine, { env: { CONFIG } });
  });
  test.after(async () => {
    await world.stop();
    await backend.stop();
  });

  const refused = (t: ExecutionContext, reply: Reply, expected: string, about = '') => {
    const [status, code] = expected.split(' ');
    assertRefused(t, world.on, reply, 'agent protocol', Number(status), code!, about);
  };
  const allowed = (...capabilities: (string | { name: string; constraints: object })[]) =>
    world.letIn(newMailbox(), { capabilities });

  test.describe('that are forwarded', (test) => {
    test('are listed and described like the others, behind what anybody may have', async (t) => {
      const { client } = world;
      const { capabilities } = fine(await client.list(undefined));
      const names = capabilities.map(({ name }: { name: string }) => name);
      t.deepEqual(names.slice(0, 4), ['whoami', 'read', 'write', 'transfer']);
      const transfer = fine(await client.describe('transfer'));
      t.deepEqual(transfer, {
        name: 'transfer',
        description: 'Does transfer',
        input: TRANSFER,
        output: { type: 'object' },
      });
    });

    test('reach the API with what was asked and a bearer for it alone; its answer goes back', async (t) => {
      const { client, introspectBearer, on } = world;
      const api = await addApi(on, backend.url);
      const agent = await allowed('transfer');
      const args = { to: 'ada', amount: 12.5 };
      const reply = await client.execute(agent, 'transfer', args);
      t.deepEqual(fine(reply), {
        data: { done: true, asked: { capability: 'transfer', arguments: args } },
      });
      const { bearer, contentType, path } = backend.asked.at(-1)!;
      t.deepEqual([path, contentType], ['/echo', 'application/json']);
      const heard = await introspectBearer(bearer!, api);
      t.deepEqual(
        [heard.active, heard.scope, heard.aud, heard.sub, heard.client_id],
        [true, 'write', api.resource, agent.userId, agent.id],
      );
      t.false((await introspectBearer(bearer!)).active, 'another API');
      on.clock.advance(59);
      t.true((await introspectBearer(bearer!, api)).active);
      on.clock.advance(1);
      t.false((await introspectBearer(bearer!, api)).active);
      t.is(await world.eventsOf('capability.executed', agent.id), 1);
    });

    test('carry a bearer for the nearest resource that is known above the address', async (t) => {
      const { client, introspectBearer, on } = world;
      const near = await addApi(on, `${backend.url}/deep`);
      const beside = await addApi(on, `${backend.url}/de`);
      const agent = await allowed('deep');
      t.deepEqual(fine(await client.execute(agent, 'deep')), { data: [1, 'two', null] });
      const { bearer } = backend.asked.at(-1)!;
      t.is((await introspectBearer(bearer!, near)).scope, 'read');
      t.false((await introspectBearer(bearer!, beside)).active);
    });

    test('may answer with whatever is JSON', async (t) => {
      const agent = await allowed('null');
      t.deepEqual(fine(await world.client.execute(agent, 'null')), { data: null });
    });

    test('die with their agent: a bearer that is on its way is revoked with it', async (t) => {
      const { client, introspectBearer, on } = world;
      const api = await addApi(on, backend.url);
      const agent = await allowed('anything');
      fine(await client.execute(agent, 'anything', {}));
      const { bearer } = backend.asked.at(-1)!;
      fine(await client.disconnect(agent));
      t.false((await introspectBearer(bearer!, api)).active);
    });

    test('are for nobody without a human, also where the scope is one that anybody may have', async (t) => {
      const { client } = world;
      const host = client.newHost();
      const { reply } = await client.connect(host, { mode: 'autonomous', capabilities: ['deep', 'read'] });
      t.deepEqual(grantsIn({ body: fine(reply) }), { deep: 'denied', read: 'active' });
      const { agent } = await client.connect(host, { mode: 'autonomous' });
      t.deepEqual(grantsIn(await client.status(agent)), { read: 'active', whoami: 'active' });
      refused(t, await client.execute(agent, 'deep'), '403 capability_not_granted');
      const owned = await allowed('read');
      const more = await client.connect(owned.host, { capabilities: ['deep'] });
      t.is(fine(more.reply).status, 'pending');
    });

    test('are not called with what their schema does not allow, and the answer says where to look', async (t) => {
      const { client } = world;
      const agent = await allowed('transfer');
      const calls = backend.asked.length;
      const tokens = await world.count('credentials WHERE agent_id = ?', [agent.id]);
      const wrong: object[] = [
        {},
        { to: 'ada' },
        { to: 'ada', amount: '12' },
        { to: 'ada', amount: 0 },
        { to: '', amount: 1 },
        { to: 'ada', amount: 1, note: 7 },
        { to: 'ada', amount: 1, zQmarkQz: true },
        { to: ['ada'], amount: 1 },
        { to: null, amount: 1 },
      ];
      for (const args of wrong) {
        const reply = await client.execute(agent, 'transfer', args);
        refused(t, reply, '400 invalid_request', JSON.stringify(args));
        t.is(reply.body.field, 'arguments');
      }
      refused(t, await client.execute(agent, 'transfer'), '400 invalid_request', 'none at all');
      for (const args of ['x', 7, ['x'], true]) {
        const reply = await client.execute(agent, 'transfer', undefined, { body: { arguments: args } });
        refused(t, reply, '400 invalid_request', JSON.stringify(args));
      }
      t.is(backend.asked.length, calls);
      t.is(await world.count('credentials WHERE agent_id = ?', [agent.id]), tokens);
    });

    test('whose API errs, rambles, leads elsewhere or is not there fail in bounded time, and tell nothing of it', async (t) => {
      const { client, on } = world;
      const { deps } = on.service;
      const { callApi } = deps;
      deps.callApi = createCallApi(250);
      try {
        const agent = await allowed(...FAULTS.map(nameOf));
        for (const path of FAULTS) {
          const began = performance.now();
          const reply = await client.execute(agent, nameOf(path));
          t.true(performance.now() - began < 5000, path);
          t.is(said(reply), '502 execution_failed', path);
          t.deepEqual(Object.keys(reply.body), ['error', 'message', 'request_id'], path);
          t.notRegex(reply.text, /secret|127\.0\.0\.1|stack/, path);
        }
        // It was not led on: the answer behind the redirect is nobody's.
        t.is(backend.asked.at(-2)!.path, '/redirect');
        t.is(await world.eventsOf('capability.executed', agent.id), 0);
        t.is(await world.eventsOf('capability.refused', agent.id), FAULTS.length);
      } finally {
        deps.callApi = callApi;
      }
    });

    test('an API that does not answer holds nobody else up', async (t) => {
      const { client, on } = world;
      const { deps } = on.service;
      const { callApi } = deps;
      deps.callApi = createCallApi(1500);
      try {
        const agent = await allowed('silent', 'whoami');
        const waiting = Promise.all(Array.from({ length: 16 }, () => client.execute(agent, 'silent')));
        const began = performance.now();
        fine(await client.execute(agent, 'whoami'));
        fine(await client.status(agent));
        t.true(performance.now() - began < 1200);
        for (const reply of await waiting) t.is(said(reply), '502 execution_failed');
      } finally {
        deps.callApi = callApi;
      }
    });
  });

  test.describe('and their constraints', (test) => {
    const TABLE: [constraint: unknown, fits: unknown[], violates: unknown[]][] = [
      [{ max: 10 }, [10, 9.5, -1, 0], [10.5, 11, '9', null, true, [9], undefined]],
      [{ min: 10 }, [10, 10.5, 1e9], [9.5, 9, '11', null, undefined]],
      [{ min: 1, max: 5 }, [1, 3, 5], [0, 6, '3', undefined]],
      [{ in: ['a', 'b', 7] }, ['a', 'b', 7, 7.0], ['c', 'A', '7', ['a'], null, undefined]],
      [{ in: [] }, [], ['a', 0, null, undefined]],
      [{ not_in: ['a', 7] }, ['b', '7', null, ['a'], undefined], ['a', 7]],
      [{ eq: 'x' }, ['x'], ['y', 'X', null, undefined]],
      [{ eq: null }, [null], ['x', 0, false, undefined]],
      [{ eq: { a: [1] } }, [{ a: [1] }], [{ a: [2] }, { a: 1 }, {}, undefined]],
      [{ in: ['a', 'b'], not_in: ['b'] }, ['a'], ['b', 'c', undefined]],
      ['x', ['x'], ['y', '', null, ['x'], undefined]],
      [7, [7, 7.0], [8, '7', null, undefined]],
      [0, [0], [false, '', null, 1, undefined]],
      [true, [true], [false, 'true', 1, undefined]],
      [null, [null], [0, '', false, undefined]],
      [['a', 'b'], [['a', 'b']], [['b', 'a'], ['a'], 'a', undefined]],
    ];
    for (const [constraint, fits, violates] of TABLE) {
      test(`${JSON.stringify(constraint)} is enforced before anything happens`, async (t) => {
        const { client } = world;
        const agent = await allowed({ name: 'anything', constraints: { field: constraint } });
        for (const field of fits) {
          const reply = await client.execute(agent, 'anything', { field, other: 'free' });
          t.is(said(reply), '200', `${JSON.stringify(field)}: ${reply.text}`);
        }
        const calls = backend.asked.length;
        for (const field of violates) {
          const about = field === undefined ? 'missing' : JSON.stringify(field);
          const reply = await client.execute(agent, 'anything', { field, other: 'free' });
          refused(t, reply, '403 constraint_violated', about);
          for (const violation of reply.body.violations) {
            t.deepEqual(Object.keys(violation), ['field', 'constraint', 'actual']);
            t.is(violation.field, 'field');
            t.deepEqual(violation.actual, field === undefined ? null : field);
          }
        }
        if (violates.includes(undefined)) {
          refused(
            t,
            await client.execute(agent, 'anything'),
            '403 constraint_violated',
            'no arguments at all',
          );
        }
        t.is(backend.asked.length, calls);
      });
    }

    test('hold for each field by itself, and for no other', async (t) => {
      const { client } = world;
      const constraints = { to: { in: ['ada', 'bob'] }, amount: { max: 50 } };
      const agent = await allowed({ name: 'transfer', constraints });
      fine(await client.execute(agent, 'transfer', { to: 'bob', amount: 50, note: 'x' }));
      const reply = await client.execute(agent, 'transfer', { to: 'eve', amount: 51 });
      refused(t, reply, '403 constraint_violated');
      t.deepEqual(reply.body.violations, [
        { field: 'to', constraint: { in: ['ada', 'bob'] }, actual: 'eve' },
        { field: 'amount', constraint: { max: 50 }, actual: 51 },
      ]);
    });

    test('names that every object has are fields like all others', async (t) => {
      const { client } = world;
      const agent = await allowed({
        name: 'anything',
        constraints: { toString: 'x', hasOwnProperty: { max: 1 } },
      });
      refused(t, await client.execute(agent, 'anything', {}), '403 constraint_violated');
      fine(await client.execute(agent, 'anything', { toString: 'x', hasOwnProperty: 1 }));
    });
  });

  test.describe('that are used elsewhere', (test) => {
    test('are listed with where, and are not used here', async (t) => {
      const { client } = world;
      const listed = fine(await client.list(undefined)).capabilities.find(
        ({ name }: { name: string }) => name === 'away',
      );
      t.deepEqual(listed, {
        name: 'away',
        description: 'Elsewhere',
        location: `${backend.url}/away/run`,
      });
      t.is(fine(await client.describe('away')).location, `${backend.url}/away/run`);
      const agent = await allowed('away', 'whoami');
      refused(t, await client.execute(agent, 'away'), '404 capability_not_found');
    });

    test('the API there verifies a token that is for that very place, and nobody else does', async (t) => {
      const { client, introspect, on } = world;
      const there = await addApi(on, `${backend.url}/away`);
      const other = await addApi(on, 'https://other.example.com');
      const agent = await allowed('away', 'further', 'whoami');
      const sign = (location: string) =>
        client.agentToken(agent, location, { claims: { capabilities: ['away'] } });
      const token = sign(`${backend.url}/away/run`);
      for (const stranger of [other, world.api]) {
        t.deepEqual(fine(await introspect(token, stranger)), { active: false }, stranger.resource);
      }
      const heard = fine(await introspect(token, there));
      t.deepEqual(
        [heard.active, heard.aud, heard.agent_capability_grants],
        [true, `${backend.url}/away/run`, [{ capability: 'away', status: 'active' }]],
      );
      for (const elsewhere of [
        `${backend.url}/away/else`,
        'https://further.example.com',
        `${backend.url}/awayrun`,
      ]) {
        t.deepEqual(fine(await introspect(sign(elsewhere), there)), { active: false }, elsewhere);
      }
      // Nor is such a token of use here.
      const reply = await client.post('/capability/execute', sign(`${backend.url}/away/run`), {
        capability: 'whoami',
      });
      refused(t, reply, '401 invalid_jwt');
    });
  });

  test('what is not there is 404, whatever the token says', async (t) => {
    const agent = await allowed('whoami');
    refused(t, await world.client.execute(agent, 'fly'), '404 capability_not_found');
    refused(t, await world.client.execute(agent, 'whoam'), '404 capability_not_found');
  });

  test('a scope that is built in wants its own arguments, and a resource that is known', async (t) => {
    const { client } = world;
    const agent = await allowed('read');
    const wrong: [args: object, expected: string][] = [
      [{ seconds: 59 }, '400 invalid_request'],
      [{ seconds: 901 }, '400 invalid_request'],
      [{ seconds: 60.5 }, '400 invalid_request'],
      [{ seconds: '60' }, '400 invalid_request'],
      [{ scope: 'write' }, '400 invalid_request'],
      [{ resource: 7 }, '400 invalid_request'],
      [{ resource: 'https://unknown.example.com' }, '400 invalid_request'],
      [{ resource: 'nonsense' }, '400 invalid_request'],
    ];
    for (const [args, expected] of wrong) {
      refused(t, await client.execute(agent, 'read', args), expected, JSON.stringify(args));
    }
  });
});

onEveryEngine('a capability that the operator takes away', (engine, test) => {
  test('is executed no more, and neither listed nor introspected, though it was granted', async (t) => {
    const backend = await startApi();
    t.teardown(() => backend.stop());
    const own = [{ name: 'extra', description: 'More', scope: 'read', forwardTo: `${backend.url}/echo` }];
    const database = await createTestDatabase(engine);
    const first = await openAgentWorld(engine, {
      database,
      env: { CONFIG: configFile({ capabilities: own }) },
    });
    const agent = await first.letIn(newMailbox(), { capabilities: ['extra', 'whoami'] });
    fine(await first.client.execute(agent, 'extra', {}));
    const { url } = first.on;
    await first.stop();

    const second = await openAgentWorld(engine, { database, env: { PUBLIC_URL: url } });
    t.teardown(async () => {
      await second.stop();
      await database.drop();
    });
    const client = openAgentClient(second.on, url);
    t.is(said(await client.execute(agent, 'extra', {})), '404 capability_not_found');
    const heard = fine(await second.introspect(client.agentToken(agent, url)));
    t.deepEqual(heard.agent_capability_grants, [{ capability: 'whoami', status: 'active' }]);
    t.deepEqual(fine(await client.execute(agent, 'whoami')).data.grants, ['whoami']);
  });
});

test.describe('capabilities in the configuration', (test) => {
  const load = (capabilities: unknown, more: object = {}, env: Record<string, string> = {}) =>
    loadConfig({
      SECRET: TEST_SECRET,
      CONFIG: configFile({ capabilities, ...more }),
      ...env,
    });
  const fineOne = {
    name: 'extra',
    description: 'More',
    scope: 'read',
    forwardTo: 'https://api.example.com/extra',
  };

  test('are taken where they are right', (t) => {
    const { capabilities } = load([
      fineOne,
      { ...fineOne, name: 'local', forwardTo: 'http://localhost:4000/x' },
    ]);
    t.deepEqual(
      capabilities.map(({ name, check }) => [name, check({ anything: true })]),
      [
        ['extra', undefined],
        ['local', undefined],
      ],
    );
  });

  const { forwardTo: _, ...placeless } = fineOne;
  const PUBLIC = {
    PUBLIC_URL: 'https://id.example.com',
    SMTP_URL: 'smtp://mail.example.com',
    MAIL_FROM: 'id@example.com',
  };
  const wrong: [about: string, capabilities: unknown, more?: object, env?: Record<string, string>][] = [
    ['no list', {}],
    ['a name in capitals', [{ ...fineOne, name: 'Extra' }]],
    ['a name without end', [{ ...fineOne, name: 'x'.repeat(65) }]],
    ['no description', [{ ...fineOne, description: '' }]],
    ['a scope that is not listed', [{ ...fineOne, scope: 'admin' }]],
    ['no place', [placeless]],
    ['two places', [{ ...fineOne, location: 'https://api.example.com/x' }]],
    ['a member that nobody knows', [{ ...fineOne, secret: 'x' }]],
    ['no URL', [{ ...fineOne, forwardTo: '/extra' }]],
    ['another protocol', [{ ...fineOne, forwardTo: 'ftp://api.example.com' }]],
    ['plain http to another machine', [{ ...fineOne, forwardTo: 'http://api.example.com' }]],
    [
      'plain http of a public service to this machine',
      [{ ...fineOne, forwardTo: 'http://localhost:4000' }],
      {},
      PUBLIC,
    ],
    ['a schema that is none', [{ ...fineOne, input: { type: 'nonsense' } }]],
    ['a name twice', [fineOne, fineOne]],
    ['a name that is built in', [{ ...fineOne, name: 'whoami' }]],
    ['the name of a scope’s own', [{ ...fineOne, name: 'read' }]],
    [
      'scopes whose capabilities have one name',
      [],
      {
        scopes: {
          read: { description: 'Look' },
          write: { description: 'Change' },
          'a:b': { description: 'One' },
          a_b: { description: 'Another' },
        },
      },
    ],
    [
      'a scope with the name of what is built in',
      [],
      {
        scopes: {
          read: { description: 'Look' },
          write: { description: 'Change' },
          whoami: { description: 'Me' },
        },
      },
    ],
  ];
  for (const [about, capabilities, more, env] of wrong) {
    test(`${about}: it does not start, and says why`, (t) => {
      t.throws(() => load(capabilities, more, env), { instanceOf: ConfigError, message: /capabilit|scope/i });
    });
  }
});
