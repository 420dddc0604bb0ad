import type { AgentDay } from '../../../domain/operators/figures.ts';

/** A bar chart as SVG: geometry in attributes alone, since no page has inline styles. */

const WIDTH = 640;
const HEIGHT = 170;
/** Room for a character of a number at the left, as large as it is on phones, and around the bars. */
const CHARACTER = 14;
const TOP = 12;
const BOTTOM = 8;

export interface Bar {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Chart {
  width: number;
  height: number;
  left: number;
  bars: Bar[];
  /** The lines across, each with the number that it stands for. */
  lines: { y: number; value: number }[];
}

/** Draws the days of a chart. */
export function drawChart(days: readonly AgentDay[]): Chart {
  const top = niceTop(Math.max(...days.map(({ agents }) => agents)));
  const yOf = (value: number) => round(TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM));
  const left = CHARACTER * (String(top).length + 1);
  const step = (WIDTH - left) / days.length;
  return {
    width: WIDTH,
    height: HEIGHT,
    left,
    bars: days.map(({ agents }, index) => ({
      x: round(left + step * (index + 0.2)),
      y: yOf(agents),
      width: round(step * 0.6),
      height: round(yOf(0) - yOf(agents)),
    })),
    lines: [top, top / 2, 0].map((value) => ({ y: yOf(value), value })),
  };
}

/** The next number of the form 2, 4, 10, 20, 40, 100, …, which can be halved. */
function niceTop(max: number): number {
  for (let unit = 1; ; unit *= 10) {
    const top = [2, 4, 10].map((each) => each * unit).find((each) => each >= max);
    if (top !== undefined) return top;
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
