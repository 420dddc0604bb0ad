import type { HandlerResult, Sink } from '../../server/table.ts';

/** Tables to download as CSV (RFC 4180). */

/** How many bytes may wait for a slow reader before more is read from the database. */
const UNSENT_MAX = 1_000_000;
const PAUSE_MS = 20;

/**
 * Creates the response that sends rows as a CSV file while they are read.
 *
 * @param name the name of the file
 * @param pages the rows, some at a time
 */
export function csvFile(
  name: string,
  columns: readonly string[],
  pages: AsyncIterable<readonly (readonly string[])[]>,
): HandlerResult {
  return {
    type: 'text/csv; charset=utf-8; header=present',
    headers: { 'Content-Disposition': `attachment; filename="${name}"`, 'Cache-Control': 'no-store' },
    stream: (sink) => void send(sink, columns, pages),
  };
}

async function send(
  sink: Sink,
  columns: readonly string[],
  pages: AsyncIterable<readonly (readonly string[])[]>,
): Promise<void> {
  let isOpen = true;
  sink.onClose(() => {
    isOpen = false;
  });
  try {
    sink.write(csvLine(columns));
    for await (const rows of pages) {
      if (!isOpen) return;
      if (rows.length > 0) sink.write(rows.map(csvLine).join(''));
      while (isOpen && sink.unsentBytes() > UNSENT_MAX) await pause();
    }
    sink.end();
  } catch {
    // A connection that ends without its last chunk tells the reader that the file is not whole.
    sink.destroy();
  }
}

/** A line of a CSV file. A value that a spreadsheet would take for a formula begins with an apostrophe. */
export function csvLine(values: readonly string[]): string {
  const cell = (value: string) => {
    const safe = /^[=+\-@\t\r\n|%]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return `${values.map(cell).join(',')}\r\n`;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
