import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { newOperator } from '../helpers/operator.ts';
import { startTestService, TEST_SECRET } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

/** The settings in force in the operator's console. */

const CANARY = 'canary0123456789canary0123456789';
const FILE = {
  service: { name: 'Acme', termsUrl: 'https://acme.example.com/terms' },
  claimMode: 'typed',
  limits: { triesPerCode: 3 },
  trustedIssuers: [{ issuer: 'https://agents.example.com', displayName: 'Agents' }],
};

let folder: string;
let configFile: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-settings-'));
  configFile = file('vouchsafe.config.json', JSON.stringify(FILE));
});
test.after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The row of a setting as text: its value, and where it comes from. */
function settingOn(text: string, name: string): string[] {
  const row = text.split('</tr>').find((each) => each.includes(`<span class="mono">${name}</span>`))!;
  const cells = [...row.matchAll(/<td[^>]*>([\s\S]*?)<\/td>/g)].slice(1);
  return cells.map(([, cell]) => cell!.replace(/<[^>]*>/g, '').trim());
}

test('the settings in force hold no secret, however it is set', (t) => {
  mkdirSync(join(folder, 'templates'));
  const logoUrl = `https://user:${CANARY}@logo.example.com/logo.png`;
  const withLogo = file('with-logo.json', JSON.stringify({ ...FILE, service: { logoUrl } }));
  const env = { CONFIG: withLogo, TEMPLATES_DIR: join(folder, 'templates') };
  const postgres = `postgres://user:${CANARY}@db.example.com/vouchsafe?password=${CANARY}`;
  const smtp = `smtps://user:${CANARY}@mail.example.com`;
  for (const secrets of [
    { SECRET: CANARY, DATABASE_URL: postgres, SMTP_URL: smtp },
    {
      SECRET_FILE: file('secret', `${CANARY} ${CANARY}x`),
      DATABASE_URL_FILE: file('database', postgres),
      SMTP_URL_FILE: file('smtp', smtp),
    },
  ]) {
    const { inForce } = loadConfig({ ...env, ...secrets });
    t.true(inForce.environment.length > 20 && inForce.file.length > 40);
    t.false(JSON.stringify(inForce).includes(CANARY));
    for (const name of Object.keys(secrets))
      t.true(
        inForce.environment.some(({ from }) => from === name),
        name,
      );
  }
});

onEveryEngine('settings in the console', (engine, test) => {
  test('are shown with where each comes from, without secrets and addresses', async (t) => {
    const on = await startTestService(engine, {
      env: { CONFIG: configFile, SECRET: `${TEST_SECRET} ${CANARY}`, OPERATORS: 'carol@example.com' },
    });
    try {
      const operator = await newOperator(on);
      const { status, text } = await operator.browser.get('/console/settings');
      t.is(status, 200);
      for (const secret of [TEST_SECRET, CANARY, on.database.url, 'carol@']) t.false(text.includes(secret));
      for (const [name, ...shown] of [
        ['SECRET', 'Set, not shown', 'SECRET'],
        ['DATABASE_URL', 'Set, not shown', 'DATABASE_URL'],
        ['SMTP_URL', 'None', 'Default'],
        ['OPERATORS', 'c***@example.com', 'OPERATORS'],
        ['TRUST_PROXY', '0', 'Default'],
        ['claimMode', 'typed', configFile],
        ['service.name', 'Acme', configFile],
        ['service.termsUrl', 'https://acme.example.com/terms', configFile],
        ['trustedIssuers', 'https://agents.example.com', configFile],
        ['limits.triesPerCode', '3', configFile],
        ['limits.registerPerIp', '100000/h', 'LIMITS'],
        ['limits.codeTtlSeconds', '600', 'Default'],
      ] as const) {
        t.deepEqual(settingOn(text, name), shown, name);
      }
      t.regex(text, /None yet: it’s made when the first token is signed\./);
    } finally {
      await on.stop();
    }
  });
});
