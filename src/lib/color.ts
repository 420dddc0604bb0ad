/** Colors of sRGB, as `#rrggbb`. */

/** Computes the contrast ratio of two colors, 1 to 21 (WCAG 2.2, relative luminance). */
export function contrast(first: string, second: string): number {
  const [dark, light] = [luminance(first), luminance(second)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/**
 * Returns the color, mixed with just enough black or white for text to be readable on a background.
 *
 * @param ratio the contrast ratio to reach; 4.5 is the minimum for text (WCAG 2.2, success criterion 1.4.3)
 */
export function readableOn(background: string, color: string, ratio = 4.5): string {
  const target = luminance(background) > 0.18 ? 0 : 255;
  for (let share = 0; share <= 1; share += 0.02) {
    const mixed = mix(color, target, share);
    if (contrast(mixed, background) >= ratio) return mixed;
  }
  return mix(color, target, 1);
}

function luminance(color: string): number {
  const [red, green, blue] = channels(color).map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Mixes a share of a color, 0 to 1, into a background. */
export function tint(background: string, color: string, share: number): string {
  const target = channels(color);
  return toHex(channels(background).map((channel, index) => channel + (target[index]! - channel) * share));
}

/** Returns the color nearer to black (0) or white (255), by a share from 0 to 1. */
export function mix(color: string, target: number, share: number): string {
  return toHex(channels(color).map((channel) => channel + (target - channel) * share));
}

function toHex(color: readonly number[]): string {
  return `#${color.map((channel) => Math.round(channel).toString(16).padStart(2, '0')).join('')}`;
}

function channels(color: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
}
