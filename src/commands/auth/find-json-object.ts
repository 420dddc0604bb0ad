const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Finds the first JSON object in bytes that are still arriving. What stands before it, such as the fence of a chat message, is
 * skipped.
 *
 * @returns where it begins and ends; undefined while it is not whole
 */
export function findJsonObject(bytes: Uint8Array): { start: number; end: number } | undefined {
  const start = bytes.indexOf(OPEN);
  if (start === -1) return undefined;
  let depth = 0;
  let isText = false;
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (isText) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) isText = false;
    } else if (byte === QUOTE) isText = true;
    else if (byte === OPEN) depth += 1;
    else if (byte === CLOSE) {
      depth -= 1;
      if (depth === 0) return { start, end: at + 1 };
    }
  }
  return undefined;
}
