import { PAGES } from '../../lib/page-paths.ts';
import { type Row, row } from '../server/table.ts';
import * as account from './account.ts';
import { activityPage } from './activity.ts';
import * as authenticator from './authenticator.ts';
import { exportAccount } from './export-account.ts';
import type { Pages } from './pages.ts';
import { sessionKeyRows } from './session-keys.ts';

const none = undefined;

/** Creates the rows of the pages of an account. */
export function accountRows(pages: Pages): Row[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  return [
    ...sessionKeyRows(pages),
    row('GET', PAGES.account, user, none, account.accountPage(pages)),
    row('GET', PAGES.activity, user, none, activityPage(pages)),
    row('GET', `${PAGES.account}/export`, user, none, exportAccount),
    row('POST', `${PAGES.account}/sessions/end`, user, none, account.endOneSession),
    row('POST', `${PAGES.account}/sessions/end-others`, user, none, account.endAllOtherSessions),
    row('POST', `${PAGES.account}/mail`, user, none, account.changeMailPreference),
    row('POST', `${PAGES.account}/invitations`, user, none, account.changeInvitationPreference),
    row('POST', account.NAME_PATH, user, none, account.changeName(pages)),
    row('POST', account.LANGUAGE_PATH, user, none, account.changeLanguage),
    row('GET', PAGES.authenticator, recent, none, authenticator.authenticatorPage(pages)),
    row('POST', PAGES.authenticator, recent, none, authenticator.addAuthenticatorOperation(pages)),
    row('POST', `${PAGES.authenticator}/codes`, recent, none, authenticator.renewCodes(pages)),
    row('GET', `${PAGES.authenticator}/remove`, recent, none, authenticator.removePage(pages)),
    row('POST', `${PAGES.authenticator}/remove`, recent, none, authenticator.removeAuthenticatorOperation),
    row('GET', PAGES.deleteAccount, recent, none, account.deletePage(pages)),
    row('POST', PAGES.deleteAccount, recent, none, account.submitDeletion(pages)),
  ];
}
