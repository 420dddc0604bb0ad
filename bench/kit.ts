import Koa from 'koa';
import { createVerifier } from '../src/resource-server/index.ts';
import { protect } from '../src/resource-server/koa.ts';

/**
 * A Koa server with a route behind the kit and the same one without, on PORT. Environment: ISSUER, CLIENT_ID, CLIENT_SECRET, and
 * KEY, whose verification from memory is timed first: nanoseconds, on the first line.
 */
const { PORT = '', ISSUER = '', CLIENT_ID = '', CLIENT_SECRET = '', KEY = '' } = process.env;
const verifier = createVerifier({
  issuer: ISSUER,
  resource: 'https://api.example.com',
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
});

const ROUNDS = 200_000;
await verifier.verify(KEY);
for (let round = 0; round < ROUNDS; round += 1) await verifier.verify(KEY); // warm up
const began = process.hrtime.bigint();
for (let round = 0; round < ROUNDS; round += 1) await verifier.verify(KEY);
console.log(Number(process.hrtime.bigint() - began) / ROUNDS);

const app = new Koa();
const guard = protect({ verifier, scopes: ['read'] });
app.use((ctx, next) => (ctx.path === '/protected' ? guard(ctx, next) : next()));
app.use((ctx) => {
  ctx.body = { hello: 'world' };
});
app.listen(Number(PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
