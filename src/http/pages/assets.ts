import { type Operation, operation } from '../server/table.ts';

/** Serves a stylesheet, script or icon, which any cache may store. */
export function asset({ type, text }: { type: string; text: string }): Operation<'anyone'> {
  return operation({
    caller: 'anyone',
    open: true,
    summary: 'How the pages look',
    handle: () => ({ type, text }),
  });
}
