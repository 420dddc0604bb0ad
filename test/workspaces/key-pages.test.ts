import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listActivity } from '../../src/domain/audit/list-activity.ts';
import type { Server } from '../helpers/api-keys.ts';
import { makeAppKey } from '../helpers/app-keys.ts';
import type { Browser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { signIn } from '../helpers/human.ts';
import { newOperator } from '../helpers/operator.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces, openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

const API = 'https://apps.example.com';

/** The rows of the table of keys, each with what is in it. */
function rowsOf(text: string) {
  return [...text.matchAll(/<tr role="row"[^>]*>\s*<td[\s\S]*?<\/tr>/g)]
    .map(([row]) => row)
    .filter((row) => row.includes('class="under mono prefix"') && row.includes('chip'))
    .map((row) => ({
      name: /<bdi>(.*?)<\/bdi>/.exec(row)?.[1],
      isStruck: /^<tr role="row" class="ended">[\s\S]*?<s>/.test(row),
      canEnd: /\/keys\/key_\w+\/end"/.test(row),
      row,
    }));
}

onEveryEngine('the pages of the keys of a workspace', (engine, test) => {
  let world: Workspaces;
  let api: Server & { url: string };
  let folder: string;
  const places = openPlaces(() => world.on);
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-workspace-keys-'));
    world = await openWorkspaces(engine);
    api = await places.server(API);
  });
  test.after(async () => {
    rmSync(folder, { recursive: true });
    await world.stop();
  });

  const enter = (who: { mailbox: string }) => signIn(world.on, who.mailbox, { next: '/workspaces' });
  async function team() {
    const { person, workspace } = world;
    const [ann, bob, eve] = [await person('ann'), await person('bob'), await person('eve')];
    const id = await workspace(ann, [
      [bob, 'admin'],
      [eve, 'viewer'],
    ]);
    const app = await places.node(API, id, 'app_shop', 'app');
    return { ann, bob, eve, id, app };
  }
  const credentialIn = (text: string) => /<code id="key">(ak_[0-9A-Za-z]+)<\/code>/.exec(text)?.[1];
  const make = async (browser: Browser, path: string, fields: Record<string, string>) => {
    await browser.get(path);
    return browser.post(path, fields);
  };

  test('an owner makes a key of an app, sees it once, finds it in the lists, and ends it', async (t) => {
    const { ann, id, app } = await team();
    const browser = await enter(ann);
    const page = await browser.get(`/workspaces/${id}`);
    t.regex(page.text, new RegExp(`href="/workspaces/${id}/apps/${app}"`));
    const made = await make(browser, `/workspaces/${id}/apps/${app}`, { name: 'Shop robot', life: '30' });
    t.is(made.status, 200, made.text);
    t.is(heading(made), 'Key created');
    const credential = credentialIn(made.text)!;
    t.true((await api.ask(credential)).body.active);
    t.is((await api.ask(credential)).body.credential_kind, 'app_key');
    const place = await browser.get(`/workspaces/${id}/apps/${app}`);
    t.false(place.text.includes(credential.slice(0, 9)));
    for (const path of [`/workspaces/${id}`, `/workspaces/${id}/keys`, `/workspaces/${id}/apps/${app}`]) {
      const [row, ...others] = rowsOf((await browser.get(path)).text);
      t.deepEqual(
        [row?.name, row?.isStruck, row?.canEnd, others.length],
        ['Shop robot', false, true, 0],
        path,
      );
      t.true(row!.row.includes('app_shop') && row!.row.includes('Key of an app'), path);
    }
    const [, key] = /\/keys\/(key_\w+)\/end"/.exec((await browser.get(`/workspaces/${id}/keys`)).text)!;
    const asked = await browser.get(`/workspaces/${id}/keys/${key}/end`);
    t.is(heading(asked), 'End “Shop robot” here?');
    const ended = await browser.post(`/workspaces/${id}/keys/${key}/end`, {});
    t.regex(ended.text, /Key ended\./);
    const [row] = rowsOf(ended.text);
    t.deepEqual([row?.isStruck, row?.canEnd], [true, false]);
    t.false((await api.ask(credential)).body.active);
    t.is((await browser.get(`/workspaces/${id}/keys/${key}/end`)).path, `/workspaces/${id}/keys`);
    const { items } = await listActivity(world.deps, ann.id, { group: 'keys' });
    t.true(items.some(({ kind, keyName }) => kind === 'app_key.made' && keyName === 'Shop robot'));
  });

  test('the same form sent twice makes one key; a wrong one says why and keeps what was typed', async (t) => {
    const { ann, id, app } = await team();
    const browser = await enter(ann);
    const path = `/workspaces/${id}/apps/${app}`;
    const nameless = await make(browser, path, { name: '\u200b', life: '365' });
    t.is(nameless.status, 400);
    t.regex(nameless.text, /Enter a name for the key\./);
    t.regex(nameless.text, /value="365" checked/);
    const fields = { ...browser.wholeForm(path), name: 'robot' };
    const [one, two] = await Promise.all([browser.send(path, fields), browser.send(path, fields)]);
    t.deepEqual([one.status, two.status], [200, 200]);
    t.is(await countOf(world.on, `credentials WHERE kind = 'app_key' AND account_id = ?`, [ann.id]), 1);
  });

  test('a key of somebody else is ended in this workspace, and goes on elsewhere, of which nothing is told', async (t) => {
    const { ann, bob, id } = await team();
    const other = await world.workspace(bob, [], 'Elsewhere');
    const { key, credential } = await places.key(bob.id, [
      { workspaceId: id, actions: ['read', 'write'] },
      { workspaceId: other, actions: ['read'] },
    ]);
    const browser = await enter(ann);
    const list = await browser.get(`/workspaces/${id}/keys`);
    t.false(list.text.includes('Elsewhere'));
    t.regex(rowsOf(list.text)[0]!.row, /b\*\*\*@example\.com/);
    t.regex(rowsOf(list.text)[0]!.row, /The whole workspace/);
    await browser.get(`/workspaces/${id}/keys/${key.id}/end`);
    await browser.post(`/workspaces/${id}/keys/${key.id}/end`, {});
    const { body } = await api.ask(credential);
    t.deepEqual([body.active, body.workspace], [true, other]);
  });

  test('members and viewers see and end their own keys alone, and make none of apps', async (t) => {
    const { ann, eve, id, app } = await team();
    const anns = await places.key(ann.id, [{ workspaceId: id, actions: ['read'] }]);
    await makeAppKey(world.on, ann.id, id, app);
    await places.setRole(id, eve.id, 'admin');
    const own = await places.key(eve.id, [{ workspaceId: id, actions: ['read'] }]);
    const browser = await enter(eve);
    for (const role of ['viewer', 'member'] as const) {
      await places.setRole(id, eve.id, role);
      const rows = rowsOf((await browser.get(`/workspaces/${id}/keys`)).text);
      t.is(rows.length, 1, role);
      t.true(rows[0]!.row.includes(own.key.prefix));
      t.false((await browser.get(`/workspaces/${id}`)).text.includes(`/apps/${app}`));
      for (const path of [`apps`, `apps/${app}`])
        t.is((await browser.get(`/workspaces/${id}/${path}`)).status, 403);
      t.is((await browser.get(`/workspaces/${id}/keys/${anns.key.id}/end`)).status, 404);
      await browser.get(`/workspaces/${id}/leave`);
      const { csrf } = browser.form(`/workspaces/${id}/leave`);
      const once = 'a'.repeat(32);
      const refused = await browser.send(`/workspaces/${id}/apps/${app}`, {
        csrf,
        once,
        name: 'x',
        life: '7',
      });
      t.is(refused.status, 403);
      t.is((await browser.send(`/workspaces/${id}/keys/${anns.key.id}/end`, { csrf })).status, 404);
    }
    await browser.get(`/workspaces/${id}/keys/${own.key.id}/end`);
    t.regex((await browser.post(`/workspaces/${id}/keys/${own.key.id}/end`, {})).text, /Key ended\./);
    t.false((await api.ask(own.credential)).body.active);
    t.true((await api.ask(anns.credential)).body.active);
  });

  test('who is no member gets 404 everywhere, and so do things and keys of other workspaces', async (t) => {
    const first = await team();
    const second = await team();
    const { key } = await makeAppKey(world.on, first.ann.id, first.id, first.app);
    const browser = await enter(second.ann);
    for (const path of [
      `${first.id}/keys`,
      `${first.id}/keys/${key.id}/end`,
      `${first.id}/apps`,
      `${first.id}/apps/${first.app}`,
      `${second.id}/keys/${key.id}/end`,
      `${second.id}/apps/${first.app}`,
      `${second.id}/apps/nod_0`,
    ]) {
      t.is((await browser.get(`/workspaces/${path}`)).status, 404, path);
    }
    await browser.get(`/workspaces/${second.id}`);
    const { csrf } = browser.form(`/workspaces/${second.id}/invite`);
    for (const id of [first.id, second.id]) {
      t.is((await browser.send(`/workspaces/${id}/keys/${key.id}/end`, { csrf })).status, 404);
      const fields = { csrf, once: 'b'.repeat(32), name: 'x', life: '7' };
      t.is((await browser.send(`/workspaces/${id}/apps/${first.app}`, fields)).status, 404);
    }
    t.is(await countOf(world.on, 'places WHERE holder = ? AND ended_at IS NULL', [key.id]), 1);
  });

  test('the export, the console and the command line know it, and whose it is', async (t) => {
    const { ann, id, app } = await team();
    const { key, credential } = await makeAppKey(world.on, ann.id, id, app);
    const browser = await enter(ann);
    const { workspaces } = JSON.parse((await browser.get('/account/export')).text);
    t.like(workspaces.app_keys, [
      { id: key.id, name: 'robot', prefix: key.prefix, workspace: id, node: app, scopes: ['read'] },
    ]);
    const operator = await newOperator(world.on);
    for (const query of ['holder=app', `q=${key.prefix}`, `q=${key.id}`, `q=${credential.slice(0, 30)}`]) {
      const { text } = await operator.browser.get(`/console/keys?${query}`);
      t.true(text.includes(`name="id" value="${key.id}"`), query);
      t.true(text.includes(id.slice(0, 12)), query);
    }
    for (const holder of ['personal', 'agent']) {
      const { text } = await operator.browser.get(`/console/keys?holder=${holder}&q=${key.id}`);
      t.false(text.includes(`name="id" value="${key.id}"`), holder);
    }
    const env = { DATABASE_URL: world.on.database.url };
    const cli = (...args: string[]) => vouchsafe(args, folder, env);
    const shown = await cli('key', 'show', key.id, '--json');
    t.is(shown.code, 0, shown.stderr);
    t.like(JSON.parse(shown.stdout), { key_id: key.id, workspace: id, status: 'active' });
    const found = await cli('key', 'find', '--holder', 'app', '--json');
    t.true(JSON.parse(found.stdout).keys.some((each: { key_id: string }) => each.key_id === key.id));
    t.is((await cli('key', 'revoke', key.id)).code, 0);
    t.false((await api.ask(credential)).body.active);
  });

  test('an operator who ends the keys of an account leaves those of apps to their workspace', async (t) => {
    const { ann, id, app } = await team();
    const own = await places.key(ann.id, [{ workspaceId: id, actions: ['read'] }]);
    const ofApp = await makeAppKey(world.on, ann.id, id, app);
    const env = { DATABASE_URL: world.on.database.url };
    const ended = await vouchsafe(['account', 'revoke-keys', ann.id], folder, env);
    t.is(ended.code, 0, ended.stderr);
    t.false((await api.ask(own.credential)).body.active);
    t.true((await api.ask(ofApp.credential)).body.active);
  });
});
