import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { openSeed } from '../helpers/seed-world.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What apphub says of keys of apps, over the official SDK. */

const OPEN = ['list_apis', 'get_api_schema', 'test_api', 'discover_apis'];

onEveryEngine('apphub, for keys of apps', (engine, test) => {
  test('a key of an app reaches four tools that look, of its own app alone, and no other', async (t) => {
    const world = await openSeed(engine, 'apphub');
    t.teardown(() => world.stop());
    const { on, places, workspaces } = world;
    const mailbox = newMailbox();
    const { user_id: ann } = await on.claimed(mailbox);
    const wsp = await places.workspace([ann, 'owner']);
    const content = {
      versions: [],
      env: {},
      tables: new Map([['orders', []]]),
      isArchived: false,
      hasCi: true,
    };
    for (const app of ['shop', 'blog']) {
      await workspaces.put(wsp, { id: app, kind: 'app', name: app, parent: undefined, content });
    }
    const page = `/workspaces/${wsp}/apps/${await places.findNode(wsp, 'shop')}`;
    const browser = await signIn(on, mailbox, { next: '/workspaces' });
    await browser.get(page);
    const made = await browser.post(page, { ...browser.wholeForm(page), name: 'Shop robot', life: '30' });
    const [, credential] = /<code id="key">(ak_[0-9A-Za-z]+)<\/code>/.exec(made.text)!;

    const client = await world.connect(credential!);
    const { tools } = await client.client.listTools();
    for (const { name } of tools) {
      const args = { action: 'query', query: 's', ...(!/^(list|discover)_/.test(name) && { app: 'shop' }) };
      const outcome = await client.outcome(name, args);
      if (OPEN.includes(name)) t.is(outcome, 'ok', name);
      // What it lacks the scope for is said first.
      else
        t.true(
          ['oauth_only', 'missing_scope', 'endpoint_forbidden'].includes(outcome),
          `${name}: ${outcome}`,
        );
    }
    t.is(await client.outcome('get_app_url', { app: 'shop' }), 'oauth_only');
    t.is(await client.outcome('get_api_schema', { app: 'blog' }), 'resource_scope');
    t.deepEqual(await client.call('list_apis'), ['https://shop.apps.example/api']);
    await client.close();
  });
});
