import type { z } from 'zod';
import {
  type Call,
  type CallerKind,
  type HandlerResult,
  type Operation,
  operation,
  urlencoded,
} from '../server/table.ts';
import { repeatedForm } from './repeated.ts';

/** The operations of pages: one looks at a page, or sends the form on it. */

type Handle<Body, Kind extends CallerKind> = (
  call: Call<Body, Kind>,
) => Promise<HandlerResult> | HandlerResult;

/** A page that is looked at: changes nothing. */
export function view<Kind extends CallerKind>(of: {
  caller: Kind;
  summary: string;
  handle: Handle<unknown, Kind>;
}): Operation<Kind> {
  return operation(of);
}

/** A form that is sent; sent twice by one browser it acts once. */
export function submit<Kind extends CallerKind, Form extends z.ZodType>(of: {
  caller: Kind;
  summary: string;
  form: Form;
  handle: Handle<z.output<Form>, Kind>;
}): Operation<Kind> {
  const { caller, summary, form, handle } = of;
  return operation({
    caller,
    summary,
    body: urlencoded(form),
    handle: (call) => repeatedForm(call as unknown as Call<unknown, 'browser'>, () => handle(call)),
  });
}
