/**
 * Reads to which hosts a client sends people, each once: the host of an http or https URL, else the scheme of the app.
 *
 * @param metadata JSON (RFC 7591 section 2)
 */
export function readRedirectHosts(metadata: string): string[] {
  const { redirect_uris: uris } = JSON.parse(metadata) as { redirect_uris?: unknown };
  if (!Array.isArray(uris)) return [];
  const hosts = uris.filter((uri) => typeof uri === 'string' && URL.canParse(uri)).map(hostOf);
  return [...new Set(hosts)];
}

function hostOf(uri: string): string {
  const { protocol, hostname } = new URL(uri);
  return /^https?:$/.test(protocol) ? hostname : protocol;
}
