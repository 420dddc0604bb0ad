import type { AssertionFault, Kind } from '../../errors.ts';
import { AUTH_MD } from './auth-md.ts';
import type { Dialect } from './dialect.ts';

/** RFC 8935 2.4, with the names that auth.md and its adopters use (auth.md v0.3, POST /agent/event/notify). */
const FAULTS: Record<AssertionFault, string> = {
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

/** What a transmitter is told wrong by its own doing is a 400 (RFC 8935 2.3). */
const OTHERS = new Set<Kind>(['misdirected', 'wrongMethod', 'limited', 'unavailable', 'internal']);

/** Security events are answered by nothing, or by `{err, description}`. */
export const securityEvents: Dialect = {
  name: 'security events',
  success: (data) => data,
  failure({ kind, message, details }) {
    const status = OTHERS.has(kind) ? AUTH_MD[kind].status : 400;
    const err = details.fault === undefined ? 'invalid_request' : FAULTS[details.fault];
    return { status, body: { err, description: message } };
  },
  challenge: () => undefined,
};
