import { renderSVG } from 'uqr';
import { z } from 'zod';
import {
  addAuthenticator,
  findAuthenticatorStatus,
  removeAuthenticator,
  renewRecoveryCodes,
  startTotpSetup,
} from '../../domain/accounts/totp.ts';
import { Failure } from '../../errors.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { formSchema, type Problem, typedCode } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** The pages of the second factor: setup of an authenticator app, recovery codes, removal. */

const addForm = formSchema({ sealed: z.string().max(256), code: typedCode });
const emptyForm = formSchema({});

type PageCall<Form = undefined> = Call<Form, 'recentlyVerifiedUser'>;

/** GET /account/authenticator: shows the authenticator, or its setup if the account has none. */
export function authenticatorPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'My second factor',
    handle(call) {
      return showAuthenticator(pages, call, { sealed: call.caller.draft(PAGES.authenticator)?.sealed });
    },
  });
}

/**
 * Shows the authenticator of the account, or its setup if the account has none.
 *
 * @param sent.isOutdated whether a form was sent that does not fit: the account has, or had, another authenticator
 * @param sent.sealed the setup of a form that was sent with a code that cannot be one
 */
async function showAuthenticator(
  pages: Pages,
  call: PageCall<unknown>,
  { isOutdated = false, sealed }: { isOutdated?: boolean; sealed?: string | undefined } = {},
): Promise<HandlerResult> {
  const { deps, caller } = call;
  const authenticator = await findAuthenticatorStatus(deps, caller.session.accountId);
  if (authenticator === undefined) {
    return showSetup(pages, call, sealed, isOutdated ? { key: 'authenticator.formOutdated' } : undefined);
  }
  const problem: Problem | undefined = isOutdated ? { key: 'authenticator.isSetUp' } : undefined;
  return pages.show(caller, 'authenticator', { ...authenticator, problem }, isOutdated ? 400 : 200);
}

/** POST /account/authenticator: adds an authenticator after its first code and shows the recovery codes once. */
export function addAuthenticatorOperation(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Set it up',
    form: addForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      try {
        const codes = await addAuthenticator(deps, origin, caller.session, body.sealed, body.code);
        return pages.show(caller, 'recovery-codes', { codes, isNew: true });
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind === 'wrongCode') {
          return showSetup(pages, call, body.sealed, { key: 'authenticator.wrongCode', field: 'code' });
        }
        if (error.kind === 'badRequest') return showAuthenticator(pages, call, { isOutdated: true });
        throw error;
      }
    },
  });
}

function showSetup(pages: Pages, call: PageCall<unknown>, sealed?: string, problem?: Problem): HandlerResult {
  const { deps, caller } = call;
  const setup = startTotpSetup(deps, caller.session, sealed);
  const secret = setup.secret.replace(/.{4}(?=.)/g, '$& ');
  const picture = renderSVG(setup.uri, { pixelSize: 5, border: 0 });
  const values = { ...setup, secret, picture, problem };
  return pages.show(caller, 'authenticator-setup', values);
}

/** GET /account/authenticator/remove: asks for confirmation. */
export function removePage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What removing it means',
    async handle({ deps, caller }) {
      const authenticator = await findAuthenticatorStatus(deps, caller.session.accountId);
      if (authenticator === undefined) return redirect(deps.config, PAGES.account);
      return pages.show(caller, 'authenticator-remove', authenticator);
    },
  });
}

/** POST /account/authenticator/remove: removes the authenticator. */
export const removeAuthenticatorOperation = formOperation({
  caller: 'recentlyVerifiedUser',
  summary: 'Remove it',
  form: emptyForm,
  async handle(call) {
    await removeAuthenticator(call.deps, call.origin, call.caller.session.accountId);
    return redirect(call.deps.config, PAGES.account, [], 'authenticatorRemoved');
  },
});

/** POST /account/authenticator/codes: replaces the recovery codes and shows them once. */
export function renewCodes(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'New codes',
    form: emptyForm,
    async handle(call) {
      const { deps, origin, caller } = call;
      try {
        const codes = await renewRecoveryCodes(deps, origin, caller.session.accountId);
        return pages.show(caller, 'recovery-codes', { codes, isNew: false });
      } catch (error) {
        if (error instanceof Failure && error.kind === 'badRequest')
          return showAuthenticator(pages, call, { isOutdated: true });
        throw error;
      }
    },
  });
}
