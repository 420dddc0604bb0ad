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
app.use(protect({ verifier, scopes: ['read'] }));
app.use((ctx) => {
  ctx.body = { subject: ctx.state.auth.subject };
});
app.listen(Number(PORT));
