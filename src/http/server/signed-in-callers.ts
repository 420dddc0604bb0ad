import type { IncomingMessage } from 'node:http';
import type { Deps } from '../../deps.ts';
import { findOperators } from '../../domain/accounts/operators.ts';
import { isRecentlyVerified } from '../../domain/accounts/sessions.ts';
import { hasPassedSecondFactor } from '../../domain/accounts/totp.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import {
  identifyBrowser,
  pageReaderOf,
  requestedPagePath,
  type SignedInUser,
  saveDraftCookie,
  signInRequired,
} from './browser-session.ts';

/** The callers of pages that need a signed-in user: the user, one with a fresh code, and operators. */

type Form = { csrf?: string } | undefined;

/** @throws Failure `signInRequired`, which leads to the sign-in page; as identifyBrowser() */
export async function requireSignedInUser(
  deps: Deps,
  request: IncomingMessage,
  form: Form,
): Promise<SignedInUser> {
  const browser = await identifyBrowser(deps, request, form, true);
  const { session } = browser;
  if (session !== undefined) return { ...browser, session };
  throw signInRequired(deps, request, form);
}

/** @throws Failure `signInRequired`, which leads to a new code; as requireSignedInUser() */
export async function requireRecentlyVerifiedUser(
  deps: Deps,
  request: IncomingMessage,
  form: Form,
): Promise<SignedInUser> {
  const user = await requireSignedInUser(deps, request, form);
  if (isRecentlyVerified(deps, user.session)) return user;
  throw verificationRequired(deps, request, form);
}

/**
 * Requires an operator whose session began with a second factor. One without an authenticator is led to setting one up;
 * one whose session is older than the authenticator is led to verifying it.
 *
 * @param isRecent whether the session must have begun within the last 15 minutes
 * @throws Failure `notFound` for whoever is no operator; `signInRequired`, which leads on; as requireSignedInUser()
 */
export async function requireOperator(
  deps: Deps,
  request: IncomingMessage,
  form: Form,
  isRecent: boolean,
): Promise<SignedInUser> {
  const user = await requireSignedInUser(deps, request, form);
  const { session } = user;
  if (!session.isOperator) throw pathNotFound(deps.config.publicUrl);
  const hasPassed = await hasPassedSecondFactor(deps, session);
  if (hasPassed === undefined) {
    throw new Failure('signInRequired', 'Set up two-step sign-in first.', {
      location: PAGES.authenticator,
      cookies: saveDraftCookie(deps, request, form),
    });
  }
  if (hasPassed && (!isRecent || isRecentlyVerified(deps, session))) return user;
  throw verificationRequired(deps, request, form);
}

/**
 * Reports whether the console is hidden from whoever sent a request: from signed-in users who are no operators and,
 * where there are no operators at all, from everybody.
 */
export async function isConsoleHidden(deps: Deps, request: IncomingMessage): Promise<boolean> {
  const { session } = await pageReaderOf(deps, request);
  if (session !== undefined) return !session.isOperator;
  return (await findOperators(deps)).length === 0;
}

/** The failure of a path at which there is nothing, or nothing for whoever asked. */
export function pathNotFound(publicUrl: string): Failure {
  return new Failure(
    'notFound',
    `There is nothing at this path. ${publicUrl}/auth.md describes what there is.`,
  );
}

function verificationRequired(deps: Deps, request: IncomingMessage, form: Form): Failure {
  return new Failure('signInRequired', 'Confirm that it is you first.', {
    location: `${PAGES.signInAgain}?next=${requestedPagePath(request)}`,
    cookies: saveDraftCookie(deps, request, form),
  });
}
