import { writeFileSync } from 'node:fs';
import { openAuthorizers } from './authorizer.ts';

/**
 * Gets authorization codes, and writes the bodies of the requests that exchange them, a line each.
 * Arguments: URL of the service, how many, a file for them, sessions of people as JSON.
 */
const [url, count, file, sessions] = process.argv.slice(2) as [string, string, string, string];

const lines: string[] = [];
const authorizers = await openAuthorizers(url, JSON.parse(sessions) as string[]);
await Promise.all(
  authorizers.map(async (authorize) => {
    while (lines.length < Number(count)) lines.push(await authorize());
  }),
);
writeFileSync(file, lines.slice(0, Number(count)).join('\n'));
