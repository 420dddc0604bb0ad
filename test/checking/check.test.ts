import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import Koa from 'koa';
import { checkService, type Report } from '../../src/check/check.ts';
import { PROBE_LIMITS } from '../../src/check/probe-client.ts';
import { printReport } from '../../src/check/report.ts';
import { parseTarget, urlFault } from '../../src/check/target.ts';
import { protect, protectedResourceMetadata } from '../../src/resource-server/koa.ts';
import { AGENT_AUTH_FAULTS } from '../helpers/agent-auth-faults.ts';
import { addApi } from '../helpers/api.ts';
import { DOCUMENT_FAULTS } from '../helpers/auth-md-faults.ts';
import {
  challenge,
  HTML,
  ISSUER_METADATA,
  METADATA,
  PRIVATE_JWK,
  ROOT_METADATA,
  type Site,
  startOldSite,
  startProductionSite,
  startSite,
  text,
} from '../helpers/auth-md-service.ts';
import { runNode } from '../helpers/cli.ts';
import { freePort } from '../helpers/free-port.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const FAULTS = [...DOCUMENT_FAULTS, ...AGENT_AUTH_FAULTS];

/** `vouchsafe check` against services of every kind: each fault is found, named, and told how to mend; nothing else is. */

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const notFine = ({ findings }: Report) => findings.filter(({ ok }) => ok !== true);
const names = (report: Report, ok: boolean | 'hint') =>
  report.findings.filter((each) => each.ok === ok).map(({ name }) => name);
/** Fails with the findings themselves. */
const assertClean = (t: ExecutionContext, report: Report) =>
  t.deepEqual(
    report.findings.filter(({ ok }) => ok === false),
    [],
  );

