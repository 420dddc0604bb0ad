import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import { grantPermissions } from '../../src/domain/permissions/grant.ts';
import type { PermissionRequest } from '../../src/lib/artifacts/permission-request.ts';
import { findPermissionRequest } from '../../src/store/permission-requests.ts';
import { documentBlocks, runProgram } from '../helpers/agents-document.ts';
import { asker } from '../helpers/api-keys.ts';
import { openBrowser } from '../helpers/browser.ts';
import { newMailbox } from '../helpers/common.ts';
import { allOf } from '../helpers/permissions.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { addTreeApi, openPlaces } from '../helpers/workspaces.ts';

const run = promisify(execFile);

test.describe('docs/agents.md', (test) => {
  let on: TestService;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService('sqlite', { clock: REAL_CLOCK });
    await addTreeApi(on, on.url);
  });
  test.after(() => on.stop());

  test('ten lines register an agent, wait for its human, and use its key', async (t) => {
    const mailbox = newMailbox();
    const [code] = documentBlocks('ts');
    t.true(
      code!
        .trim()
        .split('\n')
        .filter((line) => line !== '').length <= 10,
    );
    const { link, ended } = runProgram(t, code!, { service: on.url, mailbox });
    const human = openBrowser(on);
    await human.get(await link);
    await human.post('/claim', { code: await on.codeFor(mailbox) });
    const said = await ended;
    t.regex(said, /^Waiting for Ann, who decides at http/);
    t.regex(said, /scopes: \[ 'read', 'write' \]/);
  });

  test('the same by curl', async (t) => {
    const mailbox = newMailbox();
    const [lines] = documentBlocks('sh');
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
    const code = documentBlocks('ts')[1]!;
    const { link, ended } = runProgram(t, code, { service: on.url, mailbox: newMailbox() });
    const { deps } = on.service;
    await link;
    const { id } = (await deps.db.get<{ id: string }>('SELECT id FROM permission_requests', []))!;
    const row = await findPermissionRequest(deps.db, id);
    const by = (await places.act((work) => findOrCreateAccount(work, newMailbox()))).id;
    const request = JSON.parse(row!.artifact) as PermissionRequest;
    await grantPermissions(deps, asker, id, { accountId: by }, { permissions: allOf(request) });
    t.regex(await ended, /^Somebody decides at .*\nat_\w+\n$/);
  });
});
