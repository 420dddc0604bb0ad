import type { ExecutionContext } from 'ava';
import { createClient } from '../../src/domain/apps/create-client.ts';
import { removeClient, suspendClient } from '../../src/domain/apps/manage-clients.ts';
import { AT_COMMAND_LINE } from '../../src/domain/audit/operator-acts.ts';
import { LOCALES, type Locale } from '../../src/lib/translate.ts';
import { createRender } from '../../src/mail/render.ts';
import type { NoticeMail } from '../../src/ports/mailer.ts';
import { localOrigin } from '../../src/work.ts';
import { getCode, newHuman, REDIRECT } from '../helpers/app-client.ts';
import { countOf } from '../helpers/ceremony.ts';
import { type CommitWatch, watchCommits } from '../helpers/commits.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What the mails about apps say, in both parts and both languages. */

const NAME = 'Reports <Beta>';
const ORIGIN = localOrigin('test');

/** The subject, and the sentence with the name of the app. */
const WORDS: Record<'connected' | 'removed' | 'suspended', Record<Locale, [string, string]>> = {
  connected: {
    en: ['You approved an app', `You approved the app ${NAME}`],
    de: ['Sie haben eine App genehmigt', `Sie haben die App ${NAME} genehmigt`],
  },
  removed: {
    en: ['An app was removed by whoever runs it', `The app ${NAME} was removed by whoever runs it`],
    de: ['Eine App wurde von ihrem Betreiber entfernt', `Die App ${NAME} wurde von ihrem Betreiber entfernt`],
  },
  suspended: {
    en: ['An app was revoked', `The app ${NAME} was revoked`],
    de: ['Eine App wurde widerrufen', `Die App ${NAME} wurde widerrufen`],
  },
};

onEveryEngine('mails about apps', (engine, test) => {
  let on: TestService;
  let watch: CommitWatch;
  test.before(async () => {
    watch = watchCommits();
    on = await startTestService(engine, { wrapDb: watch.wrapDb });
  });
  test.after(() => on.stop());

  /** Checks both parts of a mail, in both languages. */
  function check(t: ExecutionContext, mail: NoticeMail, which: keyof typeof WORDS) {
    t.is(mail.happened.length, 1);
    for (const locale of LOCALES) {
      const [title, sentence] = WORDS[which][locale];
      const { subject, text, html } = createRender(on.service.deps.config)({ ...mail, locale });
      t.is(subject, `Vouchsafe: ${title}`);
      t.true(text.includes(`\n  * ${sentence}\n`), text);
      const marked = sentence.replace(NAME, '<b><bdi>Reports &lt;Beta&gt;</bdi></b>');
      t.true(html.includes(`>${marked}<br>`), html);
      t.true(html.includes(`<html lang="${locale}"`));
      t.is(/<h1[^>]*>([^<]*)</.exec(html)![1], title);
      const review = `${on.service.deps.config.publicUrl}/account`;
      t.true(html.includes(`href="${review}"`));
      t.true(text.includes(review));
    }
  }

  /** A human who approved an app, which was mailed, so long ago that the next thing is mailed at once. */
  async function approved(t: ExecutionContext) {
    const { client } = await createClient(on.service.deps, ORIGIN, {
      name: NAME,
      redirectUris: [REDIRECT],
      authMethod: 'none',
      grantTypes: ['authorization_code', 'refresh_token'],
      scopes: undefined,
    });
    const { mailbox, browser } = await newHuman(on);
    const app = { clientId: client.id, secret: undefined, registered: undefined };
    await getCode(on, app, { query: { scope: 'read' }, browser });
    check(t, await on.noticeTo(mailbox), 'connected');
    // The pause until the next notice is counted from when this one is noted as sent.
    await watch.until(
      async () => (await countOf(on, 'outbox WHERE mailbox = ? AND sent_at IS NULL', [mailbox])) === 0,
    );
    on.clock.advance(2 * 3600);
    return { id: client.id, mailbox };
  }

  test('say what was approved, and that whoever runs it removed it', async (t) => {
    const { id, mailbox } = await approved(t);
    await removeClient(on.service.deps, ORIGIN, id, { operator: AT_COMMAND_LINE });
    check(t, await on.noticeTo(mailbox, 2), 'removed');
  });

  test('say that an app was revoked where the operator suspended it', async (t) => {
    const { id, mailbox } = await approved(t);
    await suspendClient(on.service.deps, ORIGIN, id, AT_COMMAND_LINE);
    check(t, await on.noticeTo(mailbox, 2), 'suspended');
  });
});
