import { describeEvents } from '../../src/domain/audit/describe-events.ts';
import { endKeyInWorkspace } from '../../src/domain/credentials/workspace-keys.ts';
import { notifyOfKeyExpiry } from '../../src/domain/jobs/key-expiry-notices.ts';
import { leaveWorkspace } from '../../src/domain/workspaces/members.ts';
import { LOCALES, type Locale } from '../../src/lib/translate.ts';
import { createRender } from '../../src/mail/render.ts';
import type { ActivityEntry } from '../../src/ports/mailer.ts';
import type { EventRow } from '../../src/store/events.ts';
import { makeAppKey } from '../helpers/app-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import {
  makePlacedKey,
  openPlaces,
  openWorkspaces,
  type Person,
  type Workspaces,
} from '../helpers/workspaces.ts';

const DAY = 86_400;

onEveryEngine('mails about keys in workspaces', (engine, test) => {
  let world: Workspaces;
  const places = openPlaces(() => world.on);
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  /** What the mails tell somebody that were queued since. @param since an id of an event */
  async function toldTo({ id, mailbox }: Person, since: string): Promise<ActivityEntry[]> {
    const { db } = world.deps;
    const events = await listEventsTold(mailbox, since);
    return describeEvents({ db }, events, id);
  }
  function listEventsTold(mailbox: string, since: string): Promise<EventRow[]> {
    return world.deps.db.all(
      `SELECT e.id, e.at, e.kind, e.account_id AS "accountId", e.agent_id AS "agentId", e.subject, e.address, e.details,
         e.request_id AS "requestId", e.workspace_id AS "workspaceId"
       FROM outbox o JOIN notices n ON n.mail_id = o.id JOIN events e ON e.id = n.event_id
       WHERE o.mailbox = ? AND e.id > ? ORDER BY e.id`,
      [mailbox, since],
    );
  }
  /** Begins to watch what people are mailed. */
  async function watchMails(...people: Person[]): Promise<() => Promise<ActivityEntry[][]>> {
    world.on.clock.advance(1);
    const last = (await world.deps.db.get<{ id: string }>('SELECT MAX(id) AS id FROM events'))!.id;
    return () => Promise.all(people.map((each) => toldTo(each, last)));
  }
  const kindsIn = (entries: readonly ActivityEntry[]) =>
    entries.map(({ kind, keyName }) => `${kind} ${keyName ?? ''}`);
  const render = (happened: ActivityEntry[], locale: Locale) =>
    createRender(world.deps.config)({
      kind: 'notice',
      id: 'out_test',
      to: 'a@example.com',
      locale,
      happened,
      more: 0,
    });

  test('before the key of an app expires, the owners and admins of its workspace are mailed, once, whoever made it', async (t) => {
    const { person, workspace, deps, origin, api } = world;
    const [ann, bob, eve, max] = await Promise.all(['ann', 'bob', 'eve', 'max'].map((name) => person(name)));
    const id = await workspace(ann!, [
      [bob!, 'admin'],
      [eve!, 'member'],
      [max!, 'admin'],
    ]);
    const app = await places.node(api.url, id, 'app_shop', 'app');
    const { key } = await makeAppKey(world.on, max!.id, id, app, 30);
    await leaveWorkspace(deps, origin, max!.id, id);
    const told = await watchMails(ann!, bob!, eve!, max!);
    world.on.clock.advance((key.expiresAt! - world.on.clock()) / 1000 - 7 * DAY - 1);
    await notifyOfKeyExpiry(deps);
    t.is(await countOf(world.on, `events WHERE kind = 'key.expiring' AND subject = ?`, [key.id]), 0);
    world.on.clock.advance(1);
    await Promise.all([notifyOfKeyExpiry(deps), notifyOfKeyExpiry(deps)]);
    await notifyOfKeyExpiry(deps);
    const mails = await told();
    t.deepEqual(mails.map(kindsIn), [['key.expiring robot'], ['key.expiring robot'], [], []]);
    t.is(
      await countOf(world.on, `events WHERE kind = 'key.expiring' AND subject = ? AND workspace_id = ?`, [
        key.id,
        id,
      ]),
      1,
    );
    for (const locale of LOCALES) {
      const { subject, text } = render(mails[0]!, locale);
      t.notRegex(subject, /robot|Atlas/);
      t.regex(text, /robot/);
      t.regex(text, /Atlas/);
    }
  });

  test('of a key of an app that ended before, or does not expire, nobody is mailed', async (t) => {
    const { person, workspace, deps, origin, api } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const app = await places.node(api.url, id, 'app_shop', 'app');
    const { key } = await makeAppKey(world.on, ann.id, id, app, 7);
    await makeAppKey(world.on, ann.id, id, app);
    await endKeyInWorkspace(deps, origin, ann.id, id, key.id);
    const told = await watchMails(ann);
    world.on.clock.advance(6 * DAY);
    await notifyOfKeyExpiry(deps);
    world.on.clock.advance(400 * DAY);
    await notifyOfKeyExpiry(deps);
    t.deepEqual((await told()).map(kindsIn), [[]]);
  });

  test('who makes a key of an app is mailed', async (t) => {
    const { person, workspace, api } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const app = await places.node(api.url, id, 'app_shop', 'app');
    const told = await watchMails(ann);
    await makeAppKey(world.on, ann.id, id, app);
    t.deepEqual((await told()).map(kindsIn), [['app_key.made robot']]);
  });

  test('a member whose key a manager ends is mailed, and has it in the activity; who ends their own is not', async (t) => {
    const { person, workspace, deps, origin } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'admin']]);
    const key = async () =>
      (await makePlacedKey(world.on, bob.id, [{ workspaceId: id, actions: ['read'] }])).key;
    const [one, two] = [await key(), await key()];
    const told = await watchMails(ann, bob);
    await endKeyInWorkspace(deps, origin, ann.id, id, one.id);
    await endKeyInWorkspace(deps, origin, bob.id, id, two.id);
    const mails = await told();
    t.deepEqual(mails.map(kindsIn), [[], ['place.ended bot']]);
    for (const [locale, sentence] of [
      ['en', 'The key bot was ended in the workspace Atlas'],
      ['de', 'Der Schlüssel bot wurde im Arbeitsbereich Atlas beendet'],
    ] as const) {
      const { subject, text } = render(mails[1]!, locale);
      t.true(text.includes(sentence), text);
      t.notRegex(subject, /bot|Atlas/);
    }
    const [event] = await deps.db.all<{ accountId: string; details: string }>(
      `SELECT account_id AS "accountId", details FROM events WHERE kind = 'place.ended' AND subject = ?`,
      [one.id],
    );
    t.is(event!.accountId, bob.id);
    t.is(JSON.parse(event!.details).actor, ann.id);
  });
});
