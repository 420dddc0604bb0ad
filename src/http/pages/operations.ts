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
  /** Whether a whole permission request may stand in a field. */
  hasArtifact?: boolean;
  handle: Handle<z.output<Form>, Kind>;
}): Operation<Kind> {
  const { caller, summary, form, hasChoices, hasArtifact, handle } = of;
  const media = hasArtifact ? 'artifactForm' : hasChoices ? 'choicesForm' : 'form';
  return operation({
    caller,
    summary,
    body: urlencoded(form, media),
    handle: (call) => runFormOnce(call as unknown as Call<unknown, 'browser'>, () => handle(call)),
  });
}
