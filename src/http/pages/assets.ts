import { type Operation, operation } from '../server/table.ts';

/** A stylesheet or script, the same for everybody. */
export function asset({ type, text }: { type: string; text: string }): Operation<'anyone'> {
  return operation({
    caller: 'anyone',
    open: true,
    summary: 'How the pages look',
    handle: () => ({ type, text }),
  });
}
