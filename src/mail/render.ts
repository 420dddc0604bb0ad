import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Config } from '../config.ts';
import type { ClaimCodeMail } from './mailer.ts';

const FOLDER = fileURLToPath(new URL('../../templates/mail/', import.meta.url));

const html = new Eta({ views: FOLDER, cache: true, autoEscape: true, varName: 'mail' });
// A text has no markup to escape; its values are stripped to single lines before they get here.
const text = new Eta({
  views: FOLDER,
  cache: true,
  autoEscape: false,
  varName: 'mail',
  autoTrim: [false, false],
});

/** Subject, text and HTML of the mail that carries a claim's code. The code is in the bodies only (S-12). */
export function renderClaimCode(
  config: Pick<Config, 'service' | 'publicUrl'>,
  mail: ClaimCodeMail,
): { subject: string; text: string; html: string } {
  const values = {
    ...mail,
    agentName: mail.agentName && displayName(mail.agentName),
    service: config.service,
    publicUrl: config.publicUrl,
    askedAt: formatTime(mail.askedAt),
    validUntil: formatTime(mail.codeExpiresAt),
  };
  return {
    subject: `${config.service.name}: a software agent asks you to vouch for it`,
    text: text.render('./claim-code.txt.eta', values),
    html: html.render('./claim-code.html.eta', values),
  };
}

/**
 * A name that a stranger chose, made harmless to show: one line, at most 64 visible characters, nothing that mail programs
 * turn into a link, no characters that hide or reorder others (S-14, S-43).
 */
export function displayName(name: string): string {
  const visible = name
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, '')
    .replace(/\p{Zs}+/gu, ' ')
    // "https://evil.example" and "evil.example" become clickable in most mail programs, some also with the dots
    // of other scripts; spaced out they do not.
    .replace(/[./:@\u2024\u3002\uff0e\uff0f\uff1a\uff20\uff61]+(?=\S)/gu, (mark) => `${mark} `)
    .trim();
  const letters = [...visible];
  return letters.length > 64 ? `${letters.slice(0, 63).join('')}…` : visible;
}

function formatTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
