/** Grant types and token types, as they are written on the wire. */

/** The grant that exchanges an identity assertion (RFC 7523 section 2.1). */
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** The grant that collects the result of a claim (auth.md v0.4, claim grant). */
export const CLAIM_GRANT = 'urn:workos:agent-auth:grant-type:claim';

/** The assertion that an agent provider signs for this service (draft-ietf-oauth-identity-assertion-authz-grant). */
export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';

/** That clients that authenticate may exchange such an assertion here, in the metadata (section 6 of the same draft). */
export const ID_JAG_PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag';

/** The grant of devices without a browser (RFC 8628 section 3.4). */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
