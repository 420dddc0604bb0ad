import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { readAgentFile } from '../../src/client/env-file.ts';
import { typeCode } from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { runNode } from '../helpers/cli.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { noTerminals, vouchsafeAtTerminal } from '../helpers/terminal.ts';

const CLI = new URL('../../src/cli.ts', import.meta.url).pathname;

test.describe('vouchsafe agent', (test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService('sqlite', { clock: REAL_CLOCK });
  });
  test.after(() => on.stop());

  /** A folder in which the commands run, without a terminal, a database or settings. */
  function newFolder(t: ExecutionContext) {
    const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-agent-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const env = join(folder, '.env');
    return {
      folder,
      env,
      async agent(...args: string[]) {
        const ended = await runNode([CLI, 'agent', ...args], {}, folder);
        const answer = ended.code === 0 ? ended.stdout : ended.stderr.trim().split('\n').at(-1)!;
        return { ...ended, said: answer.startsWith('{') ? JSON.parse(answer) : undefined };
      },
      variable: (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(readFileSync(env, 'utf8'))?.[1],
    };
  }

  test('an agent registers, is claimed by a code, uses its key and ends it, with its secrets in a file of its own', async (t) => {
    const { folder, env, agent, variable } = newFolder(t);
    const mailbox = newMailbox();
    writeFileSync(env, 'OTHER="x y"\n# a note\n', { mode: 0o600 });
    const registered = await agent(
      'register',
      '--service',
      on.url,
      '--name',
      'Index bot',
      '--email',
      mailbox,
    );
    t.is(registered.code, 0, registered.stderr);
    t.like(registered.said, { service: on.url, claim: 'pending', scopes: ['read'], env: '.env' });
    for (const time of ['key_expires_at', 'claim_expires_at', 'code_expires_at']) {
      t.true(Date.parse(registered.said[time]) > Date.now(), time);
    }
    t.is(statSync(env).mode & 0o777, 0o600);
    t.true(readFileSync(env, 'utf8').startsWith('OTHER="x y"\n# a note\nVOUCHSAFE_SERVICE='));
    const first = variable('VOUCHSAFE_KEY')!;
    t.false((registered.stdout + registered.stderr).includes(first));

    t.is((await agent('register', '--service', on.url)).said.error.code, 'INVALID_USAGE');
    t.is((await agent('claim')).said.claim, 'pending');
    t.is((await agent('claim', '--code', '000000')).code, 5);
    const claimed = await agent('claim', '--code', await on.codeFor(mailbox));
    t.like(claimed.said, { claim: 'claimed', scopes: ['read', 'write'], claim_expires_at: null });
    t.is((await agent('claim')).said.claim, 'claimed');

    const status = await agent('status');
    t.like(status.said, { claim: 'claimed', agent_id: registered.said.agent_id, scopes: ['read', 'write'] });
    const token = await agent('token', '--raw');
    t.is(token.stdout, `${variable('VOUCHSAFE_KEY')}\n`);
    t.not(token.stdout.trim(), first);

    t.like((await agent('end')).said.error, { code: 'CONFIRMATION_REQUIRED' });
    t.is((await agent('end', '--yes')).said.ended, true);
    t.is(readFileSync(env, 'utf8'), 'OTHER="x y"\n# a note\n');
    t.is((await on.get('/api/me', token.stdout.trim())).status, 401);
    const none = await agent('status');
    t.deepEqual([none.code, none.said.error.code], [3, 'NO_KEY']);
    t.false(existsSync(join(folder, 'data')), 'no database is opened');
  });

  test('an identity of auth.md is claimed by the code that the agent shows, and exchanged', async (t) => {
    const { agent } = newFolder(t);
    const mailbox = newMailbox();
    await agent('register', '--service', on.url, '--dialect', 'auth.md');
    const asked = await agent('claim', '--email', mailbox);
    t.is(asked.code, 0, asked.stderr);
    t.regex(asked.said.user_code, /^[0-9]{6}$/);
    const human = openBrowser(on);
    await human.get(asked.said.verification_uri);
    await signIn(on, mailbox, { browser: human });
    await typeCode(human, asked.said.user_code);
    t.like((await agent('claim', '--wait')).said, { claim: 'claimed', scopes: ['read', 'write'] });
    const token = await agent('token', '--scope', 'read');
    t.deepEqual(token.said.scopes, ['read']);
    t.is((await on.get('/api/me', token.said.access_token)).status, 200);
    t.is((await agent('end', '--yes')).code, 0);
  });

  const atTerminals = test.skipIf(noTerminals);
  atTerminals('at a terminal it says what lives how long, once, and asks before it ends', async (t) => {
    const { folder, env, agent } = newFolder(t);
    const at = async (...args: string[]) => {
      const terminal = vouchsafeAtTerminal(t, ['agent', ...args], folder);
      await terminal.ended;
      return terminal.shown();
    };
    const registered = await at('register', '--service', on.url);
    t.regex(registered, /^Agent agt_\w+: read\r$/m);
    t.regex(registered, /Its key, in \.env, lives for \d+ days, until 20/);
    t.regex(registered, /Its registration can be claimed for \d+ \w+, until 20/);
    const asked = await at('claim', '--email', newMailbox());
    t.is(asked.match(/The code lives for 10 minutes, until 20/g)?.length, 1, asked);
    const key = (await agent('token', '--raw')).stdout.trim();
    t.is((await at('token')).trim(), key);
    for (const [answer, code] of [
      ['n', 1],
      ['y', 0],
    ] as const) {
      t.true(readFileSync(env, 'utf8').includes(key));
      const asking = vouchsafeAtTerminal(t, ['agent', 'end'], folder);
      await asking.shows(/\[y\/N\] $/);
      asking.type(`${answer}\n`);
      t.is(await asking.ended, code);
    }
    t.is(readFileSync(env, 'utf8'), '');
  });

  test('a file that others can read, a link, or half an agent is not used, and stays as it is', async (t) => {
    const { folder, env, agent } = newFolder(t);
    writeFileSync(env, 'A=1\n');
    chmodSync(env, 0o644);
    const open = await agent('register', '--service', on.url);
    t.like(open.said.error, { code: 'STORE_PERMISSIONS', hint: 'chmod 600 .env' });
    t.is(open.code, 1);
    t.is(readFileSync(env, 'utf8'), 'A=1\n');
    rmSync(env);
    writeFileSync(join(folder, 'outside'), 'A=1\n', { mode: 0o600 });
    symlinkSync('outside', env);
    t.is((await agent('register', '--service', on.url)).said.error.code, 'STORE_PERMISSIONS');
    t.is(readFileSync(join(folder, 'outside'), 'utf8'), 'A=1\n');
    rmSync(env);
    writeFileSync(env, 'VOUCHSAFE_KEY=sk_x\n', { mode: 0o600 });
    t.is((await agent('status')).said.error.code, 'STORE_CORRUPT');
  });

  test('no service, another service, and none that answers are told apart by exit codes', async (t) => {
    const { env, agent } = newFolder(t);
    t.is((await agent('register')).code, 2);
    t.is((await agent('register', '--service', 'http://id.example.com')).code, 2);
    t.is((await agent('register', '--service', 'http://127.0.0.1:1')).code, 6);
    t.false(existsSync(env));
    await agent('register', '--service', on.url);
    t.deepEqual(
      (await agent('status', '--service', 'https://id.example.com')).said.error.code,
      'WRONG_SERVICE',
    );
  });

  test('what a service answers becomes neither another line nor a command', async (t) => {
    const { env, agent } = newFolder(t);
    await agent('register', '--service', on.url);
    const text = readFileSync(env, 'utf8');
    writeFileSync(env, `${text}export VOUCHSAFE_VERIFICATION_URI="https://id.example.com/claim?t=x&y"\n`);
    t.is(readAgentFile(env)?.verificationUri, 'https://id.example.com/claim?t=x&y');
    const { writeAgentFile } = await import('../../src/client/env-file.ts');
    const stored = readAgentFile(env)!;
    writeAgentFile(env, { ...stored, verificationUri: 'https://x/$(touch evil)`id`' });
    t.true(readFileSync(env, 'utf8').includes("VOUCHSAFE_VERIFICATION_URI='https://x/$(touch evil)`id`'\n"));
    t.is(readAgentFile(env)?.verificationUri, 'https://x/$(touch evil)`id`');
    for (const bad of ["it's", 'a\nB=1', 'ü']) {
      t.throws(() => writeAgentFile(env, { ...stored, id: bad }), undefined, bad);
    }
  });
});
