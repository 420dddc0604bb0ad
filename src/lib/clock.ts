/** Now, in epoch milliseconds. Tests pass one that they move by hand. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();