test.describe('check', (test) => {
  test.describe('a service that is whole but for one thing', (test) => {
    for (const { fault, make, name, says, next, isHint = false, also = [], limits } of FAULTS) {
      test.concurrent(`${fault}: found, and nothing else`, async (t) => {
        const site = await startSite();
        t.teardown(() => site.stop());
        make(site);
        const report = await checkService(`${site.origin}/mcp`, { ...PROBE_LIMITS, ...limits });
        t.deepEqual(names(report, false), isHint ? [] : [name], JSON.stringify(notFine(report)));
        t.deepEqual(names(report, 'hint'), isHint ? [name] : also, JSON.stringify(notFine(report)));
        t.is(report.ok, isHint);
        const finding = report.findings.find((each) => each.name === name)!;
        t.regex(finding.message, says);
        t.regex(finding.fix ?? '', next);
        t.false(JSON.stringify(report).includes(PRIVATE_JWK.d!), 'no secret of the service is repeated');
        const known = new Set(report.findings.map((each) => each.name));
        t.is(known.size, report.findings.length, 'no name is there twice');
      });
    }
  });

  const start = (begin: () => Promise<Site>, change: (site: Site) => void = () => {}) => {
    return async (t: ExecutionContext) => {
      const site = await begin();
      t.teardown(() => site.stop());
      change(site);
      return site;
    };
  };
  const whole = start(startSite);

  test('a service that is whole has nothing to mend and nothing to know', async (t) => {
    const { origin } = await whole(t);
    const report = await checkService(`${origin}/mcp`);
    t.deepEqual(notFine(report), []);
    t.deepEqual(report.dialects, ['v0.1', 'v0.2–v0.6', 'production']);
    t.regex(
      printReport(report),
      /\n\n\d+ fine, 0 wrong, 0 to know\. Dialects: v0\.1, v0\.2–v0\.6, production\.$/,
    );
  });

  test('a service of v0.1 alone passes', async (t) => {
    const { origin } = await start(startOldSite)(t);
    const report = await checkService(`${origin}/mcp`);
    assertClean(t, report);
    t.deepEqual(report.dialects, ['v0.1']);
  });

  test('a service of the dialect in production alone passes', async (t) => {
    const { origin } = await start(startProductionSite)(t);
    const report = await checkService(`${origin}/mcp`);
    assertClean(t, report);
    t.deepEqual(report.dialects, ['production']);
  });

  test('nothing is sent but requests to read, and an empty one to register, without any credential', async (t) => {
    const site = await whole(t);
    await checkService(`${site.origin}/mcp`);
    const posts = site.seen.filter((line) => !line.startsWith('GET '));
    t.deepEqual(posts.sort(), ['POST /agent/auth {}', 'POST /agent/identity {}']);
    t.is(new Set(site.seen).size, site.seen.length, 'nothing is asked for twice');
    t.deepEqual(
      site.headers
        .flatMap((headers) => Object.keys(headers))
        .filter((name) => /^(cookie|authorization)$/.test(name)),
      [],
    );
  });

  test('the issuer may be elsewhere: its documents are found from the API, and also alone', async (t) => {
    const issuer = await whole(t);
    const api = await whole(t);
    for (const path of ['/auth.md', ISSUER_METADATA]) api.pages.delete(`GET ${path}`);
    api.resource.authorization_servers = [issuer.origin];
    for (const path of [METADATA, ROOT_METADATA]) issuer.pages.delete(`GET ${path}`);
    issuer.issuer.resource = `${api.origin}/mcp`;

    const ofApi = await checkService(`${api.origin}/mcp`);
    assertClean(t, ofApi);
    t.deepEqual(names(ofApi, 'hint'), ['auth.md']);
    const ofIssuer = await checkService(issuer.origin);
    assertClean(t, ofIssuer);
    t.deepEqual(names(ofIssuer, 'hint'), ['resource metadata', 'challenge']);
  });

  test('an issuer with a path is found in both forms, and it is told where one is missing', async (t) => {
    const site = await whole(t);
    const { origin, pages } = site;
    const issuer = `${origin}/tenant`;
    site.resource.authorization_servers = [issuer];
    site.issuer.issuer = issuer;
    pages.delete(`GET ${ISSUER_METADATA}`);
    const forms = [`GET ${ISSUER_METADATA}/tenant`, `GET /tenant${ISSUER_METADATA}`];
    const missing = async (served: string[]) => {
      for (const form of forms) pages.delete(form);
      for (const form of served) pages.set(form, { body: site.issuer });
      const report = await checkService(`${origin}/mcp`);
      return [names(report, false), names(report, 'hint')];
    };
    t.deepEqual(await missing(forms), [[], []]);
    t.deepEqual(await missing(forms.slice(0, 1)), [[], ['issuer metadata, appended']]);
    t.deepEqual(await missing(forms.slice(1)), [['issuer metadata'], ['issuer metadata, appended']]);
  });

  test('what a document names at another origin is not sent anything', async (t) => {
    const [site, other] = [await whole(t), await whole(t)];
    site.block.register_uri = `${other.origin}/agent/auth`;
    const report = await checkService(`${site.origin}/mcp`);
    assertClean(t, report);
    t.deepEqual(names(report, 'hint'), ['URL of register_uri', 'refusal of register_uri']);
    t.deepEqual(other.seen, []);
  });

  test('the documents of a public service cannot lead to the machine of the reader', (t) => {
    const target = parseTarget('https://api.example.com');
    for (const url of ['http://localhost:9200/', 'https://127.0.0.1/', 'https://[::1]/x']) {
      t.is(urlFault(url, target), 'names the machine of whoever reads it', url);
      t.is(urlFault(url, parseTarget('localhost:3000')), undefined);
    }
    t.is(urlFault('https://other.example.com/x', target), undefined);
    for (const url of ['file:///etc/passwd', 'ftp://example.com/', 'javascript:alert(1)']) {
      t.truthy(urlFault(url, target), url);
    }
  });

  test('nothing of what a service says moves the cursor, hides or reorders', async (t) => {
    const site = await whole(t);
    const evil = '\u001b[2J\u009b31m\u202edne\u0007\r\n✓ all is fine\u200b';
    site.block.identity_types_supported = [evil];
    site.block[`${evil}`] = evil;
    site.block.skill = `${site.origin}/skill.md`;
    site.resource.resource = evil;
    site.issuer.issuer = evil;
    site.issuer.token_endpoint = `https://example.com/${evil}`;
    site.pages.set('GET /auth.md', text(`# auth.md ${evil}\nRegister`));
    site.pages.set('GET /skill.md', { type: 'text/x\u009b31m', body: 'x' });
    site.pages.set('GET /mcp', challenge('Basic \u009b31m'));
    site.pages.set('POST /agent/auth', { status: 400, body: { error: evil } });
    const report = await checkService(`${site.origin}/mcp`);
    for (const printed of [printReport(report), JSON.stringify(report)]) {
      t.notRegex(printed.replaceAll('\n', ''), /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u);
      t.notRegex(printed, /\n\s*✓ all is fine/);
    }
  });

  test('a service that cannot be reached is one finding', async (t) => {
    const { origin } = await whole(t);
    const port = await freePort();
    const unreachable: [string, RegExp][] = [
      [`http://localhost:${port}`, /refuses connections/],
      [origin.replace('http:', 'https:'), /fails at TLS: wrong version number$/],
      ['https://nobody.invalid', /does not resolve/],
      ['http://localhost:1', /bad port/],
    ];
    for (const [url, says] of unreachable) {
      const { ok, findings } = await checkService(url);
      t.false(ok);
      t.deepEqual(
        findings.map(({ name }) => name),
        ['service'],
      );
      t.regex(findings[0]!.message, says);
    }
  });

  test('once the time for all of it is over, nothing more is asked', async (t) => {
    const { origin, seen } = await whole(t);
    const report = await checkService(`${origin}/mcp`, { ...PROBE_LIMITS, totalMs: 0 });
    t.false(report.ok);
    t.regex(report.findings.find(({ name }) => name === 'auth.md')!.message, /was not asked: .* are over/);
    t.deepEqual(seen, []);
  });

  test('a URL is taken as people write it', (t) => {
    const urls: Record<string, string> = {
      'https://api.example.com': 'https://api.example.com',
      ' HTTPS://API.Example.com:443/ ': 'https://api.example.com',
      'api.example.com': 'https://api.example.com',
      'api.example.com:8443/mcp?key=secret#top': 'https://api.example.com:8443/mcp',
      'localhost:3000': 'http://localhost:3000',
      '127.0.0.1': 'http://127.0.0.1',
      '[::1]:3000/mcp': 'http://[::1]:3000/mcp',
      'https://example.com/auth.md': 'https://example.com',
      'https://example.com/.well-known/oauth-protected-resource/mcp': 'https://example.com',
    };
    for (const [typed, url] of Object.entries(urls)) t.is(parseTarget(typed).url, url, typed);
    for (const typed of [
      '',
      ' ',
      'https://',
      'ftp://example.com',
      'two words',
      'https://x:99999',
      '/auth.md',
    ]) {
      t.throws(() => parseTarget(typed), { message: /such as https:/ }, typed);
    }
    t.throws(() => parseTarget('https://me:secret@example.com'), { message: /carries a name or password/ });
  });
});

