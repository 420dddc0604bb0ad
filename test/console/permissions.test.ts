import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectTerminal } from '../../src/domain/permissions/terminals.ts';
import { asker } from '../helpers/api-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { newMailbox } from '../helpers/common.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { givenBy, keyClient } from '../helpers/permissions.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, type TreeApi } from '../helpers/workspaces.ts';

/** Operators end session keys, what was granted to agents, and terminals: in the console, and at the command line. */

onEveryEngine('permissions in the console', (engine, test) => {
  let on: TestService;
  let api: TreeApi;
  let operator: Operator;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-console-'));
    on = await startTestService(engine, { limits: { permissionsPerIp: '100000/h' } });
    api = await addTreeApi(on, on.service.deps.config.publicUrl);
    operator = await newOperator(on);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  /** A claimed agent with a session key, a grant and a token. */
  async function granted() {
    const { credential, agent_id: agentId, user_id: by } = await on.claimed(newMailbox());
    const agent = keyClient(on);
    const request = await agent.request();
    await agent.post(request, credential);
    const { grantId } = await givenBy(on, request, by);
    const token = (await agent.token()).body.access_token as string;
    return { agent, agentId, by, grantId, token, path: `/console/agents/${agentId}` };
  }
  const isActive = async (token: string) => (await api.ask(token)).body.active as boolean;
  const acts = (subject: string, accountId: string | null = operator.accountId) =>
    countOf(
      on,
      `events WHERE kind = 'operator.permission_ended' AND subject = ? AND details LIKE '%spam%'
       AND account_id ${accountId === null ? 'IS NULL' : '= ?'}`,
      accountId === null ? [subject] : [subject, accountId],
    );

  test('a grant ends by a reason, at the next introspection, and nothing else of the agent does', async (t) => {
    await operator.signInAgain();
    const { browser } = operator;
    const { agent, grantId, token, path } = await granted();
    const other = await granted();
    t.true((await browser.get(path)).text.includes(`href="${path}/end?id=${grantId}"`));
    const asked = await browser.get(`${path}/end?id=${grantId}`);
    t.regex(heading(asked)!, /^End the permissions of .+\?$/);
    const missing = await browser.post(`${path}/end`, { reason: '' });
    t.deepEqual([missing.status, /Enter a reason/.test(missing.text)], [400, true]);
    t.true(await isActive(token));
    const done = await browser.post(`${path}/end`, { reason: 'spam' });
    t.is(done.path, path);
    t.regex(done.text, /role="status">.*The permissions ended/s);
    t.false(await isActive(token));
    t.deepEqual((await agent.held()).body.data.grants, []);
    t.true(await isActive(other.token));
    t.is(await acts(grantId), 1);
    t.is((await browser.get(`${path}/end?id=${grantId}`)).status, 404, 'it has ended');
  });

  test('a session key ends by a reason: it signs nothing more', async (t) => {
    await operator.signInAgain();
    const { browser } = operator;
    const { agent, path } = await granted();
    const { thumbprint } = agent.key;
    t.true((await browser.get(path)).text.includes(`href="${path}/end?id=${thumbprint}"`));
    await browser.get(`${path}/end?id=${thumbprint}`);
    const done = await browser.post(`${path}/end`, { reason: 'spam' });
    t.regex(done.text, /role="status">.*The session key ended/s);
    t.is((await agent.held()).status, 401);
    t.is((await agent.token()).body.error, 'invalid_grant');
    t.is(await acts(thumbprint), 1);
  });

  test('what is of another agent, or of none, is not found, and ends nothing', async (t) => {
    await operator.signInAgain();
    const { browser } = operator;
    const [one, other] = [await granted(), await granted()];
    for (const id of [other.grantId, other.agent.key.thumbprint, 'grt_0', '', 'x'.repeat(43)]) {
      t.is((await browser.get(`${one.path}/end?id=${id}`)).status, 404, id);
    }
    await browser.get(`${one.path}/end?id=${one.grantId}`);
    const fields = { ...browser.form(`${one.path}/end`), reason: 'spam' };
    t.is((await browser.send(`${one.path}/end`, { ...fields, id: other.grantId })).status, 404);
    t.is((await browser.send(`${one.path}/end`, { ...fields, csrf: 'none' })).status, 403);
    t.true(await isActive(other.token));
    t.true(await isActive(one.token));
    t.is((await browser.get('/console/agents/agt_0/end?id=grt_0')).status, 404);
  });

  test('the terminals of an account end with its sessions', async (t) => {
    await operator.signInAgain();
    const { browser } = operator;
    const { by } = await granted();
    const terminal = keyClient(on);
    const login = await terminal.request({ permissions: undefined });
    await terminal.post(login);
    await connectTerminal(on.service.deps, asker, login.id, by, {
      bound: { scopes: ['read'], workspaces: [by] },
      lifetimeSeconds: 43_200,
    });
    t.is((await terminal.held()).status, 200);
    const path = `/console/accounts/${by}/end-sessions`;
    await browser.get(path);
    await browser.post(path, { reason: 'spam' });
    t.is((await terminal.held()).status, 401);
    const ended = `events WHERE kind = 'operator.sessions_ended' AND subject = ? AND details LIKE '%"terminals":1%'`;
    t.is(await countOf(on, ended, [by]), 1);
  });

  test('the command line lists them and ends them, all or none', async (t) => {
    const cli = (...args: string[]) =>
      vouchsafe([...args, '--json'], folder, { DATABASE_URL: on.database.url });
    const { agent, agentId, grantId, token } = await granted();
    const { thumbprint } = agent.key;
    const listed = JSON.parse((await cli('permission', 'list', agentId)).stdout);
    t.is(listed.session_keys[0].thumbprint, thumbprint);
    t.like(listed.grants[0], { id: grantId });
    t.is(listed.grants[0].permissions[0].path, 'documents/');
    const ended = await cli('permission', 'end', grantId, thumbprint, '--reason', 'spam');
    t.is(ended.code, 0, ended.stderr);
    t.deepEqual(JSON.parse(ended.stdout), { ended: [grantId, thumbprint].toSorted() });
    t.false(await isActive(token));
    t.is((await agent.held()).status, 401);
    for (const subject of [grantId, thumbprint]) t.is(await acts(subject, null), 1);
    const again = await cli('permission', 'end', grantId, 'grt_0');
    t.deepEqual([again.code, again.stderr], [4, 'There is no such permission: grt_0.\n']);
    t.is(await acts(grantId, null), 1, 'what ended already does not end again');
  });
});
