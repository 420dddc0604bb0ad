import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import pg from 'pg';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { migrate, pendingMigrations } from '../../src/store/engine/migrate.ts';
import { openDatabase, openMigrated } from '../../src/store/engine/open.ts';
import { SERVICE_LOCK } from '../../src/store/engine/postgres/connection.ts';
import { restoreDatabase } from '../../src/store/engine/restore.ts';
import { lockForRestore } from '../../src/store/engine/sqlite/lock.ts';
import { insertUsedToken } from '../../src/store/spent-tokens.ts';
import { askFor, errorOf, getCode, newHuman, redeem, refresh, registerApp } from '../helpers/app-client.ts';
import { countOf } from '../helpers/ceremony.ts';
import { type Ended, vouchsafe } from '../helpers/cli.ts';
import { configFor } from '../helpers/crashing.ts';
import { serve } from '../helpers/served.ts';
import { createTestDatabase, startTestService, type TestDatabase } from '../helpers/service.ts';
import { onEveryEngine, type Test } from '../helpers/suite.ts';

onEveryEngine('restore', (engine, test) => {
  let folder: string;
  let database: TestDatabase;
  test.before(() => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-restore-'));
  });
  test.after(() => rmSync(folder, { recursive: true, force: true }));

  const onNewDatabase = (title: string, run: (t: ExecutionContext) => Promise<void>, declare: Test = test) =>
    declare(title, async (t) => {
      database = await createTestDatabase(engine);
      t.teardown(() => database.drop());
      await run(t);
    });
  const run = (...args: string[]): Promise<Ended> => vouchsafe(args, folder, { DATABASE_URL: database.url });
  let count = 0;
  const newFile = (name: string) => {
    count += 1;
    return join(folder, `${count}-${name}`);
  };
  const keys = async (): Promise<number> => {
    const db = await openDatabase(configFor(database.url).database, () => {});
    const row = await db.get<{ count: number }>('SELECT COUNT(*) AS count FROM credentials');
    await db.close();
    return row!.count;
  };

  onNewDatabase(
    'the drill: what the backup held is there, what lived for a moment is over, what was revoked later stays so',
    async (t) => {
      const on = await startTestService(engine, { database });
      const kept = await on.claimed('kept@example.com');
      const toRevoke = await on.claimed('revoked@example.com');
      const toLose = await on.claimed('linked@example.com', true);
      const pending = await on.register();
      await on.post('/agent/auth/claim', { claim_token: pending.claim_token, email: 'pending@example.com' });
      const code = await on.codeFor('pending@example.com');
      await on.stop();

      const first = await serve(t, { DATABASE_URL: database.url });
      const at = (port: number, path: string, key: string) =>
        fetch(`http://localhost:${port}${path}`, { headers: { Authorization: `Bearer ${key}` } });
      const register = async (): Promise<string> => {
        const answer = await fetch(`http://localhost:${first.port}/agent/auth`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: '{"type":"anonymous"}',
        });
        return ((await answer.json()) as { data: { credential: string } }).data.credential;
      };
      const before = await register();
      let writing = true;
      const writers = Array.from({ length: 4 }, async () => {
        while (writing) await register();
      });
      const file = newFile('copy');
      const made = await run('backup', file);
      t.is(made.code, 0, made.stderr);
      t.is((statSync(file).mode & 0o777).toString(8), '600');
      writing = false;
      await Promise.all(writers);
      const later = await register();
      t.is((await run('agent', 'revoke', toRevoke.agent_id)).code, 0);
      t.is((await run('agent', 'revoke', toLose.agent_id)).code, 0);

      const refused = await run('restore', file, '--accept-revived');
      t.is(refused.code, 1);
      t.regex(refused.stderr, /a service or a command works on this database/);
      t.is((await at(first.port, '/api/me', later)).status, 200, 'the running service is as it was');
      first.child.kill('SIGKILL');
      await first.ended;

      const unsaid = await run('restore', file);
      t.is(unsaid.code, 2, unsaid.stdout);
      t.regex(unsaid.stderr, /up to \d+ keys/);
      const [, args] = /vouchsafe (events.*) > revocations\.jsonl/.exec(unsaid.stderr)!;
      const revocations = newFile('revocations.jsonl');
      writeFileSync(revocations, (await run(...args!.split(' '))).stdout);
      const ended = await run('restore', file, '--revocations', revocations, '--json');
      t.is(ended.code, 0, ended.stderr);
      t.is(JSON.parse(ended.stdout).revoked, 2);

      const second = await serve(t, { DATABASE_URL: database.url });
      const status = async (key: string) => (await at(second.port, '/api/me', key)).status;
      t.deepEqual(
        await Promise.all(
          [kept.credential, before, later, toRevoke.credential, toLose.credential].map(status),
        ),
        [200, 200, 401, 401, 401],
      );
      const completed = await fetch(`http://localhost:${second.port}/agent/auth/claim/complete`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ claim_token: pending.claim_token, otp: code }),
      });
      t.true(completed.status >= 400 && completed.status < 500, `${completed.status}`);
      second.child.kill('SIGTERM');
      await second.ended;
      const audit = (await run('events', '--kind', 'database.restored')).stdout.trim().split('\n');
      t.deepEqual(
        audit.map((line) => JSON.parse(line).details),
        [{ revoked: 2 }],
      );
      if (engine === 'sqlite') {
        t.true(existsSync(JSON.parse(ended.stdout).kept), 'the database that was there is kept');
        t.deepEqual(
          readdirSync(folder).filter((name) => name.endsWith('.restoring')),
          [],
        );
      }
    },
  );

  onNewDatabase(
    'sessions, sign-in links, approvals and refresh tokens are over, tokens issued before are used up',
    async (t) => {
      const on = await startTestService(engine, { database });
      await on.claimed('moment@example.com');
      const { db } = on.service.deps;
      const now = on.clock();
      const [{ id: account }] = (await db.all<{ id: string }>(
        `SELECT id FROM accounts WHERE kind = 'human'`,
      )) as [{ id: string }];
      const { id: registration } = (await db.get<{ id: string }>('SELECT id FROM registrations LIMIT 1'))!;
      await db.tx(async (tx) => {
        await tx.run(
          `INSERT INTO sessions (hash, id, account_id, origin, created_at, seen_at) VALUES (?, 'ses_1', ?, '', ?, ?)`,
          [Buffer.from('s'), account, now, now],
        );
        await tx.run(
          `INSERT INTO refresh_tokens (hash, family, registration_id, created_at, expires_at) VALUES (?, 'f', ?, ?, ?)`,
          [Buffer.from('r'), registration, now, now + 1e9],
        );
        await tx.run(
          `INSERT INTO sign_ins (id, mailbox, origin, secret_id, counter, code_expires_at, created_at) VALUES ('si_1', 'a@b.c', '', 'x', 1, ?, ?)`,
          [now + 1e9, now],
        );
      });
      await on.stop();
      const file = newFile('copy');
      await run('backup', file);
      const ended = await run('restore', file, '--accept-revived');
      t.is(ended.code, 0, ended.stderr);

      const again = await openDatabase(configFor(database.url).database, () => {});
      for (const table of ['sessions', 'refresh_tokens', 'sign_ins']) {
        const rows = await again.all<{ ended: number | null }>(`SELECT ended_at AS ended FROM ${table}`);
        t.true(rows.length > 0 && rows.every((row) => row.ended !== null), table);
      }
      const spend = (jti: string, issuedAt: number) =>
        again.tx((tx) =>
          insertUsedToken(tx, 'https://idp.example', jti, { issuedAt, endsAt: issuedAt + 1e6 }),
        );
      t.false(await spend('old', now - 1000));
      t.true(await spend('new', Date.now() + 60_000));
      t.false(await spend('new', Date.now() + 60_000));
      await again.close();
    },
  );

  onNewDatabase(
    'what apps hold or wait for is over: codes, refresh tokens, device codes and requests; the consent stays',
    async (t) => {
      const on = await startTestService(engine, { database });
      const app = await registerApp(on, {
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
      });
      const { browser } = await newHuman(on);
      const query = { scope: 'read' };
      const { body: held } = await redeem(on, app, await getCode(on, app, { query, browser }));
      const code = await getCode(on, app, { query, browser });
      t.is((await browser.get(askFor(app, { scope: 'write' }).path)).status, 200);
      const form = { client_id: app.clientId, ...query };
      const { device_code, user_code } = (await on.form('/oauth2/device_authorization', form)).body;
      await browser.get('/connect');
      await browser.post('/connect', { code: user_code });
      const decision = { 'scope:read': 'on', decision: 'approve' };
      await browser.post('/connect/device', { ...browser.form('/connect/device'), ...decision });
      await on.stop();
      const file = newFile('copy');
      await run('backup', file);
      t.is((await run('restore', file, '--accept-revived')).code, 0);

      const later = await startTestService(engine, { database, clock: on.clock });
      t.teardown(() => later.stop());
      const poll = { grant_type: DEVICE_GRANT, device_code, client_id: app.clientId };
      for (const reply of [
        await redeem(later, app, code),
        await refresh(later, app, held.refresh_token),
        await later.form('/oauth2/token', poll),
      ]) {
        t.is(errorOf(reply), '400 invalid_grant');
      }
      t.is(await countOf(later, 'oauth_states'), 0);
      t.is(await countOf(later, 'oauth_grants WHERE revoked_at IS NULL'), 1);
    },
  );

  onNewDatabase('a backup of an older version is brought up to date', async (t) => {
    const old = await createTestDatabase(engine);
    const from = await openDatabase(configFor(old.url).database, () => {});
    await migrate(from, 0, { upTo: 7 });
    await from.tx((tx) =>
      tx.run(`INSERT INTO accounts (id, kind, mailbox, created_at) VALUES ('usr_1', 'human', ?, 1)`, [
        'line\u2028separator "quoted" \\ \r\n @example.com',
      ]),
    );
    const file = newFile('copy');
    await from.backup(file);
    await from.close();
    await old.drop();
    t.is((await run('restore', file, '--accept-revived')).code, 0);
    const db = await openDatabase(configFor(database.url).database, () => {});
    t.is(await pendingMigrations(db), 0);
    t.deepEqual(await db.all('SELECT mailbox FROM accounts'), [
      { mailbox: 'line\u2028separator "quoted" \\ \r\n @example.com' },
    ]);
    await db.close();
  });

  onNewDatabase('what is no backup, not whole, or of the other engine changes nothing', async (t) => {
    const on = await startTestService(engine, { database });
    await on.register();
    await on.stop();
    const file = newFile('copy');
    await run('backup', file);
    const on2 = await startTestService(engine, { database });
    await on2.register();
    await on2.stop();
    const held = await keys();

    const whole = readFileSync(file);
    const bad: [string, Buffer][] = [
      ['text', Buffer.from('no backup\n')],
      ['empty', Buffer.alloc(0)],
      ['cut', whole.subarray(0, whole.length - 200)],
      [
        'other',
        engine === 'sqlite'
          ? Buffer.from('{"vouchsafe":"backup","format":1}\n')
          : Buffer.from('SQLite format 3\0'),
      ],
    ];
    const changed = Buffer.from(whole);
    const middle = Math.floor(whole.length / 2);
    changed[middle] = changed[middle]! ^ 1;
    if (engine === 'postgres') bad.push(['changed', changed]);
    for (const [name, content] of bad) {
      const path = newFile(name);
      writeFileSync(path, content);
      const ended = await run('restore', path, '--accept-revived');
      t.is(ended.code, 1, name);
      t.regex(ended.stderr, /no backup|not whole|damaged|no database|cannot be read/, name);
      t.is(await keys(), held, name);
    }
    t.regex((await run('restore', newFile('absent'))).stderr, /There is no file/);
    t.regex((await run('backup', file)).stderr, /exists already/);
    const lines = newFile('lines');
    writeFileSync(lines, '{"id":"evt_1"}\n');
    const wrong = await run('restore', file, '--revocations', lines);
    t.deepEqual([wrong.code, /line 1 of .* is no line/.test(wrong.stderr)], [2, true], wrong.stderr);
    t.is(await keys(), held);
  });

  onNewDatabase('an error while it restores leaves the database as it was, whole', async (t) => {
    const on = await startTestService(engine, { database });
    await on.register();
    await on.stop();
    const file = newFile('copy');
    await run('backup', file);
    const on2 = await startTestService(engine, { database });
    const { credential } = await on2.register();
    await on2.stop();
    const { database: place } = configFor(database.url);
    await t.throwsAsync(
      restoreDatabase(place, file, async (db) => {
        await db.tx((tx) => tx.run('DELETE FROM credentials'));
        throw new Error('power cut');
      }),
      { message: /power cut/ },
    );
    const on3 = await startTestService(engine, { database });
    t.is((await on3.get('/api/me', credential)).status, 200);
    await on3.stop();
  });

  onNewDatabase('while it restores nobody starts, and afterwards they may', async (t) => {
    const { database: place } = configFor(database.url);
    await (await openMigrated(place, () => {})).db.close();
    let release: () => Promise<void>;
    if (place.kind === 'sqlite') ({ release } = lockForRestore(place.file));
    else {
      const client = new pg.Client({ connectionString: place.url });
      await client.connect();
      await client.query('SELECT pg_advisory_lock($1)', [SERVICE_LOCK]);
      release = () => client.end();
    }
    await t.throwsAsync(
      openMigrated(place, () => {}),
      { message: /being restored/ },
    );
    await release();
    await (await openMigrated(place, () => {}, { timeoutMs: 10_000, onWait() {} })).db.close();
  });

  onNewDatabase(
    'a damaged database is replaced, and kept',
    async (t) => {
      const on = await startTestService('sqlite', { database });
      const { credential } = await on.register();
      await on.stop();
      const file = newFile('copy');
      await run('backup', file);
      const path = database.url.slice('file:'.length);
      truncateSync(path, 100);
      appendFileSync(path, 'x'.repeat(10_000));
      writeFileSync(`${path}-wal`, 'what would be replayed');
      const ended = await run('restore', file, '--accept-revived', '--json');
      t.is(ended.code, 0, ended.stderr);
      t.true(existsSync(JSON.parse(ended.stdout).kept));
      const again = await startTestService('sqlite', { database });
      t.is((await again.get('/api/me', credential)).status, 200);
      await again.stop();
    },
    test.skipIf(engine === 'postgres' && 'has no file'),
  );
});
