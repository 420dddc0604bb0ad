import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import type { FailureKind } from '../../src/errors.ts';
import { TINYSEND_ERRORS_BY_KIND } from '../../src/http/dialects/tinysend.ts';
import { PATHS } from '../../src/http/server/paths.ts';
import { confirm } from '../helpers/auth-md.ts';
import { openBrowser } from '../helpers/browser.ts';
import { RESOURCES, startWith, TRUSTED } from '../helpers/configured-service.ts';
import { signIn } from '../helpers/human.ts';
import type { TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

/** Rule 10: discovery says only what is served, and all of it is true. */

const run = promisify(execFile);

test.describe('the document for agents', (test) => {
  let on: TestService;
  test.before(async () => {
    on = await startWith({ service: { name: 'Acme' }, resources: RESOURCES, trustedIssuers: [TRUSTED] });
  });
  test.after(() => on.stop());

  const document = async (t: ExecutionContext, path: string) => {
    const reply = await on.get(path);
    t.is(reply.status, 200, path);
    return reply;
  };

  test.describe('auth.md', (test) => {
    /** The names in an answer, as deep as it goes. */
    const namesIn = (value: unknown): unknown =>
      typeof value !== 'object' || value === null || Array.isArray(value)
        ? typeof value
        : Object.fromEntries(Object.entries(value).map(([name, each]) => [name, namesIn(each)]));

    /** A human opens the page that the agent names, signs in, confirms, and reads the code out. */
    async function readOut(link: string, mailbox: string): Promise<string> {
      const browser = openBrowser(on);
      await browser.get(link);
      await signIn(on, mailbox, { browser });
      return confirm(browser);
    }

    test('every command works as written, from the first to the last, and answers what is shown', async (t) => {
      const { text } = await document(t, PATHS.authMd);
      const commands = [...text.matchAll(/```sh\n(.+?)\n```(?:\n\n```json\n(.+?)\n```)?/gs)];
      t.true(commands.length >= 8);
      const known = { sk: '', ct: '', key: '', code: '', mailbox: 'reader@example.com' };
      const own = { assertion: '', refresh: '', token: '', code: '', mailbox: 'other-reader@example.com' };
      let mails = 0;
      for (const [, command, shown] of commands) {
        const isOwn = /\/agent\/identity|\/oauth2\/token/.test(command!);
        const line = command!
          .replaceAll('sk_...', known.sk)
          .replaceAll('ct_...', known.ct)
          .replaceAll('key_...', known.key)
          .replaceAll('123456', known.code)
          .replaceAll('you@example.com', isOwn ? own.mailbox : known.mailbox)
          .replaceAll('eyJ...', own.assertion)
          .replaceAll('art_...', own.refresh)
          .replaceAll('clm_...', own.token)
          .replaceAll('BCDF-GHJK', own.code);
        t.notRegex(line, /\.\.\./, `the reader is not told what to put in here: ${command}`);
        const { stdout } = await run('bash', ['-c', line]);
        if (line.includes('/oauth2/revoke')) {
          t.is(stdout, '', command);
          continue;
        }
        if (isOwn) {
          const answer = JSON.parse(stdout);
          t.is(answer.error, undefined, `${command}: ${stdout}`);
          if (shown !== undefined) t.deepEqual(namesIn(answer), namesIn(JSON.parse(shown)), command);
          own.assertion = answer.identity?.assertion ?? own.assertion;
          own.refresh = answer.identity?.refresh_token?.value ?? own.refresh;
          own.token = answer.claim_token ?? own.token;
          if (answer.attempt !== undefined)
            own.code = await readOut(answer.attempt.verification_uri, own.mailbox);
          continue;
        }
        const { ok, data, error } = JSON.parse(stdout);
        const promised = shown === undefined ? { ok: true } : JSON.parse(shown);
        t.is(ok, promised.ok, `${command}: ${stdout}`);
        t.is(error?.code, promised.error?.code, `${command}: ${stdout}`);
        if (shown !== undefined) {
          t.deepEqual(
            Object.keys(data ?? error),
            Object.keys(promised.data ?? promised.error),
            `${command}: the answer has other members`,
          );
        }
        if (!ok) continue;
        known.sk = data.credential && !data.id ? data.credential : known.sk;
        known.ct = data.claim_token ?? known.ct;
        known.key = data.id ?? known.key;
        if (data.verification_required) {
          known.code = await on.codeFor(known.mailbox, mails);
          mails += 1;
        }
      }
      t.regex(own.code, /^[B-Z]{4}-[B-Z]{4}$/, 'the human of the other versions read a code out');
      t.is((await on.get('/api/me', known.sk)).status, 401, 'the last command ended the key');
      // "Go on with step 4": the claim token of the last registration is completed by the code of its own mail.
      const completed = await on.post('/agent/auth/claim/complete', {
        claim_token: known.ct,
        otp: known.code,
      });
      t.is(completed.status, 200, completed.text);
    });

    test('its table of errors has every code that an agent can meet, with its status, and no other', async (t) => {
      const { text } = await document(t, PATHS.authMd);
      // The first table there; what else the document says of errors is not of the tinysend profile.
      const table = /(?:^\|.*\n)+/m.exec(text.slice(text.indexOf('## Errors')))?.[0] ?? '';
      const rows = table.matchAll(/^\| (\d{3}) \| (.+?) \| (.+?) \|$/gm);
      const told = [...rows].flatMap(([, status, codes]) =>
        [...codes!.matchAll(/`(\w+)`/g)].map(([, code]) => `${status} ${code}`),
      );
      /** What no agent of the tinysend profile meets: the kind, and why it cannot. */
      const forOthers: Partial<Record<FailureKind, string>> = {
        invalidClient: 'resource servers alone authenticate',
        forbidden: 'forms of pages alone have a token to lack',
        invalidAssertion: 'the profile takes no word of a provider',
        loginRequired: 'the same',
        invalidRefreshToken: 'its keys are not renewed',
        invalidGrant: 'of the token endpoint, which speaks OAuth',
        invalidTarget: 'the same',
        invalidScope: 'the same',
        unsupportedGrant: 'the same',
        pollTooFast: 'the same',
        invalidDetails: 'the same',
        invalidNode: 'resource servers alone tell trees',
        invalidParent: 'the same',
        invalidPath: 'people alone choose where keys work',
        tooMany: 'of pages and trees',
        lastOwner: 'people alone are in workspaces',
        invitationVoid: 'the same',
        staleSequence: 'resource servers alone tell trees',
        confirmNeeded: 'the same',
        wrongService: 'of permission requests: docs/permissions.md tells them',
        unsupportedVersion: 'the same',
        invalidSignature: 'the same',
        unknownService: 'the same',
        unknownAction: 'the same',
        grantNotAllowed: 'the same',
        keyInUse: 'the same',
        requestDecided: 'the same',
        requestExpired: 'the same',
        tooManyOpen: 'the same',
        methodDisabled: 'of codes at /agent/identity; the profile mails its own, which nobody can turn off',
      };
      const spelt = Object.entries(TINYSEND_ERRORS_BY_KIND)
        .filter(([kind]) => forOthers[kind as FailureKind] === undefined)
        .map(([, { status, code }]) => `${status} ${code}`);
      t.deepEqual(told.sort(), [...new Set(spelt)].sort());
    });

    test('its numbers, scopes and names are those of the configuration', async (t) => {
      const { text } = await document(t, PATHS.authMd);
      const { config } = on.service.deps;
      t.true(text.startsWith('# auth.md: how agents get access to Acme\n'));
      for (const [name, { description }] of config.scopes)
        t.true(text.includes(`- \`${name}\`: ${description}`));
      t.true(text.includes('- https://api.example.com/mcp (API): `read`\n'));
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: 'poll@example.com' });
      const { headers } = await on.post('/agent/auth/claim/complete', { claim_token });
      t.true(text.includes(`after ${headers.get('retry-after')} seconds (\`Retry-After\`)`));
      t.true(text.includes(`Registrations: ${config.limits.registerPerIp.max} per`));
    });
  });
});
