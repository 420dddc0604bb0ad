import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { documentBlocks, runProgram } from '../helpers/agents-document.ts';
import { addApi } from '../helpers/api.ts';
import { openBrowser } from '../helpers/browser.ts';
import { newMailbox } from '../helpers/common.ts';
import { REAL_CLOCK } from '../helpers/real-clock.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A program of somebody who has installed the package, in JavaScript; its types are checked from the same text. */
const PROGRAM = `
import { formatCap, parseCap, registerAgent } from 'vouchsafe/client';
import { createVerifier, VerificationError } from 'vouchsafe/resource-server';
import { protect } from 'vouchsafe/resource-server/koa';
import 'vouchsafe/resource-server/express';
import 'vouchsafe/resource-server/fastify';
import 'vouchsafe/resource-server/fetch';
import { tokenVerifier } from 'vouchsafe/resource-server/mcp';

const [issuer = '', resource = '', clientId = '', clientSecret = '', key = ''] = process.argv.slice(2);
const verifier = createVerifier({ issuer, resource, clientId, clientSecret, follow: false });
const token = await verifier.verify(key);
const agent = await registerAgent({ service: issuer });
const cap = formatCap(parseCap('api:default:x/:write,read'));
const code = await verifier.verify('sk_nobody').catch((error) => error instanceof VerificationError && error.code);
console.log(JSON.stringify({ scopes: token.scopes, code, cap, claim: agent.claim, kinds: [typeof protect, typeof tokenVerifier] }));
`;

/** Writes to a file what a program took: milliseconds of a processor, and MiB of memory at most. */
const MEASURE = `import { writeFileSync } from 'node:fs';
process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  writeFileSync(process.env.MEASURED, JSON.stringify([(userCPUTime + systemCPUTime) / 1000, maxRSS / 1024]));
});`;

let on: TestService;
let folder: string;
let bin: string;
test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-package-'));
  on = await startTestService('sqlite', { clock: REAL_CLOCK });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: ROOT });
  const packed = JSON.parse(stdout.slice(stdout.indexOf('[\n')));
  const [{ filename }] = packed as [{ filename: string }];
  writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  await run('npm', ['install', ...quiet, `./${filename}`], { cwd: folder });
  bin = join(folder, 'node_modules/.bin/vouchsafe');
});
test.after(async () => {
  await on.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('the package can be installed into an empty project, and its kit and its client used there, with their types', async (t) => {
  const api = await addApi(on);
  const { credential } = await on.register();

  writeFileSync(join(folder, 'program.mjs'), PROGRAM);
  const settings = [on.url, api.resource, api.clientId, api.clientSecret, credential];
  const ran = await run(process.execPath, ['program.mjs', ...settings], { cwd: folder });
  t.deepEqual(JSON.parse(ran.stdout), {
    scopes: ['read'],
    code: 'invalid_token',
    cap: 'vouchsafe.api:default:x/:read,write',
    claim: 'none',
    kinds: ['function', 'function'],
  });

  writeFileSync(join(folder, 'program.mts'), PROGRAM);
  const checked = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
  const types = ['--typeRoots', join(ROOT, 'node_modules/@types')];
  await run(join(ROOT, 'node_modules/.bin/tsc'), [...checked, ...types, 'program.mts'], { cwd: folder });

  const { stdout: version } = await run(process.execPath, [bin, '--version']);
  t.regex(version, /^\d+\.\d+\.\d+\n$/);
});

test('the ten lines of docs/agents.md work from the package as it is published, to the letter', async (t) => {
  const mailbox = newMailbox();
  const [code] = documentBlocks('ts');
  const installed = { folder, flags: [] };
  const { link, ended } = runProgram(t, code!, { service: on.url, mailbox, installed });
  const human = openBrowser(on);
  await human.get(await link);
  await human.post('/claim', { code: await on.codeFor(mailbox) });
  t.regex(await ended, /scopes: \[ 'read', 'write' \]/);
});

test('a hostile artifact costs the command line at most 100 ms and 32 MiB over --version', async (t) => {
  writeFileSync(join(folder, 'measure.mjs'), MEASURE);
  const file = join(folder, 'hostile.json');
  const measured = join(folder, 'measured');
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    MEASURED: measured,
    NODE_OPTIONS: `--import=${join(folder, 'measure.mjs')}`,
  };
  /** The least of several runs: others use the machine, too. */
  async function least(args: readonly string[], code: number) {
    let [ms, mib] = [Infinity, Infinity];
    for (let count = 0; count < 7; count += 1) {
      const ended = await run(process.execPath, [bin, ...args], { env, cwd: folder }).catch(
        (error: { code: number; stderr: string }) => error,
      );
      const taken = JSON.parse(readFileSync(measured, 'utf8')) as [number, number];
      [ms, mib] = [Math.min(ms, taken[0]), Math.min(mib, taken[1])];
      t.is('code' in ended ? ended.code : 0, code, ended.stderr);
    }
    return { ms, mib };
  }
  const names = Array.from({ length: 1025 }, (_, index) => `"n${index}":1`).join(',');
  const plain = await least(['--version'], 0);
  for (const [what, text] of Object.entries({
    '5,000 levels': `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`,
    '10 MB': `{"a":"${'x'.repeat(10_000_000)}"}`,
    '1,025 names': `{${names}}`,
  })) {
    writeFileSync(file, text);
    const hostile = await least(['auth', 'import', file], 2);
    const [ms, mib] = [hostile.ms - plain.ms, hostile.mib - plain.mib];
    t.log(`${what}: ${ms.toFixed(0)} ms and ${mib.toFixed(1)} MiB more than --version`);
    t.true(ms <= 100, `${what}: ${ms} ms`);
    t.true(mib <= 32, `${what}: ${mib} MiB`);
  }
});
