import type { Config } from '../config/load.ts';
import { formatActivity } from '../lib/format-activity.ts';
import { formatTime } from '../lib/format-time.ts';
import { openTemplates } from '../lib/templates.ts';
import { displayName } from '../lib/untrusted-text.ts';
import type { Mail } from '../ports/mailer.ts';

const SUBJECTS: Record<Mail['kind'], string> = {
  'claim-code': 'a software agent asks you to vouch for it',
  'sign-in-code': 'your code to sign in',
  'sign-in-link': 'your link to sign in',
  notice: 'what happened in your account',
  'agent-approval': 'a software agent asks you to let it in',
};

/** Renders a mail: subject, text and HTML. Secrets are in the bodies only (S-12). */
export type Render = (mail: Mail) => { subject: string; text: string; html: string };

/** Creates the renderer. @param config the operator's branding, and a folder of templates that replace ours */
export function createRender(config: Pick<Config, 'service' | 'publicUrl' | 'templatesDir'>): Render {
  const { service, publicUrl, templatesDir } = config;
  const html = openTemplates('mail', templatesDir, { varName: 'mail' });
  // Plain text has no markup to escape. displayName() reduces the values that third parties chose to single lines.
  const text = openTemplates('mail', templatesDir, {
    varName: 'mail',
    autoEscape: false,
    autoTrim: [false, false],
  });
  return (mail) => {
    const values = { ...toTemplateValues(mail), service, publicUrl };
    return {
      subject: `${service.name}: ${SUBJECTS[mail.kind]}`,
      text: text.render(`./${mail.kind}.txt.eta`, values),
      html: html.render(`./${mail.kind}.html.eta`, values),
    };
  };
}

function toTemplateValues(mail: Mail): object {
  switch (mail.kind) {
    case 'claim-code':
      return { ...mail, ...formatTimes(mail), agentName: mail.agentName && displayName(mail.agentName) };
    case 'sign-in-code':
    case 'sign-in-link':
      return { ...mail, ...formatTimes(mail) };
    case 'agent-approval':
      return {
        ...mail,
        ...formatTimes(mail),
        agentName: displayName(mail.agentName),
        bindingMessage: mail.bindingMessage && displayName(mail.bindingMessage),
      };
    case 'notice':
      return { ...mail, happened: mail.happened.map(formatActivity) };
  }
}

function formatTimes(mail: { askedAt: number; codeExpiresAt: number }): object {
  return { askedAt: formatTime(mail.askedAt), validUntil: formatTime(mail.codeExpiresAt) };
}
