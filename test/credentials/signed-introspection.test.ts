import { createLocalJWKSet, jwtVerify } from 'jose';
import { addServer, type Server } from '../helpers/api-keys.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Signed introspection responses (RFC 9701). */

const TYPE = 'application/token-introspection+jwt';

onEveryEngine('introspection that is signed', (engine, test) => {
  let on: TestService;
  let api: Server;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addServer(on, 'https://api.example.com');
  });
  test.after(() => on.stop());

  const ask = (token: string, Accept: string) =>
    on.form('/oauth2/introspect', { token }, { ...basic(api.id, api.secret), Accept });

  async function open(text: string) {
    const keys = createLocalJWKSet((await on.get('/.well-known/jwks.json')).body);
    return jwtVerify(text, keys, {
      issuer: on.url,
      audience: api.id,
      typ: 'token-introspection+jwt',
      currentDate: new Date(on.clock()),
    });
  }

  test('says the same as without a signature, to the server that asked, and is no token itself', async (t) => {
    const { credential } = await on.register();
    for (const token of [credential, 'sk_unknown']) {
      const reply = await ask(token, `application/json;q=0.1, ${TYPE}`);
      t.is(reply.status, 200);
      t.is(reply.headers.get('content-type'), TYPE);
      t.is(reply.headers.get('cache-control'), 'no-store');
      const { payload, protectedHeader } = await open(reply.text);
      t.is(protectedHeader.alg, 'ES256');
      t.deepEqual(Object.keys(payload).sort(), ['aud', 'iat', 'iss', 'token_introspection']);
      t.deepEqual(payload.token_introspection, (await ask(token, 'application/json')).body);
      t.deepEqual((await ask(reply.text, 'application/json')).body, { active: false });
    }
  });

  test('is only for who asks for it, and who is no resource server gets an error in JSON', async (t) => {
    const { credential } = await on.register();
    for (const accept of ['*/*', 'application/json', 'application/jwt'])
      t.true((await ask(credential, accept)).body.active, accept);
    const refused = await on.form('/oauth2/introspect', { token: credential }, { Accept: TYPE });
    t.deepEqual([refused.status, refused.body.error], [401, 'invalid_client']);
  });

  test('is announced', async (t) => {
    const { body } = await on.get('/.well-known/oauth-authorization-server');
    t.deepEqual(body.introspection_signing_alg_values_supported, ['ES256']);
  });
});
