import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Profile } from '../../src/client/profile.ts';
import { createRequest } from '../../src/lib/artifacts/permission-request.ts';
import { codeOf } from '../helpers/code-of.ts';
import { test } from '../helpers/suite.ts';

const service = 'https://id.example.com';

async function newProfile(t: ExecutionContext) {
  const home = join(mkdtempSync(join(tmpdir(), 'vouchsafe-home-')), 'store');
  t.teardown(() => rmSync(join(home, '..'), { recursive: true, force: true }));
  const profile = await Profile.openOrCreate({ home, service });
  return { home, profile, folder: join(home, 'profiles/default') };
}

async function newRequest(profile: Profile, path = 'documents/', now?: number) {
  return createRequest({
    service,
    key: profile.key().privateJwk,
    permissions: [{ service: 'vouchsafe.api', space: 'default', path, actions: ['read'] }],
    now,
  });
}

test('everything in the store is readable and writable by its owner alone', async (t) => {
  const umask = process.umask(0);
  t.teardown(() => process.umask(umask));
  const { home, profile } = await newProfile(t);
  await profile.artifacts.saveRequest(await newRequest(profile), 'made');
  await profile.artifacts.saveCommand('prq_x', { argv: ['true'], program: '/bin/true', folder: '/' });
  await profile.saveCredential({ credential: 'sk_x' });
  const found = readdirSync(home, { recursive: true, encoding: 'utf8' });
  t.deepEqual(found.toSorted(), [
    'config.json',
    'profiles',
    'profiles/default',
    ...['commands.json', 'credential.json', 'key.json', 'profile.json', 'requests.json'].map(
      (name) => `profiles/default/${name}`,
    ),
  ]);
  for (const name of ['', ...found]) {
    const { mode } = statSync(join(home, name));
    t.is(mode & 0o777, statSync(join(home, name)).isDirectory() ? 0o700 : 0o600, name);
  }
});

test('what others may read, a link, or no plain file is not read, and the sentence names it', async (t) => {
  const { home, profile, folder } = await newProfile(t);
  await profile.artifacts.saveRequest(await newRequest(profile), 'made');
  await profile.saveCredential({ credential: 'sk_x' });
  const readers: Record<string, () => unknown> = {
    'profile.json': () => profile.info(),
    'key.json': () => profile.key(),
    'credential.json': () => profile.credential(),
    'requests.json': () => profile.artifacts.requests(),
  };
  for (const [name, read] of Object.entries(readers)) {
    const path = join(folder, name);
    const faults: Record<string, () => void> = {
      open: () => chmodSync(path, 0o644),
      writable: () => chmodSync(path, 0o620),
      link: () => {
        renameSync(path, `${path}.real`);
        symlinkSync(`${path}.real`, path);
      },
      folder: () => {
        renameSync(path, `${path}.real`);
        mkdirSync(path, { mode: 0o700 });
      },
      // Only root can give files away.
      ...(process.getuid?.() === 0 && { foreign: () => chownSync(path, 65_534, 65_534) }),
    };
    for (const [fault, make] of Object.entries(faults)) {
      make();
      const error = t.throws(read as () => void, undefined, `${name} ${fault}`);
      t.is((error as { code?: string }).code, 'STORE_PERMISSIONS', `${name} ${fault}`);
      t.true(error.message.includes(path));
      if (fault === 'foreign') chownSync(path, 0, 0);
      else if (lstatSync(path).isFile()) {
        t.is((error as { hint?: string }).hint, `chmod 600 ${path}`);
        chmodSync(path, 0o600);
      } else {
        rmSync(path, { recursive: true });
        renameSync(`${path}.real`, path);
      }
    }
    t.notThrows(read);
  }
  for (const place of [home, join(home, 'profiles'), folder]) {
    chmodSync(place, 0o750);
    t.is(await codeOf(() => Profile.open({ home }).key()), 'STORE_PERMISSIONS', place);
    t.is(await codeOf(() => Profile.openOrCreate({ home, service })), 'STORE_PERMISSIONS', place);
    chmodSync(place, 0o700);
  }
});

test('a link in the place of a file that is written is neither followed nor replaced', async (t) => {
  const { profile, folder } = await newProfile(t);
  const outside = join(folder, '../../../outside');
  writeFileSync(outside, 'as it was', { mode: 0o600 });
  symlinkSync(outside, join(folder, 'requests.json'));
  const request = await newRequest(profile);
  t.is(await codeOf(() => profile.artifacts.saveRequest(request, 'made')), 'STORE_PERMISSIONS');
  t.is(readFileSync(outside, 'utf8'), 'as it was');
  t.true(lstatSync(join(folder, 'requests.json')).isSymbolicLink());
});

