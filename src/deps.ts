import type { Config } from './config/load.ts';
import type { CallApi } from './lib/call-api.ts';
import type { Clock } from './lib/clock.ts';
import type { Keyring } from './lib/keyring.ts';
import type { Log } from './lib/log.ts';
import type { Metrics } from './lib/metrics.ts';
import type { ProviderDocuments } from './lib/provider-documents.ts';
import type { Random } from './lib/random.ts';
import type { StrangerFetch } from './lib/stranger-fetch.ts';
import type { Translators } from './lib/translate.ts';
import type { Mailer } from './ports/mailer.ts';
import type { Db } from './store/engine/db.ts';

/** The dependencies of the use cases. createDeps() in with-deps.ts creates them once; tests replace single members. */
export interface Deps {
  config: Config;
  db: Db;
  clock: Clock;
  random: Random;
  keyring: Keyring;
  mailer: Mailer;
  /** The texts of pages and mail. */
  translators: Translators;
  log: Log;
  metrics: Metrics;
  /** Calls an API that the operator configured. */
  callApi: CallApi;
  /** The documents that agent providers publish: their key sets and client metadata. */
  providerDocuments: ProviderDocuments;
  /** Fetches what OAuth clients publish. */
  fetchFromStranger: StrangerFetch;
  /** Tells the outbox worker that a mail was committed. */
  wakeOutbox: () => void;
  /**
   * Notes that a key or token was used: its hash, its agent or the consent to its app, epoch ms, and the resource server
   * or network. Written to the database later.
   */
  noteKeyUse: (
    hash: Buffer,
    holder: { agentId?: string | undefined; consentId?: string | undefined },
    now: number,
    from: string,
  ) => void;
  /** Notes that an agent under a host signed a request. Written to the database later. */
  noteAgentUse: (agentId: string, now: number) => void;
  /**
   * Notes that a resource server was seen at epoch ms, and whether it followed the revocation feed. Written to the
   * database later.
   */
  noteResourceServer: (id: string, now: number, isFollowing: boolean) => void;
}
