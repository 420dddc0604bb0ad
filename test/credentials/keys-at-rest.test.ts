import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { addServer, makeKey } from '../helpers/api-keys.ts';
import { confirm, newUser, openAuthMd, SIGNED_API, succeeded } from '../helpers/auth-md.ts';
import { noting, watchCommits } from '../helpers/commits.ts';
import { dumpOf } from '../helpers/dump.ts';
import { basic, createTestClock, createTestDatabase, startTestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

type Repeat = { 'Idempotency-Key': string };

onEveryEngine('keys at rest', (engine, test) => {
  test('the database holds hashes: no key, claim token, secret, code or Idempotency-Key in any table or file', async (t) => {
    const on = await startTestService(engine);
    try {
      const server = await addServer(on, 'https://api.example.com');
      const idempotency = `repeat-${Math.random().toString(36).slice(2)}`;
      const first = (await on.post('/agent/auth', { type: 'anonymous' }, { 'Idempotency-Key': idempotency }))
        .body.data;
      await on.post('/agent/auth/claim', { claim_token: first.claim_token, email: 'rest@example.com' });
      const otp = await on.codeFor('rest@example.com');
      const body = { claim_token: first.claim_token, otp };
      const { credential } = (
        await on.post('/agent/auth/claim/complete', body, { 'Idempotency-Key': `${idempotency}-2` })
      ).body.data;
      const made = await makeKey(on, credential, { name: 'helper', scope: 'read' });
      const pending = await on.register();
      await on.post('/agent/auth/claim', { claim_token: pending.claim_token, email: 'pending@example.com' });
      const pendingCode = await on.codeFor('pending@example.com');
      await server.ask(made.credential);

      const secrets = [
        first.credential,
        first.claim_token,
        credential,
        made.credential,
        pending.credential,
        pending.claim_token,
      ];
      const hidden = [
        ...secrets.map((secret) => secret.slice(3)),
        server.secret.slice(4),
        otp,
        pendingCode,
        idempotency,
      ];

      const { db } = on.service.deps;
      const tables = migrationTables();
      t.true(tables.includes('credentials') && tables.length >= 10);
      let texts = '';
      for (const table of tables) {
        for (const row of await db.all<Record<string, unknown>>(`SELECT * FROM ${table}`)) {
          for (const value of Object.values(row)) {
            if (typeof value === 'string') texts += `${value}\n`;
            // Whatever a column of bytes may hide: the bytes themselves, and those of a hexadecimal or base64 text.
            if (value instanceof Uint8Array) texts += `${Buffer.from(value).toString('latin1')}\n`;
          }
        }
      }
      t.true(texts.includes('rest@example.com'), 'the dump is not the one that was looked for');
      const hashes = await db.all<{ hash: Buffer }>('SELECT hash FROM credentials');
      for (const secret of [first.credential, credential, made.credential]) {
        const digest = createHash('sha256').update(secret).digest('hex');
        t.true(hashes.some(({ hash }) => Buffer.from(hash).toString('hex') === digest));
      }

      let bytes = '';
      if (engine === 'sqlite') {
        const file = on.database.url.slice('file:'.length);
        for (const each of readdirSync(dirname(file)))
          bytes += readFileSync(join(dirname(file), each)).toString('latin1');
        t.true(bytes.includes('rest@example.com') && existsSync(`${file}-wal`));
      }
      for (const secret of hidden) {
        t.false(texts.includes(secret), `a table holds ${secret}`);
        t.false(bytes.includes(secret), `a file holds ${secret}`);
      }
      for (const line of on.logged) {
        for (const secret of hidden) t.false(line.includes(secret), `the log holds ${secret}: ${line}`);
      }
    } finally {
      await on.stop();
    }
  });

  test('nor an identity, a token, or what renews it; nor the codes of a claim, nor what we sign with, nor what a provider signed', async (t) => {
    const world = await openAuthMd(engine);
    try {
      const { on } = world;
      const [keyed, keyed2, keyed3] = [1, 2, 3].map((index) => ({
        'Idempotency-Key': `repeat-${index}-${Math.random().toString(36).slice(2)}`,
      })) as [Repeat, Repeat, Repeat];
      const agent = succeeded(await world.identity({ type: 'anonymous' }, keyed));
      const renewed = succeeded(await world.refresh(agent.identity.refresh_token.value)).identity;
      const opaque = await world.tokenFor(renewed.assertion);
      const signed = await world.tokenFor(renewed.assertion, { resource: SIGNED_API });
      const hinted = succeeded(
        await world.identity({ type: 'service_auth', login_hint: 'rest@example.com' }, keyed2),
      );
      const human = await world.visit(hinted.claim.verification_uri, 'rest@example.com');
      const readOut = await confirm(human);
      const { claim_token } = hinted;
      const done = succeeded(await world.complete({ claim_token, user_code: readOut }, keyed3)).identity;
      const mailed = succeeded(
        await on.post('/agent/auth', {
          type: 'identity_assertion',
          assertion_type: 'verified_email',
          assertion: 'mailed@example.com',
          requested_credential_type: 'access_token',
        }),
      );
      const otp = await confirm(await world.visit(await world.mailedPage('mailed@example.com')));
      const credential = succeeded(
        await on.post('/agent/auth/claim/complete', { claim_token: mailed.claim_token, otp }),
      ).credential;
      const [word, second] = [
        world.idJag(newUser('word@example.com')),
        world.idJag(newUser('word@example.com')),
      ];
      const known = succeeded(await world.present(word));
      const stepUp = (await world.present(second)).body;
      t.is(stepUp.error, 'interaction_required');
      for (const token of [opaque, signed, credential]) await world.introspected(token);

      const assertions = [
        agent.identity_assertion,
        renewed.assertion,
        done.assertion,
        known.identity_assertion,
        signed,
        word,
        second,
      ];
      const secrets = [
        agent.claim_token,
        agent.identity.refresh_token.value,
        renewed.refresh_token.value,
        done.refresh_token.value,
        claim_token,
        mailed.claim_token,
        stepUp.claim_token,
        opaque,
        credential,
      ];
      const codes = [hinted.claim.user_code, readOut, otp, stepUp.claim.user_code];
      const hidden = [
        ...assertions.map((assertion) => assertion.split('.')[2]!), // also where only the signature is kept
        ...secrets.map((secret) => secret.slice(secret.indexOf('_') + 1)),
        ...[keyed, keyed2, keyed3].map((each) => each['Idempotency-Key']),
      ];
      const dump = await dumpOf(on);
      t.true(dump.includes('rest@example.com'), 'the dump is not the one that was looked for');
      t.true(dump.includes('"crv":"P-256"'), 'the keys that we sign with are there');
      t.false(/"d":"[\w-]{43}"/.test(dump), 'but for what signs');
      const log = on.logged.join('');
      for (const [where, text] of Object.entries({ database: dump, log })) {
        for (const secret of hidden) t.false(text.includes(secret), `the ${where} holds ${secret}`);
        for (const code of codes) {
          t.false(
            new RegExp(`(?<![0-9A-Za-z.])${code}(?![0-9A-Za-z])`).test(text),
            `the ${where} holds ${code}`,
          );
        }
      }
    } finally {
      await world.stop();
    }
  });

  test('last use is written behind, once however often a key was used, and survives a restart', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const watch = watchCommits();
    const WRITE = /^\s*UPDATE credentials SET last_used_at/;
    try {
      const on = await startTestService(engine, { database, clock, wrapDb: watch.wrapDb });
      const api = await addServer(on, 'https://api.example.com');
      const agent = await on.claimed('use@example.com');
      const helper = await makeKey(on, agent.credential, { name: 'helper', scope: 'read' });
      const idle = await makeKey(on, agent.credential, { name: 'idle', scope: 'read' });
      for (let use = 0; use < 30; use += 1) {
        clock.advance(1);
        if (use % 2) await api.ask(helper.credential);
        else await on.get('/api/me', helper.credential);
      }
      const usedAt = new Date(clock()).toISOString();
      clock.advance(1);
      await api.ask(`${helper.credential}x`); // no use of it
      t.is(watch.committed(WRITE), 0, 'no request writes the time of use itself');
      await on.stop();
      t.is(watch.committed(WRITE), 2, 'once for each of the two keys that were used');

      const again = await startTestService(engine, { database, clock });
      const { tokens } = (await again.get('/api/tokens', agent.credential)).body.data;
      const lastUse = (id: string) => tokens.find((key: { id: string }) => key.id === id).last_used_at;
      t.is(lastUse(helper.id), usedAt);
      t.is(lastUse(idle.id), undefined);
      await again.stop();
    } finally {
      await database.drop();
    }
  });

  test('a malformed, mistyped or invented key is refused without a question to the database', async (t) => {
    const asked: string[] = [];
    const note = (sql: string) => {
      if (!/\boutbox\b/.test(sql)) asked.push(sql); // its worker looks on its own account
    };
    const on = await startTestService(engine, {
      wrapDb: (db) => ({
        ...db,
        get: (sql, params) => {
          note(sql);
          return db.get(sql, params);
        },
        all: (sql, params) => {
          note(sql);
          return db.all(sql, params);
        },
        tx: (work) => db.tx((tx) => work(noting(tx, note))),
      }),
    });
    try {
      const { id, secret } = await addServer(on, 'https://api.example.com');
      const { credential, claim_token } = await on.register();
      const mistyped = (text: string) => text.slice(0, -1) + (text.endsWith('0') ? '1' : '0');
      const own = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const exchange = {
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: own.identity_assertion,
      };
      const { access_token } = (await on.form('/oauth2/token', exchange)).body;
      const junk = [
        mistyped(credential),
        mistyped(access_token),
        'sk_x',
        `sk_${'a'.repeat(49)}`,
        `at_${'a'.repeat(49)}`,
        claim_token,
        own.claim_token,
        mistyped(own.identity.refresh_token.value),
        'eyJhbGciOiJub25lIn0.e30.',
        'eyJ.eyJ',
        `eyJ${'a'.repeat(1000)}.eyJ${'a'.repeat(1000)}.${'a'.repeat(86)}`,
        'x',
      ];
      for (const key of junk) {
        asked.length = 0;
        t.is((await on.get('/api/me', key)).status, 401);
        t.is((await on.form('/oauth2/revoke', { token: key })).status, 200);
        t.is((await on.form('/oauth2/introspect', { token: key }, basic(id, mistyped(secret)))).status, 401);
        t.deepEqual(asked, []);

        const reply = await on.form('/oauth2/introspect', { token: key }, basic(id, secret));
        t.deepEqual(reply.body, { active: false });
        for (const sql of asked) t.regex(sql, /resource_servers/);
      }
      asked.length = 0;
      await on.get('/api/me', credential);
      t.true(
        asked.some((sql) => /FROM credentials/.test(sql)),
        'the test sees what a good key costs',
      );
    } finally {
      await on.stop();
    }
  });

  test('a configured brand stands in every new key, and keys from before keep working', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
    const database = await createTestDatabase(engine);
    try {
      const plain = await startTestService(engine, { database });
      const older = await plain.register();
      await plain.stop();

      const file = join(folder, 'config.json');
      writeFileSync(file, JSON.stringify({ service: { keyBrand: 'acme' } }));
      const on = await startTestService(engine, { database, env: { CONFIG: file } });
      const agent = await on.claimed('brand@example.com');
      const made = await makeKey(on, agent.credential, { name: 'x', scope: 'read' });
      for (const key of [agent.credential, agent.old, made.credential]) {
        t.regex(key, /^sk_acme_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$/);
      }
      t.regex(agent.claim_token, /^ct_[0-9A-Za-z]{49}$/);
      t.is(made.prefix, made.credential.slice(0, 'sk_acme_'.length + 4));
      for (const key of [made.credential, older.credential]) t.is((await on.get('/api/me', key)).status, 200);
      await on.stop();
    } finally {
      await database.drop();
      rmSync(folder, { recursive: true });
    }
  });
});

/** Every table there is, from the migrations themselves. */
function migrationTables(): string[] {
  const folder = new URL('../../db/migrations/', import.meta.url);
  const sql = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'));
  return [...sql.join('\n').matchAll(/CREATE TABLE (?:IF NOT EXISTS )?(\w+)/g)]
    .map(([, name]) => name!)
    .filter((name) => !sql.some((text) => text.includes(`ALTER TABLE ${name} RENAME`)));
}
