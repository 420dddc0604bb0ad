/**
 * The whole story as an agent lives it, against a running development service: discover, register, use the key, ask for the
 * claim, read the code from the development mailbox (in real life a human does), complete, use the wider key.
 *
 *   npm start          # in one terminal
 *   npm run demo       # in another
 */
const issuer = process.env.ISSUER ?? 'http://localhost:3000';
const human = process.env.HUMAN ?? `you+${Date.now().toString(36)}@example.com`;

interface Envelope {
  ok: boolean;
  data: Record<string, unknown>;
  error?: { code: string; message: string };
}

async function getJson(url: string, headers: Record<string, string> = {}): Promise<unknown> {
  const response = await fetch(url, { headers });
  if (!response.ok && response.status !== 401) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}

async function call(method: string, url: string, body?: object, key?: string): Promise<Envelope['data']> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(body && { 'Content-Type': 'application/json' }),
      ...(key && { Authorization: `Bearer ${key}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  const envelope = (await response.json()) as Envelope;
  if (!envelope.ok) throw new Error(`${url}: ${envelope.error?.code}: ${envelope.error?.message}`);
  return envelope.data;
}

async function readCode(): Promise<string> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const { mails } = (await getJson(`${issuer}/dev/mailbox.json`)) as {
      mails: { to: string; text: string }[];
    };
    const code = mails.find((mail) => mail.to === human)?.text.match(/^\s*([0-9]{6})\s*$/m)?.[1];
    if (code) return code;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('No mail arrived at /dev/mailbox. Does the service run without SMTP_URL?');
}

function step(text: string): void {
  console.log(`- ${text}`);
}

interface Metadata {
  agent_auth: { register_uri: string; claim_uri: string };
}
const { authorization_servers: servers } = (await getJson(
  `${issuer}/.well-known/oauth-protected-resource`,
)) as { authorization_servers: [string] };
const metadata = (await getJson(`${servers[0]}/.well-known/oauth-authorization-server`)) as Metadata;
const { register_uri, claim_uri } = metadata.agent_auth;
step(`discovered: register at ${register_uri}`);

const registered = await call('POST', register_uri, { type: 'anonymous', agent_name: 'Demo agent' });
step(`registered: ${registered.agent_id} with scopes ${registered.scopes}`);

const anonymous = await call('GET', `${issuer}/api/me`, undefined, registered.credential as string);
step(`used the key: I am ${anonymous.user_id}, claim ${(anonymous.claim as { status: string }).status}`);

const { claim_token } = registered;
const asked = await call('POST', claim_uri, { claim_token, email: human });
step(`asked for the claim: ${asked.message}`);

const otp = await readCode();
step(`read the code from the mailbox: ${otp}`);

const completed = await call('POST', `${claim_uri}/complete`, { claim_token, otp });
step(`completed (${completed.mode}): scopes ${completed.scopes}`);

const key = completed.credential as string;
const claimed = await call('GET', `${issuer}/api/me`, undefined, key);
step(`used the new key: I am ${claimed.user_id}, vouched for by ${claimed.owner}`);

const made = await call(
  'POST',
  `${issuer}/api/tokens`,
  { name: 'helper', scope: 'read', expires_in: 3600 },
  key,
);
await call('DELETE', `${issuer}/api/tokens/${made.id}`, undefined, key);
step(`made a read-only key ${made.prefix}… with write, and revoked it`);
console.log('The whole story played.');
