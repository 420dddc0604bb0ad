import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { runNode, vouchsafe } from '../helpers/cli.ts';
import { createTestClock, createTestDatabase, startTestService, TEST_SECRET } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

let folder: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
});
test.after(() => rmSync(folder, { recursive: true }));

let files = 0;
/** A file with this text; an object is written as JSON. */
function file(content: string | object): string {
  files += 1;
  const path = join(folder, `file-${files}`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const load = (env: Record<string, string>) => loadConfig({ SECRET: TEST_SECRET, ...env });
const PUBLIC = { PUBLIC_URL: 'https://id.example.com' };
const SMTP = { SMTP_URL: 'smtps://user:password@mail.example.com' };

test.describe('settings', (test) => {
  test('without any, the service is a development service on this machine', (t) => {
    const config = load({});
    t.is(config.publicUrl, 'http://localhost:3000');
    t.deepEqual([config.host, config.port, config.isLoopback], ['127.0.0.1', 3000, true]);
    t.deepEqual([config.opsHost, config.opsPort, config.trustProxy], ['127.0.0.1', 9464, 0]);
    t.deepEqual(config.database, { kind: 'sqlite', file: './data/vouchsafe.db' });
    t.deepEqual([config.claimExistingAccount, config.logLevel, config.smtpUrl], ['otp', 'info', undefined]);
    t.deepEqual([config.anonymousScopes, config.claimedScopes], [['read'], ['read', 'write']]);
    t.deepEqual(
      config.resources.map(({ url }) => url),
      ['http://localhost:3000'],
    );
    t.deepEqual(config.limits.registerPerIp, { max: 10, windowSeconds: 3600 });
    t.is(config.limits.codeTtlSeconds, 600);
    t.is(config.trustedIssuers.size, 0, 'nobody is trusted by default');
    t.is(config.claimMode, 'both');
    t.deepEqual(
      config.resources.map(({ tokens }) => tokens),
      ['opaque'],
    );
  });

  test('an agent provider is trusted as far as it is told, and stricter than it could be where nothing is', (t) => {
    const listed = [
      { issuer: 'https://agents.example', displayName: 'Agents' },
      {
        issuer: 'https://other.example/tenant/',
        displayName: 'Other',
        jwksUri: 'https://keys.example/set',
        clientIds: ['cli'],
        emailDomains: ['example.com'],
        amr: ['mfa'],
        maxAgeSeconds: 60,
        singleUse: true,
      },
    ];
    const { trustedIssuers } = load({ ...PUBLIC, ...SMTP, CONFIG: file({ trustedIssuers: listed }) });
    t.deepEqual([...trustedIssuers.keys()], ['https://agents.example', 'https://other.example/tenant/']);
    t.deepEqual(trustedIssuers.get('https://agents.example'), {
      ...listed[0],
      jwksUri: 'https://agents.example/.well-known/jwks.json',
      clientIds: undefined,
      emailDomains: undefined,
      amr: [],
      maxAgeSeconds: 3600,
      singleUse: false,
    });
    t.deepEqual(trustedIssuers.get('https://other.example/tenant/'), listed[1]);
    const local = { issuer: 'http://localhost:4000/', displayName: 'Mine' };
    const mine = load({ CONFIG: file({ trustedIssuers: [local] }) }).trustedIssuers;
    t.is(mine.get(local.issuer)?.jwksUri, 'http://localhost:4000/.well-known/jwks.json');
  });

  test('the ones that are set count, LIMITS over the file', (t) => {
    const path = file({
      limits: { registerPerIp: '7/15m', triesPerCode: 3 },
      claimExistingAccount: 'confirm',
    });
    const config = load({
      ...PUBLIC,
      ...SMTP,
      CONFIG: path,
      LIMITS: '{"triesPerCode":2}',
      PORT: '8080',
      TRUST_PROXY: '2',
    });
    t.deepEqual(config.limits.registerPerIp, { max: 7, windowSeconds: 900 });
    t.is(config.limits.triesPerCode, 2);
    t.is(config.claimExistingAccount, 'confirm');
    t.deepEqual([config.publicUrl, config.port, config.trustProxy], ['https://id.example.com', 8080, 2]);
    t.is(config.mailFrom, 'no-reply@id.example.com');
    t.is(load({ CONFIG: path, CLAIM_EXISTING_ACCOUNT: 'otp' }).claimExistingAccount, 'otp');
    t.deepEqual(load({ DATABASE_URL: 'file:///var/lib/v.db' }).database, {
      kind: 'sqlite',
      file: '/var/lib/v.db',
    });
    const url = 'postgres://user:password@db.example.com/vouchsafe';
    t.deepEqual(load({ DATABASE_URL: url }).database, { kind: 'postgres', url, prepared: true });
  });

  test('a slash behind PUBLIC_URL is forgiven, an empty setting is none', (t) => {
    t.is(load({ ...SMTP, PUBLIC_URL: 'https://id.example.com/' }).publicUrl, 'https://id.example.com');
    t.is(load({ PORT: '', PUBLIC_URL: '', LIMITS: '' }).publicUrl, 'http://localhost:3000');
  });

  test('every setting can come from a file', (t) => {
    const config = load({
      ...PUBLIC,
      SECRET: '',
      SECRET_FILE: file(`${'0123456789abcdef'.repeat(3)}\n`),
      SMTP_URL_FILE: file(`${SMTP.SMTP_URL}\n`),
      DATABASE_URL_FILE: file('postgres://user:password@db.example.com/vouchsafe\n'),
    });
    t.is(config.smtpUrl, SMTP.SMTP_URL);
    t.is(config.database.kind, 'postgres');
    t.is(config.secrets[0]!.toString(), '0123456789abcdef'.repeat(3));
  });

  test('several secrets stand newest first, by lines, spaces or commas', (t) => {
    const [first, second] = ['first-0123456789abcdef0123456789', 'second-0123456789abcdef0123456789'];
    for (const separator of [' ', ',', '\n', ', \n\n']) {
      const { secrets } = load({ SECRET: `${first}${separator}${second}` });
      t.deepEqual(secrets.map(String), [first, second]);
    }
  });

  const json = (value: object) => () => ({ CONFIG: file(value) });
  const limit = (value: object) => ({ LIMITS: JSON.stringify(value) });
  const ISSUER = { issuer: 'https://agents.example', displayName: 'Agents' };
  const trust =
    (members: object, env: Record<string, string> = {}) =>
    () => ({ ...env, CONFIG: file({ trustedIssuers: [{ ...ISSUER, ...members }] }) });
  /** Settings that stop the service, by the name that its sentence must say. */
  const bad: [name: string, envs: (Record<string, string> | (() => Record<string, string>))[]][] = [
    ['PORT', ['abc', '-1', '65536', '3000.5', '0x10', '1e3', ' 80'].map((PORT) => ({ PORT }))],
    ['OPS_PORT', [{ OPS_PORT: 'x' }]],
    ['TRUST_PROXY', [{ TRUST_PROXY: 'true' }, { TRUST_PROXY: '11' }]],
    [
      'PUBLIC_URL',
      [
        'http://id.example.com',
        'https://id.example.com/path',
        'https://id.example.com?x',
        'https://user@id.example.com',
        'https://ID.example.com',
        'ftp://id.example.com',
        'id.example.com',
        'http://localhost.example.com',
        'http://127.0.0.1.example.com',
        'http://0.0.0.0:3000',
        'null',
      ].map((PUBLIC_URL) => ({ ...SMTP, PUBLIC_URL })),
    ],
    [
      'SMTP_URL',
      [PUBLIC, { SMTP_URL: 'https://mail.example.com' }, { SMTP_URL: 'smtp://' }, { SMTP_URL: 'smtp://[' }],
    ],
    ['SMTP_URL_FILE', [{ SMTP_URL_FILE: '/nowhere' }]],
    [
      'MAIL_FROM',
      [
        { MAIL_FROM: 'nobody' },
        { MAIL_FROM: 'Vouchsafe <no-reply@example.com>' },
        { MAIL_FROM: 'a@b\r\nBcc: c@d' },
      ],
    ],
    [
      'SECRET',
      [
        { SECRET: 'short' },
        { SECRET: 'x'.repeat(64) },
        { SECRET: `${TEST_SECRET} short` },
        { ...PUBLIC, ...SMTP, SECRET: '' },
        () => ({ SECRET: '', SECRET_FILE: file('\n') }),
      ],
    ],
    [
      'SECRET_FILE',
      [{ SECRET: '', SECRET_FILE: '/nowhere' }, () => ({ SECRET: '', SECRET_FILE: file('short') })],
    ],
    [
      'DATABASE_URL',
      ['mysql://db', 'file:', '/var/lib/v.db', 'postgres://'].map((DATABASE_URL) => ({ DATABASE_URL })),
    ],
    ['DATABASE_URL_FILE', [{ DATABASE_URL_FILE: '/nowhere' }]],
    ['CLAIM_EXISTING_ACCOUNT', [{ CLAIM_EXISTING_ACCOUNT: 'yes' }]],
    ['claimExistingAccount', [json({ claimExistingAccount: 'yes' })]],
    ['LOG_LEVEL', [{ LOG_LEVEL: 'loud' }]],
    ['CONFIG', [{ CONFIG: '/nowhere' }, () => ({ CONFIG: file('{') }), () => ({ CONFIG: file('[]') })]],
    ['LIMITS', [{ LIMITS: '{' }, { LIMITS: '[]' }, { LIMITS: '1' }, limit({ registerPerAddress: '1/h' })]],
    [
      'registerPerAddress',
      [limit({ registerPerAddress: '1/h' }), json({ limits: { registerPerAddress: '1/h' } })],
    ],
    [
      'limits.registerPerIp',
      ['ten/h', '10', '0/h', '10/w', '-1/h', '10/0h', '10/00h', '1.5/h', '10/h ', 10].map((registerPerIp) =>
        limit({ registerPerIp }),
      ),
    ],
    [
      'limits.codeTtlSeconds',
      [limit({ codeTtlSeconds: 601 }), limit({ codeTtlSeconds: 0 }), limit({ codeTtlSeconds: '60' })],
    ],
    ['limits.triesPerCode', [limit({ triesPerCode: 6 })]],
    ['colour', [json({ colour: 'red' }), json({ service: { colour: 'red' } })]],
    [
      'service.keyBrand',
      [json({ service: { keyBrand: 'Acme' } }), json({ service: { keyBrand: 'a'.repeat(17) } })],
    ],
    ['service.name', [json({ service: { name: '' } })]],
    ['nothing', [json({ anonymousScopes: ['nothing'] }), json({ claimedScopes: ['nothing'] })]],
    ['nothing', [json({ resources: [{ url: 'https://a.example', name: 'A', scopes: ['nothing'] }] })]],
    [
      'scopes',
      [json({ scopes: { 'a b': { description: 'x' } } }), json({ scopes: { 'a"': { description: 'x' } } })],
    ],
    ['scopes.read', [json({ scopes: { read: 'Look' } })]],
    [
      'resources.0.url',
      ['api', 'ftp://api.example.com', 'https://api.example.com/#part'].map((url) =>
        json({ resources: [{ url, name: 'A' }] }),
      ),
    ],
    ['resources.0.name', [json({ resources: [{ url: 'https://a.example' }] })]],
    [
      'resources.0.tokens',
      ['signed', '', true].map((tokens) =>
        json({ resources: [{ url: 'https://a.example', name: 'A', tokens }] }),
      ),
    ],
    ['claimMode', ['otp', '', null].map((claimMode) => json({ claimMode }))],
    ...(
      [
        ['assertionTtlSeconds', 86_401],
        ['accessTokenTtlSeconds', 86_401],
        ['signedTokenTtlSeconds', 3601],
        ['refreshTtlSeconds', 366 * 86_400 + 1],
      ] as const
    ).map(([name, tooLong]): [string, Record<string, string>[]] => [
      `limits.${name}`,
      [tooLong, 0, -1, 1.5, '60', '1/h'].map((value) => limit({ [name]: value })),
    ]),
    ...['tokensPerAgent', 'assertionsPerIssuer'].map((name): [string, Record<string, string>[]] => [
      `limits.${name}`,
      [600, '600', '0/h', '600/w'].map((value) => limit({ [name]: value })),
    ]),
    [
      'trustedIssuers.0.issuer',
      [trust({ issuer: 'agents.example' }), trust({ issuer: 'ftp://agents.example' })],
    ],
    ['trustedIssuers.0.displayName', [trust({ displayName: '' }), trust({ displayName: undefined })]],
    ['trustedIssuers.0.jwksUri', [trust({ jwksUri: 'keys' })]],
    ['trustedIssuers.0.clientIds', [trust({ clientIds: [] }), trust({ clientIds: 'cli' })]],
    [
      'trustedIssuers.0.emailDomains',
      [[], ['EXAMPLE.com'], ['@example.com'], ['*.example.com'], ['com'], 'example.com'].map((emailDomains) =>
        trust({ emailDomains }),
      ),
    ],
    ['trustedIssuers.0.amr', [trust({ amr: 'mfa' }), trust({ amr: [''] })]],
    ['trustedIssuers.0.maxAgeSeconds', [trust({ maxAgeSeconds: 0 }), trust({ maxAgeSeconds: 86_401 })]],
    ['trustedIssuers.0.singleUse', [trust({ singleUse: 'yes' })]],
    ['colour', [trust({ colour: 'red' })]],
    [
      'trustedIssuers',
      [
        // Plain http is for this machine, and only while the service itself is on it.
        trust({ issuer: 'http://agents.example' }),
        trust({ jwksUri: 'http://keys.example/set' }),
        trust({ issuer: 'http://localhost:4000' }, { ...PUBLIC, ...SMTP }),
        trust({ jwksUri: 'http://127.0.0.1:4000/set' }, { ...PUBLIC, ...SMTP }),
        trust({ issuer: 'https://user@agents.example' }),
        trust({ issuer: 'https://agents.example#part' }),
        trust({ issuer: PUBLIC.PUBLIC_URL }, { ...PUBLIC, ...SMTP }),
        json({ trustedIssuers: [ISSUER, { ...ISSUER, displayName: 'Again' }] }),
        json({ trustedIssuers: ISSUER }),
      ],
    ],
  ];
  for (const [index, [name, envs]] of bad.entries()) {
    test(`a wrong one stops the start with a sentence that names it: ${name} (${index})`, (t) => {
      for (const each of envs) {
        const env = typeof each === 'function' ? each() : each;
        const { message } = t.throws(() => load(env), { instanceOf: ConfigError }, JSON.stringify(env));
        t.true(message.includes(name), `${JSON.stringify(env)}: ${message}`);
        t.regex(message, /^\S.*[.)]$|random|openssl/);
      }
    });
  }

  test('a scope that has a name of OpenID Connect stops the start', (t) => {
    for (const name of ['openid', 'profile', 'email', 'offline_access', 'address', 'phone']) {
      const scopes = { read: { description: 'Read' }, [name]: { description: 'More' } };
      t.throws(() => load({ CONFIG: file({ scopes }) }), {
        instanceOf: ConfigError,
        message: new RegExp(`"${name}" .*OpenID Connect`),
      });
    }
  });

  test('a sentence about a secret or a password does not repeat it', (t) => {
    const envs: Record<string, string>[] = [
      { SECRET: 'hunter2' },
      { DATABASE_URL: 'mysql://user:hunter2@db' },
      { SMTP_URL: 'https://user:hunter2@mail' },
    ];
    for (const env of envs) {
      t.throws(() => load(env), {
        instanceOf: ConfigError,
        message: (message) => !message.includes('hunter2'),
      });
    }
  });

  test('the program itself stops with exit code 2, the sentence on stderr, and has touched nothing', async (t) => {
    const cwd = mkdtempSync(join(folder, 'cwd-'));
    const envs: [string, Record<string, string>][] = [
      ['PORT', { PORT: 'x' }],
      ['SMTP_URL', PUBLIC],
      ['SECRET', { SECRET: 'short' }],
      ['LIMITS', { LIMITS: '{"x":1}' }],
    ];
    for (const [name, env] of envs) {
      const { code, stdout, stderr } = await vouchsafe(['serve'], cwd, env);
      t.is(code, 2, stderr);
      t.is(stdout, '');
      t.regex(stderr, new RegExp(`^.*\\b${name}\\b.*\\n$`));
      t.deepEqual(readdirSync(cwd), []);
    }
  });
});

test.describe('the secret that is made on this machine', (test) => {
  test('is one, however many processes start at once, and only its owner may read it', async (t) => {
    const cwd = mkdtempSync(join(folder, 'cwd-'));
    const source = new URL('../../src/config/load.ts', import.meta.url).href;
    const script = `const { loadConfig } = await import('${source}'); console.log(String(loadConfig({}, { makeSecret: true }).secrets))`;
    const start = () => runNode(['--input-type=module', '-e', script], {}, cwd);
    const ended = await Promise.all([start(), start(), start(), start(), start()]);
    const secrets = new Set(ended.map(({ stdout }) => stdout));
    t.is(secrets.size, 1, JSON.stringify(ended));
    t.regex([...secrets][0]!, /^[0-9a-f]{64}\n$/);
    t.deepEqual(readdirSync(join(cwd, 'data')), ['secret'], 'nothing half-made is left behind');
    t.is(readFileSync(join(cwd, 'data/secret'), 'utf8'), [...secrets][0]!);
    t.is(statSync(join(cwd, 'data/secret')).mode & 0o777, 0o600);
    t.is(statSync(join(cwd, 'data')).mode & 0o777, 0o700);
    t.is((await start()).stdout, [...secrets][0]!, 'the next start finds it');
  });

  test('is not made for a service that others can reach', (t) => {
    t.throws(() => loadConfig({ ...PUBLIC, ...SMTP }), { message: /SECRET or SECRET_FILE is required/ });
  });
});

onEveryEngine('a new service secret', (engine, test) => {
  const [old, young] = [TEST_SECRET, '77c3b6f0aa5e14d29877c3b6f0aa5e14d298'];

  test('leaves codes and kept answers of the old one working while that is listed, and none after', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const PUBLIC_URL = 'http://localhost:4321'; // the issuer of what is signed, whatever port each service has
    const start = (SECRET: string) =>
      startTestService(engine, { database, clock, env: { SECRET, PUBLIC_URL } });
    try {
      const repeat = { 'Idempotency-Key': 'once' };
      let on = await start(old);
      const first = await on.post('/agent/auth', { type: 'anonymous' }, repeat);
      const identity = (await on.post('/agent/identity', { type: 'anonymous' })).body;
      const exchange = async (assertion: string) => {
        const grant_type = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
        return (await on.form('/oauth2/token', { grant_type, assertion })).status;
      };
      const [kept, lost] = [await on.register(), await on.register()];
      await on.post('/agent/auth/claim', { claim_token: kept.claim_token, email: 'kept@example.com' });
      await on.post('/agent/auth/claim', { claim_token: lost.claim_token, email: 'lost@example.com' });
      const [keptCode, lostCode] = [
        await on.codeFor('kept@example.com'),
        await on.codeFor('lost@example.com'),
      ];
      await on.stop();

      on = await start(`${young}\n${old}`);
      t.deepEqual((await on.post('/agent/auth', { type: 'anonymous' }, repeat)).body, first.body);
      const complete = (claim_token: string, otp: string) =>
        on.post('/agent/auth/claim/complete', { claim_token, otp });
      t.is((await complete(kept.claim_token, keptCode)).status, 200);
      const newer = await on.claimed('newer@example.com');
      t.is(await exchange(identity.identity_assertion), 200);
      await on.stop();

      on = await start(young);
      t.is((await complete(lost.claim_token, lostCode)).status, 401);
      t.is((await on.post('/agent/auth', { type: 'anonymous' }, repeat)).status, 409);
      // What an older key of ours signed is verified by what was published of it; what signs from now on is a new key.
      t.is(await exchange(identity.identity_assertion), 200);
      const refresh_token = identity.identity.refresh_token.value;
      const renewed = (await on.post('/agent/identity', { type: 'refresh', refresh_token })).body.identity;
      const kidOf = (token: string) =>
        JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid;
      t.not(kidOf(renewed.assertion), kidOf(identity.identity_assertion));
      t.is((await on.get('/.well-known/jwks.json')).body.keys.length, 2);
      t.is(await exchange(renewed.assertion), 200);
      // Keys are not made from the secret: they all live on.
      for (const key of [newer.credential, lost.credential, first.body.data.credential]) {
        t.is((await on.get('/api/me', key)).status, 200);
      }
      await on.stop();
    } finally {
      await database.drop();
    }
  });
});
