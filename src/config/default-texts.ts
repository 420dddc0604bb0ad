import type { Translator } from '../lib/translate.ts';

/**
 * What the defaults of the configuration say to people: in English, as an operator would write it, by the names of the same
 * texts in the catalogue.
 */
export const DEFAULT_TEXTS = {
  'default.read': 'Look, list and search',
  'default.write': 'Create, change and delete',
  'default.readOnly': 'Read only',
  'default.readOnlyGoodFor': 'Dashboards, searches and reports: whatever only looks.',
  'default.readWrite': 'Read and write',
  'default.readWriteGoodFor': 'Scripts and MCP hosts that also create, change and delete.',
  'default.whoami': 'Who this agent is: its host, its account, its owner and its grants',
} as const;

const keys = new Map<string, string>(Object.entries(DEFAULT_TEXTS).map(([key, words]) => [words, key]));

/** Translates what a default says; what an operator wrote stays as it is. */
export function translateDefault({ text }: Translator, words: string): string {
  const key = keys.get(words);
  return key === undefined ? words : text(key);
}
