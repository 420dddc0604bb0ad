import type { Config } from './config/load.ts';
import type { CallApi } from './lib/call-api.ts';
import type { Clock } from './lib/clock.ts';
import type { Keyring } from './lib/keyring.ts';
import type { Log } from './lib/log.ts';
import type { Metrics } from './lib/metrics.ts';
import type { ProviderDocuments } from './lib/provider-documents.ts';
import type { Random } from './lib/random.ts';
import type { Mailer } from './ports/mailer.ts';
import type { Db } from './store/engine/db.ts';

/** All that use cases take from the world. Made once by with-deps.ts; tests replace single members. */
export interface Deps {
  config: Config;
  db: Db;
  clock: Clock;
  random: Random;
  keyring: Keyring;
  mailer: Mailer;
  log: Log;
  metrics: Metrics;
  /** Hands calls on to APIs that the operator named. */
  callApi: CallApi;
  /** What agent providers publish: their keys, their clients. */
  trust: ProviderDocuments;
  /** Tells the outbox worker that a mail was committed. */
  wakeOutbox: () => void;
  /** Notes that a key was used, and where; written behind. */
  touchKey: (hash: Buffer, now: number, from: string) => void;
}
