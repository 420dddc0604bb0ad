import type { Asker } from './ask.ts';
import { ACCEPT_JSON, isHtml, readJson } from './documents.ts';
import { type Finding, fine, hint, shownUrl } from './finding.ts';
import type { Target } from './target.ts';

/** What other readers look for. None of it is part of auth.md, so that nothing here can fail. */
export async function examineExtras(ask: Asker, target: Target): Promise<Finding[]> {
  return Promise.all([llmsTxt(ask, target), agentConfiguration(ask, target)]);
}

async function llmsTxt(ask: Asker, { origin }: Target): Promise<Finding> {
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

async function agentConfiguration(ask: Asker, { origin }: Target): Promise<Finding> {
  const name = 'agent-configuration';
  const url = `${origin}/.well-known/agent-configuration`;
  const read = readJson(name, url, await ask.get(url, ACCEPT_JSON), '');
  return read.kind === 'read'
    ? fine(name, shownUrl(url))
    : hint(name, `${shownUrl(url)} is not there`, 'Only the Agent Auth Protocol, another one, needs it.');
}
