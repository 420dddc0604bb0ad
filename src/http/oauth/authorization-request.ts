import type { Deps } from '../../deps.ts';
import { listGivableScopes } from '../../domain/apps/consents.ts';
import { type Audience, resolveAudience } from '../../domain/audiences/audience.ts';
import { Failure } from '../../errors.ts';
import { UNUSED_OPENID_SCOPES } from '../../lib/openid-scopes.ts';
import { formatScope } from '../../lib/scopes.ts';
import { STEP_UP_NAMES } from './provider/step-up.ts';

/** The parameters of an authorization request (RFC 6749 section 4.1.1), as they are sent or pushed. */

/** In characters. */
const STATE_MAX = 2048;

/** Why we refuse a request that oidc-provider would take. */
export interface RequestFault {
  error: 'invalid_request' | 'unsupported_response_mode';
  error_description: string;
  /** Returned to the app as it was sent; undefined where that is what is wrong. */
  state: string | undefined;
}

/** Finds what this service does not offer in a request. @returns undefined: nothing */
export function findRequestFault(sent: URLSearchParams): RequestFault | undefined {
  const states = sent.getAll('state');
  if (states.some(({ length }) => length > STATE_MAX)) {
    const error_description = `state is longer than ${STATE_MAX} characters`;
    return { error: 'invalid_request', error_description, state: undefined };
  }
  const state = states.length === 1 ? states[0] : undefined;
  if (sent.getAll('response_mode').every((mode) => mode === '' || mode === 'query')) return undefined;
  return { error: 'unsupported_response_mode', error_description: 'the response mode is query', state };
}

/** A request with the resource as it is known here, and the scope that is meant where none is named. */
export interface CompletedRequest {
  params: URLSearchParams;
  /** The API that it names; undefined: none, or an unknown one. */
  audience: Audience | undefined;
}

/** Completes a request. */
export async function completeRequest(deps: Deps, sent: URLSearchParams): Promise<CompletedRequest> {
  const params = new URLSearchParams(sent);
  if (params.has('request_uri')) return { params, audience: undefined }; // it was completed when it was pushed
  const audience = await nameResource(deps, params);
  const scope = params.getAll('scope');
  if (scope.length === 1) params.set('scope', withoutUnused(scope[0]!));
  if (!params.get('scope')) {
    const meant = params.get('resource') ? audience : await resolveAudience(deps, undefined);
    if (meant !== undefined) params.set('scope', formatScope(listGivableScopes(deps.config, meant.scopes)));
  }
  return { params, audience };
}

/** Leaves out what gives nothing here (RFC 6749 section 3.3), unless nothing else is asked for. */
function withoutUnused(scope: string): string {
  const names = scope.split(' ').filter((name) => !UNUSED_OPENID_SCOPES.has(name));
  return names.length === 0 ? scope : names.join(' ');
}

/**
 * Gives `max_age` and `acr_values` of a request without `openid` the names under which oidc-provider takes them there: an
 * API may demand a newer or stronger sign-in of an app that wants no ID token (RFC 9470 section 4).
 */
export function nameStepUp(form: URLSearchParams): URLSearchParams {
  const scope = form.get('scope') ?? '';
  if (form.has('request_uri') || scope.split(' ').includes('openid')) return form;
  const named = new URLSearchParams(form);
  for (const [name, other] of STEP_UP_NAMES) {
    const values = form.getAll(name);
    if (values.length !== 1) continue; // one that is repeated is refused
    named.delete(name);
    named.set(other, values[0]!);
  }
  return named;
}

/**
 * Writes `resource` of a request as the API's URL is known here: clients write it with a slash at its end, or without (RFC
 * 8707). An unknown one stays as it is, as do several.
 *
 * @returns the API; undefined: the request names none, several or an unknown one
 */
export async function nameResource(deps: Deps, params: URLSearchParams): Promise<Audience | undefined> {
  const [resource, ...more] = params.getAll('resource');
  if (!resource || more.length > 0) return undefined;
  for (const each of new Set([resource, resource.replace(/\/$/, '')])) {
    try {
      const audience = await resolveAudience(deps, each);
      params.set('resource', audience.url);
      return audience;
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'invalidTarget') throw error;
    }
  }
  return undefined;
}
