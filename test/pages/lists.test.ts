import type { ExecutionContext } from 'ava';
import type { Db, Tx } from '../../src/store/engine/db.ts';
import type { Browser, Page } from '../helpers/browser.ts';
import { signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Counts the statements that pages ask of a database, and not those of workers, which ask on their own account. */
function counting(db: Db, countOne: () => void): Db {
  const count = (sql: string) => {
    if (!/\b(outbox|secret_marks|clock_mark)\b/.test(sql)) countOne();
  };
  const counted = <Part extends Pick<Tx, 'get' | 'all'>>(part: Part): Part => ({
    ...part,
    get: (...args: Parameters<Tx['get']>) => {
      count(args[0]);
      return part.get(...args);
    },
    all: (...args: Parameters<Tx['all']>) => {
      count(args[0]);
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

  /** The service gives a statement two seconds, which is little for 10,000 rows on a busy machine. */
  async function addAgents(owner: string, from: number, to: number): Promise<void> {
    for (let next = from; next < to; next += 2000) await addSome(owner, next, Math.min(next + 2000, to));
  }

  /**
   * Agents of an account as a claim leaves them, many at once: each fifth is revoked, each fourth was never used, and some were
   * used at the same time.
   */
  async function addSome(owner: string, from: number, to: number): Promise<void> {
    const tail = `'${owner.slice(-8)}' || SUBSTR(CAST(1000000 + n AS TEXT), 2)`;
    const into = (table: string, columns: string, values: string) =>
      `WITH RECURSIVE numbers (n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM numbers WHERE n < ${to - 1})
       INSERT INTO ${table} (${columns}) SELECT ${values} FROM numbers`;
    await on.service.deps.db.tx(async (tx) => {
      await tx.run(
        into(
          'registrations',
          'id, kind, agent_id, agent_name, created_at, expires_at, claimed_at, mode',
          `'reg_' || ${tail}, 'anonymous', 'agt_' || ${tail}, 'Agent ' || n, 1, 2, 3, 'merge'`,
        ),
      );
      await tx.run(
        into(
          'agents',
          'id, account_id, registration_id, name, created_at, owned_at, revoked_at, seen_at, seen_from, owner_id, owner_since',
          `'agt_' || ${tail}, '${owner}', 'reg_' || ${tail}, 'Agent ' || n, 1, n / 3,
           CASE WHEN n % 5 = 0 THEN n + 1 END, CASE WHEN n % 4 > 0 THEN 1 + n / 3 END, 'network 203.0.x.x', '${owner}', n / 3`,
        ),
      );
    });
  }

  /** What a list shows, page by page, to its end. */
  async function walk(
    t: ExecutionContext,
    browser: Browser,
    path: string,
    item: RegExp,
    what: 'Next' | 'Older' = 'Next',
    label?: string,
  ): Promise<string[][]> {
    const pages: string[][] = [];
    for (let next: string | undefined = path; next !== undefined && pages.length < 50; ) {
      const page: Page = await browser.get(next);
      t.is(page.status, 200, next);
      pages.push([...page.text.matchAll(item)].map(([, found]) => found!));
      next = linkTo(page, what, label);
    }
    return pages;
  }

  /** The link below a list; `label` tells the lists of a page apart. */
  const linkTo = (page: Page, what: string, label = '[^"]*'): string | undefined =>
    new RegExp(`href="([^"#]*)(?:#\\w+)?"[^>]*>(?:<svg[^>]*>.*?</svg>)?${what}(?:<svg[^>]*>.*?</svg>)?</a>`)
      .exec(
        new RegExp(`<nav class="paging" aria-label="${label}">.*?</nav>`, 's').exec(page.text)?.[0] ?? '',
      )?.[1]
      ?.replaceAll('&amp;', '&');
  const AGENT = /<div>(?:<s>)?<a href="\/agents\/(agt_\w+)">/g;
  const agentsOn = (page: Page) => [...page.text.matchAll(AGENT)].map(([, id]) => id!);
  const numberOf = (id: string) => Number(id.slice(-6));
  const tabsOn = (page: Page) =>
    Object.fromEntries(
      [...page.text.matchAll(/<a href="[^"]*"[^>]*>([\w ]+) <span>([\d,+]+)<\/span><\/a>/g)].map(
        ([, name, count]) => [name, count],
      ),
    );
  const rangeOn = (page: Page) => /<span>(\d[\d,–]* of [\w, ]+)<\/span>/.exec(page.text)?.[1];

  test('agents come 25 a page, each once, in as many statements whatever their number', async (t) => {
    const browser = await signIn(on, 'many@example.com');
    const owner = await accountOf('many@example.com');
    await addAgents(owner, 0, 3);
    statements = 0;
    const few = await browser.get('/agents');
    const forFew = statements;
    t.is(agentsOn(few).length, 3);
    await addAgents(owner, 3, 60);
    statements = 0;
    await browser.get('/agents');
    t.is(statements, forFew);
    await addAgents(owner, 60, 320);
    statements = 0;
    const first = await browser.get('/agents');
    t.is(statements, forFew);
    t.true(first.text.length < 40_000, `${first.text.length} characters`);
    const pages = await walk(t, browser, '/agents', AGENT);
    t.deepEqual(
      pages.map((page) => page.length),
      [...Array.from({ length: 12 }, () => 25), 20],
    );
    t.is(new Set(pages.flat()).size, 320);
  });

  test('a list says which of how many rows it shows, and leads back as it leads on', async (t) => {
    const browser = await signIn(on, 'ranges@example.com');
    await addAgents(await accountOf('ranges@example.com'), 0, 60);
    const first = await browser.get('/agents');
    const second = await browser.get(linkTo(first, 'Next')!);
    const third = await browser.get(linkTo(second, 'Next')!);
    t.deepEqual([first, second, third].map(rangeOn), ['1–25 of 60', '26–50 of 60', '51–60 of 60']);
    t.deepEqual([linkTo(first, 'Previous'), linkTo(third, 'Next')], [undefined, undefined]);
    const back = await browser.get(linkTo(third, 'Previous')!);
    t.deepEqual([agentsOn(back), rangeOn(back)], [agentsOn(second), '26–50 of 60']);
    const begin = await browser.get(linkTo(back, 'Previous')!);
    t.deepEqual([agentsOn(begin), rangeOn(begin)], [agentsOn(first), '1–25 of 60']);
    t.is(linkTo(begin, 'Previous'), undefined);
    const found = await browser.get('/agents?q=agent+1');
    t.is(rangeOn(found), '1–11 of 11 found');
  });

  test('agents are sorted by their headings, and the query string alone says how', async (t) => {
    const browser = await signIn(on, 'sorter@example.com');
    await addAgents(await accountOf('sorter@example.com'), 0, 60);
    const heading = (page: Page, name: string) => {
      const [, sort, href] = new RegExp(
        `<th scope="col" role="columnheader"(?: aria-sort="(\\w+)")?><a href="([^"]*)">${name}`,
      ).exec(page.text)!;
      return { sort, href: href!.replaceAll('&amp;', '&') };
    };
    const used = await browser.get('/agents');
    t.is(heading(used, 'Last used').sort, 'descending');
    t.is(heading(used, 'Agent').sort, undefined);
    const times = (ids: string[]) =>
      ids.map((id) => (numberOf(id) % 4 ? Math.floor(numberOf(id) / 3) + 1 : 0));
    const all = (await walk(t, browser, '/agents', AGENT)).flat();
    t.deepEqual(
      times(all),
      times(all).toSorted((one, other) => other - one),
    );

    const unused = await browser.get(heading(used, 'Last used').href);
    t.is(heading(unused, 'Last used').sort, 'ascending');
    t.deepEqual((await walk(t, browser, heading(used, 'Last used').href, AGENT)).flat(), all.toReversed());

    const byName = await browser.get(heading(used, 'Agent').href);
    t.is(heading(byName, 'Agent').sort, 'ascending');
    const backwards = await browser.get(heading(byName, 'Agent').href);
    t.is(heading(backwards, 'Agent').sort, 'descending');
    t.is(heading(backwards, 'Agent').href, heading(used, 'Agent').href);
    t.deepEqual(agentsOn(byName).slice(0, 3).map(numberOf), [0, 1, 10]);
    t.deepEqual(agentsOn(backwards).slice(0, 3).map(numberOf), [9, 8, 7]);

    const kept = await browser.get('/agents?sort=name&show=active&q=agent');
    t.regex(linkTo(kept, 'Next')!, /^\/agents\?q=agent&show=active&sort=name&after=/);
    t.is(heading(kept, 'Last used').href, '/agents?q=agent&show=active');
  });

  test('tabs count the agents that are found, each in one of them, and never beyond 10,000', async (t) => {
    const browser = await signIn(on, 'tabs@example.com');
    const owner = await accountOf('tabs@example.com');
    await addAgents(owner, 0, 120);
    const page = await browser.get('/agents');
    t.deepEqual(tabsOn(page), { All: '120', Active: '72', 'Never used': '24', Revoked: '24' });
    t.regex(page.text, /<h1>Agents<\/h1> <span class="count">120<\/span>/);
    for (const [show, count] of Object.entries({ active: 72, unused: 24, revoked: 24 })) {
      const pages = await walk(t, browser, `/agents?show=${show}`, AGENT);
      t.is(pages.flat().length, count, show);
    }
    const found = await browser.get('/agents?q=agent+11');
    t.deepEqual(tabsOn(found), { All: '11', Active: '7', 'Never used': '2', Revoked: '2' });
    t.regex(found.text, /<h1>Agents<\/h1> <span class="count">120<\/span>/);

    await addAgents(owner, 120, 26_000);
    statements = 0;
    const many = await browser.get('/agents');
    t.deepEqual(tabsOn(many), { All: '10,000+', Active: '10,000+', 'Never used': '5,200', Revoked: '5,200' });
    t.regex(many.text, /<span class="count">10,000\+<\/span>/);
    t.is(rangeOn(many), undefined);
    const older = await browser.get(linkTo(many, 'Older')!);
    t.deepEqual(agentsOn(await browser.get(linkTo(older, 'Newer')!)), agentsOn(many));
    t.is(rangeOn(await browser.get('/agents?show=unused')), '1–25 of 5,200');
  });

  test('agents are found by the start of their name in any case or of their id', async (t) => {
    const browser = await signIn(on, 'finder@example.com');
    const owner = await accountOf('finder@example.com');
    await addAgents(owner, 0, 120);
    const { db } = on.service.deps;
    const strange = `100% a_b!\\ <i>"Ünï"`;
    const rename = (name: string, ownedAt: number) =>
      db.tx((tx) =>
        tx.run('UPDATE agents SET name = ? WHERE account_id = ? AND owned_at = ?', [name, owner, ownedAt]),
      );
    await rename(strange, 39);
    await rename('Ünïcode', 38);
    await rename('ÄRGER', 37);
    const find = (query: Record<string, string>) =>
      walk(t, browser, `/agents?${new URLSearchParams(query)}`, AGENT).then((pages) => pages.flat());
    t.is((await find({ q: 'aGENT 11' })).length, 2); // 11 and 110; those from 111 on have other names
    for (const q of ['100%', '100% A_B', strange]) t.is((await find({ q })).length, 3, q);
    for (const q of ['ünï', 'ÜNÏ', 'Ünïcode', 'ärger', 'Ärger', 'ÄR']) t.is((await find({ q })).length, 3, q);
    for (const q of ['%', '_gent', 'gent', '0%', "' OR 1=1 --"]) t.is((await find({ q })).length, 0, q);
    for (const q of ['\0', '\u0001', '   ', '\ud800'])
      t.is((await find({ q })).length, 120, JSON.stringify(q));
    const [id] = await find({ q: 'Agent 7' });
    t.deepEqual(await find({ q: id! }), [id]);
    t.is((await find({ q: id!.slice(0, -6) })).length, 120);
    const none = await browser.get('/agents?q=nobody');
    t.regex(none.text, /No agents match this filter\./);
    t.regex(none.text, /value="nobody"/);
    t.regex(none.text, /<a href="\/agents">Clear<\/a>/);
  });

  test('marks and filters that nobody gave begin at the first row, and show nothing of others', async (t) => {
    const browser = await signIn(on, 'marks@example.com');
    await addAgents(await accountOf('marks@example.com'), 0, 2);
    const other = await signIn(on, 'other-marks@example.com');
    await addAgents(await accountOf('other-marks@example.com'), 0, 60);
    const theirs = linkTo(await other.get('/agents'), 'Next')!;
    for (const query of [
      'after=x',
      'before=%27',
      `after=${'9'.repeat(500)}`,
      'after=%00',
      'sort=name&after=AA.agt_x',
      'sort=name&after=////.agt_x',
      'show=both&sort=size',
      'q=',
      'after=x&before=2',
      'before=0.agt_0',
      theirs.split('?')[1]!,
    ]) {
      const page = await browser.get(`/agents?${query}`);
      t.is(page.status, 200, query);
      t.is(agentsOn(page).length, 2, query);
    }
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
          [Buffer.from(`ses${tail}`), `ses_${tail}`, owner, now - 1000, now - (at % 7) * 60_000],
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
    const lists: [string, RegExp, 'Next' | 'Older', number, string?][] = [
      ['/keys', /(own \d+)</g, 'Next', 60],
      ['/keys?show=ended', /(own \d+)</g, 'Next', 60],
      ['/keys?q=OWN%201', /(own \d+)</g, 'Next', 15],
      [`/agents/${agent}`, /(its \d+)</g, 'Older', 120, 'Pages of keys'],
      [`/agents/${agent}?activity=all`, /(You renamed)/g, 'Older', 120, 'Pages of activity'],
      ['/account', /name="session" value="(ses_\w+)"/g, 'Older', 120],
      ['/agents?show=environments', /<b class="host"><bdi>(Host \d+)/g, 'Next', 120],
      ['/agents?show=environments&q=host%201', /<b class="host"><bdi>(Host \d+)/g, 'Next', 31],
      ['/account/activity?kind=agents', /(You renamed)/g, 'Older', 120],
    ];
    for (const [path, item, what, count, label] of lists) {
      const pages = await walk(t, browser, path, item, what, label);
      t.true(
        pages.every((page) => page.length <= 25),
        path,
      );
      t.is(pages.flat().length, count, path);
      if (!item.source.includes('renamed')) t.is(new Set(pages.flat()).size, count, path);
    }
    const few = await browser.get(`/agents/${agent}`);
    t.is([...few.text.matchAll(/You renamed/g)].length, 5);
    t.regex(few.text, new RegExp(`href="/agents/${agent}\\?activity=all#activity">View all</a>`));
    for (const path of ['/account/activity', '/keys', '/account', '/agents?show=environments']) {
      statements = 0;
      await browser.get(path);
      t.true(statements < 12, `${path}: ${statements} statements`);
    }
    t.deepEqual(tabsOn(await browser.get('/keys')), { Active: '60', Ended: '60' });
    t.is(rangeOn(await browser.get('/keys')), '1–25 of 60');
    t.is(tabsOn(await browser.get('/agents')).Environments, '120');
    const exported = JSON.parse((await browser.get('/account/export')).text);
    t.is(exported.keys.length, 120);
    t.is(exported.sessions.length, 121);
  });

  test('sessions are used last first, and one’s own stands before the others', async (t) => {
    const mailbox = 'sessions@example.com';
    const browser = await signIn(on, mailbox);
    const owner = await accountOf(mailbox);
    const now = on.clock();
    await on.service.deps.db.tx(async (tx) => {
      for (let at = 0; at < 30; at += 1) {
        const id = `ses_${owner.slice(-8)}${String(at).padStart(2, '0')}`;
        await tx.run(
          `INSERT INTO sessions (hash, id, account_id, origin, created_at, seen_at) VALUES (?, ?, ?, 'net', ?, ?)`,
          [Buffer.from(id), id, owner, now - 10_000_000 + at, now + 1000 - at * 10_000],
        );
      }
    });
    const first = await browser.get('/account');
    const ENDS = /name="session" value="ses_\w+?(\d\d)"/g;
    const ends = ({ text }: Page) => [...text.matchAll(ENDS)].map(([, at]) => Number(at));
    t.deepEqual(ends(first), [...Array(25).keys()]);
    t.regex(first.text, /<tbody[^>]*>\s*<tr role="row">\s*<td[^>]*>(?:(?!<\/td>).)*This browser/s);
    const second = await browser.get(linkTo(first, 'Older')!);
    t.deepEqual(ends(second), [25, 26, 27, 28, 29]);
    t.notRegex(second.text, /This browser/);
    t.deepEqual(ends(await browser.get(linkTo(second, 'Newer')!)), ends(first));
  });

  test('up to 24 keys stand on one page, active above ended, without a filter', async (t) => {
    const mailbox = 'few-keys@example.com';
    const browser = await signIn(on, mailbox);
    const owner = await accountOf(mailbox);
    const add = (at: number) =>
      on.service.deps.db.tx((tx) =>
        tx.run(
          `INSERT INTO credentials (hash, id, account_id, name, scope, prefix, last_four, created_at, revoked_at)
           VALUES (?, ?, ?, ?, 'read', 'sk_', 'abcd', 1, ?)`,
          [Buffer.from(`few${at}`), `key_few${at}`, owner, `few ${at}`, at % 2 ? 1 : null],
        ),
      );
    for (let at = 10; at < 34; at += 1) await add(at);
    const few = await browser.get('/keys');
    t.is([...few.text.matchAll(/few \d+</g)].length, 24);
    t.regex(
      few.text,
      /<h2 id="live">Active <span class="count">12<\/span>.*<h2 id="ended">Ended <span class="count">12</s,
    );
    t.notRegex(few.text, /role="search"|class="paging"/);
    await add(34);
    const many = await browser.get('/keys');
    t.is([...many.text.matchAll(/few \d+</g)].length, 13);
    t.deepEqual(tabsOn(many), { Active: '13', Ended: '12' });
    t.regex((await browser.get('/keys?q=nothing')).text, /No keys match this filter\./);
  });
});
