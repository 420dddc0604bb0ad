import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Config } from '../config.ts';
import { displayName, formatTime } from '../lib/display.ts';
import type { ClaimCodeMail, SignInMail } from './mailer.ts';

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

/** Subject, text and HTML of the mail by which a human signs in. */
export function renderSignInCode(
  config: Pick<Config, 'service' | 'publicUrl'>,
  mail: SignInMail,
): { subject: string; text: string; html: string } {
  const values = {
    ...mail,
    service: config.service,
    publicUrl: config.publicUrl,
    askedAt: formatTime(mail.askedAt),
    validUntil: formatTime(mail.codeExpiresAt),
  };
  return {
    subject: `${config.service.name}: your code to sign in`,
    text: text.render('./sign-in-code.txt.eta', values),
    html: html.render('./sign-in-code.html.eta', values),
  };
}
