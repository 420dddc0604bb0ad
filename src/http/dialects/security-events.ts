import type { AssertionFault, FailureKind } from '../../errors.ts';
import { AUTH_MD_ERRORS_BY_KIND } from './auth-md.ts';
import type { Dialect } from './dialect.ts';

/** Error codes of RFC 8935 section 2.4, as auth.md maps them (auth.md v0.3, POST /agent/event/notify). */
const FAULT_CODES: Record<AssertionFault, string> = {
  malformed: 'invalid_request',
  issuer: 'invalid_issuer',
  signature: 'authentication_failed',
  key: 'invalid_key',
  audience: 'invalid_audience',
  expired: 'authentication_failed',
  client: 'invalid_request',
  contact: 'invalid_request',
  login: 'invalid_request',
  replayed: 'invalid_request',
};

/** The kinds with a status of their own. Every error in the SET itself is a 400 (RFC 8935 section 2.3). */
const OWN_STATUS = new Set<FailureKind>(['misdirected', 'wrongMethod', 'limited', 'unavailable', 'internal']);

/** Delivery of security event tokens (RFC 8935): an empty response, or `{err, description}` for failures. */
export const securityEvents: Dialect = {
  name: 'security events',
  success: (data) => data,
  failure({ kind, message, details }) {
    const status = OWN_STATUS.has(kind) ? AUTH_MD_ERRORS_BY_KIND[kind].status : 400;
    const err = details.fault === undefined ? 'invalid_request' : FAULT_CODES[details.fault];
    return { status, body: { err, description: message } };
  },
  challenge: () => undefined,
};
