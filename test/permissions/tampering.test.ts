import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { canonicalJson } from '../../src/lib/artifacts/canonical-json.ts';
import { createRequest, type PermissionRequest } from '../../src/lib/artifacts/permission-request.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newSessionKey, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { VECTOR, VECTOR_KEY, VECTOR_THUMBPRINT } from '../helpers/request-vector.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

onEveryEngine('a request that was changed on its way', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
  });
  test.after(() => on.stop());

  /** What the vector of docs/permissions.md asks for, of this service. */
  const vectorHere = (change: object = {}): Promise<PermissionRequest> =>
    createRequest({
      service: on.service.deps.config.publicUrl,
      key: VECTOR_KEY,
      name: VECTOR.requester.name,
      permissions: [{ ...READ_DOCUMENTS, actions: ['read'], reason: 'Nightly index' }],
      now: on.clock(),
      ...change,
    });
  const post = (text: string, media = 'application/vnd.vouchsafe.request+json') =>
    on.request('POST', '/agent/permissions', { headers: { 'Content-Type': media }, body: text });
  const stored = async () => [
    await countOf(on, 'permission_requests'),
    await countOf(on, 'session_keys'),
    await countOf(on, 'agents'),
  ];

  test('is refused whatever was changed in it, before anything is looked up, and nothing is stored', async (t) => {
    const request = await vectorHere();
    const other = await vectorHere({ permissions: [{ ...READ_DOCUMENTS, path: 'other/' }] });
    const { proof, ...unsigned } = request;
    const [entry] = request.permissions!;
    const [head, , signature] = proof.split('.') as [string, string, string];
    const good = { alg: 'EdDSA', kid: VECTOR_THUMBPRINT, typ: 'vouchsafe-request+jws' };
    const withHeader = (header: object) => ({ ...request, proof: `${encode(header)}..${signature}` });
    const hmac = (header: object) => {
      const signed = `${encode(header)}.${Buffer.from(JSON.stringify(unsigned)).toString('base64url')}`;
      const publicBytes = Buffer.from(VECTOR_KEY.x, 'base64url');
      const mac = createHmac('sha256', publicBytes).update(signed).digest('base64url');
      return { ...request, proof: `${encode(header)}..${mac}` };
    };
    const flipped = (text: string, at: number) =>
      text.slice(0, at) + (text.at(at) === 'A' ? 'B' : 'A') + text.slice(at + 1);
    const tampered: Record<string, object> = {
      unsigned,
      'a value': { ...request, permissions: [{ ...entry, actions: ['write'] }] },
      'a path': { ...request, permissions: [{ ...entry, path: '' }] },
      'a reason': { ...request, permissions: [{ ...entry, reason: 'Nightly indeX' }] },
      'a name': { ...request, requester: { ...request.requester, name: 'CI b0t' } },
      'a number': { ...request, lifetime_seconds: 604_799 },
      'a time': { ...request, issued_at: new Date(on.clock() - 5000).toISOString().replace(/\.\d+/, '') },
      'one permission more': {
        ...request,
        permissions: [entry, { ...entry, path: 'z/' }],
      },
      'another id': { ...request, id: other.id },
      'another key': { ...request, requester: { ...request.requester, key: newSessionKey().jwk } },
      'the first byte of the signature': { ...request, proof: `${head}..${flipped(signature, 0)}` },
      'a byte in the signature': { ...request, proof: `${head}..${flipped(signature, 40)}` },
      'a shorter signature': { ...request, proof: `${head}..${signature.slice(0, -4)}` },
      'the signature of another request': { ...request, proof: other.proof },
      'an attached payload': { ...request, proof: proof.replace('..', '.e30.') },
      'alg none': withHeader({ ...good, alg: 'none' }),
      'alg HS256 by the public key': hmac({ ...good, alg: 'HS256' }),
      'alg ES256': withHeader({ ...good, alg: 'ES256' }),
      'the type of a grant': withHeader({ ...good, typ: 'vouchsafe-grant+jws' }),
      'no type': withHeader({ alg: good.alg, kid: good.kid }),
      'another kid': withHeader({ ...good, kid: 'A'.repeat(43) }),
      crit: withHeader({ ...good, crit: ['b64'], b64: false }),
      jwk: withHeader({ ...good, jwk: request.requester.key }),
      jku: withHeader({ ...good, jku: 'https://evil.example/keys' }),
      x5c: withHeader({ ...good, x5c: ['MIIB'] }),
      x5u: withHeader({ ...good, x5u: 'https://evil.example/cert' }),
      // The catalogue is not asked: it would say `unknown_service` and `unknown_action`.
      'a service that is not there': { ...request, permissions: [{ ...entry, service: 'vouchsafe.none' }] },
      'an action that is not there': { ...request, permissions: [{ ...entry, actions: ['fly'] }] },
    };
    const before = await stored();
    for (const [what, artifact] of Object.entries(tampered)) {
      const reply = await post(JSON.stringify(artifact));
      const isShape = what === 'an attached payload';
      const code = isShape ? 'invalid_request' : 'invalid_signature';
      t.deepEqual([reply.status, reply.body.error?.code], [400, code], `${what}: ${reply.text}`);
    }
    t.deepEqual(await stored(), before);
  });

  test('is refused for a header that says more or something else, also where its key signed that very header', async (t) => {
    const { proof: _, ...unsigned } = await vectorHere({ name: 'Signed anew' });
    const key = createPrivateKey({ key: VECTOR_KEY as never, format: 'jwk' });
    const payload = Buffer.from(canonicalJson(unsigned as never)).toString('base64url');
    const signedWith = (header: object) => {
      const signature = sign(null, Buffer.from(`${encode(header)}.${payload}`), key).toString('base64url');
      return JSON.stringify({ ...unsigned, proof: `${encode(header)}..${signature}` });
    };
    const good = { alg: 'EdDSA', kid: VECTOR_THUMBPRINT, typ: 'vouchsafe-request+jws' };
    for (const header of [
      { ...good, crit: ['exp'], exp: 1 },
      { ...good, jwk: { kty: 'OKP', crv: 'Ed25519', x: VECTOR_KEY.x } },
      { ...good, jku: 'https://evil.example/keys' },
      { ...good, x5c: ['MIIB'] },
      { ...good, more: true },
      { ...good, typ: 'vouchsafe-grant+jws' },
      { ...good, kid: 'A'.repeat(43) },
      { alg: good.alg, kid: good.kid },
    ]) {
      const reply = await post(signedWith(header));
      t.is(reply.body.error?.code, 'invalid_signature', `${JSON.stringify(header)}: ${reply.text}`);
    }
    t.is((await post(signedWith(good))).status, 200, 'the same, signed as it should be');
  });

  test('is the same request where only white space, line ends or the order of members changed', async (t) => {
    const request = await vectorHere({ name: 'Travels far' });
    const shuffled = Object.fromEntries(Object.entries(request).toReversed());
    const texts = [
      JSON.stringify(request),
      `\n ${JSON.stringify(request, null, '\t').replaceAll('\n', '\r\n')}\n`,
      JSON.stringify(shuffled, null, 2),
    ];
    for (const text of texts) {
      for (const media of ['application/vnd.vouchsafe.request+json', 'application/json']) {
        const reply = await post(text, media);
        t.deepEqual([reply.status, reply.body.data?.id], [200, request.id], reply.text);
      }
    }
    t.is(await countOf(on, 'permission_requests WHERE id = ?', [request.id]), 1);
  });

  test('costs nothing where it is large, deep, of many names or no JSON, and is answered cleanly', async (t) => {
    const before = await stored();
    const names = Array.from({ length: 1025 }, (_, index) => `"n${index}":1`).join(',');
    const wrong: [text: string, status: number][] = [
      [`{"a":"${'x'.repeat(17_000)}"}`, 413],
      [`${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`, 400],
      [`{${names}}`, 400],
      ['{"kind":1,"kind":2}', 400],
      [`\ufeff${JSON.stringify(await vectorHere())}`, 400],
      ['[]', 400],
      ['\u001b[2J', 400],
    ];
    for (const [text, status] of wrong) {
      const reply = await post(text);
      t.is(reply.status, status, text.slice(0, 40));
      t.regex(reply.text, /^[\x20-\x7e]*$/, text.slice(0, 40));
    }
    t.deepEqual(await stored(), before);
  });
});
