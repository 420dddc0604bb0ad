import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import { RECENT_VERIFICATION_MS } from '../../domain/accounts/sessions.ts';
import { listAudiences } from '../../domain/audiences/audience.ts';
import { isLive, type Key } from '../../domain/credentials/issue.ts';
import {
  createPersonalKey,
  listPersonalKeys,
  revokePersonalKey,
} from '../../domain/credentials/personal-keys.ts';
import { retryWhileInProgress } from '../../domain/limits/idempotency.ts';
import { Failure } from '../../errors.ts';
import { randomBase62 } from '../../lib/base62.ts';
import { formatTime } from '../../lib/format-time.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { setCookie } from '../server/cookies.ts';
import { operation } from '../server/table.ts';
import { checkedNames, formSchema } from './forms.ts';
import { presentList, readListQuery } from './lists.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** The pages of a human's own keys, for scripts and MCP hosts. */

/** The lifetimes of a key in days. `never`: it does not expire. */
const LIFETIME_DAYS = { never: undefined, '7': 7, '30': 30, '90': 90, '365': 365 } as const;

/**
 * The form of a new key. `preset` is the name of a preset, or `choose` with checkboxes `scope:NAME`. Checkboxes
 * `resource:URL` limit the key to some audiences. `once` is also the idempotency key of the creation.
 */
const newKeyForm = formSchema({
  name: z.string().trim().max(64).default(''),
  preset: z.string().max(32).default('choose'),
  life: z.enum(['never', '7', '30', '90', '365']).default('never'),
})
  .extend({ once: z.string().regex(/^[0-9A-Za-z]{32}$/) })
  .catchall(z.string().max(64));

const revokeKeyForm = formSchema({});

/** GET /keys: lists the keys of an account. */
export function keysPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My keys',
    async handle({ deps, caller, query }) {
      const { items, next } = await listPersonalKeys(deps, caller.session.accountId, readListQuery(query));
      return pages.show(caller, 'keys', {
        keys: items.map((key) => presentKey(key, deps.clock())),
        list: presentList(PAGES.keys, query, next),
      });
    },
  });
}

/** GET /keys/new: shows the form of a new key. */
export function newKeyPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What a key can be for',
    async handle({ deps, caller }) {
      const draft = caller.draft(PAGES.newKey);
      const entered = draft && newKeyForm.partial().safeParse(draft).data;
      return pages.show(caller, 'new-key', await presentNewKeyForm(deps, { ...entered, once: undefined }));
    },
  });
}

/** POST /keys/new: creates a key and shows its secret once. */
export function createKey(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Make a key',
    form: newKeyForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const { session } = caller;
      try {
        const terms = await readKeyTerms(deps, body);
        const request = {
          key: body.once,
          owner: session.id,
          body: call.bytes,
          ttlSeconds: RECENT_VERIFICATION_MS / 1000, // a session is recently verified for as long
          floodLimit: undefined,
        };
        const { key, credential } = await retryWhileInProgress(() =>
          createPersonalKey(deps, origin, session.accountId, terms, request),
        );
        // A repeated submission gets the same key. If the browser already has the cookie of this form, it showed the
        // secret (S-22).
        const wasShown = caller.cookie('made') === body.once;
        const page = pages.show(caller, 'made-key', {
          key: presentKey(key, deps.clock()),
          credential: wasShown ? undefined : credential,
        });
        return { ...page, cookies: [...(page.cookies ?? []), setCookie(deps.config, 'made', body.once)] };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { kind } = error;
        if (kind !== 'badRequest' && kind !== 'idempotencyMismatch') throw error;
        const wasSubmitted = kind === 'idempotencyMismatch';
        const problem = wasSubmitted
          ? 'This form made a key already. Send it again to make another.'
          : error.message;
        const entered = wasSubmitted ? { ...body, once: undefined } : body;
        return pages.show(caller, 'new-key', { ...(await presentNewKeyForm(deps, entered)), problem }, 400);
      }
    },
  });
}

/** POST /keys/:id/revoke: revokes a key. */
export const revokeKey = formOperation({
  caller: 'signedInUser',
  summary: 'Revoke one',
  form: revokeKeyForm,
  async handle(call) {
    const { deps, origin, caller, params } = call;
    await revokePersonalKey(deps, origin, caller.session.accountId, params.id!);
    return redirect(deps.config, PAGES.keys);
  },
});

/** Reads the terms of the key from the form. @throws Failure `badRequest` with what to correct */
async function readKeyTerms(deps: Deps, body: z.output<typeof newKeyForm>) {
  const { presets, scopes } = deps.config;
  if (body.name === '') throw new Failure('badRequest', 'Give the key a name, so that you know it again.');
  const preset = presets.get(body.preset);
  const ticked = checkedNames(body, 'scope').filter((name) => scopes.has(name));
  // The form does not tell which of the two the human meant, and a wrong guess could allow more.
  if (preset !== undefined && ticked.length > 0) {
    throw new Failure(
      'badRequest',
      `Both "${preset.title}" and single scopes are selected. Select "Only these", or untick the scopes.`,
    );
  }
  const chosenScopes = preset?.scopes ?? ticked;
  if (chosenScopes.length === 0) throw new Failure('badRequest', 'Choose what the key may do.');
  const urls = checkedNames(body, 'resource');
  const known = (await listAudiences(deps)).map(({ url }) => url);
  if (!urls.every((url) => known.includes(url))) {
    throw new Failure('badRequest', 'One of the resources is not offered any more. Choose again.');
  }
  return {
    name: body.name,
    scopes: [...chosenScopes].sort(),
    resources: urls.length === 0 ? undefined : urls,
    days: LIFETIME_DAYS[body.life],
  };
}

/**
 * Prepares the form of a new key for its template.
 *
 * @param entered what the human has already entered
 */
async function presentNewKeyForm(
  deps: Deps,
  entered: { [Name in keyof z.output<typeof newKeyForm>]?: z.output<typeof newKeyForm>[Name] | undefined },
): Promise<object> {
  const { presets, scopes } = deps.config;
  const resources = await listAudiences(deps);
  const recommended = [...presets].find(([, preset]) => preset.recommended)?.[0];
  return {
    once: entered.once ?? randomBase62(32, deps.random),
    name: entered.name ?? '',
    life: entered.life ?? '90',
    preset: entered.preset ?? recommended ?? [...presets.keys()][0] ?? 'choose',
    presets: [...presets].map(([name, preset]) => ({ name, ...preset })),
    scopes: [...scopes].map(([name, { description }]) => ({
      name,
      description,
      on: `scope:${name}` in entered,
    })),
    // A single audience leaves nothing to choose.
    resources:
      resources.length > 1
        ? resources.map((each) => ({ ...each, on: `resource:${each.url}` in entered }))
        : [],
  };
}

/**
 * Prepares a key for a template.
 *
 * @param now epoch ms
 */
export function presentKey(key: Key, now: number): object {
  const { expiresAt, revokedAt, lastUsedAt } = key;
  return {
    ...key,
    name: key.name === null ? undefined : displayName(key.name),
    isLive: isLive(key, now),
    createdAt: formatTime(key.createdAt),
    expiresAt: expiresAt === null ? undefined : formatTime(expiresAt),
    revokedAt: revokedAt === null ? undefined : formatTime(revokedAt),
    lastUse: lastUsedAt === null ? undefined : { at: formatTime(lastUsedAt), from: key.lastUsedFrom },
  };
}
