import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vouchsafe } from '../helpers/cli.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, insertShared, type TreeApi } from '../helpers/workspaces.ts';

/** `vouchsafe nodes import` and `nodes list`. */

onEveryEngine('nodes on the command line', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  let folder: string;
  let workspace: string;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addTreeApi(on);
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-nodes-'));
    const { user_id: owner } = await on.claimed('ann@example.com');
    workspace = await insertShared(on, { [owner]: 'owner' });
  });
  test.after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await on.stop();
  });

  const run = (...args: string[]) => vouchsafe(args, folder, { DATABASE_URL: on.database.url });
  function fileOf(content: string): string {
    const path = join(folder, 'nodes.txt');
    writeFileSync(path, content);
    return path;
  }
  const importFile = (content: string, ...more: string[]) =>
    run(
      'nodes',
      'import',
      fileOf(content),
      '--workspace',
      workspace,
      '--resource',
      api.url,
      '--json',
      ...more,
    );
  const many = Array.from({ length: 1200 }, (_, index) => ({
    id: `n${index}`,
    kind: 'folder',
    name: `N ${index}`,
  }));
  const lines = (nodes: object[]) => nodes.map((node) => JSON.stringify(node)).join('\n');

  test('imports a file of JSON lines with progress, and goes on where it is repeated', async (t) => {
    const nodes = [{ id: 'leaf', parent: 'n1199', kind: 'folder', name: 'Leaf' }, ...many];
    const first = await importFile(lines(nodes));
    t.is(first.code, 0, first.stderr);
    t.deepEqual(JSON.parse(first.stdout), { workspace, upserted: 1201, unchanged: 0, deleted: 0 });
    t.regex(first.stderr, /500 of 1201 nodes\n1000 of 1201 nodes\n1201 of 1201 nodes/);
    const again = await importFile(lines(nodes));
    t.deepEqual(JSON.parse(again.stdout), { workspace, upserted: 0, unchanged: 1201, deleted: 0 });
    t.like(
      (await api.read(workspace)).find(({ id }) => id === 'leaf'),
      { parent: 'n1199' },
    );
  });

  test('ends what the file does not name only if asked, and much of it only by its number', async (t) => {
    const few = JSON.stringify(many.slice(0, 2));
    t.like(JSON.parse((await importFile(few)).stdout), { unchanged: 2, deleted: 0 });
    const refused = await importFile(few, '--replace');
    t.is(refused.code, 1);
    t.regex(refused.stderr, /ends 1199 nodes/);
    const done = await importFile(few, '--replace', '--confirm-deleted', '1199');
    t.like(JSON.parse(done.stdout), { unchanged: 2, deleted: 1199 });
    const listed = await run('nodes', 'list', '--workspace', workspace, '--resource', api.id);
    t.deepEqual(
      listed.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
      many.slice(0, 2).map((node) => ({ ...node, parent: null })),
    );
  });

  test('says which line is wrong, and imports nothing of such a file', async (t) => {
    const [good] = many;
    const cases: [string, RegExp][] = [
      [`${lines([good!])}\n{"id":`, /Line 2 is not valid JSON/],
      [lines([good!, { id: 'x' }]), /Line 2 is no node/],
      [lines([{ ...good!, id: 'a/b' }]), /Line 1\.id: An id is/],
      [JSON.stringify([{ ...good!, kind: 'Folder' }]), /Entry 1\.kind: A kind is/],
    ];
    for (const [content, message] of cases) {
      const { code, stderr } = await importFile(content);
      t.is(code, 2);
      t.regex(stderr, message);
    }
    t.is((await api.read(workspace)).length, 2);
  });

  test('an API and a workspace that are not there are named', async (t) => {
    const file = fileOf('[]');
    const noApi = await run(
      'nodes',
      'import',
      file,
      '--workspace',
      workspace,
      '--resource',
      'https://no.example.com',
    );
    t.is(noApi.code, 4);
    t.regex(noApi.stderr, /no such resource server/);
    const noSpace = await run('nodes', 'list', '--workspace', 'wsp_none', '--resource', api.url);
    t.is(noSpace.code, 1);
    t.regex(noSpace.stderr, /no such workspace/);
    const noFile = await run(
      'nodes',
      'import',
      join(folder, 'none'),
      '--workspace',
      workspace,
      '--resource',
      api.url,
    );
    t.is(noFile.code, 1);
    t.regex(noFile.stderr, /ENOENT/);
  });
});
