/** Returns the current time in epoch ms. Tests pass a clock that they set themselves. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();
