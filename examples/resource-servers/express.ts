import express from 'express';
import { createVerifier, type VerifiedToken } from 'vouchsafe/resource-server';
import { protect, protectedResourceMetadata } from 'vouchsafe/resource-server/express';

const { ISSUER = '', RESOURCE = '', CLIENT_ID = '', CLIENT_SECRET = '', PORT = '4000' } = process.env;
const verifier = createVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
});
const app = express();
app.use(protectedResourceMetadata({ resource: RESOURCE, issuer: ISSUER, scopes: ['read', 'write'] }));
app.get('/', protect({ verifier, scopes: ['read'] }), (req, res) => {
  const { auth } = req as unknown as { auth: VerifiedToken };
  res.json({ subject: auth.subject });
});
/** `/v1/:owner/:space/…`: things in a workspace, or in somebody's own account, by path; who put each there. */
const things = new Map<string, string>();
const PATH = /^\/v1\/(\w+)\/([\w-]+(?:\/[\w-]+)+)$/;
/** Every other path is in nobody's workspace. */
const placeOf = (url: string) => {
  const [, workspace = '', path = ''] = PATH.exec(url) ?? [];
  return { workspace, path };
};
const place = ({ url = '' }: { url?: string | undefined }) => placeOf(url);
app.get(PATH, protect({ verifier, scopes: ['read'], place }), (req, res) => {
  if (!things.has(req.path)) res.status(404);
  res.json({ by: things.get(req.path) });
});
app.post(PATH, protect({ verifier, scopes: ['write'], place }), (req, res) => {
  const { auth } = req as unknown as { auth: VerifiedToken };
  things.set(req.path, auth.subject);
  res.json({ by: auth.subject });
});
app.listen(Number(PORT));
