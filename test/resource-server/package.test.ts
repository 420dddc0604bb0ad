import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { addApi } from '../helpers/api.ts';
import { startTestService } from '../helpers/service.ts';
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

test('the package can be installed into an empty project, and its kit and its client used there, with their types', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-package-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const on = await startTestService('sqlite');
  t.teardown(() => on.stop());
  const api = await addApi(on);
  const { credential } = await on.register();

  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: ROOT });
  const packed = JSON.parse(stdout.slice(stdout.indexOf('[\n')));
  const [{ filename }] = packed as [{ filename: string }];
  writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  await run('npm', ['install', ...quiet, `./${filename}`], { cwd: folder });

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

  const bin = join(folder, 'node_modules/.bin/vouchsafe');
  const { stdout: version } = await run(process.execPath, [bin, '--version']);
  t.regex(version, /^\d+\.\d+\.\d+\n$/);
});
