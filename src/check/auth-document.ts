import type { ProbeClient } from './ask.ts';
import { ACCEPT_MARKDOWN, readMarkdown } from './documents.ts';
import { type Finding, fine, hint, shown, shownUrl, wrong } from './finding.ts';
import type { Target } from './target.ts';

const SERVE = 'Serve a markdown document at /auth.md that tells an agent how to register, step by step.';

/** The document that agents read first, at the root of the host that was named or else of the issuer. */
export async function examineAuthMd(ask: ProbeClient, target: Target, issuer: string): Promise<Finding[]> {
  const own = await readAt(ask, authMdUrl(target.origin));
  if (own.kind === 'read') return [own.finding, ...examineText(own.text)];
  const { origin } = new URL(issuer);
  if (own.kind === 'missing' && origin !== target.origin) {
    const theirs = await readAt(ask, authMdUrl(origin));
    if (theirs.kind === 'read') {
      const says = `not at ${target.origin}, but at its issuer: ${shownUrl(authMdUrl(origin))}`;
      return [hint('auth.md', says, 'Serve or link it where the API is, too.'), ...examineText(theirs.text)];
    }
  }
  return [own.finding];
}

export function authMdUrl(origin: string): string {
  return `${origin}/auth.md`;
}

async function readAt(ask: ProbeClient, url: string) {
  return readMarkdown('auth.md', url, await ask.get(url, ACCEPT_MARKDOWN), SERVE);
}

/** By these, scanners tell the document from any other (docs/checking.md). */
function examineText(text: string): Finding[] {
  const heading = firstHeading(text);
  const isAbout = /auth\.md|regist(er|ration)/i;
  return [
    heading === undefined
      ? wrong('auth.md heading', 'it has no heading of the first level', 'Begin it with "# auth.md: …".')
      : isAbout.test(heading)
        ? fine('auth.md heading', shown(heading))
        : wrong(
            'auth.md heading',
            `${shown(heading)} mentions neither auth.md nor registration`,
            'Begin it with "# auth.md: …", by which scanners know it.',
          ),
    examineWords(withoutHeading(text, heading)),
  ];
}

const REGISTERING = /\bregist(er|ers|ered|ering|ration|rations)\b|\bsign(ing)?[ -]?up\b/i;
const REFUSING =
  /\b(no|not|cannot|never|neither|nor|without|nobody|closed|disabled|unavailable|unsupported|discontinued)\b|n['’]t\b/i;

/** A document that tells agents to stay away speaks of registering, too. */
function examineWords(text: string): Finding {
  const name = 'auth.md words';
  const sentences = text
    .split(/[.!?](?=\s|$)|\n\s*\n|\n(?=\s*(?:[-*#|]|\d+\.))/)
    .filter((each) => REGISTERING.test(each));
  if (sentences.length === 0) {
    return wrong(
      name,
      'it does not say how to register',
      'Tell with which request an agent registers, and what it gets.',
    );
  }
  return sentences.every((each) => REFUSING.test(each))
    ? wrong(
        name,
        'it speaks of registering only to say that agents cannot',
        'Tell how an agent gets in, if one can.',
      )
    : fine(name, 'it speaks of registering');
}

/** `# Heading` or a line above `===`; a `#` within a block of code is a comment of a shell. */
function firstHeading(text: string): string | undefined {
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '');
  const found = /^#[ \t]+(.+?)[ \t#]*$|^([^\s-].*)\r?\n=+[ \t]*$/m.exec(prose);
  return found === null ? undefined : (found[1] ?? found[2]);
}

function withoutHeading(text: string, heading: string | undefined): string {
  return heading === undefined ? text : text.replace(heading, '');
}

/** The link by which clients find the document. */
export async function examineSkill(ask: ProbeClient, target: Target, skill: string): Promise<Finding> {
  if (skill === authMdUrl(target.origin)) return fine('skill', 'leads to /auth.md');
  const next = 'Let "skill" of agent_auth name the markdown document for agents.';
  return readMarkdown('skill', skill, await ask.get(skill, ACCEPT_MARKDOWN), next).finding;
}