test('a damaged or newer file is neither overwritten nor taken for empty', async (t) => {
  const { profile, folder } = await newProfile(t);
  const request = await newRequest(profile);
  const path = join(folder, 'requests.json');
  for (const text of ['', '{', '[]', 'null', '{"version":2,"requests":[]}', '{"version":1}']) {
    writeFileSync(path, text, { mode: 0o600 });
    t.is(await codeOf(() => profile.artifacts.saveRequest(request, 'made')), 'STORE_CORRUPT', text);
    t.is(readFileSync(path, 'utf8'), text);
  }
});

test('what a killed writer left behind is no part of the store, and is swept', async (t) => {
  const { profile, folder } = await newProfile(t);
  const left = join(folder, '.requests.json.0123456789abcdef.tmp');
  writeFileSync(left, '{"version":1,"requests":[', { mode: 0o600 });
  await profile.artifacts.saveRequest(await newRequest(profile), 'made');
  t.false(existsSync(left));
  t.is(profile.artifacts.requests().length, 1);
});

test('sixteen writers at once lose nothing', async (t) => {
  const { home, profile } = await newProfile(t);
  const requests = await Promise.all(
    Array.from({ length: 16 }, (_, index) => newRequest(profile, `folder-${index}/`)),
  );
  await Promise.all(
    requests.map((request) => Profile.open({ home }).artifacts.saveRequest(request, 'imported')),
  );
  const stored = profile.artifacts.requests().map(({ request }) => request.id);
  t.deepEqual(stored.toSorted(), requests.map(({ id }) => id).toSorted());
});

test('sixteen that come to an empty home make one profile, with one key', async (t) => {
  const home = join(mkdtempSync(join(tmpdir(), 'vouchsafe-home-')), 'store');
  t.teardown(() => rmSync(join(home, '..'), { recursive: true, force: true }));
  const made = await Promise.all(Array.from({ length: 16 }, () => Profile.openOrCreate({ home, service })));
  t.is(new Set(made.map((profile) => profile.key().thumbprint)).size, 1);
  t.deepEqual(readdirSync(home).toSorted(), ['config.json', 'profiles']);
});

test('a request is stored once, is the latest again when it comes again, and goes after 30 days with its command', async (t) => {
  const { profile } = await newProfile(t);
  const start = Date.now();
  const [first, second] = [await newRequest(profile), await newRequest(profile, 'x/')];
  await profile.artifacts.saveRequest(first, 'imported', start);
  await profile.artifacts.saveCommand(first.id, { argv: ['true'], program: '/bin/true', folder: '/' });
  await profile.artifacts.saveRequest(second, 'made', start);
  t.is(profile.artifacts.lastRequest().request.id, second.id);
  await profile.artifacts.saveRequest(first, 'imported', start + 1000);
  t.is(profile.artifacts.lastRequest().request.id, first.id);
  t.is(profile.artifacts.requests().length, 2);
  await profile.artifacts.saveRequest(second, 'made', start + 31 * 86_400_000);
  t.is(await codeOf(() => profile.artifacts.request(first.id)), 'REQUEST_NOT_FOUND');
  t.is(profile.artifacts.command(first.id), undefined);
});

test('a request for the same is found while it is open, whenever it was made', async (t) => {
  const { profile } = await newProfile(t);
  const now = Date.now();
  const stored = await newRequest(profile, 'documents/', now);
  await profile.artifacts.saveRequest(stored, 'made', now);
  const find = async (path: string, later: number) =>
    profile.artifacts.findOpenRequest(await newRequest(profile, path, now + later), now + later)?.request.id;
  t.is(await find('documents/', 5000), stored.id);
  t.is(await find('other/', 5000), undefined);
  t.is(await find('documents/', 8 * 86_400_000), undefined);
  await profile.replaceKey();
  t.is(await find('documents/', 5000), undefined);
});

test('a profile is of one service, and its name is a name', async (t) => {
  const { home } = await newProfile(t);
  t.is(
    await codeOf(() => Profile.openOrCreate({ home, service: 'https://id.example.net' })),
    'WRONG_SERVICE',
  );
  for (const url of [
    'http://id.example.com',
    'https://id.example.com/x',
    'https://u:p@id.example.com',
    'x',
  ]) {
    t.is(
      await codeOf(() => Profile.openOrCreate({ home, name: 'other', service: url })),
      'INVALID_USAGE',
      url,
    );
  }
  for (const name of ['../x', 'A', '', 'x/y', '.lock', 'x'.repeat(33)]) {
    t.is(await codeOf(() => Profile.openOrCreate({ home, name, service })), 'INVALID_USAGE', name);
  }
  t.is(await codeOf(() => Profile.open({ home, name: 'other' })), 'PROFILE_NOT_FOUND');
  t.is(await codeOf(() => Profile.open({ home: join(home, 'none') })), 'NO_KEY');
});
