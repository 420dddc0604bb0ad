import {
  type Agent,
  claim,
  endAgent,
  exchange,
  poll,
  readAgentStatus,
  registerAgent,
} from '../../src/client/index.ts';
import { typeCode } from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { codeOf } from '../helpers/code-of.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the agent’s own way', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, { clock: REAL_CLOCK });
  });
  test.after(() => on.stop());

  const works = async (agent: Agent) => {
    const { accessToken } = await exchange(agent);
    const me = await on.get('/api/me', accessToken);
    return me.status === 200 ? me.body.data.scopes : me.status;
  };

  test('tinysend: an agent has a key at once, and a wider one once its human has read it the code', async (t) => {
    const mailbox = newMailbox();
    const agent = await registerAgent({ service: on.url, name: 'Index bot' });
    t.like(agent, { dialect: 'tinysend', service: on.url, claim: 'none', scopes: ['read'] });
    t.deepEqual(await works(agent), ['read']);
    const asked = await claim(agent, { email: mailbox });
    t.is(asked.claim, 'pending');
    t.is((await poll(asked)).claim, 'pending');
    t.is(await codeOf(() => poll(asked, { code: '000000' })), 'CODE_WRONG');
    const code = await on.codeFor(mailbox);
    const claimed = await poll(asked, { code });
    t.like(claimed, { claim: 'claimed', scopes: ['read', 'write'], id: agent.id });
    t.not(claimed.credential, agent.credential);
    t.like(await readAgentStatus(claimed), { agent_id: agent.id, kind: 'agent' });
    t.deepEqual(await poll(asked, { code }), claimed, 'a lost answer is not a lost key');
  });

  test('tinysend: a key that was ended works no more', async (t) => {
    const agent = await registerAgent({ service: `${on.url}/` });
    await endAgent(agent);
    t.is(await works(agent), 401);
    t.is(await codeOf(() => readAgentStatus(agent)), 'AUTH_REQUIRED');
    await t.notThrowsAsync(endAgent(agent));
  });

  test('auth.md: an agent exchanges its identity, and a wider one once its human has typed the code', async (t) => {
    const mailbox = newMailbox();
    const agent = await registerAgent({ service: on.url, dialect: 'auth.md' });
    t.like(agent, { dialect: 'auth.md', claim: 'none', scopes: ['read'] });
    t.deepEqual(await works(agent), ['read']);
    const asked = await claim(agent, { email: mailbox });
    t.regex(asked.userCode!, /^[0-9]{6}$/);
    t.is((await poll(asked)).claim, 'pending');
    const human = openBrowser(on);
    await human.get(asked.verificationUri!);
    await signIn(on, mailbox, { browser: human });
    await typeCode(human, asked.userCode!);
    const claimed = await poll({ ...asked, askedAt: 0 });
    t.like(claimed, { claim: 'claimed', scopes: ['read', 'write'] });
    t.deepEqual(await works(claimed), ['read', 'write']);
    t.like(await readAgentStatus(claimed), { kind: 'agent' });
    const expired = { ...claimed, assertionExpiresAt: new Date(0).toISOString() };
    const { agent: renewed, scopes } = await exchange(expired);
    t.not(renewed.assertion, claimed.assertion);
    t.deepEqual(scopes, ['read', 'write']);
    await endAgent(renewed);
    t.is(
      await codeOf(() => exchange({ ...renewed, assertionExpiresAt: new Date(0).toISOString() })),
      'AUTH_REQUIRED',
    );
  });

  test('what is wrong is said with a code: a mailbox, a service, a network', async (t) => {
    const agent = await registerAgent({ service: on.url });
    t.is(await codeOf(() => claim(agent, { email: 'nobody' })), 'INVALID_USAGE');
    t.is(await codeOf(() => registerAgent({ service: 'http://id.example.com' })), 'INVALID_USAGE');
    t.is(await codeOf(() => registerAgent({ service: 'http://127.0.0.1:1' })), 'NETWORK_ERROR');
    const lost = { ...agent, claimToken: `ct_${'x'.repeat(43)}` };
    t.is(await codeOf(() => poll(lost)), 'REQUEST_UNKNOWN');
  });
});
