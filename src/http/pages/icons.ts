import { readFileSync } from 'node:fs';

/** Icons of Lucide (ISC license), drawn inline. */

const shapes = new Map<string, string>();

/**
 * Returns an icon as inline SVG. It is decoration: the text beside it says the same.
 *
 * @param name a name of Lucide, such as `key-round`
 * @param size px
 */
export function icon(name: string, size: 14 | 16 | 18 | 22 = 16): string {
  return `<svg class="icon i${size}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${shapeOf(name)}</svg>`;
}

function shapeOf(name: string): string {
  let shape = shapes.get(name);
  if (shape === undefined) {
    const svg = readFileSync(new URL(import.meta.resolve(`lucide-static/icons/${name}.svg`)), 'utf8');
    shape = /<svg[^>]*>([\s\S]*)<\/svg>/.exec(svg)![1]!.replace(/\s*\n\s*/g, '');
    shapes.set(name, shape);
  }
  return shape;
}
