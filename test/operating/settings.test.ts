import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settingsTable } from '../../src/config/settings.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { freePort } from '../helpers/free-port.ts';
import { test } from '../helpers/suite.ts';

const BASE = process.env.TEST_DATABASE_URL!;

let folder: string;
let served: import('node:http').Server;
let taken: number;
test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-settings-'));
  served = createServer();
  await new Promise<void>((resolve) => served.listen(0, '127.0.0.1', resolve));
  taken = (served.address() as AddressInfo).port;
});
test.after(async () => {
  await new Promise((resolve) => served.close(resolve));
  rmSync(folder, { recursive: true });
});

/** BASE with parts of it replaced. */
function postgres(parts: Partial<URL>): string {
  return Object.assign(new URL(BASE), parts).href;
}

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

test.describe('a start that fails', (test) => {
  /** The settings, and what the sentence says beside the setting's name, which is the first of them. */
  const starts: [about: string, env: () => Record<string, string>, says: RegExp][] = [
    [
      'a port of another process',
      () => ({ PORT: String(taken) }),
      /^PORT: another process listens at port [0-9]+ of 127\.0\.0\.1/,
    ],
    ['the other port', () => ({ OPS_PORT: String(taken) }), /^OPS_PORT: another process/],
    [
      'an address that is not ours',
      () => ({ HOST: '192.0.2.1' }),
      /^HOST: 192\.0\.2\.1 is no address of this machine/,
    ],
    ['the same for operations', () => ({ OPS_HOST: '192.0.2.1' }), /^OPS_HOST: 192\.0\.2\.1/],
    ['a host that nobody knows', () => ({ HOST: 'nowhere.invalid' }), /^HOST: nowhere\.invalid/],
    ['a host with a port', () => ({ HOST: '127.0.0.1:80' }), /^HOST: 127\.0\.0\.1:80/],
    [
      'a file that is no database',
      () => ({
        DATABASE_URL: `file:${file('text.db', 'no database, but a text that is long enough to be read as a header, and then some of it '.repeat(20))}`,
      }),
      /^DATABASE_URL: the file .*text\.db is no SQLite database/,
    ],
    [
      'a folder as the database',
      () => ({ DATABASE_URL: `file:${folder}` }),
      /^DATABASE_URL: the file .* cannot be opened/,
    ],
    [
      'a file below a file',
      () => ({ DATABASE_URL: `file:${file('plain', 'x')}/v.db` }),
      /^DATABASE_URL: the file .* cannot be opened/,
    ],
    [
      'a server that is not there',
      () => ({ DATABASE_URL: postgres({ port: '1' }) }),
      /^DATABASE_URL: the database .* at 127\.0\.0\.1:1 refuses connections/,
    ],
    [
      'a host without a name',
      () => ({ DATABASE_URL: postgres({ hostname: 'nowhere.invalid' }) }),
      /^DATABASE_URL: .*nowhere\.invalid/,
    ],
    [
      'a server that speaks something else',
      () => ({ DATABASE_URL: postgres({ port: String(taken) }) }),
      /^DATABASE_URL: the database /,
    ],
    [
      'a database that does not exist',
      () => ({ DATABASE_URL: postgres({ pathname: '/nothing_here' }) }),
      /^DATABASE_URL: the database nothing_here at .* does not exist/,
    ],
    [
      'a user who does not exist',
      () => ({ DATABASE_URL: postgres({ username: 'nobody_here', password: 'hunter2' }) }),
      /^DATABASE_URL: the database /,
    ],
    [
      'a certificate that is not there',
      () => ({ DATABASE_URL: postgres({ search: '?sslmode=verify-full&sslrootcert=/nowhere.pem' }) }),
      /^DATABASE_URL: the database /,
    ],
    [
      'TLS where there is none',
      () => ({ DATABASE_URL: postgres({ search: '?sslmode=verify-full' }) }),
      /^DATABASE_URL: the database .*SSL/,
    ],
    [
      'a password that breaks the URL',
      () => ({ DATABASE_URL: 'postgres://user:hunter2/x@h:b@db.example.com/v' }),
      /^DATABASE_URL cannot be read as a URL/,
    ],
    [
      'a mail server’s URL that breaks',
      () => ({ SMTP_URL: 'smtps://user:hunter2/@mail.example.com' }),
      /^SMTP_URL must be a URL/,
    ],
    [
      'a folder where a file should be',
      () => ({ CONFIG: folder }),
      /^CONFIG names a file that cannot be read: .* \(EISDIR\)/,
    ],
    [
      'a configuration that is no JSON',
      () => ({ CONFIG: file('broken.json', '{\n "limits": }') }),
      /\(CONFIG\) is not JSON\./,
    ],
    ['a list in place of an object', () => ({ LIMITS: '[]' }), /^LIMITS must be a JSON object/],
    [
      'a folder for a secret file',
      () => ({ SECRET: '', SECRET_FILE: folder }),
      /^SECRET_FILE names a file that cannot be read/,
    ],
    [
      'a value and a file of it',
      () => ({ DATABASE_URL: 'file:x.db', DATABASE_URL_FILE: '/nowhere' }),
      /^DATABASE_URL and DATABASE_URL_FILE are both set/,
    ],
    [
      'a file whose value is wrong',
      () => ({ TRUST_PROXY_FILE: file('proxies', 'many\n') }),
      /^TRUST_PROXY_FILE must be a whole number/,
    ],
    [
      'a misspelled name',
      () => ({ SMPT_URL: 'smtp://127.0.0.1' }),
      /^SMPT_URL is not known\. Did you mean SMTP_URL\?/,
    ],
    [
      'another one',
      () => ({ DATABASE_URI: 'file:x.db' }),
      /^DATABASE_URI is not known\. Did you mean DATABASE_URL\?/,
    ],
    [
      'a third one, of a file',
      () => ({ TRUST_PROXYS_FILE: '/nowhere' }),
      /^TRUST_PROXYS_FILE is not known\. Did you mean TRUST_PROXY\?/,
    ],
    [
      'a folder of templates that is not there',
      () => ({ TEMPLATES_DIR: join(folder, 'none') }),
      /^TEMPLATES_DIR is no folder/,
    ],
    ['a mail that cannot be filled', () => ({ TEMPLATES_DIR: brokenMail() }), /TEMPLATES_DIR/],
  ];

  function brokenMail(): string {
    mkdirSync(join(folder, 'templates/mail'), { recursive: true });
    file('templates/mail/claim-code.eta', '<% nothing.of.this() %>');
    return join(folder, 'templates');
  }

  for (const [about, env, says] of starts) {
    test(`says in one sentence which setting is wrong: ${about}`, async (t) => {
      const ports = {
        PORT: String(await freePort()),
        OPS_PORT: '0',
        DATABASE_URL: `file:${join(folder, 'good.db')}`,
      };
      const { code, stdout, stderr } = await vouchsafe(['serve'], folder, {
        ...ports,
        LOG_LEVEL: 'silent',
        STARTUP_TIMEOUT: '0',
        ...env(),
      });
      // Whether a value is wrong, or the database cannot be used as it is.
      t.is(code, stderr.startsWith('DATABASE_URL: ') ? 1 : 2, stderr);
      t.is(stdout, '');
      t.regex(stderr, says);
      t.is(stderr.trim().split('\n').length, 1, stderr);
      t.false(stderr.includes('hunter2'), 'no password is repeated');
    });
  }

  test('on PostgreSQL says it where its user may not create tables', async (t) => {
    const { default: pg } = await import('pg');
    const admin = new pg.Client({ connectionString: BASE });
    await admin.connect();
    const name = `bounded_${process.pid}`;
    try {
      await admin.query(`CREATE DATABASE ${name}`);
      await admin.query(`CREATE ROLE ${name} LOGIN PASSWORD 'hunter2'`);
      const DATABASE_URL = postgres({ username: name, password: 'hunter2', pathname: `/${name}` });
      const { code, stderr } = await vouchsafe(['migrate'], folder, { DATABASE_URL });
      t.is(code, 1, stderr);
      t.regex(
        stderr,
        /^DATABASE_URL: the database bounded_[0-9]+ at .* does not let this user create tables/,
      );
    } finally {
      await admin.query(`DROP DATABASE IF EXISTS ${name}`);
      await admin.query(`DROP ROLE IF EXISTS ${name}`);
      await admin.end();
    }
  });

  test('of a command and of doctor says it as well', async (t) => {
    const DATABASE_URL = postgres({ port: '1' });
    const listed = await vouchsafe(['agent', 'list'], folder, { DATABASE_URL, STARTUP_TIMEOUT: '0' });
    t.is(listed.code, 1);
    t.regex(listed.stderr, /^DATABASE_URL: .* refuses connections/);
    const looked = await vouchsafe(['doctor'], folder, {
      DATABASE_URL,
      SMTP_URL: 'smtp://127.0.0.1:1',
      STARTUP_TIMEOUT: '0',
    });
    t.regex(looked.stdout, /BAD {2}database: DATABASE_URL: .* refuses connections/);
    t.regex(looked.stdout, /BAD {2}mail: SMTP_URL: /);
  });
});

