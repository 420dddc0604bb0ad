import { checkService, type Report } from '../../src/check/check.ts';
import { type Site, startSite } from '../helpers/auth-md-service.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { startTestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const CONFIGURATION = 'GET /.well-known/agent-configuration';

async function reportOf(change: (site: Site) => void, path = '/mcp'): Promise<Report> {
  const site = await startSite();
  try {
    change(site);
    return await checkService(site.origin + path);
  } finally {
    await site.stop();
  }
}
const found = (report: Report, name: string) => report.findings.find((finding) => finding.name === name);

test('a service of v0.6 alone is said to be that, and one with the codes of production both', async (t) => {
  const refusal = { error: 'invalid_request', message: 'Send a type.' };
  const older = await reportOf((site) => {
    site.pages.set('POST /agent/identity', { status: 400, body: refusal });
    delete site.block.register_uri;
    delete site.block.claim_uri;
    site.pages.delete('POST /agent/auth');
  });
  t.deepEqual(older.dialects, ['v0.2–v0.6']);
  const both = await reportOf(() => {});
  t.deepEqual(both.dialects, ['v0.1', 'v0.2–v0.6', 'production']);
  const own = await startTestService('sqlite');
  try {
    t.deepEqual((await checkService(own.url)).dialects, ['v0.1', 'v0.2–v0.6', 'production']);
  } finally {
    await own.stop();
  }
});

test('a path that is not there is wrong, and exit code 1; the root of a site may have nothing', async (t) => {
  for (const path of ['/nowhere', '/mcp/', '/api/v1/users']) {
    const report = await reportOf(() => {}, path);
    const finding = found(report, 'path');
    t.false(finding?.ok, path);
    t.regex(finding!.message, /answers 404/);
    t.false(report.ok);
  }
  const gone = await reportOf((site) => site.pages.set('GET /mcp', { status: 410, body: {} }));
  t.is(found(gone, 'path')?.ok, 'hint', 'the documents name it');
  t.is(found(await reportOf(() => {}, ''), 'path'), undefined);
  const site = await startSite();
  const ended = await vouchsafe(['check', `${site.origin}/nowhere`], '.');
  await site.stop();
  t.is(ended.code, 1);
});

test('an auth.md that tells agents to stay away does not count as one that says how to register', async (t) => {
  const REFUSING = [
    'Agents cannot register here.',
    'There is no registration for agents.\n\nRegistration is closed. Do not try to sign up.',
    "We don't let agents register. Never register.",
    '- Registration: not available',
  ];
  for (const text of REFUSING) {
    const report = await reportOf((site) => {
      site.pages.set('GET /auth.md', { type: 'text/markdown', body: `# auth.md: Example\n\n${text}\n` });
    });
    t.false(found(report, 'auth.md words')?.ok, text);
    t.regex(found(report, 'auth.md words')!.message, /only to say that agents cannot/);
  }
  const INVITING = [
    'Agents register by POST.\n\nDo not register twice.',
    'No key yet? Register.\n\n1. POST to /agent/auth to register.',
    'Register without a human: POST {}. To sign up, send a type.',
  ];
  for (const text of INVITING) {
    const report = await reportOf((site) => {
      site.pages.set('GET /auth.md', { type: 'text/markdown', body: `# auth.md: Example\n\n${text}\n` });
    });
    t.true(found(report, 'auth.md words')?.ok, text);
  }
});

test('a server of the Agent Auth Protocol is judged member by member', async (t) => {
  type Document = Record<string, unknown> & { endpoints: Record<string, unknown> };
  const FAULTS: [string, (document: Document) => void, false | 'hint', RegExp][] = [
    ['version', (it) => delete it.version, false, /is not there/],
    ['version', (it) => Object.assign(it, { version: '2.0' }), false, /2\.0/],
    ['provider_name', (it) => delete it.provider_name, false, /is not there/],
    ['description', (it) => Object.assign(it, { description: 3 }), false, /3/],
    ['issuer', (it) => delete it.issuer, false, /is not there|not a text/],
    ['issuer', (it) => Object.assign(it, { issuer: `${it.issuer}/` }), false, /slash/],
    ['issuer', (it) => Object.assign(it, { issuer: 'https://elsewhere.example' }), 'hint', /another origin/],
    ['issuer', (it) => Object.assign(it, { issuer: 'http://elsewhere.example' }), false, /not https/],
    ['algorithms', (it) => Object.assign(it, { algorithms: ['RS256'] }), false, /lacks/],
    ['algorithms', (it) => delete it.algorithms, false, /is not there/],
    ['modes', (it) => Object.assign(it, { modes: [] }), false, /list/],
    ['modes', (it) => Object.assign(it, { modes: ['delegated', 'wild'] }), 'hint', /wild/],
    ['approval_methods', (it) => Object.assign(it, { approval_methods: 'ciba' }), false, /list/],
    ['default_location', (it) => Object.assign(it, { default_location: '/execute' }), false, /absolute/],
    ['jwks_uri', (it) => Object.assign(it, { jwks_uri: 'ftp://example.com/keys' }), false, /https/],
    ['endpoints', (it) => Object.assign(it, { endpoints: [] }), false, /no object/],
    ['endpoints', (it) => delete it.endpoints.register, 'hint', /register/],
    ['status', (it) => Object.assign(it.endpoints, { status: 'agent/status' }), false, /absolute/],
    ['other endpoints', (it) => Object.assign(it.endpoints, { dance: '/dance' }), 'hint', /dance/],
    ['capabilities', (it) => Object.assign(it.endpoints, { capabilities: '/nowhere' }), false, /404/],
  ];
  for (const [member, spoil, ok, says] of FAULTS) {
    const report = await reportOf((site) => {
      const page = site.pages.get(CONFIGURATION)!;
      const document = structuredClone((page as { body: unknown }).body) as Document;
      spoil(document);
      site.pages.set(CONFIGURATION, { body: document });
    });
    const finding = found(report, `agent-configuration ${member}`);
    t.is(finding?.ok, ok, `${member}: ${JSON.stringify(finding)}`);
    t.regex(finding!.message, says, member);
    t.is(report.ok, ok !== false, member);
  }
});

test('our own service is whole as a server of the Agent Auth Protocol, and one that has none lacks nothing', async (t) => {
  const on = await startTestService('sqlite');
  try {
    const { findings } = await checkService(on.url);
    const judged = findings.filter(({ group }) => group === 'agent-configuration');
    t.true(judged.length >= 10, `${judged.length} findings`);
    t.deepEqual(
      judged.filter(({ ok }) => ok !== true),
      [],
    );
  } finally {
    await on.stop();
  }
  const without = await reportOf((site) => site.pages.delete(CONFIGURATION));
  t.deepEqual(
    without.findings.filter(({ group }) => group === 'agent-configuration').map(({ ok }) => ok),
    ['hint'],
  );
});
