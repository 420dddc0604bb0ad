import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { test } from './helpers/suite.ts';

/** The walls of the house: this reads the sources, and where one is broken it says why it stands. */

const SRC = fileURLToPath(new URL('../src/', import.meta.url));

const TEST = fileURLToPath(new URL('./', import.meta.url));
const tests = readdirSync(TEST, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
  .map((file) => ({ file, text: readFileSync(join(TEST, file), 'utf8') }))
  .map(({ file, text }) => ({ file, text, lines: text.split('\n').length - 1 }));

interface Import {
  /** A path from src/ for our own files, else the name of a package. */
  target: string;
  isOurs: boolean;
  /** Whether only types are imported: they are gone when the program runs. */
  isType: boolean;
}

interface Source {
  file: string;
  /** The first folder, or the file itself where it lies in src/. */
  room: string;
  lines: number;
  /** Without comments. */
  code: string;
  imports: Import[];
}

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map(readSource);

function readSource(file: string): Source {
  const text = readFileSync(join(SRC, file), 'utf8');
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
  return {
    file,
    room: roomOf(file),
    lines: text.split('\n').length - 1,
    code,
    imports: importsOf(file, code),
  };
}

function importsOf(file: string, code: string): Import[] {
  const statements = code.matchAll(/^(?:import|export)\s(?:([^'";]*?)\sfrom\s)?\s*'([^']+)'/gm);
  const dynamic = [...code.matchAll(/\bimport\(\s*'([^']+)'/g)].map(([, from]) => ['', from!] as const);
  const all = [...[...statements].map(([, what = '', from]) => [what, from!] as const), ...dynamic];
  return all.map(([what, from]) => {
    const names = /^\{([\s\S]*)\}$/
      .exec(what)?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '');
    const isOurs = from.startsWith('.');
    return {
      target: isOurs ? normalize(join(dirname(file), from)) : from,
      isOurs,
      isType: /^type\s/.test(what) || (names?.every((name) => /^\s*type\s/.test(name)) ?? false),
    };
  });
}

function roomOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : file;
}

/** Fails with the sentence to learn from, and where it was broken. */
function forbid(t: ExecutionContext, sentence: string, broken: string[]): void {
  t.is(broken.length, 0, `${sentence}\n  ${broken.join('\n  ')}`);
}

function importing(from: (source: Source) => boolean, bad: (each: Import) => boolean): string[] {
  return sources
    .filter(from)
    .flatMap(({ file, imports }) => imports.filter(bad).map(({ target }) => `src/${file} imports ${target}`));
}

function containing(from: (source: Source) => boolean, pattern: RegExp): string[] {
  return sources.filter(from).flatMap(({ file, code }) => {
    const found = pattern.exec(code)?.[0];
    return found === undefined ? [] : [`src/${file}: ${found.trim()}`];
  });
}

const inRoom =
  (...rooms: string[]) =>
  (source: Pick<Source, 'room'>) =>
    rooms.includes(source.room);
const outside =
  (...rooms: string[]) =>
  (source: Pick<Source, 'room'>) =>
    !rooms.includes(source.room);

test('the reader of this test finds the files and what they import', (t) => {
  const secrets = sources.find(({ file }) => file === 'lib/secrets.ts')!;
  t.true(sources.length > 40);
  t.true(secrets.imports.some(({ target, isType }) => target === 'node:zlib' && !isType));
  t.true(secrets.imports.some(({ target, isType }) => target === 'lib/random.ts' && isType));
  const limiter = sources.find(({ file }) => file === 'domain/limits/rate-limiter.ts')!;
  t.true(limiter.imports.some(({ target, isType }) => target === 'store/counters.ts' && !isType));
  for (const { file, imports } of sources) {
    for (const { target, isOurs } of imports) {
      if (isOurs)
        t.true(
          sources.some((each) => each.file === target),
          `src/${file} imports ${target}, which is not there`,
        );
    }
  }
});

test('what the program imports is a dependency, and each dependency is imported', (t) => {
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const packageOf = (target: string) => /^(?:@[^/]+\/)?[^/]+/.exec(target)![0];
  const imported = new Set(
    sources.flatMap(({ imports }) =>
      imports
        .filter(({ target, isOurs, isType }) => !isOurs && !isType && !target.startsWith('node:'))
        .map(({ target }) => packageOf(target)),
    ),
  );
  // Fonts and icons are files of packages, found by their names.
  const files = Object.keys(dependencies).filter((name) =>
    sources.some(({ code }) => code.includes(`${name}/`)),
  );
  t.deepEqual([...new Set([...imported, ...files])].toSorted(), Object.keys(dependencies).toSorted());
});

/** The rooms of src/ from the ground up. */
const ROOMS = [
  'errors.ts',
  'lib',
  'client',
  'config',
  'store',
  'ports',
  'deps.ts',
  'work.ts',
  'domain',
  'workers',
  'mail',
  'check',
  'resource-server',
  'http',
  'app.ts',
  'with-deps.ts',
  'main.ts',
  'doctor.ts',
  'serve.ts',
  'commands',
  'cli.ts',
];

/** The rooms of src/domain/ from the ground up. */
const DOMAIN_ROOMS = [
  'audit',
  'limits',
  'codes',
  'accounts',
  'workspaces',
  'audiences',
  'credentials',
  'apps',
  'claims',
  'providers',
  'registration',
  'permissions',
  'agents',
  'hosts',
  'owner',
  'operators',
  'mail',
  'jobs',
];

/** Imports that point up, types included, among files of a folder whose rooms stand in an order. */
function pointingUp(order: readonly string[], roomIn: (file: string) => string | undefined): string[] {
  return sources.flatMap(({ file, imports }) => {
    const from = roomIn(file);
    if (from === undefined) return [];
    if (!order.includes(from)) return [`src/${file} is in no room of the list`];
    return imports.flatMap(({ target, isOurs }) => {
      const to = isOurs ? roomIn(target) : undefined;
      const isUp = to !== undefined && order.indexOf(to) > order.indexOf(from);
      return isUp ? [`src/${file} imports ${target}`] : [];
    });
  });
}

test('imports point down, types included: each room uses only those that stand before it', (t) => {
  forbid(
    t,
    'A room uses only what stands below it in ROOMS, so that it can be read without what is above it. What you need from above is ' +
      'a fact: take it as an argument, or move it down.',
    pointingUp(ROOMS, roomOf),
  );
});

test('the rooms of the domain stand in one order', (t) => {
  forbid(
    t,
    'A room of src/domain/ uses only those that stand before it in DOMAIN_ROOMS, types included: audit and limits know of no claim, ' +
      'claims know of no host. Move what both need below them, or hand it in.',
    pointingUp(DOMAIN_ROOMS, (file) => (file.startsWith('domain/') ? file.split('/')[1] : undefined)),
  );
});

test('what others install knows nothing of the service', (t) => {
  forbid(
    t,
    'src/resource-server/ is compiled into other people’s servers: it imports nothing of ours but itself, and no package but ' +
      'lru-cache and jose.',
    importing(inRoom('resource-server'), ({ target, isOurs }) =>
      isOurs
        ? roomOf(target) !== 'resource-server'
        : !/^(lru-cache|jose|node:(crypto|zlib|http))$/.test(target),
    ),
  );
  forbid(
    t,
    'The service does not use what it ships: a route that checked keys by the kit would ask itself over the network.',
    importing(outside('resource-server'), ({ target }) => roomOf(target) === 'resource-server'),
  );
});

test('what agents install knows nothing of the service', (t) => {
  forbid(
    t,
    'src/client/ runs on other people’s machines: it imports nothing of ours but lib/ and errors.ts, and no package but jose. It ' +
      'opens no database and reads no settings.',
    importing(inRoom('client'), ({ target, isOurs }) =>
      isOurs ? !['client', 'lib', 'errors.ts'].includes(roomOf(target)) : !/^(jose$|node:)/.test(target),
    ),
  );
  const reached = new Set(['client/index.ts']);
  // A set visits what is added while it is walked.
  for (const file of reached) {
    for (const each of sources.find((source) => source.file === file)!.imports) {
      if (each.isOurs && !each.isType) reached.add(each.target);
    }
  }
  forbid(
    t,
    'What src/client/ uses of lib/ needs no package but jose either.',
    importing(
      ({ file }) => reached.has(file),
      ({ target, isOurs, isType }) => !isOurs && !isType && !/^(jose$|node:)/.test(target),
    ),
  );
  forbid(
    t,
    'The service does not use what it ships to agents; what both need is in lib/.',
    importing(outside('client', 'commands'), ({ target }) => roomOf(target) === 'client'),
  );
});

test('the domain knows no wire and no engine', (t) => {
  const strangers =
    /^(koa|zod|pg|better-sqlite3|nodemailer|commander|eta|raw-body|helmet|node:(http|https|http2|net|tls|fs|child_process).*)$/;
  forbid(
    t,
    'The domain decides; it knows neither Koa nor zod nor a database driver nor sockets nor files. Parse in http/, remember in ' +
      'store/, and hand the domain plain values.',
    importing(inRoom('domain'), ({ target, isOurs }) => !isOurs && strangers.test(target)),
  );
  forbid(
    t,
    'The domain does not know http/ or mail/, not even their types: it throws kinds of failures, and the dialects spell them.',
    importing(inRoom('domain'), ({ target }) =>
      ['http', 'mail', 'app.ts', 'main.ts', 'cli.ts'].includes(roomOf(target)),
    ),
  );
});

test('time and randomness come from deps in the domain', (t) => {
  forbid(
    t,
    'The domain takes time from deps.clock(), once per use-case, and randomness from deps.random, so that tests can move the ' +
      'one and replicas agree on it.',
    containing(
      inRoom('domain', 'http'),
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandom(Bytes|Int|UUID)\b|\bhrtime\b/,
    ),
  );
  forbid(
    t,
    'Whatever must not be guessed comes from lib/random.ts. Math.random is good enough to spread two retries, which is what the ' +
      'engines of store/ and the kit use it for, and for nothing else.',
    containing(outside('store', 'resource-server'), /\bMath\.random\b/),
  );
});

test('SQL stands in store/ alone', (t) => {
  forbid(
    t,
    'SQL is written in store/, one file per noun, for both engines: give the statement a name there and call it.',
    containing(
      outside('store'),
      /['"`]\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|BEGIN|PRAGMA)\b.*/,
    ),
  );
});

test('the store knows no rules', (t) => {
  forbid(
    t,
    'The store remembers and does not decide: it imports no domain, not even types. A type that both need is the row, and rows are ' +
      'declared in store/.',
    importing(
      inRoom('store'),
      ({ target, isOurs }) => isOurs && !['store', 'lib', 'errors.ts', 'config'].includes(roomOf(target)),
    ),
  );
  forbid(
    t,
    'The store takes time as an argument, so that one moment holds for a whole use-case. Only an engine may say what its own ' +
      'database holds for now (sqlite.ts).',
    containing(
      ({ room, file }) => room === 'store' && file !== 'store/engine/sqlite/sqlite.ts',
      /\bDate\.now\b|\bnew Date\(/,
    ),
  );
  forbid(
    t,
    'Each driver is known to the files of its engine, and all others go through Db (store/engine/db.ts): that is where the ' +
      'engine is changed.',
    importing(
      ({ file }) => !/^store\/engine\/(sqlite|postgres)\//.test(file),
      ({ target }) => ['pg', 'better-sqlite3'].includes(target),
    ),
  );
});

test('leaves are leaves', (t) => {
  forbid(
    t,
    'What is in lib/ imports nothing of ours but lib/ and errors.ts, not even types: it must be usable, and understandable, alone.',
    importing(
      inRoom('lib', 'errors.ts'),
      ({ target, isOurs }) => isOurs && !['lib', 'errors.ts'].includes(roomOf(target)),
    ),
  );
});

test('http translates and does not remember', (t) => {
  forbid(
    t,
    'A handler parses, calls one domain function and renders: what it would ask the store itself is a use-case that has no name ' +
      'yet. Types of rows may be imported.',
    importing(inRoom('http'), ({ target, isType }) => !isType && roomOf(target) === 'store'),
  );
  forbid(
    t,
    'Koa and node:http are known to http/server/, http/oauth/provider/ and http/ops.ts, and to app.ts and main.ts, which put it together: a handler ' +
      'takes a Call and never sees a ctx. What is asked of others goes through lib/safe-fetch.ts, which knows where it may not go.',
    importing(
      ({ room, file }) =>
        !/^http\/(server\/|oauth\/provider\/|ops\.ts$)/.test(file) &&
        !['resource-server', 'app.ts', 'main.ts'].includes(room) &&
        file !== 'lib/safe-fetch.ts',
      ({ target }) => /^(koa|@koa\/router|node:https?)$/.test(target),
    ),
  );
  forbid(
    t,
    'oidc-provider is known to http/oauth/provider/ alone: all others hand it a request of ours and get its response.',
    importing(
      ({ file }) => !file.startsWith('http/oauth/provider/'),
      ({ target }) => target === 'oidc-provider',
    ),
  );
  forbid(
    t,
    'zod checks what comes in from outside: requests in http/, the operator’s file in config/, files given to commands. ' +
      'Inside, types are enough.',
    importing(outside('http', 'commands', 'config'), ({ target }) => target === 'zod'),
  );
});

test('transactions open in the domain alone', (t) => {
  forbid(
    t,
    'A transaction is opened by the domain function whose use-case must happen as one; everything below takes a Tx, ' +
      'everything above calls the use-case.',
    containing(outside('domain'), /\.tx\(.*/),
  );
});

test('the environment is read at the door', (t) => {
  forbid(
    t,
    'Only the programs at the door see process.env and hand it to config/, which checks it whole; a setting read anywhere else is ' +
      'unchecked, undocumented and the same for every service in a process.',
    containing(outside('cli.ts', 'main.ts', 'serve.ts', 'config', 'doctor.ts'), /\bprocess\.env\b.*/),
  );
});

test('there is no circle of imports, types included', (t) => {
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (path.includes(file) || done.has(file)) return;
    for (const each of sources.find((source) => source.file === file)!.imports) {
      if (each.isOurs) visit(each.target, [...path, file]);
    }
    done.add(file);
  };
  for (const { file } of sources) visit(file, []);
  forbid(
    t,
    'Files that import each other are one subject in two places, or one too many: move what both need below them.',
    circles,
  );
});

test('a file has one subject', (t) => {
  forbid(
    t,
    'Past 300 lines there are usually two subjects in a file: find the second and give it a name.',
    sources.filter(({ lines }) => lines > 300).map(({ file, lines }) => `src/${file} has ${lines} lines`),
  );
});

test('a test file has one subject', (t) => {
  forbid(
    t,
    'Past 600 lines a failure does not name its contract any more: split the file, and share its setup in test/helpers/.',
    tests.filter(({ lines }) => lines > 600).map(({ file, lines }) => `test/${file} has ${lines} lines`),
  );
});

test('tests assert by ava', (t) => {
  forbid(
    t,
    'A test asserts by its t, so that one which asserts nothing fails; a step of a helper throws by ensure (docs/adr/0014-tests-by-ava.md).',
    tests.filter(({ text }) => /from 'node:(assert|test)/.test(text)).map(({ file }) => `test/${file}`),
  );
});
