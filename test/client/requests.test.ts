import { compactVerify, importJWK } from 'jose';
import { parseArtifact } from '../../src/lib/artifacts/artifact.ts';
import { canonicalJson } from '../../src/lib/artifacts/canonical-json.ts';
import { createRequest, readRequest, verifyRequest } from '../../src/lib/artifacts/permission-request.ts';
import { codeOf } from '../helpers/code-of.ts';
import { VECTOR, VECTOR_KEY, VECTOR_NOW, VECTOR_THUMBPRINT } from '../helpers/request-vector.ts';
import { test } from '../helpers/suite.ts';

const bytes = (text: string) => Buffer.from(text);
const read = (text: string) => readRequest(parseArtifact(bytes(text)));
const verify = (value: unknown) =>
  codeOf(() => verifyRequest(readRequest(value), { service: VECTOR.service, now: VECTOR_NOW }));

test('the vector is verified, and signing its content again gives the same artifact to the letter', async (t) => {
  const request = read(JSON.stringify(VECTOR));
  t.is(await verifyRequest(request, { service: VECTOR.service, now: VECTOR_NOW }), VECTOR_THUMBPRINT);
  const signed = await createRequest({
    service: VECTOR.service,
    key: VECTOR_KEY,
    name: 'CI bot',
    permissions: [...VECTOR.permissions].map((each) => ({ ...each, actions: [...each.actions] })),
    now: Date.parse(VECTOR.issued_at),
  });
  t.deepEqual(signed as unknown, VECTOR as unknown);
});

test('the vector’s signature is verified by jose alone, over 426 bytes', async (t) => {
  const { proof, id, ...content } = VECTOR;
  t.is(bytes(canonicalJson(content)).length, 426);
  const payload = bytes(canonicalJson({ id, ...content })).toString('base64url');
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: VECTOR_KEY.x }, 'EdDSA');
  await t.notThrowsAsync(compactVerify(proof.replace('..', `.${payload}.`), key));
});

test('white space, line ends and the order of members change nothing', async (t) => {
  const shuffled = Object.fromEntries(Object.entries(VECTOR).reverse());
  for (const text of [
    JSON.stringify(VECTOR, null, 2),
    JSON.stringify(VECTOR, null, '\t').replaceAll('\n', '\r\n'),
    `\n ${JSON.stringify(shuffled)} \n`,
  ]) {
    t.is(read(text).id, VECTOR.id);
    t.is(await verify(parseArtifact(bytes(text))), undefined);
  }
});

test('a byte order mark is refused by name', async (t) => {
  const marked = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes(JSON.stringify(VECTOR))]);
  const error = t.throws(() => parseArtifact(marked));
  t.is((error as { code?: string }).code, 'INVALID_REQUEST_ARTIFACT');
  t.regex(error.message, /byte order mark/);
});

test('another value, id, key, header or signature is refused', async (t) => {
  const header = (members: object) => {
    const head = bytes(JSON.stringify(members)).toString('base64url');
    return { ...VECTOR, proof: `${head}..${VECTOR.proof.split('..')[1]}` };
  };
  const good = { alg: 'EdDSA', kid: VECTOR_THUMBPRINT, typ: 'vouchsafe-request+jws' };
  const foreign = await createRequest({
    service: VECTOR.service,
    key: VECTOR_KEY,
    permissions: [{ service: 'vouchsafe.api', space: 'default', path: 'x/', actions: ['read'] }],
    now: Date.parse(VECTOR.issued_at),
  });
  for (const tampered of [
    { ...VECTOR, lifetime_seconds: 604801 },
    { ...VECTOR, id: `prq_${'A'.repeat(32)}` },
    { ...VECTOR, requester: { ...VECTOR.requester, name: 'CI bo' } },
    { ...VECTOR, permissions: [{ ...VECTOR.permissions[0], actions: ['read'] }] },
    { ...VECTOR, requester: { ...VECTOR.requester, key: { ...VECTOR.requester.key, x: 'A'.repeat(43) } } },
    { ...VECTOR, proof: `${VECTOR.proof.slice(0, -2)}Cg` },
    { ...VECTOR, proof: VECTOR.proof.replace('..', '.e30.') },
    { ...VECTOR, proof: foreign.proof },
    header({ ...good, alg: 'none' }),
    header({ ...good, alg: 'HS256' }),
    header({ ...good, typ: 'vouchsafe-grant+jws' }),
    header({ ...good, kid: 'A'.repeat(43) }),
    header({ ...good, crit: ['b64'], b64: false }),
    header({ ...good, jwk: VECTOR.requester.key }),
  ]) {
    const code = await verify(tampered);
    t.true(code === 'SIGNATURE_INVALID' || code === 'INVALID_REQUEST_ARTIFACT', JSON.stringify(tampered));
  }
});

test('what a request must not hold is refused with a sentence that repeats nothing of it', async (t) => {
  const entry = VECTOR.permissions[0];
  for (const [code, value] of [
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, command: ['rm'] }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, kind: 'tinycloud.auth.request' }],
    ['UNSUPPORTED_VERSION', { ...VECTOR, version: 2 }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, version: '1' }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, requester: { key: VECTOR_KEY } }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, permissions: [entry, entry] }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, permissions: [] }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, permissions: undefined, login: true }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, once: true }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, action: 'Send it' }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, expires_at: '2027-12-02T10:00:00Z' }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, expires_at: '2026-13-02T10:00:00Z' }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, permissions: [{ ...entry, actions: ['read', 'list'] }] }],
    ['INVALID_REQUEST_ARTIFACT', { ...VECTOR, permissions: [{ ...entry, caveats: {} }] }],
    ['INVALID_PATH', { ...VECTOR, permissions: [{ ...entry, path: '../x' }] }],
    ['INVALID_PATH', { ...VECTOR, permissions: [{ ...entry, path: 'x\u202e' }] }],
    ['SIGNATURE_INVALID', { ...VECTOR, proof: undefined }],
  ] as const) {
    t.is(await verify(JSON.parse(JSON.stringify(value))), code, JSON.stringify(value));
  }
});

test('a request is for one service and a time, with 60 seconds of skew', async (t) => {
  const at = (now: number, service: string = VECTOR.service) =>
    codeOf(() => verifyRequest(readRequest(VECTOR), { service, now }));
  const [issued, expires] = [Date.parse(VECTOR.issued_at), Date.parse(VECTOR.expires_at)];
  t.is(await at(issued - 59_000), undefined);
  t.is(await at(issued - 61_000), 'INVALID_REQUEST_ARTIFACT');
  t.is(await at(expires + 59_000), undefined);
  t.is(await at(expires + 61_000), 'REQUEST_EXPIRED');
  t.is(await at(VECTOR_NOW, 'https://id.example.net'), 'WRONG_SERVICE');
});
