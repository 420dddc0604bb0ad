import Fastify from 'fastify';
import { createVerifier, type VerifiedToken } from 'vouchsafe/resource-server';
import { protect, protectedResourceMetadata } from 'vouchsafe/resource-server/fastify';

const { ISSUER = '', RESOURCE = '', CLIENT_ID = '', CLIENT_SECRET = '', PORT = '4000' } = process.env;
const verifier = createVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
});
const app = Fastify();
app.register(protectedResourceMetadata({ resource: RESOURCE, issuer: ISSUER, scopes: ['read', 'write'] }));
app.get('/', { preHandler: protect({ verifier, scopes: ['read'] }) }, async (request) => {
  const { auth } = request as unknown as { auth: VerifiedToken };
  return { subject: auth.subject };
});
await app.listen({ port: Number(PORT) });
