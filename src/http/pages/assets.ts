import type { Answer } from '../route.ts';

/** A stylesheet or script, the same for everybody. */
export function asset(file: { type: string; text: string }): () => Answer {
  return () => ({ type: file.type, text: file.text });
}
