import { formatTime } from './format-time.ts';
import { displayName } from './untrusted-text.ts';

/** Formats an activity entry for a page or mail: the time (epoch ms) as text, the name sanitized. */
export function formatActivity(entry: {
  text: string;
  at: number;
  agentName: string | undefined;
  keyName: string | undefined;
  origin: string | undefined;
}): { text: string; at: string; name: string | undefined; origin: string | undefined } {
  const { text, at, agentName, keyName, origin } = entry;
  const name = keyName ?? agentName;
  return { text, at: formatTime(at), name: name && displayName(name), origin };
}
