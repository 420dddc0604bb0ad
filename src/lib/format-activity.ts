import { formatTime } from './format-time.ts';
import { displayName } from './untrusted-text.ts';

/** An entry of the activity, for a page or a mail: the time as text, the name harmless. */
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
