import { csvLine } from '../../../lib/csv.ts';
import type { HandlerResult } from '../../server/table.ts';
import { download } from './download.ts';

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
  return download(name, 'text/csv; charset=utf-8; header=present', csvLines(columns, pages));
}

async function* csvLines(
  columns: readonly string[],
  pages: AsyncIterable<readonly (readonly string[])[]>,
): AsyncGenerator<string> {
  yield csvLine(columns);
  for await (const rows of pages) yield rows.map(csvLine).join('');
}
