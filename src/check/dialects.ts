import { GRANTS } from './authorization-server.ts';
import { asObject, type Json, texts } from './documents.ts';
import { type Finding, fine, hint } from './finding.ts';

export type Dialect = 'v0.1' | 'v0.2–v0.6' | 'production';

/**
 * Which versions of auth.md the documents promise. Version numbers are not in them: paths and members tell
 * (auth.md v0.6, discovery). One that offers to poll is of v0.2 to v0.6; whether it also speaks what runs in production its errors tell.
 *
 * @param hasCodes whether it refuses as that does
 */
export function dialectsOf(document: Json, block: Json, hasCodes: boolean): Dialect[] {
  const grants = texts(document.grant_types_supported) ?? [];
  const types = texts(block.identity_types_supported) ?? [];
  const byMail = texts(asObject(block.identity_assertion)?.assertion_types_supported)?.includes(
    'verified_email',
  );
  const polls = grants.includes(GRANTS.claim);
  const exchanges =
    block.identity_endpoint !== undefined &&
    document.token_endpoint !== undefined &&
    grants.includes(GRANTS.jwtBearer);
  const serves = types.includes('service_auth');

  const dialects: Dialect[] = [];
  if (block.register_uri !== undefined) dialects.push('v0.1');
  if (exchanges && (polls || byMail || (!serves && types.includes('identity_assertion'))))
    dialects.push('v0.2–v0.6');
  const isClaimable = exchanges && block.claim_endpoint !== undefined;
  const isOlder = polls || byMail;
  if (isClaimable && (isOlder ? serves && hasCodes : serves || types.includes('anonymous')))
    dialects.push('production');
  return dialects;
}

export function examineDialects(dialects: Dialect[]): Finding {
  return dialects.length === 0
    ? hint('dialects', 'its documents promise no version of auth.md', 'Go by what is marked above.')
    : fine('dialects', `its documents promise ${dialects.join(', ')}`);
}
