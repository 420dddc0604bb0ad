import Koa from 'koa';
import { createVerifier } from 'vouchsafe/resource-server';
import { protect, protectedResourceMetadata } from 'vouchsafe/resource-server/koa';

const { ISSUER = '', RESOURCE = '', CLIENT_ID = '', CLIENT_SECRET = '', PORT = '4000' } = process.env;
const verifier = createVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
});
const app = new Koa();
app.use(protectedResourceMetadata({ resource: RESOURCE, issuer: ISSUER, scopes: ['read', 'write'] }));
/** `/v1/:owner/:space/…`: things in a workspace, or in somebody's own account, by path; who put each there. */
const things = new Map<string, string>();
const PATH = /^\/v1\/(\w+)\/([\w-]+(?:\/[\w-]+)+)$/;
/** Every other path is in nobody's workspace. */
const placeOf = (url: string) => {
  const [, workspace = '', path = ''] = PATH.exec(url) ?? [];
  return { workspace, path };
};
const place = ({ path }: { path: string }) => (path === '/' ? undefined : placeOf(path));
const reads = protect({ verifier, scopes: ['read'], place });
const writes = protect({ verifier, scopes: ['write'], place });
app.use((ctx, next) => (ctx.method === 'GET' ? reads : writes)(ctx, next));
app.use((ctx) => {
  const { subject } = ctx.state.auth;
  if (ctx.method === 'POST') things.set(ctx.path, subject);
  if (ctx.path === '/') ctx.body = { subject };
  else if (things.has(ctx.path)) ctx.body = { by: things.get(ctx.path) };
});
app.listen(Number(PORT));
