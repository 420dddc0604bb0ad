/** Names that protocols gave to what is sent, as they are written on the wire. */

/** RFC 7523 */
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
/** auth.md 0.4 */
export const CLAIM = 'urn:workos:agent-auth:grant-type:claim';
/** What an agent provider signs for us (draft-ietf-oauth-identity-assertion-authz-grant). */
export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
