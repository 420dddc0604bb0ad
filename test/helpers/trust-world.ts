import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, loadConfig } from '../../src/config/load.ts';
import type { Deps } from '../../src/deps.ts';
import { verifyIdJag } from '../../src/domain/providers/id-jag.ts';
import { Failure } from '../../src/errors.ts';
import { createProviderDocuments } from '../../src/lib/provider-documents.ts';
import { createSafeFetch, type SafeFetch } from '../../src/lib/safe-fetch.ts';
import { ensure } from './ensure.ts';
import { type FakeAlgorithm, type FakeIssuer, startFakeIssuer } from './issuer.ts';
import { createTestClock, TEST_SECRET, type TestClock } from './service.ts';

/** A provider, and what of the service verifies its tokens: no server, no database. */
export interface TrustWorld {
  clock: TestClock;
  provider: FakeIssuer;
  deps: Pick<Deps, 'config' | 'clock' | 'providerDocuments'>;
  /** What was asked of strangers: the URLs. */
  strangersAsked: string[];
  /** What a stranger's URL answers with from now on. */
  publish(url: string, document: unknown): void;
  /** What comes of an assertion: `accepted`, the fault it is refused for, or `loginRequired`. */
  outcome(assertion: string): Promise<string>;
}

export const PUBLIC_URL = 'http://localhost:3000';
export const RESOURCE_URL = 'https://api.example.com/v1';

export interface WorldOptions {
  /** Members of the provider's entry in the configuration. */
  issuer?: Record<string, unknown>;
  algorithms?: FakeAlgorithm[];
  /** Entries of other providers. */
  others?: Record<string, unknown>[];
  timeoutMs?: number;
}

/** Gone when the test, or the suite, is. */
export async function startTrustWorld(
  t: { teardown(done: () => Promise<void>): void },
  options: WorldOptions = {},
): Promise<TrustWorld> {
  const clock = createTestClock();
  const { algorithms, others = [] } = options;
  const provider = await startFakeIssuer({ audience: PUBLIC_URL, clock, ...(algorithms && { algorithms }) });
  t.teardown(provider.stop);

  const documents = new Map<string, unknown>();
  const strangersAsked: string[] = [];
  const reallyFetch = createSafeFetch(
    options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs },
  );
  const fetch: SafeFetch = async (url, rules) => {
    if (rules.namedBy === 'operator') return reallyFetch(url, rules);
    strangersAsked.push(url);
    if (!documents.has(url)) throw new Error('The document could not be fetched.');
    return { text: JSON.stringify(documents.get(url)), maxAgeSeconds: undefined };
  };
  const providerDocuments = createProviderDocuments(fetch, clock, true);
  const config = configWith([provider.entry(options.issuer), ...others]);
  const deps = { config, clock, providerDocuments };

  return {
    clock,
    provider,
    deps,
    strangersAsked,
    publish: (url, document) => void documents.set(url, document),
    outcome: (assertion) => outcomeOf(verifyIdJag(deps, assertion)),
  };
}

function configWith(trustedIssuers: object[]): Config {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-trust-'));
  try {
    const file = join(folder, 'config.json');
    const resources = [{ url: RESOURCE_URL, name: 'API' }];
    writeFileSync(file, JSON.stringify({ resources, trustedIssuers }));
    return loadConfig({ PUBLIC_URL, SECRET: TEST_SECRET, CONFIG: file });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Fails for anything but a verified token and the refusals that dialects know. */
export async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'accepted';
  } catch (error) {
    ensure(error instanceof Failure, String(error));
    if (error.kind === 'loginRequired') return error.kind;
    ensure(error.kind === 'invalidAssertion', error.kind);
    return error.details.fault!;
  }
}
