import { Failure } from '../errors.ts';

/**
 * Normalizes the URL of an audience for comparison: as the URL parser serializes it, without the slash of an empty path.
 *
 * @param field the request member that the failure names
 * @throws Failure `badRequest` unless it is an absolute http or https URL without user name and fragment
 */
export function normalizeAudienceUrl(text: string, field = 'url'): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isUsable =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.hash === '' &&
    url.username === '' &&
    !/\s/.test(text);
  if (!isUsable) {
    throw new Failure(
      'badRequest',
      'A resource is named by an absolute http or https URL without fragment.',
      { field },
    );
  }
  return url.pathname === '/' && url.search === '' ? url.origin : url.href;
}