test.describe('the settings', (test) => {
  test('stand in README as the program knows them', (t) => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    t.true(
      readme.includes(settingsTable()),
      `README’s table is: vouchsafe config --markdown\n${settingsTable()}`,
    );
  });

  test('are printed as they are in force, with where they come from and without secrets', async (t) => {
    chmodSync(folder, 0o700);
    const env = {
      PORT: '8080',
      DATABASE_URL: 'postgres://user:hunter2@db.example.com/vouchsafe',
      SMTP_URL_FILE: file('smtp', 'smtps://user:hunter2@mail.example.com\n'),
    };
    const { code, stdout } = await vouchsafe(['config', '--json'], folder, env);
    t.is(code, 0);
    t.false(stdout.includes('hunter2'));
    const { settings } = JSON.parse(stdout) as { settings: { name: string; value: unknown; from: string }[] };
    const of = (name: string) => settings.find((each) => each.name === name);
    t.deepEqual(of('PORT'), { name: 'PORT', value: 8080, from: 'PORT' });
    t.deepEqual(of('PUBLIC_URL'), {
      name: 'PUBLIC_URL',
      value: 'http://localhost:8080',
      from: 'default',
    });
    t.deepEqual(of('SMTP_URL'), { name: 'SMTP_URL', value: '(set, not shown)', from: 'SMTP_URL_FILE' });
    const limits = { LIMITS: '{"registerPerIp":"100/15m"}' };
    const withLimits = JSON.parse(
      (await vouchsafe(['config', '--json'], folder, { ...env, ...limits })).stdout,
    );
    const inFile = (name: string) => withLimits.file.find((each: { name: string }) => each.name === name);
    t.deepEqual(inFile('limits.registerPerIp'), {
      name: 'limits.registerPerIp',
      value: '100/15m',
      from: 'LIMITS',
    });
    t.like(inFile('limits.registerPerService'), { value: '2000/h', from: 'default' });
    const shown = await vouchsafe(['config'], folder, env);
    t.regex(shown.stdout, /^PORT +8080 {2}\(PORT\)$/m);
    t.false(shown.stdout.includes('hunter2'));
    t.is((await vouchsafe(['config', '--markdown'], folder)).stdout.trim(), settingsTable());
  });
});
