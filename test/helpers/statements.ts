import { globSync, readFileSync } from 'node:fs';
import type { Db, Tx, Value } from '../../src/store/engine/db.ts';

/** A text that the store layer hands to an engine. */
export interface Statement {
  sql: string;
  params: number;
  /** `file:line` in src/store where it is run. */
  at: string;
}

const STORE = new URL('../../src/store/', import.meta.url);
/** What runs statements of others; the engines stand in a folder of their own. */
const OTHERS = ['pages.ts', 'restored.ts'];
const CALL = /\b(?:tx|db)\.(?:get|all|run)\b/;
const files = globSync('*.ts', { cwd: STORE }).filter((file) => !OTHERS.includes(file));

/** Every line in src/store that runs a statement. */
export function callSites(): string[] {
  return files
    .flatMap((file) =>
      readFileSync(new URL(file, STORE), 'utf8')
        .split('\n')
        .flatMap((line, index) => (CALL.test(line) ? [`${file}:${index + 1}`] : [])),
    )
    .sort();
}

/**
 * Every statement of the store layer: each of its functions is called in all the ways that make it run another text, on an engine
 * that only notes what it is handed.
 *
 * @param variants of the functions whose text depends on what they are given: the arguments of each call, after the engine
 */
export async function collectStatements(variants: Record<string, unknown[][]>): Promise<Statement[]> {
  const found = new Map<string, Statement>();
  const unused = new Set(Object.keys(variants));
  for (const file of files) {
    const module = (await import(new URL(file, STORE).href)) as Record<string, unknown>;
    for (const [name, called] of Object.entries(module)) {
      if (typeof called !== 'function') continue;
      unused.delete(name);
      const calls = variants[name] ?? [Array.from({ length: 8 }, anything)];
      for (const args of calls) {
        for (const answer of ['nothing', 'something'] as const) {
          // What it makes of made-up rows does not matter, only what it asks.
          await run(called(noting(found, answer), ...args)).catch(() => {});
        }
      }
    }
  }
  if (unused.size > 0) throw new Error(`src/store has no function ${[...unused].join(', ')}.`);
  return [...found.values()];
}

async function run(result: unknown): Promise<void> {
  if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
    for await (const _ of result as AsyncIterable<unknown>);
  } else await result;
}

/** An engine that notes what it is handed, and answers with no rows or with one that has every column. */
function noting(found: Map<string, Statement>, answer: 'nothing' | 'something'): Tx & Db {
  function note(sql: string, params: readonly Value[] = []): void {
    const at = /\/src\/store\/([\w-]+\.ts:\d+)/.exec(new Error().stack!.split('\n').slice(3).join('\n'))![1]!;
    found.set(`${at} ${sql}`, { sql, params: params.length, at });
  }
  const is = answer === 'something';
  return {
    async get(sql: string, params?: readonly Value[]) {
      note(sql, params);
      return is ? anything() : undefined;
    },
    async all(sql: string, params?: readonly Value[]) {
      note(sql, params);
      return is ? [anything()] : [];
    },
    async run(sql: string, params?: readonly Value[]) {
      note(sql, params);
      return is ? 1 : 0;
    },
  } as Tx & Db;
}

/** Something that has every member, and is a text or a number where one is wanted. */
function anything(): unknown {
  return new Proxy(() => {}, {
    get(_, member) {
      if (member === Symbol.toPrimitive) return () => 1;
      if (member === Symbol.iterator) return [][Symbol.iterator].bind([]);
      if (member === 'then' || member === 'toJSON') return undefined;
      if (member === 'kind') return 'host'; // of a registration: with what it has that others have not
      return anything();
    },
  });
}
