import type { z } from 'zod';
import {
  type Call,
  type CallerKind,
  type Handle,
  type Operation,
  operation,
  urlencoded,
} from '../server/table.ts';
import { runFormOnce } from './repeated.ts';

/** Creates the operation of a form. If a browser submits the form twice, it acts once, see runFormOnce(). */
export function formOperation<Kind extends CallerKind, Form extends z.ZodType>(of: {
  caller: Kind;
  summary: string;
  form: Form;
  /** Whether it has a box for each of many things. */
  hasChoices?: boolean;
  handle: Handle<z.output<Form>, Kind>;
}): Operation<Kind> {
  const { caller, summary, form, hasChoices, handle } = of;
  return operation({
    caller,
    summary,
    body: urlencoded(form, hasChoices ? 'choicesForm' : 'form'),
    handle: (call) => runFormOnce(call as unknown as Call<unknown, 'browser'>, () => handle(call)),
  });
}
