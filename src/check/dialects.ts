import { GRANTS } from './authorization-server.ts';
import { asObject, type Json, texts } from './documents.ts';
import { type Finding, hint, passed } from './finding.ts';

/** A group of auth.md versions that documents can promise. */
export type Dialect = 'v0.1' | 'v0.2–v0.6' | 'production';

/**
 * Tells which versions of auth.md the documents promise. They carry no version number, so their members decide
 * (auth.md v0.6, discovery). A service that lists the claim grant is of v0.2 to v0.6; its errors tell whether it also speaks the
 * production dialect.
 *
 * @param document metadata of the authorization server
 * @param block its member `agent_auth`
 * @param hasCodes whether refusals carry the `code` of the production dialect
 */
export function dialectsOf(document: Json, block: Json, hasCodes: boolean): Dialect[] {
  const grants = texts(document.grant_types_supported) ?? [];
  const types = texts(block.identity_types_supported) ?? [];
  const acceptsVerifiedEmail = texts(asObject(block.identity_assertion)?.assertion_types_supported)?.includes(
    'verified_email',
  );
  const listsClaimGrant = grants.includes(GRANTS.claim);
  const exchangesAssertions =
    block.identity_endpoint !== undefined &&
    document.token_endpoint !== undefined &&
    grants.includes(GRANTS.jwtBearer);
  const offersServiceAuth = types.includes('service_auth');

  const dialects: Dialect[] = [];
  if (block.register_uri !== undefined) dialects.push('v0.1');
  if (
    exchangesAssertions &&
    (listsClaimGrant || acceptsVerifiedEmail || (!offersServiceAuth && types.includes('identity_assertion')))
  ) {
    dialects.push('v0.2–v0.6');
  }
  const isClaimable = exchangesAssertions && block.claim_endpoint !== undefined;
  const isOlder = listsClaimGrant || acceptsVerifiedEmail;
  if (
    isClaimable &&
    (isOlder ? offersServiceAuth && hasCodes : offersServiceAuth || types.includes('anonymous'))
  ) {
    dialects.push('production');
  }
  return dialects;
}

/** Reports the promised versions as a finding. */
export function examineDialects(dialects: Dialect[]): Finding {
  return dialects.length === 0
    ? hint('dialects', 'its documents promise no version of auth.md', 'Go by what is marked above.')
    : passed('dialects', `its documents promise ${dialects.join(', ')}`);
}
