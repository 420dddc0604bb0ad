import type { ExecutionContext } from 'ava';
import { type AgentClient, openAgentClient } from '../helpers/agent-client.ts';
import { rowsOn } from '../helpers/agent-pages.ts';
import { boxesOn } from '../helpers/agent-world.ts';
import { type AuthMd, confirm, openAuthMd, says, succeeded } from '../helpers/auth-md.ts';
import { agentOf, vouchFor } from '../helpers/auth-md-agents.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import type { Reply } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** The widest that an agent is seen to hold somewhere. */
type Seen = 'read write' | 'read' | 'nothing';

/** An agent whose human has vouched for it, and where what it may do shows. */
interface Subject {
  agentId: string;
  human: Browser;
  places: Record<string, () => Promise<Seen>>;
}

/** Where an agent whose human said no might still get in. */
type Denied = Record<string, () => Promise<Reply>>;

onEveryEngine('what a human decides about an agent of one dialect is known in all others', (engine, test) => {
  let world: AuthMd;
  let client: AgentClient;
  test.before(async () => {
    world = await openAuthMd(engine);
    client = openAgentClient(world.on);
  });
  test.after(() => world.stop());

  const seen = (scopes: unknown): Seen => {
    const held = String(scopes ?? '').split(/[ ,]+/);
    return held.includes('write') ? 'read write' : held.includes('read') ? 'read' : 'nothing';
  };
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  const introspected = async (token: string) => seen(await world.scopeOf(token));
  const ownApi = async (token: string) => {
    const reply = await world.on.get('/api/me', token);
    return reply.status === 200 ? seen(reply.body.data.scopes.join(' ')) : 'nothing';
  };
  /** What its human is shown: on the page, and in the export of their account. */
  const shown = (agentId: string, human: Browser): Subject['places'] => ({
    'the page of its human': async () => {
      const { text } = await human.get('/agents');
      const row = rowsOn(text).find((each) => each.includes(agentId))!;
      if (row.includes('class="ended"')) return seen(undefined);
      return seen([...row.matchAll(/<span class="chip">(\w+)<\/span>/g)].map(([, scope]) => scope).join(' '));
    },
    'the export of the account': async () => {
      const { agents } = JSON.parse((await human.get('/account/export')).text);
      return seen(agents.find((each: { agent_id: string }) => each.agent_id === agentId).scopes.join(' '));
    },
  });

  /** With a key, as tinysend and auth.md v0.1 give it. */
  async function withKey(t: ExecutionContext, register: object): Promise<Subject> {
    const { on } = world;
    const mailbox = newMailbox();
    const registered = await on.post('/agent/auth', register);
    t.is(registered.status, 200, registered.text);
    const { claim_token, credential: first } = registered.body.data ?? registered.body;
    const asked = await on.post('/agent/auth/claim', { claim_token, email: mailbox });
    t.is(asked.status, 200, asked.text);
    const { proof } = await on.mailTo(mailbox);
    const otp =
      proof.kind === 'code' ? proof.code : await confirmAt(proof.kind === 'page' ? proof.pageUrl : '');
    const done = await on.post('/agent/auth/claim/complete', { claim_token, otp });
    t.is(done.status, 200, done.text);
    const key = (done.body.data ?? done.body).credential ?? first;
    const human = await signIn(on, mailbox);
    const me = await on.get('/api/me', key);
    const agentId = me.body.data.agent_id as string;
    return {
      agentId,
      human,
      places: {
        introspection: () => introspected(key),
        'the own API': () => ownApi(key),
        'a new key': async () => {
          for (const scope of ['read write', 'read'] as const) {
            const made = await on.post('/api/tokens', { name: 'more', scope }, bearer(key));
            if (made.status < 300) return introspected(made.body.data.credential);
          }
          return 'nothing';
        },
        ...shown(agentId, human),
      },
    };
  }

  /** Whoever reads the mail confirms on its page, and reads the code out. */
  async function confirmAt(pageUrl: string): Promise<string> {
    const reader = openBrowser(world.on);
    await reader.get(pageUrl);
    return confirm(reader);
  }

  /** With an identity, as later versions give it. */
  async function withIdentity(way: 'typed' | 'reveal'): Promise<Subject> {
    const agent = await vouchFor(world, way);
    const { id: agentId } = await agentOf(world, agent.id);
    let { refresh } = agent;
    const exchanged = async (assertion: string) => {
      const reply = await world.exchange(assertion);
      return reply.status === 200 ? introspected(reply.body.access_token) : 'nothing';
    };
    return {
      agentId,
      human: agent.human,
      places: {
        introspection: () => introspected(agent.token),
        'the token endpoint': () => exchanged(agent.assertion),
        'a renewed identity': async () => {
          const reply = await world.refresh(refresh);
          if (reply.status !== 200) return 'nothing';
          refresh = reply.body.identity.refresh_token.value;
          return exchanged(reply.body.identity.assertion);
        },
        ...shown(agentId, agent.human),
      },
    };
  }

  async function answerAt(
    t: ExecutionContext,
    link: string,
    mailbox: string,
    decision: 'approve' | 'deny',
  ): Promise<Browser> {
    const human = await signIn(world.on, mailbox);
    const page = await human.get(link);
    const boxes = Object.fromEntries(Object.keys(boxesOn(page)).map((name) => [name, 'on']));
    const done = await human.post('/connect/review', { ...boxes, decision });
    t.is(done.status, 200, done.text);
    return human;
  }

  /** That signs its requests. */
  async function thatSigns(t: ExecutionContext): Promise<Subject> {
    const { agent, reply } = await client.connect(client.newHost(), {
      capabilities: ['whoami', 'read', 'write'],
    });
    const link = succeeded(reply).approval.verification_uri_complete;
    const human = await answerAt(t, link, newMailbox(), 'approve');
    const works = async () => {
      const may = { read: false, write: false };
      for (const name of ['read', 'write'] as const) {
        may[name] = (await client.execute(agent, name)).status === 200;
      }
      return seen([may.read && 'read', may.write && 'write'].filter(Boolean).join(' '));
    };
    const token = succeeded(await client.execute(agent, 'write')).data.access_token as string;
    return {
      agentId: agent.id,
      human,
      places: {
        execution: works,
        'introspection of a token that it got': () => introspected(token),
        'its status': async () => {
          const { status, body } = await client.status(agent);
          if (status !== 200 || body.status !== 'active') return 'nothing';
          const active = body.agent_capability_grants.filter(
            (grant: { status: string }) => grant.status === 'active',
          );
          return seen(active.map((grant: { capability: string }) => grant.capability).join(' '));
        },
        ...shown(agent.id, human),
      },
    };
  }

  const DIALECTS: Record<string, (t: ExecutionContext) => Promise<Subject>> = {
    tinysend: (t) => withKey(t, { type: 'anonymous' }),
    'auth.md v0.1': (t) => withKey(t, { type: 'anonymous', requested_credential_type: 'api_key' }),
    'auth.md v0.2 to v0.6': () => withIdentity('typed'),
    'auth.md in production': () => withIdentity('reveal'),
    'Agent Auth Protocol': thatSigns,
  };

  async function assertSeen(
    t: ExecutionContext,
    places: Subject['places'],
    expected: RegExp,
    about: string,
  ): Promise<void> {
    const names = Object.keys(places);
    t.is(names.length, 5, names.join(', '));
    for (const name of names) t.regex(await places[name]!(), expected, `${about}: ${name}`);
  }
  const change = async (
    t: ExecutionContext,
    { agentId, human }: Subject,
    action: 'narrow' | 'revoke',
    fields = {},
  ) => {
    await human.get(action === 'narrow' ? `/agents/${agentId}` : `/agents/${agentId}/${action}`);
    const done = await human.post(`/agents/${agentId}/${action}`, fields);
    t.is(done.status, 200, done.text);
  };

  for (const [dialect, open] of Object.entries(DIALECTS)) {
    test.describe(dialect, (test) => {
      test('what was vouched for works everywhere, and less everywhere once its human narrows it', async (t) => {
        const subject = await open(t);
        await assertSeen(t, subject.places, /^read write$/, 'before');
        await change(t, subject, 'narrow', { 'scope:read': 'on', 'scope:write': undefined });
        await assertSeen(t, subject.places, /^(read|nothing)$/, 'narrowed');
        t.is(await subject.places['the page of its human']!(), 'read');
      });

      test('nothing works anywhere once its human revokes it', async (t) => {
        const subject = await open(t);
        await change(t, subject, 'revoke');
        await assertSeen(t, subject.places, /^nothing$/, 'revoked');
      });

      test('a no is a no at every door', async (t) => {
        const doors = await denied(t, dialect);
        const names = Object.keys(doors);
        t.is(names.length, 5, names.join(', '));
        for (const name of names) {
          const reply = await doors[name]!();
          const text = `${name}: ${says(reply)} ${reply.text}`;
          const isInactive = reply.status === 200 && reply.body.active === false;
          const isRejected = reply.status === 200 && reply.body.status === 'rejected';
          t.true(reply.status >= 400 || isInactive || isRejected, text);
          t.notRegex(reply.text, /authorization_pending|approval_pending|agent_pending/, text);
        }
      });
    });
  }

  /** An agent that asked in its dialect, whose human said no; and every door that there is. */
  async function denied(t: ExecutionContext, dialect: string): Promise<Denied> {
    const { on } = world;
    const mailbox = newMailbox();
    if (dialect === 'Agent Auth Protocol') {
      const { agent, reply } = await client.connect(client.newHost(), { capabilities: ['read'] });
      await answerAt(t, succeeded(reply).approval.verification_uri_complete, mailbox, 'deny');
      return {
        status: () => client.status(agent),
        execution: () => client.execute(agent, 'read'),
        'the list for agents': () => client.listAsAgent(agent),
        'asking for more': () => client.request(agent, { capabilities: ['write'] }),
        'the own API': () => on.get('/api/me', client.agentToken(agent, on.url)),
      };
    }
    let claim_token: string;
    let link: string;
    if (dialect === 'tinysend' || dialect === 'auth.md v0.1') {
      const isOld = dialect === 'auth.md v0.1';
      const registered = await on.post('/agent/auth', {
        type: 'anonymous',
        ...(isOld && { requested_credential_type: 'api_key' }),
      });
      ({ claim_token } = registered.body.data ?? registered.body);
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      link = (await on.mailTo(mailbox)).claimUrl;
    } else {
      const agent = succeeded(await world.identity({ type: 'anonymous' }));
      ({ claim_token } = agent);
      const body =
        dialect === 'auth.md in production'
          ? { type: 'service_auth', claim_token, login_hint: mailbox }
          : { claim_token, email: mailbox };
      const asked = succeeded(await world.claim(body));
      link = (asked.claim_attempt ?? asked.attempt).verification_uri;
    }
    const human = await world.visit(link, mailbox);
    await human.get('/claim/deny');
    const page = await human.post('/claim/deny');
    t.regex(page.text, /<h1>Declined</);
    return {
      'completing as tinysend and v0.1 do': () =>
        on.post('/agent/auth/claim/complete', { claim_token, otp: '123456' }),
      'completing as v0.2 does': () => world.complete({ claim_token, otp: '123456' }),
      'completing as production does': () => world.complete({ claim_token, user_code: '123456' }),
      'polling as v0.4 to v0.6 do': () => world.poll(claim_token),
      'asking again': () => world.claim({ claim_token, email: mailbox }),
    };
  }
});
