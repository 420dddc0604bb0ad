import type { Failure, FailureKind } from '../../errors.ts';
import { TINYSEND_ERRORS_BY_KIND } from '../dialects/tinysend.ts';

/** What the page of a failure says. The message of a Failure is for agents and in English; a page never shows it. */

type Status = (typeof TINYSEND_ERRORS_BY_KIND)[FailureKind]['status'];

/** The name of the texts for each status, `failure.NAME.title` and `failure.NAME.lead`. */
const NAMES = {
  400: 'badRequest',
  401: 'signedOut',
  403: 'forbidden',
  404: 'notFound',
  405: 'wrongMethod',
  409: 'inProgress',
  410: 'over',
  413: 'tooLarge',
  415: 'wrongMedia',
  421: 'wrongHost',
  422: 'inProgress',
  429: 'tooMany',
  500: 'internal',
  503: 'unavailable',
} as const satisfies Record<Status, string>;

export type FailureName = (typeof NAMES)[Status];

/** The shortest pause that a page names, in seconds: it has `failure.NAME.leadIn` then. Shorter ones are in the words. */
const PAUSE_MIN: Partial<Record<FailureName, number>> = { tooMany: 1, unavailable: 60 };

/** A field with a name that nobody made up is named; a page echoes no other input. */
const PLAIN_NAME = /^[\w.:-]{1,64}$/;

/**
 * Describes a failure for the template of its page.
 *
 * @returns `field`: the field of the form that is wrong, and `pauseSeconds`: after which a repetition can succeed, where the page
 * names them
 */
export function describeFailure({ kind, details }: Failure) {
  const { status } = TINYSEND_ERRORS_BY_KIND[kind];
  const name = NAMES[status];
  const { hint, location, field = '', retryAfterSeconds = 0 } = details;
  const isPauseNamed = retryAfterSeconds >= (PAUSE_MIN[name] ?? Infinity);
  return {
    status: location === undefined ? status : 303,
    name,
    hint,
    field: name === 'badRequest' && PLAIN_NAME.test(field) ? field : undefined,
    pauseSeconds: isPauseNamed ? retryAfterSeconds : undefined,
  };
}
