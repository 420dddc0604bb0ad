import { createLocalJWKSet, jwtVerify } from 'jose';
import { getCode, redeem, registerApp } from '../helpers/app-client.ts';
import { startWith } from '../helpers/configured-service.ts';
import { test } from '../helpers/suite.ts';

test('an API that wants signed tokens gets them from apps, too: RFC 9068, revoked like all others', async (t) => {
  const url = 'https://api.example.com/mcp';
  const on = await startWith({ resources: [{ url, name: 'MCP', tokens: 'jwt' }] });
  t.teardown(() => on.stop());
  const app = await registerApp(on);
  const got = await getCode(on, app, { query: { scope: 'read', resource: url } });
  const reply = await redeem(on, app, got);
  t.is(reply.status, 200, reply.text);
  const token: string = reply.body.access_token;
  const keys = createLocalJWKSet((await on.get('/.well-known/jwks.json')).body);
  const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer: on.url, audience: url });
  t.is(protectedHeader.typ, 'at+jwt');
  t.like(payload, { client_id: app.clientId, scope: 'read' });
  t.regex(payload.jti!, /^tok_/);
  t.is(payload.exp! - payload.iat!, 300);
  t.is(reply.body.expires_in, 300);
  const row = () =>
    on.service.deps.db.get<{ revokedAt: number | null }>(
      'SELECT revoked_at AS "revokedAt" FROM credentials WHERE id = ?',
      [payload.jti!],
    );
  t.is((await row())?.revokedAt, null);
  await on.form('/oauth2/revoke', { token });
  t.not((await row())?.revokedAt, null);
});
