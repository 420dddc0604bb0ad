import type { Deps } from '../../deps.ts';
import { unavailable } from '../../errors.ts';
import type { Keyring } from '../../lib/keyring.ts';
import { DAY_MS } from '../../lib/time.ts';
import type { Db } from '../../store/engine/db.ts';
import { deleteSecretMark, listSecretMarks, upsertSecretMark } from '../../store/secret-marks.ts';

/**
 * Services on one database must be able to open what the others seal. Each service writes a mark to the database,
 * sealed under its newest secret. A service that cannot open the mark of another one lacks that secret in SECRET, and
 * must not serve (S-110).
 */

const PURPOSE = 'secret-mark';
const TEXT = 'readable';

/** How often a service writes its mark. */
export const SECRET_MARK_PERIOD_MS = 15_000;

/** The age at which a mark is stale: no running service uses its secret any more. */
const STALE_AFTER_MS = 3 * SECRET_MARK_PERIOD_MS;
const DELETED_AFTER_MS = DAY_MS;

/** The message for an operator whose services do not list each other's secrets. */
export const UNREADABLE_SECRET_MESSAGE =
  'another service on this database uses a secret that SECRET here does not list. To rotate: first append the new secret on all services, then put it in front on all, then drop the old one a day later.';

/** What the functions that write marks need. */
export type SecretMarkDeps = Pick<Deps, 'db' | 'clock' | 'keyring'>;

/**
 * Returns whether this service can open the marks of all running services.
 *
 * @param now epoch ms
 */
export async function canOpenAllSecretMarks(
  keyring: Keyring,
  db: Pick<Db, 'all'>,
  now: number,
): Promise<boolean> {
  const marks = await listSecretMarks(db, now - STALE_AFTER_MS);
  return marks.every(({ id, sealed }) => keyring.open(PURPOSE, id, sealed) === TEXT);
}

/**
 * Refuses to check a code or a sealed value whose secret this service does not list but another running service uses.
 * That service can check it. The caller calls this before it counts a guess, so that none is counted here
 * (docs/adr/0004-codes-and-limits.md).
 *
 * @param now epoch ms
 * @throws Failure `unavailable`
 */
export async function assertSecretReadable(
  db: Pick<Db, 'all'>,
  { keyring }: Pick<Deps, 'keyring'>,
  secretId: string,
  now: number,
): Promise<void> {
  if (keyring.derive(secretId, PURPOSE, '') !== undefined) return;
  const marks = await listSecretMarks(db, now - STALE_AFTER_MS);
  if (marks.some(({ id }) => id === secretId)) throw unavailable(new Error(UNREADABLE_SECRET_MESSAGE));
}

/** Writes the mark of this service's newest secret, and deletes marks older than a day. */
export async function writeSecretMark({ db, clock, keyring }: SecretMarkDeps): Promise<void> {
  const { currentId: id } = keyring;
  const now = clock();
  const mark = { id, sealed: keyring.seal(PURPOSE, id, TEXT), seenAt: now };
  await db.tx((tx) => upsertSecretMark(tx, mark, now - DELETED_AFTER_MS), 'brief');
}

/**
 * Deletes the mark of this service's newest secret. Another service with that secret writes it again within seconds.
 */
export async function removeSecretMark({
  db,
  keyring,
}: Pick<SecretMarkDeps, 'db' | 'keyring'>): Promise<void> {
  await db.tx((tx) => deleteSecretMark(tx, keyring.currentId), 'brief');
}
