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
/** `/v1/:owner/:space/…`: things in a workspace, or in somebody's own account, by path; who put each there. */
const things = new Map<string, string>();
const PATH = /^\/v1\/(\w+)\/([\w-]+(?:\/[\w-]+)+)$/;
/** Every other path is in nobody's workspace. */
const placeOf = (url: string) => {
  const [, workspace = '', path = ''] = PATH.exec(url) ?? [];
  return { workspace, path };
};
const place = ({ raw }: { raw: { url?: string | undefined } }) => placeOf(raw.url ?? '');
app.get('/v1/*', { preHandler: protect({ verifier, scopes: ['read'], place }) }, async (request, reply) => {
  const by = things.get(request.url);
  return by === undefined ? reply.code(404).send({ error: 'not_found' }) : { by };
});
app.post('/v1/*', { preHandler: protect({ verifier, scopes: ['write'], place }) }, async (request) => {
  const { auth } = request as unknown as { auth: VerifiedToken };
  things.set(request.url, auth.subject);
  return { by: auth.subject };
});
await app.listen({ port: Number(PORT) });
