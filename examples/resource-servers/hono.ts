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
/** `/v1/:owner/:space/…`: things in a workspace, or in somebody's own account, by path; who put each there. */
const things = new Map<string, string>();
const PATH = /^\/v1\/(\w+)\/([\w-]+(?:\/[\w-]+)+)$/;
/** Every other path is in nobody's workspace. */
const placeOf = (url: string) => {
  const [, workspace = '', path = ''] = PATH.exec(url) ?? [];
  return { workspace, path };
};
const place = ({ url }: Request) => placeOf(new URL(url).pathname);
const reads = protect({ verifier, scopes: ['read'], place });
const writes = protect({ verifier, scopes: ['write'], place });
app.on(['GET', 'POST'], '/v1/*', async (c) => {
  const { method, path } = c.req;
  const auth = await (method === 'GET' ? reads : writes)(c.req.raw);
  if (auth instanceof Response) return auth;
  if (method === 'POST') things.set(path, auth.subject);
  return things.has(path) ? c.json({ by: things.get(path) }) : c.json({ error: 'not_found' }, 404);
});
serve({ fetch: app.fetch, port: Number(PORT) });
