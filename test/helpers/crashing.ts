import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type Config, loadConfig } from '../../src/config/load.ts';
import { deriveClaimCode } from '../../src/domain/codes/one-time-codes.ts';
import { createKeyring } from '../../src/lib/keyring.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { hashSecret } from '../../src/lib/secrets.ts';
import { findLastAttempt } from '../../src/store/claim-attempts.ts';
import { findClaimByTokenHash } from '../../src/store/claims.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { openDatabase } from '../../src/store/engine/open.ts';
import { TEST_SECRET, WIDE_LIMITS } from './service.ts';

export type ToChild =
  | { kind: 'start'; databases: string[]; aheadMs: number }
  | { kind: 'arm'; service: number; step: number };
export type FromChild =
  | { kind: 'ready'; urls: string[] }
  | { kind: 'armed'; service: number }
  | { kind: 'stopped'; service: number; before: string };

/** What the services of a crashing server are configured with. */
export function configFor(databaseUrl: string): Config {
  return loadConfig({
    PORT: '0',
    OPS_PORT: '0',
    PUBLIC_URL: 'http://localhost:3000',
    DATABASE_URL: databaseUrl,
    SECRET: TEST_SECRET,
    LIMITS: JSON.stringify(WIDE_LIMITS),
  });
}

export interface Crashing {
  urls: string[];
  /** From now on the service counts its steps, and stops dead at that one. */
  arm(service: number, step: number): Promise<void>;
  /** Resolves with what the service was about to do when it stopped. */
  stopped(service: number): Promise<string>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/**
 * Starts a process with one service per database.
 *
 * @param aheadMs how far its clock is ahead: a later process may find the leases of a killed one over
 */
export async function startCrashing(databases: string[], aheadMs = 0): Promise<Crashing> {
  const child = fork(new URL('./crashing-server.ts', import.meta.url).pathname, {
    // What is killed does not write what it covered, and would only be slower.
    env: { ...process.env, NODE_V8_COVERAGE: '' },
    execArgv: [],
  });
  const exited = once(child, 'exit');
  const ready = expectMessage(child, (message) => message.kind === 'ready');
  child.send({ kind: 'start', databases, aheadMs } satisfies ToChild);
  const { urls } = (await ready) as FromChild & { kind: 'ready' };
  return {
    urls,
    async arm(service, step) {
      const armed = expectMessage(
        child,
        (message) => message.kind === 'armed' && message.service === service,
      );
      child.send({ kind: 'arm', service, step } satisfies ToChild);
      await armed;
    },
    async stopped(service) {
      const message = await expectMessage(
        child,
        (each) => each.kind === 'stopped' && each.service === service,
      );
      return (message as FromChild & { kind: 'stopped' }).before;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function expectMessage(child: ChildProcess, wanted: (message: FromChild) => boolean): Promise<FromChild> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromChild) => {
      if (!wanted(message)) return;
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(message);
    };
    const onExit = (code: number | null) => reject(new Error(`the server ended with ${code}`));
    child.on('message', onMessage).once('exit', onExit).setMaxListeners(0);
  });
}

/** A look into the database from outside of the service. */
export async function lookInto<Result>(
  databaseUrl: string,
  look: (db: Db) => Promise<Result>,
): Promise<Result> {
  const db = await openDatabase(configFor(databaseUrl).database, () => {});
  try {
    return await look(db);
  } finally {
    await db.close();
  }
}

/** The code of a claim's newest attempt, as its mail has it. */
export async function codeIn(db: Db, claimToken: string): Promise<string> {
  const claim = await findClaimByTokenHash(db, hashSecret(claimToken));
  const attempt = await findLastAttempt(db, claim!.registrationId);
  const keyring = createKeyring([Buffer.from(TEST_SECRET)], systemRandom);
  return deriveClaimCode({ keyring }, attempt!)!;
}
