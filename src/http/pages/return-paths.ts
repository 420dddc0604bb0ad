import { PAGES } from '../../lib/page-paths.ts';

/** The pages to which a sign-in may return, whatever the form or the link says (S-77). */
const RETURN_PATHS =
  /^\/(?:claim(?:\/deny)?|authorize\/[\w-]{1,64}|connect(?:\/(?:review|deny|device))?|permissions(?:\/review|\/grt_[0-9A-Za-z]{1,64}\/revoke)?|account(?:\/(?:activity|authenticator|delete|terminals\/[\w-]{43}\/end))?|agents(?:\/agt_[0-9A-Za-z]{1,64}(?:\/(?:rename|where|unlink|undo|revoke))?)?|hosts\/hst_[0-9A-Za-z]{1,64}\/revoke|console(?:\/[a-z]+(?:-[a-z]+)*(?:\/[a-z]+_[0-9A-Za-z]{1,64})?(?:\/[a-z]+(?:-[a-z]+)*)?)?|apps(?:\/con_[0-9A-Za-z]{1,64}\/revoke|\/links\/lnk_[0-9A-Za-z]{1,64}|\/providers\/[0-9a-f]{32}\/end|\/clients(?:\/new|\/cli_[0-9A-Za-z]{1,64}(?:\/(?:edit|rotate|delete))?)?)?|invitation(?:\/decline)?|workspaces(?:\/new|\/wsp_[0-9A-Za-z]{1,64}(?:\/(?:activity|members(?:\/usr_[0-9A-Za-z]{1,64}(?:\/remove)?)?|keys(?:\/key_[0-9A-Za-z]{1,64}\/end)?|apps(?:\/nod_[0-9A-Za-z]{1,64})?|rename|leave|transfer|delete))?)?|keys(?:\/new(?:\?like=key_[0-9A-Za-z]{1,64})?|\/key_[0-9A-Za-z]{1,64}\/revoke)?)$/;

/** Returns the path itself if a sign-in may return to it, else the account page. */
export function returnPathOf(path: string | null | undefined): `/${string}` {
  return path && RETURN_PATHS.test(path) ? (path as `/${string}`) : PAGES.account;
}

/** Returns the page that contains the form for a path: the path itself, or the one above it. */
export function formPageOf(path: string): `/${string}` {
  return RETURN_PATHS.test(path)
    ? (path as `/${string}`)
    : returnPathOf(path.slice(0, path.lastIndexOf('/')));
}
