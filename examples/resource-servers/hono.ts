import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { createVerifier } from 'vouchsafe/resource-server';
import { protect, protectedResourceMetadata } from 'vouchsafe/resource-server/fetch';

const { ISSUER = '', RESOURCE = '', CLIENT_ID = '', CLIENT_SECRET = '', PORT = '4000' } = process.env;
const verifier = createVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
});
const metadata = protectedResourceMetadata({ resource: RESOURCE, issuer: ISSUER, scopes: ['read', 'write'] });
const guard = protect({ verifier, scopes: ['read'] });
const app = new Hono();
app.use(async (c, next) => metadata(c.req.raw) ?? (await next()));
app.get('/', async (c) => {
  const auth = await guard(c.req.raw);
  return auth instanceof Response ? auth : c.json({ subject: auth.subject });
});
serve({ fetch: app.fetch, port: Number(PORT) });
