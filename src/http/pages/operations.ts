import type { z } from 'zod';
import type { Deps } from '../../deps.ts';
import type { RequestOrigin } from '../../work.ts';
import type { Flash } from '../server/flash.ts';
import {
  type Call,
  type CallerKind,
  type Handle,
  type Operation,
  operation,
  urlencoded,
} from '../server/table.ts';
import { formSchema } from './forms.ts';
import { redirect } from './pages.ts';
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

const buttonForm = formSchema({});

/**
 * Creates the operation of a form that is a button: it changes something that is the account's, and leads to a page that
 * says so.
 */
export function buttonOperation(of: {
  summary: string;
  /** @param params of the path, such as `id` */
  act(deps: Deps, origin: RequestOrigin, accountId: string, params: Record<string, string>): Promise<unknown>;
  page(params: Record<string, string>): `/${string}`;
  flash: Flash;
}): Operation<'signedInUser'> {
  return formOperation({
    caller: 'signedInUser',
    summary: of.summary,
    form: buttonForm,
    async handle({ deps, origin, caller, params }) {
      await of.act(deps, origin, caller.session.accountId, params);
      return redirect(deps.config, of.page(params), [], of.flash);
    },
  });
}
