import { ACCEPT_MARKDOWN, readMarkdown } from './documents.ts';
import { type Finding, failed, hint, passed, shown, shownUrl } from './finding.ts';
import type { ProbeClient } from './probe-client.ts';
import type { Target } from './target.ts';

const SERVE = 'Serve a markdown document at /auth.md that tells an agent how to register, step by step.';

/** Examines /auth.md, which agents read first: at the origin of the checked URL, else at that of the issuer. */
export async function examineAuthMd(client: ProbeClient, target: Target, issuer: string): Promise<Finding[]> {
  const atTarget = await readAt(client, authMdUrl(target.origin));
  if (atTarget.kind === 'read') return [atTarget.finding, ...examineText(atTarget.text)];
  const { origin } = new URL(issuer);
  if (atTarget.kind === 'missing' && origin !== target.origin) {
    const atIssuer = await readAt(client, authMdUrl(origin));
    if (atIssuer.kind === 'read') {
      const message = `not at ${target.origin}, but at its issuer: ${shownUrl(authMdUrl(origin))}`;
      return [
        hint('auth.md', message, 'Serve or link it where the API is, too.'),
        ...examineText(atIssuer.text),
      ];
    }
  }
  return [atTarget.finding];
}

/** Returns the URL of the document at an origin. */
export function authMdUrl(origin: string): string {
  return `${origin}/auth.md`;
}

async function readAt(client: ProbeClient, url: string) {
  return readMarkdown('auth.md', url, await client.get(url, ACCEPT_MARKDOWN), SERVE);
}

/** Examines the heading and the words by which scanners recognize the document (docs/checking.md). */
function examineText(text: string): Finding[] {
  const heading = firstHeading(text);
  const isAbout = /auth\.md|regist(er|ration)/i;
  return [
    heading === undefined
      ? failed('auth.md heading', 'it has no heading of the first level', 'Begin it with "# auth.md: …".')
      : isAbout.test(heading)
        ? passed('auth.md heading', shown(heading))
        : failed(
            'auth.md heading',
            `${shown(heading)} mentions neither auth.md nor registration`,
            'Begin it with "# auth.md: …", by which scanners know it.',
          ),
    examineWords(withoutHeading(text, heading)),
  ];
}

const REGISTRATION = /\bregist(er|ers|ered|ering|ration|rations)\b|\bsign(ing)?[ -]?up\b/i;
const NEGATION =
  /\b(no|not|cannot|never|neither|nor|without|nobody|closed|disabled|unavailable|unsupported|discontinued)\b|n['’]t\b/i;

/** Examines the sentences about registration. A document that only says that agents cannot register has such sentences, too. */
function examineWords(text: string): Finding {
  const name = 'auth.md words';
  const sentences = text
    .split(/[.!?](?=\s|$)|\n\s*\n|\n(?=\s*(?:[-*#|]|\d+\.))/)
    .filter((each) => REGISTRATION.test(each));
  if (sentences.length === 0) {
    return failed(
      name,
      'it does not say how to register',
      'Tell with which request an agent registers, and what it gets.',
    );
  }
  return sentences.every((each) => NEGATION.test(each))
    ? failed(
        name,
        'it speaks of registering only to say that agents cannot',
        'Tell how an agent gets in, if one can.',
      )
    : passed(name, 'it speaks of registering');
}

/** Finds `# Heading`, or a line above `===`. Skips code blocks, where `#` begins a shell comment. */
function firstHeading(text: string): string | undefined {
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '');
  const found = /^#[ \t]+(.+?)[ \t#]*$|^([^\s-].*)\r?\n=+[ \t]*$/m.exec(prose);
  return found === null ? undefined : (found[1] ?? found[2]);
}

function withoutHeading(text: string, heading: string | undefined): string {
  return heading === undefined ? text : text.replace(heading, '');
}

/** Examines `skill`, the URL by which clients find the document. */
export async function examineSkill(client: ProbeClient, target: Target, skill: string): Promise<Finding> {
  if (skill === authMdUrl(target.origin)) return passed('skill', 'leads to /auth.md');
  const fix = 'Let "skill" of agent_auth name the markdown document for agents.';
  return readMarkdown('skill', skill, await client.get(skill, ACCEPT_MARKDOWN), fix).finding;
}
