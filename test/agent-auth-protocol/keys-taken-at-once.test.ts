import type { ExecutionContext } from 'ava';
import { newKey } from '../helpers/agent-client.ts';
import { type AgentWorld, openAgentWorld } from '../helpers/agent-world.ts';
import { atOnce } from '../helpers/common.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** One key, wanted by many at the same moment, is one's; the others are told that it is taken. */

onEveryEngine('a key that many take at once', (engine, test) => {
  let world: AgentWorld;
  test.before(async () => {
    world = await openAgentWorld(engine);
  });
  test.after(() => world.stop());

  function assertOneWon(t: ExecutionContext, replies: Reply[], about: string): void {
    const statuses = replies.map(({ status }) => status);
    t.is(statuses.filter((status) => status === 200).length, 1, `${about}: ${statuses}`);
    for (const { status, text } of replies) t.true(status < 500, `${about}: ${text}`);
  }

  test('is the key of one host, when hosts rotate to it', async (t) => {
    for (let round = 0; round < 5; round += 1) {
      const agents = await Promise.all(Array.from({ length: 8 }, () => world.autonomous()));
      const key = newKey();
      const replies = await atOnce(8, (index) => world.client.rotateHostKey(agents[index]!.host, key));
      assertOneWon(t, replies, 'hosts');
    }
  });

  test('is no new host and a rotated one at once', async (t) => {
    for (let round = 0; round < 5; round += 1) {
      const agents = await Promise.all(Array.from({ length: 4 }, () => world.autonomous()));
      const key = newKey();
      const host = { ...world.client.newHost(), key };
      const replies = await atOnce(8, async (index) =>
        index % 2 === 0
          ? world.client.rotateHostKey(agents[index / 2]!.host, key)
          : (await world.client.connect(host, { mode: 'autonomous' })).reply,
      );
      for (const { status, text } of replies) t.true(status < 500, text);
      const rotated = replies.filter((_, index) => index % 2 === 0);
      t.true(rotated.filter(({ status }) => status === 200).length <= 1);
    }
  });
});
