import type { z } from 'zod';
import type { Config } from '../../config/load.ts';
import type { Deps } from '../../deps.ts';
import { RECENT_VERIFICATION_MS } from '../../domain/accounts/sessions.ts';
import { isLive, type Key } from '../../domain/credentials/issue.ts';
import {
  countPersonalKeys,
  createPersonalKey,
  findPersonalKey,
  listExpiringKeys,
  listPersonalKeys,
  revokePersonalKey,
} from '../../domain/credentials/personal-keys.ts';
import { retryWhileInProgress } from '../../domain/limits/idempotency.ts';
import { listPlacesOfHolders } from '../../domain/workspaces/pick-places.ts';
import { Failure } from '../../errors.ts';
import { PAGE_ROWS } from '../../lib/list-pages.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { DAY_MS } from '../../lib/time.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { setCookie } from '../server/cookies.ts';
import { operation } from '../server/table.ts';
import {
  type EnteredKey,
  enteredLike,
  type KeyProblem,
  newKeyForm,
  presentNewKeyForm,
  readKeyTerms,
} from './key-form.ts';
import { presentLastUse } from './last-use.ts';
import {
  type ListView,
  presentFilters,
  presentPaging,
  readId,
  readListQuery,
  rowsBefore,
  type Tab,
} from './lists.ts';
import { buttonOperation, formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import { presentGivenPlaces, presentPlaces } from './present-places.ts';
import { findPreset } from './presets.ts';
import { placeProblemOf } from './where.ts';

/** The pages of a human's own keys, for scripts and MCP hosts. */

/** GET /keys: lists the keys of an account. */
export function keysPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My keys',
    async handle({ deps, caller, query }) {
      const { accountId } = caller.session;
      const { state = 'live', ...wanted } = readListQuery(query, { states: KEY_STATES, sorts: [] });
      const [counts, expiring] = await Promise.all([
        countPersonalKeys(deps, accountId, { ...wanted, state }),
        listExpiringKeys(deps, accountId, EXPIRES_SOON_MS),
      ]);
      // A short list is shown as a whole, active and ended keys one below the other.
      const isWhole =
        counts.all < PAGE_ROWS && !['q', 'show', 'after', 'before'].some((name) => query.has(name));
      const page = await listPersonalKeys(deps, accountId, isWhole ? {} : { ...wanted, state });
      const places = await listPlacesOfHolders(
        deps,
        page.items.filter(({ isPlaced }) => isPlaced).map(({ id }) => id),
      );
      const view: ListView = { path: PAGES.keys, query, parameters: ['q', 'show'] };
      const now = deps.clock();
      return pages.show(caller, 'keys', {
        total: counts.all,
        hasPlaces: places.size > 0,
        expiring: expiring.map((key) => presentKey(key, now)),
        groups: KEY_STATES.map((each) => ({
          state: each,
          count: counts[each],
          keys: page.items
            .filter((key) => isLive(key, now) === (each === 'live'))
            .map((key) => ({
              ...presentKey(key, now),
              preset: findPreset(deps.config, key.scopes)?.title,
              where: key.isPlaced ? presentPlaces(places.get(key.id) ?? []) : undefined,
            })),
        })).filter(({ keys }) => keys.length > 0),
        list: isWhole ? undefined : presentFilters(view, { tabs: presentTabs(counts) }),
        paging: presentPaging(view, page, {
          total: counts[state],
          preceding: rowsBefore(wanted.at, counts.preceding, page),
          isFound: wanted.search !== undefined,
          isByTime: true,
        }),
      });
    },
  });
}

/** The tabs of a long list of keys; the first is shown by default. */
const KEY_STATES = ['live', 'ended'] as const;

function presentTabs(counts: Readonly<Record<(typeof KEY_STATES)[number], number>>): Tab[] {
  return [
    { text: 'keys.active', state: undefined, count: counts.live },
    { text: 'keys.ended', state: 'ended', count: counts.ended },
  ];
}

/** GET /keys/new: shows the form of a new key. `?like=` fills it as one of the human's own keys was created. */
export function newKeyPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What a key can be for',
    async handle({ deps, caller, query }) {
      const draft = caller.draft(PAGES.newKey);
      const like = await findLikeKey(deps, caller.session.accountId, readId(query, 'like'));
      const { accountId } = caller.session;
      const filled = draft ?? (like && (await enteredAs(deps, like)));
      const form = await presentNewKeyForm(deps, accountId, { ...filled, once: undefined });
      return pages.show(caller, 'new-key', form);
    },
  });
}

