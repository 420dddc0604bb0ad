import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Config } from '../config.ts';
import { displayName, formatTime } from '../lib/display.ts';
import type { Mail } from './mails.ts';

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

const SUBJECTS: Record<Mail['kind'], string> = {
  'claim-code': 'a software agent asks you to vouch for it',
  'sign-in-code': 'your code to sign in',
};

/** Subject, text and HTML of a mail. What is secret in it is in the bodies only (S-12). */
export function renderMail(
  config: Pick<Config, 'service' | 'publicUrl'>,
  mail: Mail,
): { subject: string; text: string; html: string } {
  const values = { ...present(mail), service: config.service, publicUrl: config.publicUrl };
  return {
    subject: `${config.service.name}: ${SUBJECTS[mail.kind]}`,
    text: text.render(`./${mail.kind}.txt.eta`, values),
    html: html.render(`./${mail.kind}.html.eta`, values),
  };
}

function present(mail: Mail): object {
  const askedAt = formatTime(mail.askedAt);
  const validUntil = formatTime(mail.codeExpiresAt);
  if (mail.kind === 'sign-in-code') return { ...mail, askedAt, validUntil };
  return { ...mail, agentName: mail.agentName && displayName(mail.agentName), askedAt, validUntil };
}
