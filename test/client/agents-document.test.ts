import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import { grantPermissions } from '../../src/domain/permissions/grant.ts';
import type { PermissionRequest } from '../../src/lib/artifacts/permission-request.ts';
import { findPermissionRequest } from '../../src/store/permission-requests.ts';
import { asker } from '../helpers/api-keys.ts';
import { openBrowser } from '../helpers/browser.ts';
import { newMailbox } from '../helpers/common.ts';
import { allOf } from '../helpers/permissions.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { addTreeApi, openPlaces } from '../helpers/workspaces.ts';

/** The link in what a program says first. */
function firstLink(ended: ReturnType<typeof run>): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    ended.child.stdout!.on('data', (chunk) => {
      said += chunk;
      const link = /http\S+(?=\n)/.exec(said);
      if (link !== null) resolve(link[0]);
    });
    ended.catch(reject);
  });
}

/** What docs/agents.md shows is run as it stands there, but for the names of the service and of Ann. */

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(join(ROOT, 'docs/agents.md'), 'utf8');
const blocks = (language: string) =>
  [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, each]) => each === language)
    .map(([, , code]) => code!);

test.describe('docs/agents.md', (test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService('sqlite', { clock: REAL_CLOCK });
    await addTreeApi(on, on.url);
  });
  test.after(() => on.stop());

  /** Runs a program in TypeScript as somebody does who has the package. */
  function runProgram(t: ExecutionContext, code: string, mailbox: string) {
    const home = mkdtempSync(join(tmpdir(), 'vouchsafe-home-'));
    t.teardown(() => rmSync(home, { recursive: true, force: true }));
    const program = code.replaceAll('https://id.example.com', on.url).replaceAll('ann@example.com', mailbox);
    const started = run(
      process.execPath,
      ['--conditions=vouchsafe-source', '--input-type=module-typescript', '-e', program],
      { cwd: ROOT, env: { ...process.env, HOME: home }, timeout: 60_000 },
    );
    return { home, ended: started };
  }

  test('ten lines register an agent, wait for its human, and use its key', async (t) => {
    const mailbox = newMailbox();
    const [code] = blocks('ts');
    t.true(
      code!
        .trim()
        .split('\n')
        .filter((line) => line !== '').length <= 10,
    );
    const { ended } = runProgram(t, code!, mailbox);
    const human = openBrowser(on);
    await human.get(await firstLink(ended));
    await human.post('/claim', { code: await on.codeFor(mailbox) });
    const { stdout } = await ended;
    t.regex(stdout, /^Waiting for Ann, who decides at http/);
    t.regex(stdout, /scopes: \[ 'read', 'write' \]/);
  });

  test('the same by curl', async (t) => {
    const mailbox = newMailbox();
    const [lines] = blocks('sh');
    const known: Record<string, string> = { SERVICE: on.url };
    for (const line of lines!.trim().split('\n')) {
      if (line.includes('$CODE')) known.CODE = await on.codeFor(mailbox);
      const command = line.replaceAll('ann@example.com', mailbox);
      const { stdout } = await run('sh', ['-c', command], { env: { ...process.env, ...known } });
      const { ok, data } = JSON.parse(stdout);
      t.true(ok, `${command}\n${stdout}`);
      known.CLAIM_TOKEN ??= data.claim_token;
      known.KEY = data.credential ?? known.KEY;
      if (line.includes('/api/me')) t.deepEqual(data.scopes, ['read', 'write']);
    }
  });

  test('the library asks for permissions, waits, and gets a token', async (t) => {
    const { ended } = runProgram(t, blocks('ts')[1]!, newMailbox());
    const { deps } = on.service;
    await firstLink(ended);
    const { id } = (await deps.db.get<{ id: string }>('SELECT id FROM permission_requests', []))!;
    const row = await findPermissionRequest(deps.db, id);
    const by = (await places.act((work) => findOrCreateAccount(work, newMailbox()))).id;
    const request = JSON.parse(row!.artifact) as PermissionRequest;
    await grantPermissions(deps, asker, id, { accountId: by }, { permissions: allOf(request) });
    const { stdout } = await ended;
    t.regex(stdout, /^Somebody decides at .*\nat_\w+\n$/);
  });
});
