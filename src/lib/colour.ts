/** Colours of sRGB, as `#rrggbb`. */

/** The contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance). */
export function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/**
 * The colour itself, or as little nearer to black or white as text of it needs to be read on a ground.
 *
 * @param ratio the contrast to reach: 4.5 is the least that WCAG wants of text
 */
export function readableOn(ground: string, colour: string, ratio = 4.5): string {
  const towards = luminance(ground) > 0.18 ? 0 : 255;
  for (let share = 0; share <= 1; share += 0.02) {
    const mixed = mix(colour, towards, share);
    if (contrast(mixed, ground) >= ratio) return mixed;
  }
  return mix(colour, towards, 1);
}

function luminance(colour: string): number {
  const [red, green, blue] = channels(colour).map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function mix(colour: string, towards: number, share: number): string {
  const mixed = channels(colour).map((channel) => Math.round(channel + (towards - channel) * share));
  return `#${mixed.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

function channels(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}
