import { PAGES } from '../../lib/page-paths.ts';

/**
 * Where somebody is led to after signing in: a page of ours from this list, whatever the form or the link says (S-77).
 */
const GOALS =
  /^\/(?:claim|connect(?:\/review)?|account(?:\/(?:activity|authenticator|delete))?|agents(?:\/agt_[0-9A-Za-z]{1,64})?|keys(?:\/new)?)$/;

/** The page itself, or the account where it is none of ours. */
export function goalOf(path: string | null | undefined): `/${string}` {
  return path && GOALS.test(path) ? (path as `/${string}`) : PAGES.account;
}

/** The page on which the form for a path stands: the path itself, or what is above it. */
export function pageOf(path: string): `/${string}` {
  return GOALS.test(path) ? (path as `/${string}`) : goalOf(path.slice(0, path.lastIndexOf('/')));
}
