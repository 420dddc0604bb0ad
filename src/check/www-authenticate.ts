/** Returns the `resource_metadata` of a WWW-Authenticate header (RFC 9728 section 5.1); undefined if there is none. */
export function resourceMetadataOf(header: string): string | undefined {
  const found = /\bresource_metadata\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/i.exec(header);
  return found?.[1]?.replace(/\\(.)/g, '$1') ?? found?.[2];
}
