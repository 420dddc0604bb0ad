import type { Config } from '../config/load.ts';
import { openTemplates } from '../lib/templates.ts';
import { createTranslators, type Translators } from '../lib/translate.ts';
import type { Mail } from '../ports/mailer.ts';
import { describeMail } from './mail-content.ts';
import { createHtmlHelpers, createTextHelpers } from './mail-helpers.ts';
import { createMailStyles } from './mail-styles.ts';

/** Renders a mail: subject, text and HTML. Secrets are in the bodies only (S-12), names of strangers too. */
export type Render = (mail: Mail) => { subject: string; text: string; html: string };

/** Creates the renderer. @param config the operator's branding, and a folder of templates that replace ours */
export function createRender(
  config: Pick<Config, 'service' | 'publicUrl' | 'templatesDir'>,
  translators: Translators = createTranslators(),
): Render {
  const { service, publicUrl, templatesDir } = config;
  const styles = createMailStyles(service.accent);
  const html = openTemplates('mail', templatesDir, { varName: 'mail' });
  // Plain text has no markup to escape. displayName() reduces the values that third parties chose to single lines.
  const text = openTemplates('mail', templatesDir, {
    varName: 'mail',
    autoEscape: false,
    autoTrim: [false, false],
  });
  const { escapeFunction } = html.config;
  return (mail) => {
    const translator = translators[mail.locale];
    const content = describeMail(mail, translator, publicUrl);
    const sender = { service, publicUrl, host: new URL(publicUrl).host, helpUrl: linkTo(service.contact) };
    const values = { ...mail, ...content, ...sender };
    const subject = translator.text('mail.subject', { service: service.name, subject: content.subject });
    return {
      subject,
      text: text.render(`./${mail.kind}.txt.eta`, { ...values, ...createTextHelpers(translator) }),
      html: html.render(`./${mail.kind}.html.eta`, {
        ...values,
        ...styles,
        ...createHtmlHelpers(translator, escapeFunction, styles.css.link),
      }),
    };
  };
}

/** Where the operator's contact leads: a web address, a mailbox, or neither. */
function linkTo(contact: string | undefined): string | undefined {
  if (contact === undefined) return undefined;
  if (/^https?:\/\/\S+$/.test(contact)) return contact;
  return /^[^\s@]+@[^\s@]+$/.test(contact) ? `mailto:${contact}` : undefined;
}
