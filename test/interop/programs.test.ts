import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { registerApp } from '../helpers/app-client.ts';
import { freePort } from '../helpers/free-port.ts';
import { test } from '../helpers/suite.ts';
import { approve, openWorld, type World } from './world.ts';

/** Programs as people run them: each prints where to sign in, and waits at a port of its own. */

const PACKAGES = fileURLToPath(new URL('node_modules/', import.meta.url));
const CONFORMANCE = '@modelcontextprotocol/conformance/dist/index.js';

let world: World;
test.before(async () => {
  world = await openWorld('sqlite');
});
test.after(() => world.stop());

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
  /** The authorization requests that the human approved. */
  asked: URL[];
}

/**
 * Runs a program with a home of its own. The human opens what it prints, approves, and follows the redirect to it.
 *
 * @param until ends it by SIGTERM once its output is so
 */
async function run(t: ExecutionContext, args: readonly string[], until?: RegExp): Promise<Ran> {
  const home = mkdtempSync(join(tmpdir(), 'vouchsafe-interop-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const [program, ...rest] = args;
  const child = spawn(process.execPath, [PACKAGES + program, ...rest], {
    // Without a PATH there is no browser that it could open.
    env: { HOME: home, PATH: '', MCP_REMOTE_CONFIG_DIR: home, MCP_AUTO_OPEN_ENABLED: 'true' },
    cwd: home,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ran: Ran = { code: null, stdout: '', stderr: '', asked: [] };
  let visiting: Promise<unknown> = Promise.resolve();
  const look = () => {
    const output = ran.stdout + ran.stderr;
    const found = new RegExp(`${world.on.url}/oauth2/authorize\\?\\S+(?=\\s)`).exec(output)?.[0];
    if (found !== undefined && ran.asked.length === 0) {
      ran.asked.push(new URL(found));
      visiting = approve(world.human, found).then((back) => fetch(back));
    }
    if (until?.test(output)) child.kill('SIGTERM');
  };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk) => {
      ran[name] += chunk;
      look();
    });
  }
  ran.code = await new Promise((resolve) => child.on('close', resolve));
  await visiting;
  return ran;
}

test('mcp-remote connects with a URL, and lists the tools', async (t) => {
  const ran = await run(t, ['mcp-remote/dist/client.js', world.mcpUrl], /list_my_apps[\s\S]*records/);
  t.is(ran.asked.length, 1, ran.stderr);
  t.is(ran.asked[0]!.searchParams.get('resource'), world.mcpUrl);
  t.regex(ran.stdout + ran.stderr, /list_my_apps/);
});

test('the Inspector of MCP connects with a URL, and calls a tool', async (t) => {
  const inspector = '@modelcontextprotocol/inspector/clients/launcher/build/index.js';
  const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`;
  const call = ['--method', 'tools/call', '--tool-name', 'deploy_app', '--tool-arg', 'app=inspected'];
  const ran = await run(t, [
    inspector,
    '--cli',
    world.mcpUrl,
    '--callback-url',
    callback,
    '--format',
    'json',
    ...call,
  ]);
  t.is(ran.code, 0, ran.stderr);
  t.is(ran.asked.length, 1, ran.stderr);
  t.regex(ran.stdout, /inspected/);
});

/** The scenarios for authorization servers that the suite lists, by version of the specification. */
async function listScenarios(t: ExecutionContext): Promise<Map<string, string[]>> {
  const { stdout } = await run(t, [CONFORMANCE, 'list']);
  const listed = stdout.slice(stdout.indexOf('Authorization server scenarios'));
  const found = new Map<string, string[]>();
  for (const [, name, versions] of listed.matchAll(/^ {2}- (\S+) \[(.+)\]$/gm)) {
    for (const version of versions!.split(',')) found.set(version, [...(found.get(version) ?? []), name!]);
  }
  return found;
}

for (const version of ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28']) {
  test(`the conformance suite of MCP passes us as an authorization server, in all scenarios of ${version}`, async (t) => {
    const port = await freePort();
    const redirect_uris = [`http://127.0.0.1:${port}/callback`];
    const { clientId } = await registerApp(world.on, { redirect_uris });
    const results = mkdtempSync(join(tmpdir(), 'vouchsafe-interop-'));
    t.teardown(() => rmSync(results, { recursive: true, force: true }));
    const about = ['--url', world.on.url, '--client-id', clientId, '--resource', world.mcpUrl];
    const how = ['--port', String(port), '--output-dir', results, '--spec-version', version];
    const ran = await run(t, [CONFORMANCE, 'authorization', ...about, ...how]);
    t.is(ran.code, 0, ran.stdout + ran.stderr);
    const checks = readdirSync(results, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('checks.json'))
      .flatMap(
        (name) => JSON.parse(readFileSync(join(results, name), 'utf8')) as { id: string; status: string }[],
      );
    t.true(checks.length > 0, ran.stdout);
    const names = readdirSync(results).join(' ');
    const expected = (await listScenarios(t)).get(version) ?? [];
    t.true(expected.length > 0);
    for (const name of expected) t.true(names.includes(name), `${name} ran: ${names}`);
    t.deepEqual(
      checks.filter(({ status }) => status !== 'SUCCESS'),
      [],
    );
    t.is(ran.asked.length, 1);
  });
}
