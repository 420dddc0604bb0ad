import type { ExecutionContext } from 'ava';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import {
  basic,
  createTestClock,
  createTestDatabase,
  startTestService,
  type TestService,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** Resource servers in the operator's console: added, their secrets rotated with an overlap, and removed. */

const PATH = '/console/resource-servers';
const secretOn = (text: string) => /<code id="secret">(rss_\w+)<\/code>/.exec(text)?.[1];
const idOn = (text: string) => /<code>(rs_\w+)<\/code>/.exec(text)![1]!;

onEveryEngine('resource servers in the console', (engine, test) => {
  let on: TestService;
  let operator: Operator;
  test.before(async () => {
    on = await startTestService(engine);
    operator = await newOperator(on);
  });
  test.after(() => on.stop());

  const statusWith = async (id: string, secret: string) => {
    const { credential } = await on.register();
    return (await on.form('/oauth2/introspect', { token: credential }, basic(id, secret))).status;
  };
  const eventOf = (kind: string, subject: string) =>
    on.service.deps.db.get<{ accountId: string; details: string }>(
      'SELECT account_id AS "accountId", details FROM events WHERE kind = ? AND subject = ? ORDER BY id DESC LIMIT 1',
      [kind, subject],
    );

  /** Adds one by the form. */
  async function add(name: string, fields: Record<string, string> = {}) {
    await operator.browser.get(`${PATH}/new`);
    const url = `https://${name.toLowerCase()}.example.com`;
    const page = await operator.browser.post(`${PATH}/new`, { name, url, reason: 'new', ...fields });
    return { page, id: idOn(page.text), secret: secretOn(page.text)! };
  }

  const rotate = async (id: string, overlap: string, reason = 'yearly') => {
    await operator.browser.get(`${PATH}/${id}/rotate`);
    return operator.browser.post(`${PATH}/${id}/rotate`, { overlap, reason });
  };

  async function assertEvent(t: ExecutionContext, kind: string, id: string, details: object): Promise<void> {
    const event = await eventOf(kind, id);
    t.is(event?.accountId, operator.accountId);
    t.like(JSON.parse(event!.details), details as never);
  }

  test('are added with a secret that is shown once and works, under the operator’s account', async (t) => {
    await operator.signInAgain();
    const { page, id, secret } = await add('Files', { scopes: 'some', 'scope:read': 'on' });
    t.is(page.status, 200);
    t.is(heading(page), 'Resource server added');
    t.is(await statusWith(id, secret), 200);
    await assertEvent(t, 'resource.added', id, { reason: 'new', name: 'Files' });
    const list = await operator.browser.get(PATH);
    t.regex(list.text, /<bdi>Files<\/bdi>/);
    t.true(list.text.includes('https://files.example.com'));
    const shown = await operator.browser.get(`${PATH}/${id}`);
    t.regex(shown.text, /<span class="chip">read<\/span>/);
    t.notRegex(shown.text, /<span class="chip">write<\/span>/);
    for (const { text } of [list, shown]) t.false(text.includes(secret.slice(4)));
  });

  test('sent twice, the form adds one and shows one secret; sent again later, it shows none and changes nothing', async (t) => {
    await operator.signInAgain();
    await operator.browser.get(`${PATH}/new`);
    const form = operator.browser.wholeForm(`${PATH}/new`);
    const fields = { ...form, name: 'Twice', url: 'https://twice.example.com', reason: 'new' };
    const [first, second] = await Promise.all([
      operator.browser.send(`${PATH}/new`, fields),
      operator.browser.send(`${PATH}/new`, fields),
    ]);
    t.is(secretOn(first.text), secretOn(second.text));
    const again = await operator.browser.send(`${PATH}/new`, fields);
    t.is(heading(again), 'This secret was shown already');
    t.is(secretOn(again.text), undefined);
    t.is(await countOf(on, 'resource_servers WHERE name = ?', ['Twice']), 1);

    const id = idOn(first.text);
    await operator.browser.get(`${PATH}/${id}/rotate`);
    const rotation = {
      ...operator.browser.wholeForm(`${PATH}/${id}/rotate`),
      overlap: '1d',
      reason: 'yearly',
    };
    const rotated = await operator.browser.send(`${PATH}/${id}/rotate`, rotation);
    const reloaded = await operator.browser.send(`${PATH}/${id}/rotate`, rotation);
    t.is(heading(reloaded), 'This secret was shown already');
    t.is(await statusWith(id, secretOn(rotated.text)!), 200);
    t.is(await statusWith(id, secretOn(first.text)!), 200, 'the overlap holds');
  });

  test('what is wrong with the form is said at its field, with what was typed', async (t) => {
    await operator.signInAgain();
    await add('Known');
    const known = { name: 'Known', url: 'https://known.example.com', reason: 'new' };
    const cases: [fields: Record<string, string>, says: RegExp][] = [
      [{ ...known, name: ' ' }, /id="name-error".*Enter a name\./],
      [{ ...known, name: 'x'.repeat(65) }, /id="name-error".*Shorten the name to 64 characters\./],
      [{ ...known, url: 'known.example.com' }, /id="url-error".*Enter a whole http or https URL/],
      [{ ...known, url: 'https://user:secret@known.example.com' }, /id="url-error"/],
      [{ ...known, url: 'https://known.example.com/#part' }, /id="url-error"/],
      [{ ...known, scopes: 'some' }, /id="scopes-error".*Choose at least one permission\./],
      [{ ...known, reason: '' }, /id="reason-error".*Enter a reason\./],
      [known, /id="name-error".*There is a resource server with this URL and name already/],
    ];
    for (const [fields, says] of cases) {
      await operator.browser.get(`${PATH}/new`);
      const page = await operator.browser.post(`${PATH}/new`, fields);
      t.is(page.status, 400);
      t.regex(page.text, says);
      t.regex(page.text, /<title>Error: /);
      for (const field of ['name', 'url', 'reason']) {
        if (fields[field]) t.true(page.text.includes(`value="${fields[field]}"`), field);
      }
    }
    t.is(await countOf(on, 'resource_servers WHERE name = ?', ['Known']), 1);
  });

  test('a rotated secret and the one before work both until the overlap ends, one from earlier never', async (t) => {
    await operator.signInAgain();
    const { id, secret: first } = await add('Rotated');
    const page = await rotate(id, '1h');
    const second = secretOn(page.text)!;
    t.is(heading(page), 'Secret rotated');
    await assertEvent(t, 'resource.rotated', id, { reason: 'yearly', overlap_seconds: 3600 });
    t.deepEqual([await statusWith(id, first), await statusWith(id, second)], [200, 200]);
    t.regex((await operator.browser.get(`${PATH}/${id}`)).text, /The secret from before works until /);
    t.regex((await operator.browser.get(`${PATH}/${id}/rotate`)).text, /still works, until/);

    const third = secretOn((await rotate(id, '1h')).text)!;
    t.deepEqual(
      [await statusWith(id, first), await statusWith(id, second), await statusWith(id, third)],
      [401, 200, 200],
    );
    on.clock.advance(3601);
    t.deepEqual([await statusWith(id, second), await statusWith(id, third)], [401, 200]);

    await operator.signInAgain();
    const fourth = secretOn((await rotate(id, 'now', 'leaked')).text)!;
    t.deepEqual([await statusWith(id, third), await statusWith(id, fourth)], [401, 200]);
    const wrong = await rotate(id, 'forever');
    t.is(wrong.status, 400);
    t.regex(wrong.text, /Choose how long the old secret works\./);
    t.is(await statusWith(id, fourth), 200);
  });

  test('one that is removed is refused at once, and can be neither rotated nor removed again', async (t) => {
    await operator.signInAgain();
    const { id, secret } = await add('Removed');
    t.is(await statusWith(id, secret), 200);
    await operator.browser.get(`${PATH}/${id}/remove`);
    const unsaid = await operator.browser.post(`${PATH}/${id}/remove`, { reason: '' });
    t.is(unsaid.status, 400);
    t.is(await statusWith(id, secret), 200);
    const form = operator.browser.form(`${PATH}/${id}/remove`);
    const page = await operator.browser.post(`${PATH}/${id}/remove`, { reason: 'gone' });
    t.is(page.path, PATH);
    t.regex(page.text, /role="status".*Resource server removed\./);
    t.notRegex(page.text, /Removed<\/bdi>/);
    t.is(await statusWith(id, secret), 401);
    await assertEvent(t, 'resource.removed', id, { reason: 'gone' });
    t.is((await operator.browser.send(`${PATH}/${id}/remove`, { ...form, reason: 'again' })).status, 404);
    for (const act of ['rotate', 'remove']) {
      t.is((await operator.browser.get(`${PATH}/${id}/${act}`)).status, 404);
      t.is((await operator.browser.get(`${PATH}/rs_0/${act}`)).status, 404);
    }
    const shown = await operator.browser.get(`${PATH}/${id}`);
    t.regex(shown.text, /It can’t ask about keys any more\./);
    t.notRegex(shown.text, /Danger zone/);
    t.is((await operator.browser.get(`${PATH}/rs_0`)).status, 404);
  });

  test('say when they were last connected, which is written behind', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    try {
      const first = await startTestService(engine, { database, clock });
      const ada = await newOperator(first);
      await ada.browser.get(`${PATH}/new`);
      const made = await ada.browser.post(`${PATH}/new`, {
        name: 'API',
        url: 'https://api.example.com',
        reason: 'new',
      });
      const [id, secret] = [idOn(made.text), secretOn(made.text)!];
      t.regex((await ada.browser.get(PATH)).text, /Never connected/);
      await first.request('GET', '/resource/events', { headers: basic(id, secret) });
      clock.advance(60);
      await first.form('/oauth2/introspect', { token: 'none' }, basic(id, secret));
      await first.stop();

      const later = await startTestService(engine, { database, clock });
      const row = await later.service.deps.db.get<{ seen: number; followed: number }>(
        'SELECT seen_at AS seen, followed_at AS followed FROM resource_servers WHERE id = ?',
        [id],
      );
      t.deepEqual(row, { seen: clock(), followed: clock() - 60_000 });
      const bob = await newOperator(later);
      t.regex((await bob.browser.get(PATH)).text, /Connected/);
      clock.advance(2 * 3600);
      t.regex((await bob.signInAgain(PATH)).text, /Not in the last hour/);
      clock.advance(23 * 3600);
      t.regex((await bob.signInAgain(PATH)).text, /Not in the last day/);
      await later.stop();
    } finally {
      await database.drop();
    }
  });
});
