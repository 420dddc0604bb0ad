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

/** What resource servers follow, so that a revoked key stops working within a second although answers are cached. */

const eventShape = z.object({
  id: z.string(),
  type: z.enum(['revoked', 'changed', 'account_merged']),
  at: z.iso.datetime(),
  key_ids: z.array(z.string()),
  token_hashes: z.array(z.string()).describe('SHA-256 of each key, in hex'),
  agent_id: z.string().optional(),
  merged_from: z.string().optional().describe('The account whose data belongs to user_id now'),
  user_id: z.string().optional(),
});

const eventsAnswer = z.object({ events: z.array(eventShape), last: z.string() });

const HEARTBEAT_MS = 15_000;
/** Who does not read what is sent is let go, and comes again. */
const UNREAD_BYTES_MAX = 1_000_000;

/** GET /resource/events */
export function followEvents(follow: Follow): Operation<'resourceServer'> {
  return operation({
    caller: 'resourceServer',
    summary: 'Follow revocations, changes and merges: as server-sent events, or in JSON after an id',
    answer: eventsAnswer,
    async handle(call) {
      const { deps, caller, query, header } = call;
      const isStream = /\btext\/event-stream\b/.test(header('accept') ?? '');
      const after = checkId(query.get('after') ?? (isStream ? header('last-event-id') : undefined));
      if (!isStream) {
        const page = await readRevocationFeed(deps, caller, after);
        return { data: { events: page.events.map(render), last: page.last } };
      }
      return { type: 'text/event-stream; charset=utf-8', stream: await openStream(follow, call, after) };
    },
  });
}

/**
 * Follows at once, so that nothing is missed and a refusal is still an answer; what comes before the connection is handed over
 * waits for it.
 */
async function openStream(
  follow: Follow,
  { deps, caller }: Call<unknown, 'resourceServer'>,
  after: string | undefined,
): Promise<(sink: Sink) => void> {
  // Where it begins is said at once, so that one that is cut off before the first event knows where to go on.
  let waiting = `id: ${after ?? firstIdAt('evt', deps.clock())}\nretry: 1000\n\n`;
  let out: Sink | undefined;
  let isOver = false;
  const leave = await follow(caller, after, {
    tell(event) {
      const text = `id: ${event.id}\ndata: ${JSON.stringify(render(event))}\n\n`;
      if (out === undefined) waiting += text;
      else out.write(text);
      if (out !== undefined && out.unsentBytes() > UNREAD_BYTES_MAX) out.cut();
    },
    end() {
      isOver = true;
      out?.end();
    },
  });
  return (sink) => {
    out = sink;
    const heartbeat = setInterval(() => sink.write(': still here\n\n'), HEARTBEAT_MS);
    heartbeat.unref();
    sink.onClose(() => {
      clearInterval(heartbeat);
      leave();
    });
    sink.write(waiting);
    if (isOver) sink.end();
  };
}

function checkId(id: string | undefined): string | undefined {
  if (id === undefined || /^evt_[0-9a-z]{9}[0-9A-Za-z]{0,32}$/.test(id)) return id;
  throw new Failure('badRequest', 'That is no id of an event. Take the "last" of an earlier answer.', {
    field: 'after',
  });
}

function render(event: RevocationEvent): z.input<typeof eventShape> {
  return {
    id: event.id,
    type: event.type === 'merged' ? 'account_merged' : event.type,
    at: toIso(event.at),
    key_ids: event.keys.map(({ id }) => id),
    token_hashes: event.keys.map(({ hash }) => hash.toString('hex')),
    agent_id: event.agentId,
    merged_from: event.merge?.from,
    user_id: event.merge?.to,
  };
}
