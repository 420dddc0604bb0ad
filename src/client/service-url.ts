import { AuthError } from '../lib/artifacts/auth-error.ts';
import { isLoopbackHost } from '../lib/loopback.ts';

/**
 * Reads the URL of a service: https, or http on this machine; an origin, without a slash at its end.
 *
 * @throws AuthError `INVALID_USAGE`
 */
export function parseServiceUrl(text: string): string {
  const url = URL.parse(text);
  const isAllowed =
    url !== null &&
    (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))) &&
    url.pathname === '/' &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === '';
  if (isAllowed) return url.origin;
  throw new AuthError('INVALID_USAGE', 'That is no URL of a service.', {
    hint: 'It takes an origin such as https://id.example.com; http only on this machine.',
  });
}
