import { writeFileSync } from 'node:fs';
import { openFiller } from './filler.ts';
import { putAgent } from './rows.ts';

/**
 * Puts registered agents straight into a database that a service has migrated, and writes a sample of their keys.
 * Arguments: URL of the database, how many, file for the sample.
 */
const [url, count, sampleFile] = process.argv.slice(2) as [string, string, string];
const SAMPLE = 250;

const total = Number(count);
const sample: string[] = [];
const now = Date.now() - total;
const filler = await openFiller(url);
for (let index = 0; index < total; index += 1) {
  const at = now + index;
  const key = putAgent(filler.put, at, at + 2_592_000_000);
  if (index % Math.ceil(total / SAMPLE) === 0) sample.push(key);
  if (index % 10_000 === 0) await filler.flush();
}
await filler.close();
// In no order, as keys come.
writeFileSync(sampleFile, sample.sort((a, b) => a.localeCompare(b)).join('\n'));
