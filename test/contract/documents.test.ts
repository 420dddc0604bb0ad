import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { z } from 'zod';
import { fileSchema } from '../../src/config/file.ts';
import { settingsTable } from '../../src/config/settings.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the published schema of the configuration file is the one that checks it', () => {
  const schema = z.toJSONSchema(fileSchema, { target: 'draft-2020-12', io: 'input' });
  assert.deepEqual(JSON.parse(read('docs/vouchsafe.config.schema.json')), JSON.parse(JSON.stringify(schema)));
});

test('the documents name every limit and its default, and every setting', () => {
  const operating = read('docs/operating.md');
  const { limits } = z.toJSONSchema(fileSchema, { io: 'input' }).properties as {
    limits: { properties: Record<string, { default: string | number }> };
  };
  for (const [name, { default: value }] of Object.entries(limits.properties)) {
    const row = operating.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``));
    assert.ok(row?.includes(typeof value === 'string' ? `"${value}"` : String(value)), `${name}: ${value}`);
  }
  const settings = [...settingsTable().matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name!);
  assert.ok(settings.length > 15, settings.join(' '));
  const readme = read('README.md');
  for (const name of settings) assert.ok(readme.includes(`\`${name}\``), `README names ${name}`);
});
