import type { HandlerResult, Sink } from '../../server/table.ts';

/** Files to download that are made while they are sent. */

/** How many bytes may wait for a slow reader before more is read from the database. */
const UNSENT_MAX = 1_000_000;
const PAUSE_MS = 20;

/**
 * Creates the response that sends a file while it is made.
 *
 * @param name the name of the file
 * @param type its media type
 * @param parts its text, a part at a time; the next one is asked for when the reader has taken enough
 */
export function download(name: string, type: string, parts: AsyncIterable<string>): HandlerResult {
  return {
    type,
    headers: { 'Content-Disposition': `attachment; filename="${name}"`, 'Cache-Control': 'no-store' },
    stream: (sink) => void send(sink, parts),
  };
}

async function send(sink: Sink, parts: AsyncIterable<string>): Promise<void> {
  let isOpen = true;
  sink.onClose(() => {
    isOpen = false;
  });
  try {
    for await (const part of parts) {
      if (!isOpen) return;
      if (part !== '') sink.write(part);
      while (isOpen && sink.unsentBytes() > UNSENT_MAX) await pause();
    }
    sink.end();
  } catch {
    // A connection that ends without its last chunk tells the reader that the file is not whole.
    sink.destroy();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
