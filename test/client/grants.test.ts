import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import {
  type PermissionGrant,
  readDenial,
  readGrant,
  readLogin,
  verifyAnswer,
  verifyDenial,
  verifyGrant,
} from '../../src/client/index.ts';
import {
  type PermissionDenial,
  signByService,
  type TerminalLogin,
} from '../../src/lib/artifacts/permission-grant.ts';
import { codeOf } from '../helpers/code-of.ts';
import { VECTOR, VECTOR_THUMBPRINT } from '../helpers/request-vector.ts';
import { test } from '../helpers/suite.ts';

const now = Date.parse('2026-11-26T10:00:00Z');

async function newService() {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(publicKey);
  return { kid: await calculateJwkThumbprint(jwk), jwk, privateKey };
}

const unsigned = {
  kind: 'vouchsafe.auth.grant',
  version: 1,
  id: 'grt_1',
  request_id: VECTOR.id,
  service: VECTOR.service,
  issued_at: '2026-11-26T09:00:00Z',
  expires_at: '2026-12-01T09:00:00Z',
  audience: { thumbprint: VECTOR_THUMBPRINT, agent_id: 'agt_1' },
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
  withheld: [{ service: 'vouchsafe.api', space: 'default', path: 'documents/', actions: ['list'] }],
} satisfies Omit<PermissionGrant, 'proof'>;

const service = await newService();
const grant = await signByService<PermissionGrant>(unsigned, service);
const verify = (
  value: unknown,
  more: { thumbprints?: string[]; service?: string; now?: number; key?: JWK } = {},
) =>
  codeOf(() =>
    verifyGrant(readGrant(value), {
      service: VECTOR.service,
      thumbprints: [VECTOR_THUMBPRINT],
      findKey: (kid) => (kid === service.kid ? (more.key ?? service.jwk) : undefined),
      now,
      ...more,
    }),
  );

test('a grant is verified by the key of its service, for the key that asked and those after it', async (t) => {
  t.is(await verify(JSON.parse(JSON.stringify(grant, null, 2))), undefined);
  t.is(await verify(grant, { thumbprints: ['another', VECTOR_THUMBPRINT] }), undefined);
  t.is(await verify(grant, { thumbprints: ['A'.repeat(43)] }), 'WRONG_AUDIENCE');
  t.is(await verify(grant, { service: 'https://id.example.net' }), 'WRONG_SERVICE');
  t.is(await verify(grant, { key: (await newService()).jwk }), 'SIGNATURE_INVALID');
  t.is(await verify(grant, { now: Date.parse(unsigned.expires_at) + 61_000 }), 'REQUEST_EXPIRED');
});

test('a grant that is wider, for another key, or signed as something else is refused', async (t) => {
  const [permission] = unsigned.permissions;
  const denial = await signByService<PermissionDenial>(
    {
      kind: 'vouchsafe.auth.denial',
      version: 1,
      request_id: VECTOR.id,
      service: VECTOR.service,
      issued_at: unsigned.issued_at,
      audience: unsigned.audience,
    },
    service,
  );
  for (const tampered of [
    { ...grant, permissions: [{ ...permission, actions: ['read', 'write'] }] },
    { ...grant, permissions: [{ ...permission, path: '' }] },
    { ...grant, expires_at: '2027-11-26T09:00:00Z' },
    { ...grant, audience: { thumbprint: VECTOR_THUMBPRINT } },
    { ...grant, id: 'grt_2' },
    { ...grant, proof: denial.proof },
    { ...grant, proof: VECTOR.proof },
    { ...grant, proof: grant.proof.replace('..', '.e30.') },
    { ...grant, proof: undefined },
  ]) {
    const code = await verify(JSON.parse(JSON.stringify(tampered)));
    t.true(code === 'SIGNATURE_INVALID' || code === 'INVALID_GRANT_ARTIFACT', JSON.stringify(tampered));
  }
  const expected = {
    service: VECTOR.service,
    thumbprints: [VECTOR_THUMBPRINT],
    findKey: () => service.jwk,
  };
  t.is(await codeOf(() => verifyDenial(readDenial(denial), expected)), undefined);
  const forged = { ...denial, proof: grant.proof };
  t.is(await codeOf(() => verifyDenial(readDenial(forged), expected)), 'SIGNATURE_INVALID');
});

