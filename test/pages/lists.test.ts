import type { ExecutionContext } from 'ava';
import type { Db, Tx } from '../../src/store/engine/db.ts';
import type { Browser, Page } from '../helpers/browser.ts';
import { signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Counts the statements that are asked of a database. */
function counting(db: Db, count: () => void): Db {
  const counted = <Part extends Pick<Tx, 'get' | 'all'>>(part: Part): Part => ({
    ...part,
    get: (...args: Parameters<Tx['get']>) => {
      count();
      return part.get(...args);
    },
    all: (...args: Parameters<Tx['all']>) => {
      count();
      return part.all(...args);
    },
  });
  return counted(db);
}

onEveryEngine('lists', (engine, test) => {
  let on: TestService;
  let statements = 0;
  test.before(async () => {
    on = await startTestService(engine, {
      wrapDb: (db) =>
        counting(db, () => {
          statements += 1;
        }),
    });
  });
  test.after(() => on.stop());

  const accountOf = async (mailbox: string): Promise<string> => {
    const row = await on.service.deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [
      mailbox,
    ]);
    return row!.id;
  };

  /** Agents of an account as a claim leaves them, many at once. */
  async function addAgents(owner: string, from: number, to: number): Promise<void> {
    await on.service.deps.db.tx(async (tx) => {
      for (let at = from; at < to; at += 1) {
        const tail = `${owner.slice(-8)}${String(at).padStart(6, '0')}`;
        const revoked = at % 5 === 0 ? at + 1 : null;
        await tx.run(
          `INSERT INTO registrations (id, kind, agent_id, agent_name, created_at, expires_at, claimed_at, mode)
           VALUES (?, 'anonymous', ?, ?, 1, 2, 3, 'merge')`,
          [`reg_${tail}`, `agt_${tail}`, `Agent ${at}`],
        );
        await tx.run(
          `INSERT INTO agents (id, account_id, registration_id, name, created_at, owned_at, revoked_at)
           VALUES (?, ?, ?, ?, 1, ?, ?)`,
          [`agt_${tail}`, owner, `reg_${tail}`, `Agent ${at}`, Math.floor(at / 3), revoked], // times are equal, too
        );
        await tx.run(
          `INSERT INTO credentials (hash, id, agent_id, account_id, name, scope, prefix, last_four, created_at)
           VALUES (?, ?, ?, ?, ?, 'read', 'sk_', 'abcd', 1)`,
          [Buffer.from(`agent${tail}`), `key_${tail}`, `agt_${tail}`, owner, `key ${at}`],
        );
      }
    });
  }

  const older = (page: Page, what = 'Older'): string | undefined =>
    new RegExp(`href="([^"]*)">${what}(?:<svg[^>]*>.*?</svg>)?</a>`)
      .exec(page.text)?.[1]
      ?.replaceAll('&amp;', '&');

  /** What a list shows, page by page, to its end. */
  async function walk(
    t: ExecutionContext,
    browser: Browser,
    path: string,
    item: RegExp,
    what?: string,
  ): Promise<string[][]> {
    const pages: string[][] = [];
    for (let next: string | undefined = path; next !== undefined && pages.length < 50; ) {
      const page: Page = await browser.get(next);
      t.is(page.status, 200, next);
      pages.push([...page.text.matchAll(item)].map(([, found]) => found!));
      next = older(page, what);
    }
    return pages;
  }
  const AGENT = /<div>(?:<s>)?<a href="\/agents\/(agt_\w+)">/g;

  test('agents come in pages of fifty, each once, in as many statements whatever their number', async (t) => {
    const browser = await signIn(on, 'many@example.com');
    const owner = await accountOf('many@example.com');
    await addAgents(owner, 0, 3);
    statements = 0;
    const few = await browser.get('/agents');
    const forFew = statements;
    t.is([...few.text.matchAll(AGENT)].length, 3);
    await addAgents(owner, 3, 320);
    statements = 0;
    const first = await browser.get('/agents');
    t.is(statements, forFew);
    t.true(first.text.length < 60_000, `${first.text.length} characters`);
    const pages = await walk(t, browser, '/agents', AGENT);
    t.deepEqual(
      pages.map((page) => page.length),
      [50, 50, 50, 50, 50, 50, 20],
    );
    t.is(new Set(pages.flat()).size, 320);
  });

  test('agents are found by part of their name in any case or by id, and by whether they still work', async (t) => {
    const browser = await signIn(on, 'finder@example.com');
    const owner = await accountOf('finder@example.com');
    await addAgents(owner, 0, 120);
    const { db } = on.service.deps;
    const strange = `100% a_b!\\ <i>"Ünï"`;
    await db.tx((tx) =>
      tx.run('UPDATE agents SET name = ? WHERE account_id = ? AND owned_at = 39', [strange, owner]),
    );
    const find = (query: Record<string, string>) =>
      walk(t, browser, `/agents?${new URLSearchParams(query)}`, AGENT).then((pages) => pages.flat());
    t.is((await find({ q: 'aGENT 11' })).length, 8); // 11, 110 to 116; those to 119 have another name
    for (const q of ['100%', 'a_b!', '\\ <i>"', 'Ünï', strange]) t.is((await find({ q })).length, 3, q);
    t.is((await find({ q: '%' })).length, 3);
    t.is((await find({ q: "' OR 1=1 --" })).length, 0);
    const [id] = await find({ q: 'Agent 7' });
    t.deepEqual(await find({ q: id! }), [id]);
    t.is((await find({ show: 'ended' })).length, 24);
    t.is((await find({ show: 'live' })).length, 96);
    t.is(
      (await find({ show: 'live', q: 'agent 1' })).length +
        (await find({ show: 'ended', q: 'agent 1' })).length,
      (await find({ q: 'agent 1' })).length,
    );
    const none = await browser.get('/agents?q=nobody');
    t.regex(none.text, /No agents match this filter\./);
    t.regex(none.text, /value="nobody"/);
  });

  test('marks and filters that nobody gave begin at the newest, and show nothing of others', async (t) => {
    const browser = await signIn(on, 'marks@example.com');
    await addAgents(await accountOf('marks@example.com'), 0, 2);
    for (const query of [
      'before=x',
      'before=%27',
      `before=${'9'.repeat(500)}`,
      'show=both',
      'q=',
      'before=1.agt_x&before=2',
      'hosts=;',
    ]) {
      const page = await browser.get(`/agents?${query}`);
      t.is(page.status, 200, query);
    }
    const all = await browser.get('/agents?before=999999999999.agt_~');
    t.is([...all.text.matchAll(AGENT)].length, 2);
  });

  test('keys, an agent’s keys, what it did, sessions and environments come in pages, too', async (t) => {
    const mailbox = 'lists@example.com';
    const browser = await signIn(on, mailbox);
    const owner = await accountOf(mailbox);
    await addAgents(owner, 0, 1);
    const agent = `agt_${owner.slice(-8)}000000`;
    const now = on.clock();
    await on.service.deps.db.tx(async (tx) => {
      for (let at = 0; at < 120; at += 1) {
        const tail = `${owner.slice(-8)}x${String(at).padStart(5, '0')}`;
        for (const [kind, of] of [
          ['own', null],
          ['its', agent],
        ] as const) {
          await tx.run(
            `INSERT INTO credentials (hash, id, agent_id, account_id, name, scope, prefix, last_four, created_at, revoked_at)
             VALUES (?, ?, ?, ?, ?, 'read', 'sk_', 'abcd', 1, ?)`,
            [Buffer.from(kind + tail), `key_${kind}${tail}`, of, owner, `${kind} ${at}`, at % 2 ? 1 : null],
          );
        }
        await tx.run(
          `INSERT INTO events (id, at, kind, account_id, agent_id) VALUES (?, ?, 'agent.renamed', ?, ?)`,
          [`evt_${tail}`, at, owner, agent],
        );
        await tx.run(
          `INSERT INTO sessions (hash, id, account_id, origin, created_at, seen_at) VALUES (?, ?, ?, 'net', ?, ?)`,
          [Buffer.from(`ses${tail}`), `ses_${tail}`, owner, now - 1000, now],
        );
        await tx.run(
          `INSERT INTO registrations (id, kind, created_at, expires_at) VALUES (?, 'host', 1, 2)`,
          [`reg_h${tail}`],
        );
        await tx.run(
          `INSERT INTO hosts (id, registration_id, account_id, name, thumbprint, public_jwk, created_at, owner_id, linked_at)
           VALUES (?, ?, ?, ?, ?, '{}', 1, ?, ?)`,
          [`hst_${tail}`, `reg_h${tail}`, owner, `Host ${at}`, tail, owner, at],
        );
      }
    });
    const lists: [string, RegExp, string, number][] = [
      ['/keys', /(own \d+)</g, 'Older', 120],
      ['/keys?show=live', /(own \d+)</g, 'Older', 60],
      [`/agents/${agent}`, /((?:its|key) \d+)</g, 'Older keys', 121],
      [`/agents/${agent}?activity=all`, /(You renamed)/g, 'Older', 120],
      ['/account', /name="session" value="(ses_\w+)"/g, 'Older', 120],
      ['/agents', /<b class="host"><bdi>(Host \d+)/g, 'Older environments', 120],
      ['/account/activity', /(You renamed)/g, 'Older', 120],
    ];
    for (const [path, item, what, count] of lists) {
      const pages = await walk(t, browser, path, item, what);
      t.true(
        pages.every((page) => page.length <= 50),
        path,
      );
      t.is(pages.flat().length, count, path);
      if (!item.source.includes('renamed')) t.is(new Set(pages.flat()).size, count, path);
    }
    const few = await browser.get(`/agents/${agent}`);
    t.is([...few.text.matchAll(/You renamed/g)].length, 5);
    t.regex(few.text, new RegExp(`href="/agents/${agent}\\?activity=all#activity">View all</a>`));
    statements = 0;
    await browser.get('/account/activity');
    t.true(statements < 10, `${statements} statements`);
    const exported = JSON.parse((await browser.get('/account/export')).text);
    t.is(exported.keys.length, 120);
    t.is(exported.sessions.length, 121);
  });
});
