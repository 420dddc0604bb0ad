import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '../../src/lib/ids.ts';
import { systemRandom } from '../../src/lib/random.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { type EventRow, insertEvent } from '../../src/store/events.ts';
import { until } from '../helpers/api.ts';
import { heading } from '../helpers/claim-page.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { newMailbox } from '../helpers/common.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The audit log in the operator's console: searched, opened and exported. */

const PATH = '/console/audit-log';

/** The ids of the events that a list shows, in its order. */
const listed = (text: string) =>
  [...text.matchAll(/href="\/console\/audit-log\/(evt_\w+)"/g)].map(([, id]) => id!);

/** Waits until a number stays the same for a while. */
async function settled(read: () => number): Promise<void> {
  for (let same = 0, last = read(); same < 10; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
  }
}

onEveryEngine('the audit log in the console', (engine, test) => {
  let on: TestService;
  let operator: Operator;
  let exportsRead = 0;
  test.before(async () => {
    const countReads = (db: Db): Db => ({
      ...db,
      all: ((sql, params) => {
        if (sql.includes('FROM events')) exportsRead += 1;
        return db.all(sql, params);
      }) as Db['all'],
    });
    on = await startTestService(engine, { wrapDb: countReads });
    operator = await newOperator(on);
  });
  test.after(() => on.stop());

  const find = async (query: Record<string, string>) =>
    listed((await operator.browser.get(`${PATH}?${new URLSearchParams(query)}`)).text);
  const rowsOf = (sql: string, params: string[]) =>
    on.service.deps.db.all<{ id: string; requestId: string }>(
      `SELECT id, request_id AS "requestId" FROM events WHERE ${sql} ORDER BY id DESC`,
      params,
    );
  const idsOf = async (sql: string, params: string[]) => (await rowsOf(sql, params)).map(({ id }) => id);

  async function insert(event: Partial<EventRow>, count = 1): Promise<string[]> {
    const ids: string[] = [];
    await on.service.deps.db.tx(async (tx) => {
      for (let made = 0; made < count; made += 1) {
        const id = newId('evt', on.clock(), systemRandom);
        ids.unshift(id);
        await insertEvent(tx, {
          id,
          at: on.clock(),
          kind: 'limit.hit',
          accountId: null,
          agentId: null,
          workspaceId: null,
          subject: null,
          address: '198.51.100.7',
          requestId: null,
          details: null,
          isFollowed: false,
          ...event,
        });
      }
    });
    return ids;
  }

  test('is searched by who, on what, kind, network, request and time, and by several of them', async (t) => {
    const mailbox = newMailbox('hugo');
    const agent = await on.claimed(mailbox);
    const account = (await on.service.deps.db.get<{ id: string }>(
      'SELECT id FROM accounts WHERE mailbox = ?',
      [mailbox],
    ))!.id;
    const [revoked] = await insert({
      kind: 'operator.agent_revoked',
      accountId: operator.accountId,
      subject: agent.agent_id,
    });
    const [about] = await insert({
      kind: 'operator.sessions_ended',
      accountId: operator.accountId,
      subject: account,
    });
    const [key] = await insert({ kind: 'key.revoked', accountId: account, subject: 'key_0abcdefgh000X' });

    t.deepEqual(await find({ q: mailbox }), await idsOf('account_id = ? OR subject = ?', [account, account]));
    t.deepEqual(await find({ q: account }), await find({ q: mailbox }));
    t.true((await find({ q: account })).includes(about!));
    const ofAgent = await find({ q: agent.agent_id });
    t.deepEqual(ofAgent, await idsOf('agent_id = ? OR subject = ?', [agent.agent_id, agent.agent_id]));
    t.true(ofAgent.includes(revoked!));
    const [registered] = await idsOf(`agent_id = ? AND kind = 'registration.created'`, [agent.agent_id]);
    t.true(ofAgent.includes(registered!), 'its registration, too');
    t.deepEqual(await find({ q: 'key_0abcdefgh000X' }), [key]);
    t.deepEqual(await find({ q: agent.agent_id, kind: 'operator.agent_revoked' }), [revoked]);
    t.deepEqual(await find({ q: `${operator.mailbox} ${agent.agent_id}` }), [revoked]);
    t.deepEqual(await find({ q: `${agent.agent_id} operator.agent_revoked` }), [revoked]);
    const { requestId } = (
      await rowsOf(`agent_id = ? AND kind = 'registration.created'`, [agent.agent_id])
    )[0]!;
    t.deepEqual(await find({ q: requestId }), await idsOf('request_id = ?', [requestId]));
    t.deepEqual(await find({ q: 'req_000000000000' }), []);
    const [network] = await insert({ address: '203.0.113.9' });
    for (const q of ['203.0', '203.0.x.x', '203.0.113.9']) t.deepEqual(await find({ q }), [network], q);
    t.deepEqual(await find({ q: newMailbox() }), []);
    t.deepEqual(await find({ q: 'somebody else' }), []);

    t.true((await find({ kind: 'registration.created' })).includes(registered!));
    const [old] = await insert({ subject: 'out_0old0000001' });
    on.clock.advance(8 * 86_400);
    await operator.signInAgain();
    t.deepEqual(await find({ q: 'out_0old0000001' }), [old]);
    t.deepEqual(await find({ q: 'out_0old0000001', time: '7d' }), []);
  });

  test('shows 50 a page, masked, and leads on to older ones and back', async (t) => {
    const ids = await insert(
      { kind: 'mail.wanted', accountId: operator.accountId, details: '{"wanted":true}' },
      120,
    );
    const first = await operator.browser.get(`${PATH}?kind=mail.wanted`);
    t.deepEqual(listed(first.text), ids.slice(0, 50));
    t.true(first.text.includes('o***@example.com'));
    t.false(first.text.replaceAll(/<header class="top">[\s\S]*?<\/header>/g, '').includes(operator.mailbox));
    t.notRegex(first.text, /198\.51\.100/);
    t.regex(first.text, /198\.51\.x\.x/);
    const older = (text: string) => /href="([^"]*)"[^>]*>Older/.exec(text)![1]!.replaceAll('&amp;', '&');
    const second = await operator.browser.get(older(first.text));
    t.deepEqual(listed(second.text), ids.slice(50, 100));
    const third = await operator.browser.get(older(second.text));
    t.deepEqual(listed(third.text), ids.slice(100));
    t.regex(third.text, /Newest/);
    t.notRegex(third.text, /before=[^>]*>Older/);
  });

  test('opens an event as facts; there is none by another id', async (t) => {
    const [id] = await insert({
      kind: 'resource.rotated',
      accountId: operator.accountId,
      subject: 'rs_0',
      details: JSON.stringify({ reason: '<b>yearly</b>', overlap_seconds: 3600 }),
    });
    const page = await operator.browser.get(`${PATH}/${id}`);
    t.is(heading(page), 'Resource server got a new secret');
    t.regex(page.text, /<code>overlap_seconds<\/code><\/dt><dd><bdi>3600</);
    t.regex(page.text, /&lt;b&gt;yearly&lt;\/b&gt;/);
    t.regex(page.text, /198\.51\.x\.x/);
    t.is((await operator.browser.get(`${PATH}/evt_0`)).status, 404);
    const [unknown] = await insert({ kind: 'kind.of_tomorrow' });
    t.is(heading(await operator.browser.get(`${PATH}/${unknown}`)), 'kind.of_tomorrow');
    t.is((await operator.browser.get(PATH)).status, 200);
  });

  test('is exported as the filter finds it, as JSON lines and as CSV that no spreadsheet runs', async (t) => {
    const subject = newId('key', on.clock(), systemRandom);
    const ids = await insert({ kind: 'key.revoked', accountId: operator.accountId, subject }, 60);
    const [evil] = await insert({
      kind: 'key.revoked',
      subject,
      requestId: '=HYPERLINK("https://evil.example")',
    });
    const lines = await operator.browser.get(`${PATH}.jsonl?q=${subject}`);
    t.is(lines.headers.get('content-type'), 'application/jsonl; charset=utf-8');
    t.regex(lines.headers.get('content-disposition')!, /filename="audit-log\.jsonl"/);
    const events = lines.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    t.deepEqual(
      events.map(({ id }) => id),
      [evil, ...ids],
    );
    t.like(events[1], { kind: 'key.revoked', mailbox: 'o***@example.com', network: '198.51.x.x' });
    const table = await operator.browser.get(`${PATH}.csv?q=${subject}`);
    const rows = table.text.trimEnd().split('\r\n');
    t.is(rows.length, 62);
    t.is(rows[0], 'Time,ID,Kind,Who,Account,Agent,Workspace,On what,Network,Request ID,Details');
    t.true(rows[1]!.includes(`"'=HYPERLINK(""https://evil.example"")"`));
    for (const { text } of [lines, table]) {
      t.false(text.includes(operator.mailbox));
      t.false(text.includes('198.51.100'));
    }
  });

  test('an export is read from the database as fast as its reader takes it, and holds no more', async (t) => {
    const subject = newId('key', on.clock(), systemRandom);
    const count = 8000;
    await insert({ subject, details: JSON.stringify({ note: 'x'.repeat(5000) }) }, count);
    const { hostname, port } = new URL(on.url);
    const cookie = [...operator.browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const socket = connect(Number(port), hostname);
    t.teardown(() => socket.destroy());
    socket.pause();
    exportsRead = 0;
    socket.write(
      `GET ${PATH}.csv?q=${subject} HTTP/1.1\r\nHost: ${new URL(on.url).host}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`,
    );
    const pages = count / 1000;
    await until(() => exportsRead > 0);
    // What the system takes for a reader that reads nothing is a few megabytes of the forty.
    await settled(() => exportsRead);
    t.true(exportsRead < pages, `${exportsRead} of ${pages} pages were read for nobody`);
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.resume();
    await once(socket, 'close');
    t.is(text.match(/\bevt_\w+/g)?.length, count);
    t.is(exportsRead, pages);
  });

  test('a whole secret is not searched for, since an address keeps what is in it', async (t) => {
    const { credential } = await on.register();
    const page = await operator.browser.get(`${PATH}?q=127.0 ${credential}`);
    t.is(page.status, 400);
    t.false(page.text.includes(credential));
  });

  test('the command line finds by the same, as JSON lines and as CSV', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-events-'));
    const cli = (...args: string[]) =>
      vouchsafe(['events', ...args], folder, { DATABASE_URL: on.database.url });
    try {
      const requestId = 'req_0cli00000000X';
      const [id] = await insert({
        subject: 'key_0cli',
        workspaceId: 'wsp_0cli',
        address: '192.0.2.4',
        requestId,
      });
      for (const filter of [
        ['--subject', 'key_0cli'],
        ['--workspace', 'wsp_0cli'],
        ['--network', '192.0'],
        ['--request', requestId],
      ]) {
        t.is(JSON.parse((await cli(...filter)).stdout).id, id, filter[0]);
      }
      const table = await cli('--subject', 'key_0cli', '--csv');
      t.deepEqual(table.stdout.split('\r\n').slice(0, 2), [
        'at,id,kind,account_id,agent_id,workspace_id,subject,address,request_id,details',
        `${new Date(on.clock()).toISOString()},${id},limit.hit,,,wsp_0cli,key_0cli,192.0.2.4,${requestId},`,
      ]);
      t.is((await cli('--network', 'somewhere')).code, 2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
