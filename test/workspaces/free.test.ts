import type { Tx } from '../../src/store/engine/db.ts';
import { addServer } from '../helpers/api-keys.ts';
import { noting } from '../helpers/commits.ts';
import { newMailbox } from '../helpers/common.ts';
import { ensure } from '../helpers/ensure.ts';
import { startTestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, insertShared } from '../helpers/workspaces.ts';

/** What workspaces cost who has none: nothing (W-01). */

onEveryEngine('without a workspace', (engine, test) => {
  /** A service whose human is, or is not, in a workspace, with the statements of each step. */
  async function start(hasWorkspaces: boolean) {
    let asked: string[] = [];
    // The worker of the outbox runs its statements whenever there is mail.
    const note = (sql: string) => void (/\boutbox\b/.test(sql) || asked.push(sql));
    const on = await startTestService(engine, {
      wrapDb: (db) => ({
        ...db,
        ...noting({ ...db, run: () => Promise.reject(new Error('a write needs a transaction')) }, note),
        tx: (work, length) => db.tx((tx) => work(noting(tx, note)), length),
        read: (work) => db.read((tx) => work(noting(tx as Tx, note))),
      }),
    });
    const mailbox = newMailbox();
    const { user_id: human } = await on.claimed(mailbox);
    const url = 'https://api.example.com';
    const api = hasWorkspaces ? await addTreeApi(on, url) : await addServer(on, url);
    if (hasWorkspaces) await insertShared(on, { [human]: 'owner' });

    const STEPS = ['register', 'introspect', 'claim', 'complete', 'introspect again'] as const;
    /** The statements of one agent's way, by step. */
    async function way(): Promise<Map<(typeof STEPS)[number], string[]>> {
      const statements = new Map<(typeof STEPS)[number], string[]>();
      const step = async <Result>(name: (typeof STEPS)[number], act: () => Promise<Result>) => {
        asked = [];
        const result = await act();
        statements.set(name, asked);
        return result;
      };
      const to = newMailbox();
      const { credential, claim_token } = await step('register', () => on.register());
      await step('introspect', () => api.ask(credential));
      await step('claim', () => on.post('/agent/auth/claim', { claim_token, email: to }));
      const otp = await on.codeFor(to);
      const { status, body } = await step('complete', () =>
        on.post('/agent/auth/claim/complete', { claim_token, otp }),
      );
      ensure(status === 200, JSON.stringify(body));
      await step('introspect again', () => api.ask(body.data.credential));
      return statements;
    }
    // Jobs run theirs meanwhile: the fewest of five count.
    const ways: Map<(typeof STEPS)[number], string[]>[] = [];
    for (let round = 0; round < 5; round += 1) ways.push(await way());
    await on.stop();
    return new Map(
      STEPS.map((name) => [
        name,
        ways
          .map((statements) => statements.get(name)!)
          .toSorted((one, other) => one.length - other.length)[0]!,
      ]),
    );
  }

  test('registration, claim and the questions about a key run the same statements as where there are some, and none about them', async (t) => {
    const [without, beside] = [await start(false), await start(true)];
    for (const [step, statements] of without) {
      t.true(statements.length > 0, step);
      t.deepEqual(statements.toSorted(), beside.get(step)!.toSorted(), step);
      const about = statements.filter((sql) =>
        /\b(?:FROM|INTO|UPDATE|JOIN) (?:workspaces|members|invitations|places|nodes)\b/.test(sql),
      );
      t.deepEqual(about, [], step);
    }
  });
});
