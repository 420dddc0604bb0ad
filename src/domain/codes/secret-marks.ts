import type { Deps } from '../../deps.ts';
import { unavailable } from '../../errors.ts';
import type { Keyring } from '../../lib/keyring.ts';
import { DAY_MS } from '../../lib/time.ts';
import type { Db } from '../../store/engine/db.ts';
import { deleteSecretMark, listSecretMarks, upsertSecretMark } from '../../store/secret-marks.ts';

/**
 * Services on one database must be able to read what the others write. Each says in the database, under its own secret, which one it
 * seals with; one that cannot open what another says has a SECRET that lacks it, and must not serve (S-110).
 */

const PURPOSE = 'secret-mark';
const TEXT = 'readable';

/** How often a service says it. */
export const PERIOD_MS = 15_000;
/** A service that has not said it for so long has ended. */
const FRESH_MS = 3 * PERIOD_MS;
const FORGOTTEN_MS = DAY_MS;

/** What an operator does about it. */
export const UNREADABLE =
  'another service on this database uses a secret that SECRET here does not list. To rotate: first append the new secret on all services, then put it in front on all, then drop the old one a day later.';

export type Marking = Pick<Deps, 'db' | 'clock' | 'keyring'>;

/** Whether this service can open what all others seal. */
export async function readsAllSecrets(keyring: Keyring, db: Pick<Db, 'all'>, now: number): Promise<boolean> {
  const marks = await listSecretMarks(db, now - FRESH_MS);
  return marks.every(({ id, sealed }) => keyring.open(PURPOSE, id, sealed) === TEXT);
}

/**
 * For what was made, or sealed, under a secret that is not listed here: where a sibling uses it, it is there that it can be checked, and
 * nothing is counted here.
 *
 * @throws Failure `unavailable`
 */
export async function refuseUnreadable(
  db: Pick<Db, 'all'>,
  { keyring }: Pick<Deps, 'keyring'>,
  secretId: string,
  now: number,
): Promise<void> {
  if (keyring.derive(secretId, PURPOSE, '') !== undefined) return;
  const marks = await listSecretMarks(db, now - FRESH_MS);
  if (marks.some(({ id }) => id === secretId)) throw unavailable(new Error(UNREADABLE));
}

/** Says it once. */
export async function markSecret({ db, clock, keyring }: Marking): Promise<void> {
  const { currentId: id } = keyring;
  const now = clock();
  const mark = { id, sealed: keyring.seal(PURPOSE, id, TEXT), seenAt: now };
  await db.tx((tx) => upsertSecretMark(tx, mark, now - FORGOTTEN_MS), 'brief');
}

/** Takes it back. */
export async function withdrawSecretMark({ db, keyring }: Pick<Marking, 'db' | 'keyring'>): Promise<void> {
  await db.tx((tx) => deleteSecretMark(tx, keyring.currentId), 'brief');
}
