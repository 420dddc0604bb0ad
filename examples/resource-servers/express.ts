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
app.listen(Number(PORT));