test.describe('check of Vouchsafe itself', (test) => {
  let on: TestService;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-check-'));
    on = await startTestService('sqlite');
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  test('the service of today is right in all that it advertises', async (t) => {
    const report = await checkService(on.url);
    assertClean(t, report);
    const { body } = await on.get(ISSUER_METADATA);
    t.true(report.dialects.includes('v0.1'));
    t.is(report.dialects.includes('production'), body.agent_auth.identity_endpoint !== undefined);
    t.is(
      report.findings.some(({ name }) => name === 'keys of jwks_uri'),
      body.jwks_uri !== undefined,
    );
    const events = (await on.service.deps.db.all('SELECT id FROM registrations')) as unknown[];
    t.deepEqual(events, [], 'nothing was registered');
  });

  test('so is its own API, which answers with a challenge', async (t) => {
    const report = await checkService(`${on.url}/api/me`);
    assertClean(t, report);
    t.true(report.findings.find(({ name }) => name === 'challenge')!.ok);
  });

  test('so is an API that the kit guards, found from the API', async (t) => {
    const port = await freePort();
    const resource = `http://localhost:${port}/mcp`;
    const api = await addApi(on, resource);
    const app = new Koa();
    app.use(protectedResourceMetadata({ resource, issuer: on.url, scopes: ['read'] }));
    app.use(protect({ verifier: api.verifier(), scopes: ['read'] }));
    const server = createServer(app.callback()).listen(port);
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    await once(server, 'listening');
    const report = await checkService(resource);
    assertClean(t, report);
    t.true(report.findings.find(({ name }) => name === 'challenge')!.ok);
  });

  test('so is a service whose resources are elsewhere', async (t) => {
    const file = join(folder, 'config.json');
    const resources = [{ url: 'https://api.example.invalid/mcp', name: 'API' }];
    writeFileSync(file, JSON.stringify({ resources }));
    const elsewhere = await startTestService('sqlite', { env: { CONFIG: file } });
    t.teardown(() => elsewhere.stop());
    const report = await checkService(elsewhere.url);
    // That API is not there in this test: it is all that can be wrong.
    t.deepEqual(names(report, false), ['challenge']);
    t.true(names(report, 'hint').includes('resource'));
  });

  test.describe('on the command line', (test) => {
    // No settings, no secret, no database.
    const cli = (...args: string[]) => runNode([CLI, 'check', ...args], {}, folder);

    test('exit code 0 where all is well, and the report as text or JSON', async (t) => {
      const [said, json] = await Promise.all([cli(on.url), cli('--json', on.url)]);
      t.deepEqual([said.code, said.stderr], [0, '']);
      t.regex(said.stdout, new RegExp(`^${on.url}\n\nService\n {2}✓ service: `));
      t.regex(said.stdout, /\n {2}· challenge: .*\n {6}→ .*\n/);
      t.regex(said.stdout, /\n\n\d+ fine, 0 wrong, \d+ to know\. Dialects: v0\.1.*\.\n$/);
      t.deepEqual([json.code, json.stderr], [0, '']);
      const report = JSON.parse(json.stdout);
      t.deepEqual(Object.keys(report), ['url', 'ok', 'dialects', 'findings']);
      t.deepEqual([report.url, report.ok], [on.url, true]);
      for (const finding of report.findings) {
        const { group, name, ok, message, fix = '', ...rest } = finding;
        t.deepEqual(rest, {});
        for (const each of [group, name, message, fix]) t.is(typeof each, 'string');
        t.true([true, 'hint'].includes(ok));
      }
    });

    test('exit code 1 where something is wrong', async (t) => {
      const site = await startSite();
      t.teardown(() => site.stop());
      site.pages.delete('GET /auth.md');
      const { code, stdout, stderr } = await cli(`${site.origin}/mcp`);
      t.deepEqual([code, stderr], [1, '']);
      t.regex(stdout, /\n {2}✗ auth\.md: .* answers 404\n {6}→ Serve /);
      t.regex(stdout, /, 1 wrong, 0 to know\./);
      const json = await cli('--json', `${site.origin}/mcp`);
      t.deepEqual([json.code, JSON.parse(json.stdout).ok], [1, false]);
    });

    test('docs/checking.md shows what it says of such a service', async (t) => {
      const site = await startOldSite();
      t.teardown(() => site.stop());
      site.pages.set('GET /auth.md', HTML);
      site.pages.set('GET /mcp', challenge('Bearer realm="api"'));
      delete site.block.identity_types_supported;
      for (const path of ['/llms.txt', '/.well-known/agent-configuration']) site.pages.delete(`GET ${path}`);
      const { code, stdout } = await cli(`${site.origin}/mcp`);
      t.is(code, 1);
      const shown = stdout.replaceAll(site.origin, 'http://127.0.0.1:4000');
      const document = readFileSync(new URL('../../docs/checking.md', import.meta.url), 'utf8');
      const command = '$ vouchsafe check http://127.0.0.1:4000/mcp';
      t.true(
        document.includes(`\`\`\`\n${command}\n${shown}\`\`\``),
        `it shows another answer than:\n${shown}`,
      );
    });

    test('exit code 2 without a URL, or with what is none', async (t) => {
      const wrong: [string[], RegExp][] = [
        [[], /missing required argument 'url'/],
        [['ftp://example.com'], /^Name the service by its URL, such as https:.*\n$/],
        [['https://me:secret@example.com'], /^The URL carries a name or password/],
      ];
      for (const [args, says] of wrong) {
        const { code, stdout, stderr } = await cli(...args);
        t.deepEqual([code, stdout], [2, '']);
        t.regex(stderr, says);
        t.false(stderr.includes('secret'));
      }
    });
  });
});
