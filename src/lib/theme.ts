import { contrast, mix, readableOn, tint } from './color.ts';

/** The colors of pages and mail: pairs of a light and a dark theme, with the operator's accent. */

/** The accent where the operator names none, and its colors. */
const DEFAULT_ACCENT = '#0b6351';
const DEFAULT_COLORS = {
  light: { accent: '#0b6351', hover: '#084d3f', soft: '#e7f2ee', on: '#ffffff' },
  dark: { accent: '#63cbae', hover: '#84d9c1', soft: '#15302a', on: '#06231c' },
};

/** What colors stand on, how much of the accent its soft ground holds, and the contrast that the accent reaches. */
export const THEMES = {
  light: { surface: '#ffffff', ground: '#f7f7f5', softShare: 0.09, ratio: 4.5, towards: 0 },
  dark: { surface: '#1a1a18', ground: '#111110', softShare: 0.14, ratio: 7, towards: 255 },
};

/**
 * Derives the colors of one theme from the operator's accent: the accent, readable on surface, ground and its own soft ground;
 * the accent under the pointer; the soft ground; and the text on the accent.
 */
export function deriveColors(base: string, theme: keyof typeof THEMES) {
  if (base === DEFAULT_ACCENT) return DEFAULT_COLORS[theme];
  const { surface, ground, softShare, ratio, towards } = THEMES[theme];
  let accent = readableOn(surface, base, ratio);
  const softOf = (color: string) => tint(surface, color, softShare);
  for (let share = 0; share < 1 && !isReadable(accent, [ground, softOf(accent)]); share += 0.02) {
    accent = mix(accent, towards, 0.02);
  }
  return { accent, hover: mix(accent, towards, 0.2), soft: softOf(accent), on: textOn(accent) };
}

function isReadable(color: string, backgrounds: readonly string[]): boolean {
  return backgrounds.every((background) => contrast(color, background) >= 4.5);
}

function textOn(background: string): string {
  const dark = '#06231c';
  return contrast(background, '#ffffff') >= contrast(background, dark) ? '#ffffff' : dark;
}
