/**
 * Measures what apps cost, in one run and taking turns: introspection of their tokens against that of keys, and tokens by
 * client credentials against oidc-provider alone. The server is pinned to one core, the load to the other.
 *
 *   npm run bench:apps
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { basic, cliOf, here, median, SECRET, withBench } from './bench.ts';

const SECONDS = Number(process.env.SECONDS ?? 8);
const ROUNDS = 5;
const GOALS = { introspection: 0.9, token: 0.7 };
const SERVER = 0;
const CLIENT = 1;
const RESOURCE = 'https://api.example.com';
const KEYS = 10_000;
const TOKENS = 250;

let failed = false;

await withBench(async (bench) => {
  const url = `file:${join(bench.folder, 'apps.db')}`;
  const limits = { tokensPerClient: '999999999/h' };
  const env = { DATABASE_URL: url, SECRET, LIMITS: JSON.stringify(limits) };
  const cli = cliOf(here('..'));
  await bench.run([cli, 'migrate'], env);
  const keysFile = join(bench.folder, 'keys.txt');
  await bench.run([here('fill.ts'), url, String(KEYS), keysFile]);
  const added = await bench.run([cli, 'resource', 'add', RESOURCE, '--name', 'bench', '--json'], env);
  const { client_id, client_secret } = JSON.parse(added) as { client_id: string; client_secret: string };
  const app = JSON.parse(await bench.run([here('make-client.ts')], env)) as {
    clientId: string;
    secret: string;
  };

  const service = await bench.start([cli, 'serve'], env, '/api/me', { core: SERVER });
  const alone = await bench.start(
    [here('oidc-provider-alone.ts')],
    {
      DATABASE: join(bench.folder, 'alone.db'),
      CLIENT_ID: app.clientId,
      CLIENT_SECRET: app.secret,
      RESOURCE,
    },
    '/.well-known/openid-configuration',
    { core: SERVER },
  );
  const at = `http://localhost:${service.port}`;
  const tokensFile = join(bench.folder, 'tokens.txt');
  const authorization = basic(app.clientId, app.secret);
  writeFileSync(tokensFile, (await getTokens(`${at}/oauth2/token`, authorization)).join('\n'));

  const introspect = (file: string) =>
    bench.load(`${at}/oauth2/introspect`, 'introspect', SECONDS, {
      core: CLIENT,
      keysFile: file,
      authorization: basic(client_id, client_secret),
    });
  const issue = (endpoint: string) =>
    bench.load(endpoint, 'client_credentials', SECONDS, { core: CLIENT, authorization });
  const shares: Record<keyof typeof GOALS, number[]> = { introspection: [], token: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const [keys, tokens] = [await introspect(keysFile), await introspect(tokensFile)];
    shares.introspection.push(tokens.perSecond / keys.perSecond);
    const theirs = await issue(`http://127.0.0.1:${alone.port}/token`);
    const ours = await issue(`${at}/oauth2/token`);
    shares.token.push(ours.perSecond / theirs.perSecond);
  }
  console.log('| what | share | goal |\n| --- | --- | --- |');
  note('introspection of an app’s token, of a key’s', shares.introspection, GOALS.introspection);
  note('a token by client credentials, of oidc-provider alone', shares.token, GOALS.token);
});
process.exitCode = failed ? 1 : 0;

function note(what: string, all: readonly number[], goal: number): void {
  const share = median(all);
  if (share < goal) failed = true;
  console.log(`| ${what} | **${share.toFixed(2)}** | ${goal} ${share < goal ? 'MISSED' : 'reached'} |`);
}

async function getTokens(endpoint: string, authorization: string): Promise<string[]> {
  const tokens: string[] = [];
  while (tokens.length < TOKENS) {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: RESOURCE }),
    });
    const { access_token } = (await response.json()) as { access_token?: string };
    if (access_token === undefined) throw new Error(`no token: ${response.status}`);
    tokens.push(access_token);
  }
  return tokens;
}
