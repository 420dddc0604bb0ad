/** Formats a time for people, in UTC. @param at epoch ms */
export function formatTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Formats a duration for people, rounded up: in minutes, or in hours from 90 minutes on. */
export function formatPause(seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  const [count, unit] = minutes < 90 ? [minutes, 'minute'] : [Math.ceil(minutes / 60), 'hour'];
  return count === 1 ? `a ${unit}` : `${count} ${unit}s`;
}
