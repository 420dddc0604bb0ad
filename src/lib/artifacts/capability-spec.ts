import { AuthError } from './auth-error.ts';
import {
  DEFAULT_CAP_PREFIX,
  isAction,
  isPlace,
  isServiceName,
  isSpace,
  type PermissionEntry,
  sortWords,
} from './permission-entry.ts';

/** Capability specs: one permission as one word, `vouchsafe.api:default:documents/:list,read`. */

const BYTES_MAX = 1024;
const ACTIONS_MAX = 16;

/** What a spec can say. */
export type Capability = Pick<PermissionEntry, 'service' | 'space' | 'path' | 'actions'>;

/**
 * Parses a spec, `[prefix.]service:space:path:actions`. The path may have colons: what stands before the second colon and behind
 * the last is split off. A scope name with a colon is written with `~` in its place.
 *
 * @param prefix the deployment's; the result carries it even if the spec leaves it out
 * @throws AuthError `INVALID_CAP`, `INVALID_PATH`, `UNKNOWN_SERVICE`
 */
export function parseCap(spec: string, prefix: string = DEFAULT_CAP_PREFIX): Capability {
  if (Buffer.byteLength(spec) > BYTES_MAX) throw invalidCap(`A spec has at most ${BYTES_MAX} bytes.`);
  const first = spec.indexOf(':');
  const last = spec.lastIndexOf(':');
  const second = spec.indexOf(':', first + 1);
  if (first === -1 || second === last) throw invalidCap('It needs a service, a space, a path and actions.');
  const space = spec.slice(first + 1, second);
  const path = spec.slice(second + 1, last);
  const actions = spec
    .slice(last + 1)
    .split(',')
    .map((action) => action.trim().replaceAll('~', ':'));
  const service = parseService(spec.slice(0, first), prefix);
  if (!isSpace(space)) throw invalidCap('A space is "default" or the id of a workspace.');
  if (!isPlace(path)) {
    throw new AuthError('INVALID_PATH', 'That is no path of a workspace.', {
      hint: 'Write it like "drafts/2026/", without "..", "%" or a "/" at the beginning.',
    });
  }
  if (!actions.every(isAction)) {
    throw invalidCap('Actions are names such as "read", separated by commas. There is no wildcard.');
  }
  const sorted = sortWords(actions);
  if (sorted.length > ACTIONS_MAX) throw invalidCap(`A spec has at most ${ACTIONS_MAX} actions.`);
  return { service, space, path, actions: sorted };
}

/** Writes a permission as a spec: canonical, so that equal permissions have equal specs. */
export function formatCap({ service, space, path, actions }: Readonly<Capability>): string {
  const words = sortWords(actions).map((action) => action.replaceAll(':', '~'));
  return `${service}:${space}:${path}:${words.join(',')}`;
}

/**
 * Parses the name of a service, and puts the prefix before it if it has none.
 *
 * @throws AuthError `INVALID_CAP`; `UNKNOWN_SERVICE` for another prefix
 */
export function parseService(text: string, prefix: string = DEFAULT_CAP_PREFIX): string {
  if (!isServiceName(text)) throw invalidCap('A service is a name such as "vouchsafe.api".');
  const dot = text.indexOf('.');
  if (dot === -1) return `${prefix}.${text}`;
  if (text.slice(0, dot) === prefix) return text;
  throw new AuthError('UNKNOWN_SERVICE', 'A service has another prefix than those of this deployment.', {
    hint: `Its services begin with "${prefix}.".`,
  });
}

function invalidCap(message: string): AuthError {
  return new AuthError('INVALID_CAP', message, {
    hint: 'Write it like vouchsafe.api:default:documents/:list,read',
  });
}
