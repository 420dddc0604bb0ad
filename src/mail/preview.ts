import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/load.ts';
import { PAGES } from '../lib/page-paths.ts';
import { DAY_MS } from '../lib/time.ts';
import { DEFAULT_LOCALE, type Locale } from '../lib/translate.ts';
import type { Mail } from '../ports/mailer.ts';
import { createRender } from './render.ts';

/**
 * Renders every mail with example values into a folder, so that templates can be viewed without a claim.
 *
 * @param now epoch ms
 * @param locale the language of the mails
 * @returns the paths of the written files
 */
export function previewMails(
  config: Config,
  folder: string,
  now: number,
  locale: Locale = DEFAULT_LOCALE,
): string[] {
  const render = createRender(config);
  mkdirSync(folder, { recursive: true });
  return Object.entries(exampleMails(config, now, locale)).flatMap(([name, mail]) => {
    const { subject, text, html } = render(mail);
    const files = { [`${name}.txt`]: `Subject: ${subject}\n\n${text}`, [`${name}.html`]: html };
    return Object.entries(files).map(([file, content]) => {
      const path = join(folder, file);
      writeFileSync(path, content);
      return path;
    });
  });
}

/**
 * Renders every mail once. An operator's template that compiles may still fail to render, and then no mail would be sent.
 *
 * @param now epoch ms
 * @throws Error that names the mail
 */
export function checkMails(config: Config, now: number): void {
  const render = createRender(config);
  for (const [name, mail] of Object.entries(exampleMails(config, now, DEFAULT_LOCALE))) {
    try {
      render(mail);
    } catch (error) {
      throw new Error(`TEMPLATES_DIR: the mail "${name}" cannot be filled: ${String(error).split('\n')[0]}`);
    }
  }
}

function exampleMails(config: Config, now: number, locale: Locale): Record<string, Mail> {
  const common = { id: 'out_example', to: 'you@example.com', locale };
  const request = { origin: '203.0.x.x', askedAt: now, codeExpiresAt: now + 900_000, sentAt: now };
  const claim = {
    ...common,
    ...request,
    kind: 'claim-code' as const,
    claimUrl: `${config.publicUrl}${PAGES.claim}?t=example`,
    denyUrl: `${config.publicUrl}${PAGES.denyClaim}?t=example`,
    agentName: 'Research helper',
    firstSeenAt: now - 120_000,
    scopes: config.claimedScopes.map((name) => ({
      name,
      description: config.scopes.get(name)!.description,
    })),
  };
  const entry = {
    at: now,
    details: {},
    agentName: undefined,
    isOfAgent: false,
    keyName: undefined,
    keyPrefix: undefined,
    appName: undefined,
    workspaceName: undefined,
    origin: request.origin,
  };
  const moved = { ...entry, kind: 'agent.merged', isOfAgent: true, agentName: 'Research helper' };
  const created = { ...entry, kind: 'key.created', keyName: 'Backup script' };
  return {
    'claim-code': { ...claim, mode: 'merge', proof: { kind: 'code', code: '123456' } },
    'claim-link': { ...claim, mode: 'link', proof: { kind: 'link', approveUrl: claim.claimUrl } },
    'claim-page': { ...claim, mode: 'merge', proof: { kind: 'page', pageUrl: claim.claimUrl } },
    'sign-in-code': { ...common, ...request, kind: 'sign-in-code', code: '123456' },
    'sign-in-link': {
      ...common,
      ...request,
      kind: 'sign-in-link',
      linkUrl: `${config.publicUrl}${PAGES.signInLink}?t=example`,
    },
    'agent-approval': {
      ...common,
      ...request,
      kind: 'agent-approval',
      agentName: 'Research helper',
      firstSeenAt: now - 120_000,
      pageUrl: `${config.publicUrl}${PAGES.connect}?t=example`,
      denyUrl: `${config.publicUrl}${PAGES.denyConnection}?t=example`,
      bindingMessage: 'Blue 42',
      askedAgain: true,
    },
    invitation: {
      ...common,
      kind: 'invitation',
      workspaceName: 'Atlas',
      invitedBy: 'a***@example.com',
      role: 'member',
      pageUrl: `${config.publicUrl}${PAGES.invitation}?t=example`,
      declineUrl: `${config.publicUrl}${PAGES.declineInvitation}?t=example`,
      invitedAt: now,
      expiresAt: now + 7 * DAY_MS,
      sentAt: now,
    },
    notice: { ...common, kind: 'notice', more: 0, happened: [moved, created] },
    'notice-of-one': { ...common, kind: 'notice', more: 0, happened: [created] },
  };
}
