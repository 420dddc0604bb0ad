import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { isWellFormedKey, keyHints, newKeySecret, readKeyStart } from '../../src/lib/key-shapes.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { newSecret } from '../../src/lib/secrets.ts';
import { addApi } from '../helpers/api.ts';
import { dumpOf } from '../helpers/dump.ts';
import { basic, createTestDatabase, startTestService, TEST_SECRET } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** What keys look like, and how an operator chooses it. */

const EXAMPLE = fileURLToPath(new URL('../../examples/tiny-command.config.json', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-key-shapes-'));
test.after(() => rmSync(folder, { recursive: true }));
const withService = (service: object) => {
  const file = join(folder, `${randomUUID()}.json`);
  writeFileSync(file, JSON.stringify({ service }));
  return { CONFIG: file };
};
const load = (service: object) => loadConfig({ SECRET: TEST_SECRET, ...withService(service) });

test('a thousand keys of 32 bytes: 52 characters with "tcm_live_", and shown by the length of the prefix', (t) => {
  const { issued, accepted } = loadConfig({ SECRET: TEST_SECRET, CONFIG: EXAMPLE }).keys;
  const seen = new Set<string>();
  for (let made = 0; made < 1000; made += 1) {
    const key = newKeySecret(issued, systemRandom);
    t.regex(key, /^tcm_live_[\w-]{43}$/);
    t.is(key.length, 52);
    t.is(Buffer.from(key.slice(9), 'base64url').length, 32);
    t.true(isWellFormedKey(accepted, key));
    t.deepEqual(keyHints(issued, key), { prefix: key.slice(0, 13), lastFour: key.slice(-4) });
    t.is(readKeyStart(accepted, key.slice(0, 20)), key.slice(0, 13));
    seen.add(key);
  }
  t.is(seen.size, 1000);
});

test('a prefix of one’s own keeps the checksum: a mistyped key is none', (t) => {
  const { issued, accepted } = load({ keys: { prefix: 'sta_' } }).keys;
  const key = newKeySecret(issued, systemRandom);
  t.regex(key, /^sta_[0-9A-Za-z]{49}$/);
  t.is(keyHints(issued, key).prefix.length, 8);
  t.true(isWellFormedKey(accepted, key));
  for (const wrong of [
    `${key}x`,
    key.slice(0, -1),
    key.replace('sta_', 'stb_'),
    newSecret('sk', systemRandom),
  ]) {
    t.false(isWellFormedKey(accepted, wrong), wrong);
  }
  const at = 10;
  t.false(isWellFormedKey(accepted, key.slice(0, at) + (key[at] === 'a' ? 'b' : 'a') + key.slice(at + 1)));
});

test('without the setting keys begin as they did, with their brand', (t) => {
  t.deepEqual(load({}).keys.issued, { prefix: 'sk_', form: 'checked' });
  const { issued, accepted } = load({ keyBrand: 'acme' }).keys;
  t.regex(newKeySecret(issued, systemRandom), /^sk_acme_[0-9A-Za-z]{49}$/);
  t.true(isWellFormedKey(accepted, newSecret('sk', systemRandom)));
});

test('a prefix that other secrets begin with, or that begins like another, is refused', (t) => {
  for (const service of [
    ...['at_', 'art_', 'ct_', 'clm_', 'rss_', 'ses_', 'ak_', 'dg_', 'ort_', 'cs_', 'rat_', 'at_live_'].map(
      (prefix) => ({ keys: { prefix } }),
    ),
    { keys: { prefix: 'sk_', form: 'bytes' } },
    { keys: { prefix: 'sk_live_', form: 'bytes' } },
    { keys: { prefix: 'sta_', previous: ['at_'] } },
    { keys: { prefix: 'sta_', previous: ['sta_live_'] } },
    { keys: { prefix: 'sta_', previous: ['sta_'] } },
    { keys: { prefix: 'sta_' }, keyBrand: 'acme' },
    ...['sta', 'Sta_', '_', '1_', 'a_b_c_d_', 'a-b_'].map((prefix) => ({ keys: { prefix } })),
  ]) {
    t.throws(() => load(service), { instanceOf: ConfigError }, JSON.stringify(service));
  }
  t.notThrows(() => load({ keys: { prefix: 'sk_live_', previous: ['sk_'] } }));
});

test('the example of Tiny Command: five presets beside one’s own choice, one of them recommended, and all its tools', (t) => {
  const config = loadConfig({ SECRET: TEST_SECRET, CONFIG: EXAMPLE });
  t.deepEqual(
    [...config.presets].map(([name, { scopes }]) => [name, scopes.map((each) => each.split(':')[1])]),
    [
      ['standard', ['read', 'build', 'write', 'execute']],
      ['build-only', ['read', 'build', 'write']],
      ['read-operate', ['read', 'execute']],
      ['read-only', ['read']],
      ['scout', ['read', 'build']],
    ],
  );
  t.deepEqual(
    [...config.presets.values()].filter(({ recommended }) => recommended).map(({ title }) => title),
    ['Standard'],
  );
  t.deepEqual(config.lookingScopes, ['workspace:read']);
  t.is(Object.keys(config.policy!.tools).length, 13);
  t.is(JSON.parse(readFileSync(EXAMPLE, 'utf8')).service.keys.prefix, 'tcm_live_');
});

onEveryEngine('keys of a changed shape', (engine, test) => {
  test('changing the setting ends nobody’s key, and the APIs learn how keys look', async (t) => {
    const database = await createTestDatabase(engine);
    t.teardown(() => database.drop());
    const before = await startTestService(engine, { database });
    const old = (await before.register()).credential;
    await before.stop();
    const on = await startTestService(engine, {
      database,
      env: withService({ keys: { prefix: 'tcm_live_', form: 'bytes', previous: ['sk_'] } }),
    });
    t.teardown(() => on.stop());
    const api = await addApi(on);
    const fresh = (await on.register()).credential;
    t.regex(fresh, /^tcm_live_[\w-]{43}$/);
    t.true(await api.isActive(old));
    t.true(await api.isActive(fresh));
    t.false(await api.isActive(`${fresh.slice(0, -1)}${fresh.endsWith('A') ? 'B' : 'A'}`));
    const me = (await on.get('/api/me', fresh)).body.data;
    t.is(me.key.prefix, fresh.slice(0, 13));
    t.is(me.key.last_four, fresh.slice(-4));
    const policy = await on.request('GET', '/resource/policy', {
      headers: basic(api.clientId, api.clientSecret),
    });
    t.deepEqual(policy.body.keys, [
      { prefix: 'tcm_live_', form: 'bytes' },
      { prefix: 'sk_', form: 'checked' },
    ]);
    t.regex((await on.get('/api/me')).body.error.message, /Bearer tcm_live_\.\.\./);
    t.false((await dumpOf(on)).includes(fresh.slice(13, -4)), 'nothing of the rest is stored');
  });
});
