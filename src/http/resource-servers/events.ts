import { z } from 'zod';
import {
  type Follow,
  type RevocationEvent,
  readRevocationFeed,
} from '../../domain/audiences/revocation-feed.ts';
import { Failure } from '../../errors.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { type Call, type Operation, operation, type Sink } from '../server/table.ts';
import { toIso } from '../server/wire-times.ts';

/**
 * The revocation feed (docs/resource-servers.md). Resource servers cache introspection results and follow the feed,
 * so that they reject a revoked key within a second.
 */

const eventShape = z.object({
  id: z.string(),
  type: z.enum([
    'revoked',
    'changed',
    'account_merged',
    'workspace_created',
    'workspace_changed',
    'workspace_deleted',
  ]),
  at: z.iso.datetime(),
  key_ids: z.array(z.string()),
  token_hashes: z.array(z.string()).describe('SHA-256 of each key, in hex'),
  agent_id: z.string().optional(),
  merged_from: z.string().optional().describe('The account whose data belongs to user_id now'),
  user_id: z.string().optional().describe('Of a merge: whose data it is now; in a workspace: the member'),
  workspace: z.string().optional().describe('Drop all answers that name it'),
  all: z.literal(true).optional().describe('More keys are affected than are told: drop by workspace'),
});

const eventsAnswer = z.object({ events: z.array(eventShape), last: z.string() });

const HEARTBEAT_MS = 15_000;

/** A connection with more unsent bytes than this is closed; its client reconnects with `Last-Event-ID`. */
const UNREAD_BYTES_MAX = 1_000_000;

/**
 * GET /resource/events: streams server-sent events for `Accept: text/event-stream`, else returns one page as JSON.
 * `?after=`, or for a stream `Last-Event-ID`, is the id of the last event that the client has.
 *
 * @param follow subscribes a stream to the feed
 */
export function followEvents(follow: Follow): Operation<'resourceServer'> {
  return operation({
    caller: 'resourceServer',
    summary: 'Follow revocations, changes and merges: as server-sent events, or in JSON after an id',
    answer: eventsAnswer,
    async handle(call) {
      const { deps, caller, query, header } = call;
      deps.noteResourceServer(caller.id, deps.clock(), true);
      const isStream = /\btext\/event-stream\b/.test(header('accept') ?? '');
      const after = checkEventId(query.get('after') ?? (isStream ? header('last-event-id') : undefined));
      if (!isStream) {
        const page = await readRevocationFeed(deps, caller, after);
        return { data: { events: page.events.map(renderEvent), last: page.last } };
      }
      return { type: 'text/event-stream; charset=utf-8', stream: await openStream(follow, call, after) };
    },
  });
}

/**
 * Subscribes before the response starts, so that no event is missed and a failure still becomes an error response.
 * Events that arrive before the connection is ready are buffered.
 */
async function openStream(
  follow: Follow,
  { deps, caller }: Call<unknown, 'resourceServer'>,
  after: string | undefined,
): Promise<(sink: Sink) => void> {
  // The first `id` is where the stream starts: a client that is disconnected before the first event resumes there.
  let buffered = `id: ${after ?? firstIdAt('evt', deps.clock())}\nretry: 1000\n\n`;
  let connection: Sink | undefined;
  let hasEnded = false;
  const unfollow = await follow(caller, after, {
    notify(event) {
      const text = `id: ${event.id}\ndata: ${JSON.stringify(renderEvent(event))}\n\n`;
      if (connection === undefined) buffered += text;
      else connection.write(text);
      if (connection !== undefined && connection.unsentBytes() > UNREAD_BYTES_MAX) connection.destroy();
    },
    end() {
      hasEnded = true;
      connection?.end();
    },
  });
  return (sink) => {
    connection = sink;
    const heartbeat = setInterval(() => {
      sink.write(': still here\n\n');
      deps.noteResourceServer(caller.id, deps.clock(), true);
    }, HEARTBEAT_MS);
    heartbeat.unref();
    sink.onClose(() => {
      clearInterval(heartbeat);
      unfollow();
    });
    sink.write(buffered);
    if (hasEnded) sink.end();
  };
}

function checkEventId(id: string | undefined): string | undefined {
  if (id === undefined || /^evt_[0-9a-z]{9}[0-9A-Za-z]{0,32}$/.test(id)) return id;
  throw new Failure('badRequest', 'That is no id of an event. Take the "last" of an earlier answer.', {
    field: 'after',
  });
}

function renderEvent(event: RevocationEvent): z.input<typeof eventShape> {
  return {
    id: event.id,
    type: event.type === 'merged' ? 'account_merged' : event.type,
    at: toIso(event.at),
    key_ids: event.keys.map(({ id }) => id),
    token_hashes: event.keys.map(({ hash }) => hash.toString('hex')),
    agent_id: event.agentId,
    merged_from: event.merge?.from,
    user_id: event.merge?.to ?? event.workspace?.memberId,
    workspace: event.workspace?.id,
    all: event.workspace?.hasMoreKeys === true ? true : undefined,
  };
}