/** POST /keys/new: creates a key and shows its secret once. */
export function createKey(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Make a key',
    form: newKeyForm,
    hasChoices: true,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const { session } = caller;
      const refuse = async (problem: KeyProblem, entered: Partial<z.output<typeof newKeyForm>> = body) =>
        pages.show(
          caller,
          'new-key',
          await presentNewKeyForm(deps, session.accountId, entered, problem),
          400,
        );

      if (body.search !== undefined) {
        // What was searched with is another form than the one that creates the key.
        const { once: _, ...entered } = body;
        return pages.show(caller, 'new-key', await presentNewKeyForm(deps, session.accountId, entered));
      }
      const read = await readKeyTerms(deps, session.accountId, body);
      if ('problem' in read) return refuse(read.problem);
      try {
        const request = {
          key: body.once,
          owner: session.id,
          body: call.bytes,
          ttlSeconds: RECENT_VERIFICATION_MS / 1000, // a session is recently verified for as long
          floodLimit: undefined,
        };
        const { key, credential } = await retryWhileInProgress(() =>
          createPersonalKey(deps, origin, session.accountId, read.terms, request),
        );
        // A repeated submission gets the same key. If the browser already has the cookie of this form, it showed the
        // secret (S-22).
        const wasShown = caller.cookie('made') === body.once;
        const places = key.isPlaced ? (await listPlacesOfHolders(deps, [key.id])).get(key.id) : undefined;
        const page = pages.show(caller, 'made-key', {
          key: presentKey(key, deps.clock()),
          places: places && presentGivenPlaces(places),
          credential: wasShown ? undefined : credential,
          use: presentUse(deps.config, key),
        });
        return { ...page, cookies: [...(page.cookies ?? []), setCookie(deps.config, 'made', body.once)] };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { once: _, ...entered } = body;
        if (error.kind === 'idempotencyMismatch') return refuse({ key: 'keys.problem.usedForm' }, entered);
        const problem = problemOf(error, deps.config.limits.keysPerAccount);
        if (problem === undefined) throw error;
        return refuse(problem);
      }
    },
  });
}

/** Says what is wrong with a key that may not be created; undefined: nothing that its form could correct. */
function problemOf(failure: Failure, keysMax: number): KeyProblem | undefined {
  const problem = placeProblemOf(failure);
  if (problem !== undefined) return problem as KeyProblem;
  if (failure.kind !== 'badRequest') return undefined;
  if (failure.details.field === 'resources') return { key: 'keys.problem.otherResource', field: 'resources' };
  return { key: 'keys.problem.limit', values: { count: keysMax } };
}

/** GET /keys/:id/revoke: asks whether to revoke a key; one that has ended leads to the list. */
export function revokeKeyPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Whether to revoke one',
    async handle({ deps, caller, params }) {
      const key = await findPersonalKey(deps, caller.session.accountId, params.id!);
      if (!isLive(key, deps.clock())) return redirect(deps.config, PAGES.keys, caller.cookies);
      return pages.show(caller, 'revoke-key', { key: presentKey(key, deps.clock()) });
    },
  });
}

/** POST /keys/:id/revoke: revokes a key. */
export const revokeKey = buttonOperation({
  summary: 'Revoke one',
  act: (deps, origin, accountId, { id }) => revokePersonalKey(deps, origin, accountId, id!),
  page: () => PAGES.keys,
  flash: 'keyRevoked',
});

async function enteredAs(deps: Deps, key: Key): Promise<EnteredKey> {
  const places = key.isPlaced ? await listPlacesOfHolders(deps, [key.id]) : new Map();
  return enteredLike(deps.config, key, places.get(key.id) ?? []);
}

/** Finds a key of the account; undefined also for an id that is none of its keys (S-29). */
async function findLikeKey(deps: Deps, accountId: string, id: string | undefined): Promise<Key | undefined> {
  if (id === undefined) return undefined;
  try {
    return await findPersonalKey(deps, accountId, id);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'notFound') return undefined;
    throw error;
  }
}

/** A key that ends within this time is pointed out. */
const EXPIRES_SOON_MS = 7 * DAY_MS;

/**
 * Prepares a key for a template, with times in epoch ms.
 *
 * @param now epoch ms
 */
export function presentKey(key: Key, now: number) {
  const { expiresAt, revokedAt, lastUsedAt } = key;
  const works = isLive(key, now);
  return {
    ...key,
    name: key.name === null ? undefined : displayName(key.name),
    resources: key.isPlaced ? undefined : key.resources,
    isLive: works,
    /** How many days are left, by the calendar; undefined while it is not pointed out. */
    daysLeft:
      works && expiresAt !== null && expiresAt - now < EXPIRES_SOON_MS
        ? Math.floor(expiresAt / DAY_MS) - Math.floor(now / DAY_MS)
        : undefined,
    expiresAt: expiresAt ?? undefined,
    revokedAt: revokedAt ?? undefined,
    lastUse: lastUsedAt === null ? undefined : presentLastUse(lastUsedAt, key.lastUsedFrom),
  };
}

/** Prepares what to send a key with: at the first audience where it works, with a variable in place of the key. */
function presentUse({ resources, service }: Config, key: Key): object {
  const url = key.resources?.[0] ?? resources[0]!.url;
  const argument = /^[\w:/.~%-]+$/.test(url) ? url : `'${url.replaceAll("'", '%27')}'`;
  const name = service.name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  const server = { type: 'http', url, headers: { Authorization: `Bearer \${${KEY_VARIABLE}}` } };
  return {
    variable: KEY_VARIABLE,
    command: `curl ${argument} \\\n  -H "Authorization: Bearer $${KEY_VARIABLE}"`,
    mcpConfig: JSON.stringify({ mcpServers: { [name || 'server']: server } }, null, 2),
  };
}

/** The environment variable that a person keeps their key in. */
const KEY_VARIABLE = 'VOUCHSAFE_KEY';
