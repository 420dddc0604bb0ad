import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { AuthHome } from '../helpers/auth-home.ts';
import { homeOf } from '../helpers/auth-people.ts';
import type { Browser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { noTerminals } from '../helpers/terminal.ts';
import { addTreeApi, type TreeApi } from '../helpers/workspaces.ts';

/**
 * Two people at two machines, each with a home and terminals of their own, at two services: what goes between them is text that
 * they copy from a terminal or a page, and paste. What they type are the commands of docs/agents.md.
 */

const REVIEW = '/permissions/review';
const NO_BROWSER = { CI: '1' };

onEveryEngine('two people at two machines', (engine, test) => {
  let services: [TestService, TestService];
  let apis: [TreeApi, TreeApi];
  test.before(async () => {
    const start = () =>
      startTestService(engine, { clock: REAL_CLOCK, limits: { permissionsPerIp: '100000/h' } });
    services = [await start(), await start()];
    const [here, there] = services;
    apis = [await addTreeApi(here, here.url), await addTreeApi(there, there.url)];
  });
  test.after(() => Promise.all(services.map((on) => on.stop())));
  const atTerminals = test.skipIf(noTerminals);

  /** The commands of the story in the document, in its order, for a service. */
  function storyAt(on: TestService): string[][] {
    const document = readFileSync(new URL('../../docs/agents.md', import.meta.url), 'utf8');
    const story = /## Two people[\s\S]*?```sh\n([\s\S]*?)```/.exec(document)![1]!;
    const commands = story.split('\n').filter((line) => line.startsWith('vouchsafe auth '));
    return commands.map((line) => line.replace('https://id.example.com', on.url).split(' ').slice(2));
  }

  /** What a person marks and copies of what a terminal shows: from the first brace to the last. */
  const marked = (shown: string) => /\{\r?\n[\s\S]*\n\}/.exec(shown)![0];
  /** What a person copies of a page. */
  const copied = (html: string) =>
    /<textarea id="answer"[^>]*>([^<]*)</.exec(html)![1]!.replaceAll('&quot;', '"');

  /** Somebody signed in at a service, in a browser. */
  async function personOf(on: TestService) {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const sql = 'SELECT id FROM accounts WHERE mailbox = ?';
    const { id } = (await on.service.deps.db.get<{ id: string }>(sql, [mailbox]))!;
    return { browser, id };
  }

  /** Types the code that a terminal shows, and lets it act. @returns the page that says so */
  async function letAct({ browser, id }: { browser: Browser; id: string }, shown: string) {
    const code = /code: (\S+)/.exec(shown)![1]!;
    await browser.get('/permissions');
    await browser.post('/permissions', { code });
    return browser.post(REVIEW, { decision: 'approve', 'scope:read': 'on', [`in:${id}`]: 'on' });
  }

  /** Pastes into a command that asks for it. */
  async function pastes(t: ExecutionContext, home: AuthHome, args: string[], text: string, env: object) {
    const terminal = home.atTerminal(t, args, {}, { ...NO_BROWSER, ...env });
    await terminal.shows(/Paste/);
    terminal.type(text);
    return terminal;
  }

  /** Plays the story at one service. @returns what was pasted, and the token that came of it */
  async function play(
    t: ExecutionContext,
    on: TestService,
    { agent, ann, person }: { agent: AuthHome; ann: AuthHome; person: Awaited<ReturnType<typeof personOf>> },
    profile: string,
  ) {
    const env = { ...NO_BROWSER, VOUCHSAFE_PROFILE: profile };
    const [asking, signingIn, granting, importing, using, ...others] = storyAt(on);
    t.deepEqual(others, []);
    const asked = agent.atTerminal(t, asking!, {}, env);
    t.is(await asked.ended, 0, asked.shown());
    const signedIn = ann.atTerminal(t, signingIn!, {}, env);
    await signedIn.shows(/code: \S+/);
    t.is(heading(await letAct(person, signedIn.shown())), 'The terminal acts for you');
    t.is(await signedIn.ended, 0, signedIn.shown());
    const request = marked(asked.shown());
    const granted = await pastes(t, ann, granting!, request, env);
    await granted.shows(/\[y\/N\] $/);
    granted.type('y\n');
    t.is(await granted.ended, 0, granted.shown());
    const grant = marked(granted.shown().split('[y/N]')[1]!);
    const imported = await pastes(t, agent, importing!, grant, env);
    t.is(await imported.ended, 0, imported.shown());
    const used = agent.atTerminal(t, using!, {}, env);
    t.is(await used.ended, 0, used.shown());
    return { request, grant, token: /at_[0-9A-Za-z]+/.exec(used.shown())![0] };
  }

  atTerminals('play the story of docs/agents.md by pasted text alone, at each of the two', async (t) => {
    const [agent, ann] = [homeOf(t), homeOf(t)];
    const [here, there] = services;
    const played = [];
    for (const [index, on] of [here, there].entries()) {
      const person = await personOf(on);
      const profile = index === 0 ? 'default' : 'there';
      const { token, ...pasted } = await play(t, on, { agent, ann, person }, profile);
      played.push({ ...pasted, token, person, profile });
    }
    for (const [index, { token, person, grant }] of played.entries()) {
      const [own, other] = index === 0 ? apis : [...apis].reverse();
      t.like((await own!.ask(token)).body, { active: true, workspace: person.id, scope: 'read' });
      t.false((await other!.ask(token)).body.active, 'a token of one service is nothing at the other');
      // What one service signed is no word at the other, and the request for one is not granted there.
      const elsewhere = { VOUCHSAFE_PROFILE: played[1 - index]!.profile };
      await agent.fails(t, ['import', '-'], 5, 'WRONG_SERVICE', { stdin: grant, env: elsewhere });
      const { request } = played[index]!;
      await ann.fails(t, ['grant', '-', '--yes'], 5, 'WRONG_SERVICE', { stdin: request, env: elsewhere });
      // Who gave it takes it away on the page.
      const { id } = JSON.parse(grant) as { id: string };
      await person.browser.get(`/permissions/${id}/revoke`);
      await person.browser.post(`/permissions/${id}/revoke`, {});
      t.false((await own!.ask(token)).body.active);
    }
  });

  atTerminals('sign a terminal in by the answer that the page shows, pasted', async (t) => {
    const [on] = services;
    const [ann, bob] = [homeOf(t), homeOf(t)];
    const person = await personOf(on);
    const login = ['login', '--service', on.url, '--paste', '--no-popup'];
    const signing = ann.atTerminal(t, login, {}, NO_BROWSER);
    await signing.shows(/Paste/);
    const answer = copied((await letAct(person, signing.shown())).text);
    signing.type(answer);
    t.is(await signing.ended, 0, signing.shown());
    t.like(await ann.json(t, ['status']), { authenticated: true, kind: 'human', account: person.id });

    // It is for that key, and for no other; `import` takes it, too.
    const other = bob.atTerminal(t, login, {}, NO_BROWSER);
    await other.shows(/Paste/);
    other.type(answer);
    t.is(await other.ended, 5, other.shown());
    t.regex(other.shown(), /WRONG_AUDIENCE/);
    t.like(await ann.json(t, ['import', '-'], { stdin: answer }), { kind: 'login', account: person.id });
    const forged = JSON.stringify({ ...JSON.parse(answer), account: 'usr_other' });
    await ann.fails(t, ['import', '-'], 5, 'SIGNATURE_INVALID', { stdin: forged });

    // A no is pasted as well.
    const refused = bob.atTerminal(t, login, {}, NO_BROWSER);
    await refused.shows(/Paste/);
    const code = /code: (\S+)/.exec(refused.shown())![1]!;
    await person.browser.get('/permissions');
    await person.browser.post('/permissions', { code });
    const no = await person.browser.post(REVIEW, { decision: 'deny' });
    refused.type(copied(no.text));
    t.is(await refused.ended, 5, refused.shown());
    t.regex(refused.shown(), /REQUEST_DENIED/);
  });

  atTerminals(
    'rotate a key that has ended by a link that is printed and an answer that is pasted',
    async (t) => {
      const [on] = services;
      const ann = homeOf(t);
      const person = await personOf(on);
      const signing = ann.atTerminal(t, ['login', '--service', on.url], {}, NO_BROWSER);
      await signing.shows(/code: \S+/);
      await letAct(person, signing.shown());
      t.is(await signing.ended, 0, signing.shown());
      const { thumbprint } = await ann.json(t, ['status']);
      const ask = ['request', '--cap', 'api:default:documents/:read', '--grant', '--yes'];
      t.like(await ann.json(t, ask), { changed: true });
      await person.browser.get(`/account/terminals/${thumbprint}/end`);
      await person.browser.post(`/account/terminals/${thumbprint}/end`, { grants: 'on' });
      await ann.fails(t, ['rotate'], 3, 'SESSION_KEY_ENDED');

      const rotating = ann.atTerminal(
        t,
        ['rotate', '--paste', '--no-popup'],
        {},
        { PATH: process.env.PATH! },
      );
      await rotating.shows(/Paste/);
      t.true(rotating.shown().includes(`${on.url}/permissions `), 'the link, without the code');
      rotating.type(copied((await letAct(person, rotating.shown())).text));
      t.is(await rotating.ended, 0, rotating.shown());
      const status = await ann.json(t, ['whoami']);
      t.like(status, { authenticated: true, kind: 'human', account: person.id });
      t.not(status.thumbprint, thumbprint);
      t.deepEqual((await ann.json(t, ['caps'])).granted, [], 'what ended stays ended');
      t.like(await ann.json(t, ask), { changed: true }, 'and it grants as that person again');
      t.is((await ann.json(t, ['caps'])).granted[0].space, person.id);
    },
  );
});
