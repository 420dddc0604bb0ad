import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { ExecutionContext } from 'ava';
import { createSessionOwners } from '../../src/resource-server/mcp.ts';
import type { VerifiedToken } from '../../src/resource-server/token.ts';
import { signIn } from '../helpers/human.ts';
import { startExample } from '../helpers/seed-world.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

const token = (subject: string, agentId?: string, mergedFrom?: string) =>
  ({ subject, ...(agentId && { agentId }), ...(mergedFrom && { mergedFrom }) }) as VerifiedToken;

test('a session follows its own agent through its merge, once, and nobody else', (t) => {
  const own = token('usr_own', 'agt_1');
  const merged = token('usr_human', 'agt_1', 'usr_own');
  const others: [string, VerifiedToken][] = [
    ['another agent of the same human', token('usr_human', 'agt_2')],
    ['another agent that was merged', token('usr_human', 'agt_2', 'usr_other')],
    ['another agent that says it came from there', token('usr_human', 'agt_2', 'usr_own')],
    ['the human', token('usr_human')],
    ['a human who says they came from there', token('usr_human', undefined, 'usr_own')],
    ['the same agent in another account', token('usr_else', 'agt_1')],
    ['the same agent, come from elsewhere', token('usr_else', 'agt_1', 'usr_else2')],
  ];
  const sessions = createSessionOwners();
  sessions.opened('s', own);
  for (const [who, each] of others) t.false(sessions.isOwner('s', each), who);
  t.true(sessions.isOwner('s', own));
  t.true(sessions.isOwner('s', merged));
  t.true(sessions.isOwner('s', merged));
  for (const [who, each] of others) t.false(sessions.isOwner('s', each), who);
  // What the session holds is the human's now: out of their account again it stays behind.
  t.false(sessions.isOwner('s', own));

  sessions.opened('keys', token('usr_human'));
  t.true(sessions.isOwner('keys', token('usr_human')));
  t.false(sessions.isOwner('keys', token('usr_human', 'agt_1')));
  sessions.closed('s');
  t.false(sessions.isOwner('s', merged));
});

onEveryEngine('an MCP session and the claim of its agent', (engine, test) => {
  let on: TestService;
  let url: string;
  let stop: () => Promise<void>;
  test.before(async () => {
    on = await startTestService(engine);
    ({ url, stop } = await startExample(on));
  });
  test.after(async () => {
    await stop();
    await on.stop();
  });

  /** The official client; its key can be changed while a session is open. */
  async function connect(key: string, sessionId?: string) {
    let held = key;
    const transport = new StreamableHTTPClientTransport(new URL(url), {
      fetch: (to, init) => {
        const headers = new Headers(init?.headers);
        headers.set('Authorization', `Bearer ${held}`);
        return fetch(to, { ...init, headers });
      },
      ...(sessionId && { sessionId }),
    });
    // Who goes on with a session does not ask again which version it is of.
    if (sessionId) transport.setProtocolVersion('2025-06-18');
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(transport as never);
    const call = (name: string, args: object = {}) => client.callTool({ name, arguments: { ...args } });
    return {
      client,
      transport,
      call,
      use: (next: string) => {
        held = next;
      },
    };
  }

  async function claim(
    t: ExecutionContext,
    agent: { claim_token: string },
    mailbox: string,
    link = false,
  ): Promise<string> {
    await on.post('/agent/auth/claim', { claim_token: agent.claim_token, email: mailbox, link });
    const otp = await on.codeFor(mailbox);
    const done = await on.post('/agent/auth/claim/complete', { claim_token: agent.claim_token, otp });
    t.is(done.status, 200, done.text);
    return done.body.data.credential;
  }

  for (const [mode, link] of [
    ['merged', false],
    ['linked', true],
  ] as const) {
    test(`goes on once the agent is ${mode}, as whoever it is then; others stay out`, async (t) => {
      const mailbox = `${mode}@example.com`;
      const agent = await on.register();
      const session = await connect(agent.credential);
      await session.call('list_my_apps');
      session.use(await claim(t, agent, mailbox, link));
      await session.call('deploy_app', { app: `${mode}-${engine}` });
      await session.call('records', { app: `${mode}-${engine}`, action: 'insert', value: 'a' });

      const { sessionId } = session.transport;
      for (const other of [await on.claimed(`other-${mode}@example.com`), await on.register()]) {
        const thief = await connect(other.credential, sessionId);
        await t.throwsAsync(thief.call('list_my_apps'), { message: /session|404/i });
        await thief.client.close();
      }
      await session.client.close();
    });
  }

  test('ends for the agent when its merge is undone', async (t) => {
    const mailbox = 'undone@example.com';
    const agent = await on.register();
    const session = await connect(agent.credential);
    await session.call('list_my_apps');
    session.use(await claim(t, agent, mailbox));
    await session.call('list_my_apps');
    const browser = await signIn(on, mailbox);
    await browser.get(`/agents/${agent.agent_id}/undo`);
    await browser.post(`/agents/${agent.agent_id}/undo`);
    let last: unknown;
    for (const began = Date.now(); last === undefined && Date.now() - began < 5000; ) {
      await session.call('list_my_apps').catch((error) => {
        last = error;
      });
    }
    t.regex(String(last), /session|404/i);
    await session.client.close();
  });
});
