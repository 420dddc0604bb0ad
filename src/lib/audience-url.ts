import { Failure } from '../errors.ts';

/**
 * The URL of a resource in the form we compare: as written, but for the slash of an empty path.
 *
 * @param field the member of the request that holds it
 * @throws Failure `badRequest`
 */
export function checkResourceUrl(text: string, field = 'url'): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const usable =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.hash === '' &&
    url.username === '' &&
    !/\s/.test(text);
  if (!usable) {
    throw new Failure(
      'badRequest',
      'A resource is named by an absolute http or https URL without fragment.',
      { field },
    );
  }
  return url.pathname === '/' && url.search === '' ? url.origin : url.href;
}
