import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { exportJWK, generateKeyPair } from 'jose';
import { ConnectedProfile, createRequest, registerAgent } from '../../src/client/index.ts';
import { takeGrant } from '../../src/commands/auth/take-grant.ts';
import { type PermissionGrant, signByService } from '../../src/lib/artifacts/permission-grant.ts';
import { codeOf } from '../helpers/code-of.ts';
import { READ_DOCUMENTS } from '../helpers/permissions.ts';
import { test } from '../helpers/suite.ts';

/** A service that answers what it likes. */
async function startStrange(t: ExecutionContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function open(t: ExecutionContext, service: string, more: object = {}) {
  const home = mkdtempSync(join(tmpdir(), 'vouchsafe-home-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const connected = await ConnectedProfile.open({ home, service, create: true, timeoutMs: 500, ...more });
  const { key } = { key: connected.profile.key().privateJwk };
  const request = await createRequest({ service, key, permissions: [READ_DOCUMENTS] });
  return { connected, request };
}

const json =
  (body: unknown, status = 200, headers = {}): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
const good = { id: 'prq_x', state: 'pending', expires_at: '2026-12-01T00:00:00.000Z' };

test('what a service answers that moves cursors, hides, or is no link is an error, and nothing of it is said', async (t) => {
  for (const data of [
    { ...good, verification_uri: 'https://id.example.com/\u001b]8;;x' },
    { ...good, verification_uri: 'javascript:alert(1)' },
    { ...good, user_code: 'ABCD\u202e' },
    { ...good, id: 'x\ny' },
    { ...good, state: 7 },
    { ...good, login: { account: '\u009b2J', expires_at: 'x' } },
    null,
    [],
  ]) {
    const service = await startStrange(t, json({ ok: true, data }));
    const { connected, request } = await open(t, service);
    const error = await t.throwsAsync(connected.sendRequest(request), undefined, JSON.stringify(data));
    t.is((error as { code?: string }).code, 'SERVICE_ERROR');
    t.regex(error!.message, /^[\x20-\x7e]*$/);
  }
  const laced = { credential: 'sk_\nEVIL=1', user_id: 'usr_1', agent_id: 'agt_1' };
  const service = await startStrange(
    t,
    json({ ok: true, data: { ...laced, claim_token: 'x', claim_token_expires_at: 'y' } }),
  );
  t.is(await codeOf(() => registerAgent({ service })), 'SERVICE_ERROR');
});

test('refusals are one line of letters, whatever the service writes', async (t) => {
  const message = 'No\u001b[2J\n\u202e way https://evil.example';
  const service = await startStrange(
    t,
    json({ ok: false, error: { code: 'request_decided', message } }, 409),
  );
  const { connected, request } = await open(t, service);
  const error = await t.throwsAsync(connected.sendRequest(request));
  t.like(error, { code: 'REQUEST_CONFLICT' });
  t.regex(error!.message, /^[\x20-\x7e]*$/);
});

test('a service that is silent, endless, elsewhere or broken ends a call in time, with a code', async (t) => {
  for (const [code, answer] of [
    ['NETWORK_ERROR', () => {}],
    ['NETWORK_ERROR', (_, response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end()],
    [
      'NETWORK_ERROR',
      (_, response) => {
        const more = setInterval(() => response.write('x'.repeat(1_000_000)), 1);
        response.on('close', () => clearInterval(more));
      },
    ],
    ['NETWORK_ERROR', (_, response) => response.destroy()],
    ['SERVICE_ERROR', (_, response) => response.end('<html>')],
    ['SERVICE_ERROR', json({ ok: false, error: { code: 'internal' } }, 500)],
    ['SERVICE_ERROR', json({ ok: false, error: { code: 'rate_limited' } }, 429, { 'Retry-After': '7' })],
    ['SESSION_KEY_ENDED', json({ ok: false, error: { code: 'invalid_token' } }, 401)],
    ['REQUEST_UNKNOWN', json({ ok: false, error: { code: 'not_found' } }, 404)],
    ['REQUEST_EXPIRED', json({ ok: false, error: { code: 'request_expired' } }, 410)],
  ] as [string, RequestListener][]) {
    const service = await startStrange(t, answer);
    const { connected, request } = await open(t, service);
    const start = performance.now();
    t.is(await codeOf(() => connected.sendRequest(request)), code);
    t.true(performance.now() - start < 5000);
  }
});

test('a grant by a key that is published no more is taken where the service says the same to the letter, and nowhere else', async (t) => {
  let answered: unknown;
  const asked: string[] = [];
  const service = await startStrange(t, (request, response) => {
    asked.push(request.url!);
    const isKeys = request.url === '/.well-known/jwks.json';
    const data = { ...good, state: 'granted', grant: answered };
    json(isKeys ? { keys: [] } : { ok: true, data })(request, response);
  });
  const { connected, request } = await open(t, service);
  const { privateKey } = await generateKeyPair('ES256');
  const sign = (more: object = {}) =>
    signByService<PermissionGrant>(
      {
        kind: 'vouchsafe.auth.grant',
        version: 1,
        id: 'grt_1',
        request_id: request.id,
        service,
        issued_at: request.issued_at,
        expires_at: request.expires_at,
        audience: { thumbprint: connected.profile.key().thumbprint },
        granted_by: { kind: 'human', account: 'usr_ann' },
        permissions: [
          {
            service: 'vouchsafe.api',
            resource: 'https://api.example.com',
            space: 'usr_ann',
            path: 'documents/',
            actions: ['read'],
          },
        ],
        ...more,
      },
      { kid: 'old', privateKey },
    );
  const grant = await sign();
  answered = await sign({ id: 'grt_2' });
  t.is(await codeOf(() => connected.verify(grant)), 'SIGNATURE_INVALID');
  await connected.profile.artifacts.saveRequest(request, 'made');
  await connected.profile.artifacts.updateRequest(request.id, { asked_at: 0 });
  answered = grant;
  t.is(await codeOf(() => connected.verify(grant)), undefined);
  const before = asked.length;
  for (const [code, more] of [
    ['WRONG_SERVICE', { service: 'https://id.example.com' }],
    ['WRONG_AUDIENCE', { audience: { thumbprint: 'A'.repeat(43) } }],
    ['REQUEST_EXPIRED', { expires_at: '2020-01-01T00:00:00Z' }],
  ] as const) {
    t.is(await codeOf(async () => connected.verify(await sign(more))), code);
  }
  t.is(asked.length, before, 'nothing is asked about what is not ours');
});

test('a service that grants more than it was told, or than was asked for, is told on, and nothing is taken in', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const keys = [{ ...(await exportJWK(publicKey)), kid: 'own', alg: 'ES256', use: 'sig' }];
  let permission: object = {};
  let asked: { id: string; issued_at: string; expires_at: string } | undefined;
  let thumbprint = '';
  const service = await startStrange(t, async (request, response) => {
    if (request.url === '/.well-known/jwks.json') return json({ keys })(request, response);
    const place = { service: 'vouchsafe.api', resource: 'https://api.example.com', space: 'usr_ann' };
    const grant = await signByService<PermissionGrant>(
      {
        kind: 'vouchsafe.auth.grant',
        version: 1,
        id: 'grt_1',
        request_id: asked!.id,
        service,
        issued_at: asked!.issued_at,
        expires_at: asked!.expires_at,
        audience: { thumbprint },
        granted_by: { kind: 'human', account: 'usr_ann' },
        permissions: [{ ...place, path: 'documents/', actions: ['read'], ...permission }],
      },
      { kid: 'own', privateKey },
    );
    json({ ok: true, data: { ...good, id: asked!.id, state: 'granted', grant } })(request, response);
  });
  const { connected, request } = await open(t, service);
  asked = request;
  thumbprint = connected.profile.key().thumbprint;
  const body = { permissions: [{ index: 0, actions: ['read'], space: 'usr_ann' }] };
  const granted = () => codeOf(() => connected.grantRequest(request, body));
  t.is(await granted(), undefined);
  for (const wider of [
    { actions: ['read', 'write'] },
    { path: '' },
    { path: 'other/' },
    { space: 'wsp_1' },
    { service: 'vouchsafe.kv' },
  ]) {
    permission = wider;
    t.is(await granted(), 'GRANT_BROADENED', JSON.stringify(wider));
    if ('space' in wider) continue; // It asks for whichever workspace the granter chooses.
    await connected.profile.artifacts.saveRequest(request, 'made');
    const { grant } = await connected.readRequestState(request.id);
    t.is(await codeOf(() => takeGrant(connected, grant)), 'GRANT_BROADENED', JSON.stringify(wider));
    await connected.profile.artifacts.updateRequest(request.id, { asked_at: 0 });
  }
  t.deepEqual(connected.profile.artifacts.grants(), []);
});

test('a clock that is more than a minute off is told once', async (t) => {
  for (const [ahead, told] of [
    [0, []],
    [59_000, []],
    [90_000, [90]],
    [-90_000, [-90]],
  ] as const) {
    const date = () => new Date(Date.now() + ahead).toUTCString();
    const service = await startStrange(t, (request, response) =>
      json({ ok: true, data: good }, 200, { Date: date() })(request, response),
    );
    const seconds: number[] = [];
    const { connected, request } = await open(t, service, { onSkew: (each: number) => seconds.push(each) });
    await connected.sendRequest(request);
    await connected.sendRequest(request);
    t.is(seconds.length, told.length, String(ahead));
    t.true(seconds.every((each, index) => Math.abs(each - told[index]!) <= 2));
  }
});
