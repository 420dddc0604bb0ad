import { isHtml } from './documents.ts';
import { type Finding, hint, passed, shownUrl } from './finding.ts';
import type { ProbeClient } from './probe-client.ts';
import type { Target } from './target.ts';

/** Examines /llms.txt. It is not part of auth.md, so a missing one is a hint. */
export async function examineLlmsTxt(client: ProbeClient, { origin }: Target): Promise<Finding> {
  const url = `${origin}/llms.txt`;
  const answer = await client.get(url, 'text/plain, */*;q=0.1');
  const exists = answer.kind === 'reply' && answer.status === 200 && !isHtml(answer.type, answer.text);
  return exists
    ? passed('llms.txt', shownUrl(url))
    : hint(
        'llms.txt',
        `${shownUrl(url)} is not there`,
        'A list of links for language models; link /auth.md in it.',
      );
}
