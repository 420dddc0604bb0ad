import type { Deps } from '../../deps.ts';
import type { RequestOrigin } from '../../work.ts';
import type { EventKind } from '../audit/audit-log.ts';

/** A line that `vouchsafe events` prints. */
export interface EventLine {
  id: string;
  kind: EventKind;
  account_id?: string | undefined;
  agent_id?: string | undefined;
  workspace_id?: string | undefined;
  subject?: string | undefined;
  details?: Record<string, unknown> | undefined;
}

/** Repeats what an event of the replaced database says, in a restored one. */
export type Repeat = (deps: Deps, origin: RequestOrigin, event: EventLine) => Promise<unknown>;
