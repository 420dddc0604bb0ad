import type { ExecutionContext } from 'ava';
import type { Tx } from '../../src/store/engine/db.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { getCode, redeem, registerApp } from '../helpers/app-client.ts';
import { noting } from '../helpers/commits.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What introspection of an app's token costs (O-22). */

onEveryEngine('the cost of apps', (engine, test) => {
  let on: TestService;
  let api: Api;
  let asked = 0;
  const note = () => {
    asked += 1;
  };
  test.before(async () => {
    on = await startTestService(engine, {
      wrapDb: (db) => ({
        ...db,
        ...noting({ ...db, run: () => Promise.reject(new Error('a write needs a transaction')) }, note),
        tx: (work, length) => db.tx((tx) => work(noting(tx, note)), length),
        read: (work) => db.read((tx) => work(noting(tx as Tx, note))),
      }),
    });
    api = await addApi(on);
  });
  test.after(() => on.stop());

  /** How many statements an introspection runs: the fewest of five, since jobs run theirs meanwhile. */
  async function statementsOf(t: ExecutionContext, credential: string): Promise<number> {
    const counts: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      asked = 0;
      t.true(await api.isActive(credential));
      counts.push(asked);
    }
    return Math.min(...counts);
  }

  test('introspection of its token asks the database what that of a key asks', async (t) => {
    const key = (await on.register()).credential;
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'read', resource: api.resource } });
    const { access_token } = (await redeem(on, app, got)).body;
    const ofKey = await statementsOf(t, key);
    t.true(ofKey > 0);
    t.is(await statementsOf(t, access_token), ofKey);
  });
});