test('a login is verified as a login, for one key and its time, and no other answer passes for it', async (t) => {
  const { kind: _, id: __, granted_by: ___, permissions: ____, withheld: _____, ...head } = unsigned;
  const content = {
    ...head,
    kind: 'vouchsafe.auth.login',
    audience: { thumbprint: VECTOR_THUMBPRINT },
    account: 'usr_ann',
    bound: { scopes: ['read'], workspaces: ['usr_ann'] },
  } as const;
  const login = await signByService<TerminalLogin>(
    { ...content, bound: { scopes: ['read'], workspaces: ['usr_ann'] } },
    service,
  );
  const verify = (value: unknown, more: object = {}) =>
    codeOf(() =>
      verifyAnswer(readLogin(value), {
        service: VECTOR.service,
        thumbprints: [VECTOR_THUMBPRINT],
        findKey: (kid) => (kid === service.kid ? service.jwk : undefined),
        now,
        ...more,
      }),
    );
  t.is(await verify(JSON.parse(JSON.stringify(login, null, 2))), undefined);
  t.is(await verify(login, { thumbprints: ['A'.repeat(43)] }), 'WRONG_AUDIENCE');
  t.is(await verify(login, { service: 'https://id.example.net' }), 'WRONG_SERVICE');
  t.is(await verify(login, { now: Date.parse(login.expires_at) + 61_000 }), 'REQUEST_EXPIRED');
  for (const tampered of [
    { ...login, account: 'usr_bob' },
    { ...login, bound: { scopes: ['read', 'write'], workspaces: ['usr_ann'] } },
    { ...login, bound: { scopes: ['read'], workspaces: ['usr_ann', 'wsp_1'] } },
    { ...login, expires_at: '2027-12-01T09:00:00Z' },
    { ...login, proof: grant.proof },
  ]) {
    t.is(await verify(tampered), 'SIGNATURE_INVALID', JSON.stringify(tampered));
  }
  for (const [code, value] of [
    ['INVALID_GRANT_ARTIFACT', grant],
    ['INVALID_GRANT_ARTIFACT', { ...login, account: 'agt_1' }],
    ['INVALID_GRANT_ARTIFACT', { ...login, bound: { scopes: [], workspaces: [] } }],
    ['INVALID_GRANT_ARTIFACT', { ...login, bound: { scopes: ['read'], workspaces: ['default'] } }],
    ['INVALID_GRANT_ARTIFACT', { ...login, bound: { scopes: ['a\u001b[2J'], workspaces: ['usr_a'] } }],
    ['INVALID_GRANT_ARTIFACT', { ...login, command: ['rm'] }],
    ['UNSUPPORTED_VERSION', { ...login, version: 2 }],
  ] as const) {
    t.is(await codeOf(() => readLogin(value)), code, JSON.stringify(value));
  }
});

test('what a grant must not hold is refused', async (t) => {
  const [permission] = unsigned.permissions;
  for (const [code, value] of [
    ['INVALID_GRANT_ARTIFACT', { ...grant, permissions: [] }],
    ['INVALID_GRANT_ARTIFACT', { ...grant, permissions: [{ ...permission, space: 'default' }] }],
    ['INVALID_GRANT_ARTIFACT', { ...grant, permissions: [{ ...permission, resource: 'javascript:x' }] }],
    ['INVALID_GRANT_ARTIFACT', { ...grant, granted_by: { kind: 'agent', account: 'usr_a' } }],
    ['INVALID_GRANT_ARTIFACT', { ...grant, command: ['rm'] }],
    ['INVALID_GRANT_ARTIFACT', { ...grant, kind: 'vouchsafe.auth.request' }],
    ['UNSUPPORTED_VERSION', { ...grant, version: 2 }],
    ['INVALID_PATH', { ...grant, permissions: [{ ...permission, path: '../x' }] }],
  ] as const) {
    t.is(await codeOf(() => readGrant(value)), code, JSON.stringify(value));
  }
});
