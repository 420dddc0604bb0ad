import { LRUCache } from 'lru-cache';
import type { AuthorizationServerClient } from './authority.ts';

/** What happened at the authority that concerns this resource server. */
export interface ResourceEvent {
  id: string;
  type: 'revoked' | 'changed' | 'account_merged';
  /** ISO 8601. */
  at: string;
  key_ids: string[];
  /** SHA-256 of each key, in hex. */
  token_hashes: string[];
  agent_id?: string;
  /** Of a merge: the account whose data belongs to `user_id` now. */
  merged_from?: string;
  user_id?: string;
}

/** Where a program that was away goes on. Keep it where it survives a restart, or merges made meanwhile are missed. */
export interface Cursor {
  load(): Promise<string | undefined> | string | undefined;
  save(id: string): Promise<void> | void;
}

/** The authority says something at least every 15 seconds; a connection that is silent for longer is dead. */
const SILENCE_MS = 40_000;
const PAUSE_MIN_MS = 200;
const PAUSE_MAX_MS = 5000;

/** What is done about what comes. */
export interface Handlers {
  /** The stream stands for the first time, and begins here: of what happened before, it knows nothing. */
  begin(): void;
  /** Each event in order, and once as long as this program runs; the next waits until it is done, and one that fails comes again. */
  handle(event: ResourceEvent): Promise<void> | void;
  /** Why the connection broke; it is made again by itself. */
  report(error: unknown): void;
}

/** Follows the authority's events until stopped. */
export function follow(
  authority: AuthorizationServerClient,
  cursor: Cursor | undefined,
  { begin, handle, report }: Handlers,
): { stop(): void } {
  const handled = new LRUCache<string, true>({ max: 10_000 });
  const stopping = new AbortController();
  let last: string | undefined;
  // When connections break, the authority repeats some of what was before; merges from before our time are not for us.
  let beginning = '';
  let pauseMs = PAUSE_MIN_MS;

  async function run(): Promise<void> {
    last = await cursor?.load();
    while (!stopping.signal.aborted) {
      try {
        await readOnce();
      } catch (error) {
        if (stopping.signal.aborted) return;
        report(error);
      }
      await pause(pauseMs * (0.5 + Math.random() / 2), stopping.signal);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    }
  }

  async function readOnce(): Promise<void> {
    const silence = new AbortController();
    const watchdog = setTimeout(() => silence.abort(new Error('the stream went silent')), SILENCE_MS);
    watchdog.unref();
    try {
      const signal = AbortSignal.any([stopping.signal, silence.signal]);
      const stream = await authority.open('/resource/events', last, signal);
      pauseMs = PAUSE_MIN_MS;
      for await (const block of parse(stream)) {
        watchdog.refresh();
        if (last === undefined && block.id !== undefined) {
          last = block.id;
          beginning = block.id;
          begin();
        }
        if (block.event !== undefined) await take(block.event);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  async function take(event: ResourceEvent): Promise<void> {
    if (handled.has(event.id)) return;
    await handle(event.id < beginning ? { ...event, type: 'changed' } : event);
    handled.set(event.id, true);
    last = event.id;
    await cursor?.save(event.id);
  }

  run().catch(report);
  return { stop: () => stopping.abort() };
}

/** Reads server-sent events. What has neither id nor data is a sign of life. */
async function* parse(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<{ id: string | undefined; event: ResourceEvent | undefined }> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const member = (name: string) =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      const data = member('data');
      yield { id: member('id'), event: data === undefined ? undefined : JSON.parse(data) };
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    timer.unref();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
