import type { ExecutionContext } from 'ava';
import { createClient } from '../../src/domain/apps/create-client.ts';
import type { Tx } from '../../src/store/engine/db.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { getCode, PUBLIC_CLIENT, redeem, registerApp } from '../helpers/app-client.ts';
import { noting } from '../helpers/commits.ts';
import { basic, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What apps cost the database (O-22). */

onEveryEngine('the cost of apps', (engine, test) => {
  let on: TestService;
  let api: Api;
  let asked: string[] = [];
  const note = (sql: string) => void asked.push(sql);
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
      asked = [];
      t.true(await api.isActive(credential));
      counts.push(asked.length);
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

  test('a token by client credentials takes seven statements, none of them twice', async (t) => {
    const { client, secret } = await createClient(on.service.deps, localOrigin('test'), {
      ...PUBLIC_CLIENT,
      redirectUris: [],
      authMethod: 'client_secret_basic',
      grantTypes: ['client_credentials'],
    });
    const form = { grant_type: 'client_credentials', resource: api.resource };
    const counts: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      asked = [];
      const reply = await on.form('/oauth2/token', form, basic(client.id, secret!));
      t.is(reply.status, 200, reply.text);
      if (new Set(asked).size === asked.length) counts.push(asked.length);
    }
    t.is(Math.min(...counts), 7, asked.join('\n'));
  });
});
