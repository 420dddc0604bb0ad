import type { Deps } from '../../deps.ts';
import { parseAddress } from '../../lib/address.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { PAGE_ROWS_MAX } from '../../lib/list-pages.ts';
import { listAlarmingEvents } from '../../store/figures.ts';
import { listMailDomains } from '../../store/outbox.ts';
import { canOpenAllSecretMarks } from '../codes/secret-marks.ts';
import type { Health } from './health.ts';

/** What an operator should look at. */

const HOUR_MS = 3_600_000;
const GUESSES_MS = 600_000;
/** As many wrong codes from one network within GUESSES_MS are not somebody who mistypes. */
const GUESSES_MIN = 20;
/** As many events are looked at, at most. */
const EVENTS_MAX = 2000;
const BOUNCES_MIN = 3;

export type Attention =
  /** Another service on the database seals with a secret that this one does not list. */
  | { kind: 'secret' }
  /** A resource server was connected, and is not any more. `since`: epoch ms */
  | { kind: 'resourceServer'; id: string; name: string; since: number }
  /** Mails that could not be delivered within the last hour; `domain`: where most went. */
  | { kind: 'bounces'; count: number; domain: string | undefined }
  /** Mails wait for longer than they should. */
  | { kind: 'queue'; count: number; since: number }
  /** Wrong codes within ten minutes; `isLimited`: the network reached its limit. */
  | { kind: 'guesses'; count: number; network: string; isLimited: boolean }
  /** The signing key signs for long. `since`: epoch ms */
  | { kind: 'signingKey'; since: number }
  /** Expired rows were not deleted for long. */
  | { kind: 'cleanup'; since: number };

/** Finds what needs attention, the most urgent first. */
export async function findAttention(deps: Deps, health: Health): Promise<Attention[]> {
  const { db, clock, keyring, config } = deps;
  const now = clock();
  const [canOpen, events] = await Promise.all([
    canOpenAllSecretMarks(keyring, db, now),
    listAlarmingEvents(db, firstIdAt('evt', now - HOUR_MS), EVENTS_MAX),
  ]);
  const guesses = events.filter(({ kind, at }) => kind !== 'mail.dead' && at >= now - GUESSES_MS);
  const networks = Map.groupBy(guesses, ({ address }) => parseAddress(address ?? undefined).coarse);
  const bounced = events.flatMap(({ kind, subject }) =>
    kind === 'mail.dead' && subject !== null ? [subject] : [],
  );
  const away = health.resourceServers.filter(({ status }) => status === 'away');
  return [
    ...(canOpen ? [] : [{ kind: 'secret' } as const]),
    ...[...networks]
      .filter(([, { length }]) => length >= GUESSES_MIN)
      .map(([network, { length }]) => ({
        kind: 'guesses' as const,
        count: length,
        network,
        isLimited: length >= config.limits.wrongPerIpHour,
      })),
    ...away.map(({ id, name, seenAt }) => ({ kind: 'resourceServer' as const, id, name, since: seenAt! })),
    ...(bounced.length < BOUNCES_MIN
      ? []
      : [{ kind: 'bounces' as const, count: bounced.length, domain: await findMainDomain(deps, bounced) }]),
    ...(health.queue.isLate
      ? [{ kind: 'queue' as const, count: health.queue.waiting, since: health.queue.oldest! }]
      : []),
    ...(health.signingKey?.isDue ? [{ kind: 'signingKey' as const, since: health.signingKey.usedFrom }] : []),
    ...(health.cleanup?.isLate ? [{ kind: 'cleanup' as const, since: health.cleanup.at }] : []),
  ];
}

/** Finds the domain to which most of some mails went, of the newest of them. */
async function findMainDomain(
  { db }: Pick<Deps, 'db'>,
  mailIds: readonly string[],
): Promise<string | undefined> {
  const domains = await listMailDomains(db, mailIds.slice(0, PAGE_ROWS_MAX));
  const counts = [...Map.groupBy(domains, (domain) => domain)].map(([domain, { length }]) => ({
    domain,
    length,
  }));
  const [first] = counts.toSorted((one, other) => other.length - one.length);
  return first !== undefined && 2 * first.length > domains.length ? first.domain : undefined;
}
