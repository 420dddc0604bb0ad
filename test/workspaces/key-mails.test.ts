import { endKeyInWorkspace } from '../../src/domain/credentials/workspace-keys.ts';
import { notifyOfKeyExpiry } from '../../src/domain/jobs/key-expiry-notices.ts';
import { leaveWorkspace } from '../../src/domain/workspaces/members.ts';
import { LOCALES, type Locale } from '../../src/lib/translate.ts';
import { createRender } from '../../src/mail/render.ts';
import type { ActivityEntry } from '../../src/ports/mailer.ts';
import { makeAppKey } from '../helpers/app-keys.ts';
import { countOf } from '../helpers/ceremony.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { makePlacedKey, openPlaces, openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

const DAY = 86_400;

onEveryEngine('mails about keys in workspaces', (engine, test) => {
  let world: Workspaces;
  const places = openPlaces(() => world.on);
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

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
    const told = await world.watchMails(ann!, bob!, eve!, max!);
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
    const told = await world.watchMails(ann);
    world.on.clock.advance(6 * DAY);
    await notifyOfKeyExpiry(deps);
    world.on.clock.advance(400 * DAY);
    await notifyOfKeyExpiry(deps);
    t.deepEqual((await told()).map(kindsIn), [[]]);
  });

  test('owners are mailed when keys end because an API deleted what they were for, and of nothing else it deletes (P-6)', async (t) => {
    const { api, person, workspace } = world;
    const [ann, ben, bob] = [await person('ann'), await person('ben'), await person('bob')];
    const id = await workspace(ann, [
      [ben, 'owner'],
      [bob, 'admin'],
    ]);
    const upsert = ['free', 'shared', 'only'].map((name) => ({ id: name, kind: 'folder', name }));
    await api.send({ workspace: id, upsert });
    const make = async (thing: string, ...more: { workspaceId: string; path: string; actions: string[] }[]) =>
      makePlacedKey(world.on, bob.id, [
        { workspaceId: id, nodeId: await places.findNode(id, thing), actions: ['read'] },
        ...more,
      ]);
    await make('shared', { workspaceId: id, path: 'x', actions: ['read'] });
    await make('only');
    const told = await world.watchMails(ann, ben, bob);
    t.is((await api.send({ workspace: id, delete: ['free', 'shared'] })).status, 200);
    t.deepEqual((await told()).map(kindsIn), [[], [], []], 'no key ended');
    t.is((await api.send({ workspace: id, delete: ['only'] })).status, 200);
    t.deepEqual((await told()).map(kindsIn), [['tree.changed '], ['tree.changed '], []]);
    for (const locale of LOCALES) {
      const { subject, text } = render((await told())[0]!, locale);
      t.notRegex(subject, /Atlas/);
      t.regex(text, /Atlas/);
    }
  });

  test('who makes a key of an app is mailed', async (t) => {
    const { person, workspace, api } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const app = await places.node(api.url, id, 'app_shop', 'app');
    const told = await world.watchMails(ann);
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
    const told = await world.watchMails(ann, bob);
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
