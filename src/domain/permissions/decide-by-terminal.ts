import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { RequestOrigin } from '../../work.ts';
import { denyPermissions, findRequest } from './decide-request.ts';
import { type Giving, grantPermissions } from './grant.ts';
import type { KeyHolder, SigningKey } from './key-holders.ts';
import { describeRequest, isWithinBound, type RequestState, requestUnknown } from './request-state.ts';

/** How a human decides by a terminal that they let act for them. */

/** Grants a request. @returns how far it has come. @throws Failure as grantPermissions(); `grantNotAllowed` for other keys */
export async function grantByTerminal(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  signer: SigningKey,
  giving: Giving,
): Promise<RequestState> {
  const terminal = requireTerminal(signer);
  await assertVisible(deps, id, terminal);
  await grantPermissions(deps, origin, id, { accountId: terminal.accountId, terminal }, giving);
  return describeRequest(deps, (await findRequest(deps.db, id)).row);
}

/** Denies a request. @returns how far it has come. @throws Failure as denyPermissions(); `grantNotAllowed` for other keys */
export async function denyByTerminal(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  signer: SigningKey,
): Promise<RequestState> {
  const terminal = requireTerminal(signer);
  await assertVisible(deps, id, terminal);
  await denyPermissions(deps, origin, id, terminal.accountId);
  return describeRequest(deps, (await findRequest(deps.db, id)).row);
}

/** An agent never decides, whatever it has. @throws Failure `grantNotAllowed` */
function requireTerminal({ holder }: SigningKey): KeyHolder {
  if (holder?.bound !== undefined) return holder;
  throw new Failure(
    'grantNotAllowed',
    'Only a human decides, on a page or by a terminal that they let act for them.',
  );
}

/** @throws Failure `notFound` for a request of which the terminal may grant nothing */
async function assertVisible(deps: Deps, id: string, terminal: KeyHolder): Promise<void> {
  const { row } = await findRequest(deps.db, id);
  if (row.login === 1) throw new Failure('grantNotAllowed', 'A terminal is let in on a page, by its code.');
  if (!(await isWithinBound(deps, row, terminal))) throw requestUnknown();
}
