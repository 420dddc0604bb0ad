import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { fileSchema } from '../../src/config/file.ts';
import { loadConfig } from '../../src/config/load.ts';
import { settingsTable } from '../../src/config/settings.ts';
import { PICTURES } from '../helpers/pictures.ts';
import { TEST_SECRET } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the published schema of the configuration file is the one that checks it', (t) => {
  const schema = z.toJSONSchema(fileSchema, { target: 'draft-2020-12', io: 'input' });
  t.deepEqual(JSON.parse(read('docs/vouchsafe.config.schema.json')), JSON.parse(JSON.stringify(schema)));
});

test('the documents name every limit and its default, and every setting', (t) => {
  const operating = read('docs/operating.md');
  const { limits } = z.toJSONSchema(fileSchema, { io: 'input' }).properties as {
    limits: { properties: Record<string, { default: string | number }> };
  };
  for (const [name, { default: value }] of Object.entries(limits.properties)) {
    const row = operating.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``));
    t.truthy(row?.includes(typeof value === 'string' ? `"${value}"` : String(value)), `${name}: ${value}`);
  }
  const settings = [...settingsTable().matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name!);
  t.true(settings.length > 15, settings.join(' '));
  const readme = read('README.md');
  for (const name of settings) t.true(readme.includes(`\`${name}\``), `README names ${name}`);
});

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** The clients of others, where they are installed. */
const PACKAGES = ['test/interop/node_modules/**'];
const DOCUMENTS = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).filter((file) => file !== 'auth.md');

test('every link in a document leads to a file, and to a heading or anchor in it', (t) => {
  t.true(DOCUMENTS.length > 10, DOCUMENTS.join(' '));
  const broken = DOCUMENTS.flatMap((file) =>
    [...read(file).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link]) => {
      if (/^[a-z]+:/.test(link!)) return [];
      const [path, anchor] = link!.split('#') as [string, string | undefined];
      const target = path === '' ? file : join(dirname(file), path);
      if (!existsSync(join(ROOT, target))) return [`${file}: ${link}`];
      if (anchor === undefined) return [];
      return anchorsOf(read(target)).has(anchor) ? [] : [`${file}: ${link}`];
    }),
  );
  t.deepEqual(broken, []);
});

test('every picture of the documents is made by the tests in a browser, and stands in a document', (t) => {
  const pictures = globSync('docs/**/*.png', { cwd: ROOT }).toSorted();
  t.true(pictures.length > 70, String(pictures.length));
  t.deepEqual(
    pictures.filter((file) => !OTHER_PICTURES.includes(file)),
    Object.keys(PICTURES)
      .map((name) => `docs/${name}.png`)
      .toSorted(),
  );
  const shown = DOCUMENTS.flatMap((file) =>
    [...read(file).matchAll(/(?:\]\(|src=")([^)"\s]+\.png)/g)].map(([, path]) => join(dirname(file), path!)),
  );
  t.deepEqual(
    pictures.filter((file) => !shown.includes(file)),
    [],
  );
});

/** What programs of others look like. */
const OTHER_PICTURES = ['docs/oauth/inspector.png'];

/** The anchors of a Markdown document: its headings as GitHub names them, and those that are written out. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  );
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)"/g)].map(([, id]) => id!)]);
}

test('every numbered requirement that is cited stands in docs/security.md', (t) => {
  const anchors = anchorsOf(read('docs/security.md'));
  const files = globSync(['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'docs/**/*.md', '*.md'], {
    cwd: ROOT,
    exclude: PACKAGES,
  });
  const missing = files.flatMap((file) =>
    [...read(file).matchAll(/\b([SR])-(\d{2,3})\b/g)]
      .filter(([, kind, number]) => !anchors.has(`${kind!.toLowerCase()}-${number}`))
      .map(([cited]) => `${file}: ${cited}`),
  );
  t.deepEqual(missing, []);
});

test('the example of the configuration file is one', (t) => {
  const config = loadConfig({
    CONFIG: join(ROOT, 'examples/vouchsafe.config.json'),
    SECRET: TEST_SECRET,
  });
  t.is(config.service.name, 'Acme');
  t.is(config.resources.length, 2);
  const members = new Set(Object.keys(JSON.parse(read('examples/vouchsafe.config.json'))));
  const left = Object.keys(fileSchema.shape).filter((name) => !members.has(name));
  t.deepEqual(left, ['capabilities', 'operators', 'claimMode'], 'what the example leaves out');
});

test('what a comment cites can be opened: a document of ours is there, and no other is named', (t) => {
  const files = globSync(['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'], { cwd: ROOT, exclude: PACKAGES });
  const dead = files.flatMap((file) =>
    [...read(file).matchAll(/^\s*(?:\/\*\*?|\*|\/\/).*$|\/\/ .*$/gm)].flatMap(([comment]) => {
      const named = [...comment.matchAll(/(?<![\w/:.])((?:[\w-]+\/)*[\w.-]+\.md)\b/g)].map(
        ([, path]) => path!,
      );
      const absent = named.filter((path) => path !== 'auth.md' && !existsSync(join(ROOT, path)));
      const numbered = /\b(?:rule|design|habit|decision)s? \d/.exec(comment);
      return [...absent, ...(numbered ?? [])].map((what) => `${file}: ${what}`);
    }),
  );
  t.deepEqual(dead, []);
});
