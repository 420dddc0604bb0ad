import { LRUCache } from 'lru-cache';
import type { AuthorizationServerClient } from './authorization-server-client.ts';

/** An event at the authorization server that concerns this resource server. */
export interface ResourceEvent {
  /** Identifies the event: handle each id once. */
  id: string;
  /**
   * - `revoked`: the keys no longer work
   * - `changed`: the keys must be introspected again
   * - `account_merged`: like `changed`, and the agent's data belongs to another account
   * - `workspace_created`, `workspace_changed`, `workspace_deleted`: who is in a workspace, or what credentials may do there, changed
   */
  type:
    | 'revoked'
    | 'changed'
    | 'account_merged'
    | 'workspace_created'
    | 'workspace_changed'
    | 'workspace_deleted';
  /** ISO 8601. */
  at: string;
  /** The keys that it concerns. */
  key_ids: string[];
  /** SHA-256 of each key, in hex. */
  token_hashes: string[];
  agent_id?: string;
  /** Only for a merge: the account whose data now belongs to `user_id`. */
  merged_from?: string;
  user_id?: string;
  /** What credentials may do in this workspace must be introspected again. */
  workspace?: string;
  /** Whether it concerns more keys than are named. */
  all?: true;
}

/** Stores the position in the events. It must survive a restart, or merges during the restart are missed. */
export interface Cursor {
  /** Returns the saved position; undefined at the first start. If it throws, it is called again after a pause. */
  load(): Promise<string | undefined> | string | undefined;
  /** Saves the position: the id of the last event that was handled. */
  save(id: string): Promise<void> | void;
}

/** The authorization server sends something at least every 15 seconds. A connection that is silent for this long is dead. */
const SILENCE_MS = 40_000;
const PAUSE_MIN_MS = 200;
const PAUSE_MAX_MS = 5000;

/** Handles the events of a stream. */
export interface Handlers {
  /** Called when a stream without saved position has opened. It does not report what happened before. */
  begin(): void;
  /** Called with each event, in order and once per process. The next event waits for it. If it fails, it is called again. */
  handle(event: ResourceEvent): Promise<void> | void;
  /** Called when the stream breaks, or handle() or the cursor fails. The stream is then opened again. */
  report(error: unknown): void;
}

/** Follows the events of the authorization server until stopped. */
export function follow(
  client: AuthorizationServerClient,
  cursor: Cursor | undefined,
  { begin, handle, report }: Handlers,
): { stop(): void } {
  const handled = new LRUCache<string, true>({ max: 10_000 });
  const stopController = new AbortController();
  let lastEventId: string | undefined;
  // A resumed stream repeats some earlier events. Merges from before the first position were not for this process.
  let firstEventId = '';
  let pauseMs = PAUSE_MIN_MS;

  async function run(): Promise<void> {
    let isLoaded = false;
    while (!stopController.signal.aborted) {
      try {
        if (!isLoaded) lastEventId = await cursor?.load();
        isLoaded = true;
        await readStream();
      } catch (error) {
        if (stopController.signal.aborted) return;
        report(error);
      }
      await pause(pauseMs * (0.5 + Math.random() / 2), stopController.signal);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    }
  }

  async function readStream(): Promise<void> {
    const silenceController = new AbortController();
    const watchdog = setTimeout(
      () => silenceController.abort(new Error('the stream went silent')),
      SILENCE_MS,
    );
    watchdog.unref();
    try {
      const signal = AbortSignal.any([stopController.signal, silenceController.signal]);
      const stream = await client.open('/resource/events', lastEventId, signal);
      pauseMs = PAUSE_MIN_MS;
      for await (const block of parseEvents(stream)) {
        watchdog.refresh();
        if (lastEventId === undefined && block.id !== undefined) {
          lastEventId = block.id;
          firstEventId = block.id;
          begin();
        }
        if (block.event !== undefined) await deliver(block.event);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  async function deliver(event: ResourceEvent): Promise<void> {
    if (handled.has(event.id)) return;
    await handle(event.id < firstEventId ? { ...event, type: 'changed' } : event);
    handled.set(event.id, true);
    lastEventId = event.id;
    await cursor?.save(event.id);
  }

  void run();
  return { stop: () => stopController.abort() };
}

/** Parses server-sent events. A block without id and data only keeps the connection alive. */
async function* parseEvents(
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
