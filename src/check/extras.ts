import type { ProbeClient } from './ask.ts';
import { isHtml } from './documents.ts';
import { type Finding, fine, hint, shownUrl } from './finding.ts';
import type { Target } from './target.ts';

/** What other readers look for: no part of auth.md, so that nothing here can fail. */
export async function examineLlmsTxt(ask: ProbeClient, { origin }: Target): Promise<Finding> {
  const url = `${origin}/llms.txt`;
  const answer = await ask.get(url, 'text/plain, */*;q=0.1');
  const isThere = answer.kind === 'reply' && answer.status === 200 && !isHtml(answer.type, answer.text);
  return isThere
    ? fine('llms.txt', shownUrl(url))
    : hint(
        'llms.txt',
        `${shownUrl(url)} is not there`,
        'A list of links for language models; link /auth.md in it.',
      );
}
