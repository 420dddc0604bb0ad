import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Browser } from 'playwright-core';
import { at, inBrowser, keepPicture, LIGHT, startChromium } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { freePort } from '../helpers/free-port.ts';
import { openWorld, type World } from './world.ts';

/** The Inspector of MCP in a browser, as docs/oauth.md says. The pictures there are of this test. */

const INSPECTOR = 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js';

inBrowser('the Inspector of MCP, in a browser', (engine, test, executablePath) => {
  if (engine !== 'sqlite') return;
  let world: World;
  let browser: Browser;
  test.before(async () => {
    [world, browser] = await Promise.all([openWorld(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), world.stop()]));

  test('a person adds a URL, signs in, approves, and has the tools', async (t) => {
    const inspector = await startInspector(t, world.mcpUrl);
    const page = await (await browser.newContext(LIGHT.options)).newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(inspector);
    await page.getByRole('switch', { name: /^Connect or disconnect/ }).dispatchEvent('click');

    const mailbox = newMailbox();
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await page.getByLabel('Code from the email').fill(await world.on.signInCodeFor(mailbox));
    await page.getByRole('button', { name: 'Sign in' }).click();

    await at(page, 'Approve this app?');
    t.regex(await page.locator('.who').innerText(), /MCP Inspector/);
    t.is(new URL(page.url()).origin, world.on.url);
    await keepPicture(page, 'oauth/consent');
    await page.getByRole('button', { name: 'Approve', exact: true }).click();

    await page.getByText('Connected', { exact: true }).waitFor();
    t.is(new URL(page.url()).origin, new URL(inspector).origin);
    await page.getByText('Tools', { exact: true }).first().click();
    await page.getByText('list_my_apps').first().click();
    await page.getByRole('button', { name: /^(Execute|Run)\b/ }).click();
    await page.getByText('Read-only session').waitFor({ state: 'hidden' });
    await page.getByText('Authorization complete').waitFor({ state: 'hidden' });
    await page.getByText('Results', { exact: true }).waitFor();
    t.regex(await page.locator('body').innerText(), /Results\s+1\s+\[\]/);
    await keepPicture(page, 'oauth/inspector');
  });
});

/** Starts it for one MCP server, at a port of its own. @returns its URL */
async function startInspector(t: ExecutionContext, serverUrl: string): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), 'vouchsafe-inspector-'));
  const args = ['--web', '--transport', 'http', '--server-url', serverUrl];
  const child = spawn(process.execPath, [fileURLToPath(new URL(INSPECTOR, import.meta.url)), ...args], {
    env: {
      HOME: home,
      PATH: '',
      MCP_AUTO_OPEN_ENABLED: 'false',
      MCP_INSPECTOR_SECRET_STORE: 'memory',
      CLIENT_PORT: String(await freePort()),
      MCP_SANDBOX_PORT: String(await freePort()),
      MCP_APP_ORIGIN_PORT: String(await freePort()),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
    rmSync(home, { recursive: true, force: true });
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    output += chunk;
  });
  for (;;) {
    await once(child.stdout, 'data');
    const url = /http:\/\/127\.0\.0\.1:\d+\?MCP_INSPECTOR_API_TOKEN=\w+(?=\s)/.exec(output)?.[0];
    if (url !== undefined) return url;
  }
}
