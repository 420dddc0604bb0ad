import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import {
  type PermissionGrant,
  readDenial,
  readGrant,
  verifyDenial,
  verifyGrant,
} from '../../src/client/index.ts';
import { signDenial, signGrant } from '../../src/lib/artifacts/permission-grant.ts';
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
const grant = await signGrant(unsigned, service);
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
  const denial = await signDenial(
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
