import { z } from 'zod';
import { confirmSessionKeyOf, endSessionKeyOf } from '../../domain/permissions/agent-keys.ts';
import { endTerminal, findTerminal, type Terminal } from '../../domain/permissions/terminals.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../server/table.ts';
import { formSchema } from './forms.ts';
import { buttonOperation, formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** How people end the session keys of their agents and their terminals. */

const none = undefined;

/** Creates the rows of these pages and forms. */
export function sessionKeyRows(pages: Pages): Row[] {
  const ofAgent = `${PAGES.agents}/:id/session-keys/:thumbprint`;
  const ofTerminal = `${PAGES.terminals}/:thumbprint/end`;
  return [
    row('POST', `${ofAgent}/end`, 'signedInUser', none, endKey),
    row('POST', `${ofAgent}/keep`, 'signedInUser', none, keepKey),
    row('GET', ofTerminal, 'signedInUser', none, endTerminalPage(pages)),
    row('POST', ofTerminal, 'signedInUser', none, endOneTerminal),
  ];
}

/** POST /agents/:id/session-keys/:thumbprint/end: ends a session key. */
const endKey = buttonOperation({
  summary: 'End a session key',
  act: (deps, origin, accountId, { id, thumbprint }) =>
    endSessionKeyOf(deps, origin, accountId, id!, thumbprint!),
  page: ({ id }) => `${PAGES.agents}/${id}`,
  flash: 'sessionKeyEnded',
});

/** POST /agents/:id/session-keys/:thumbprint/keep: lets a session key outlive the key that named it. */
const keepKey = buttonOperation({
  summary: 'Keep a session key',
  act: (deps, origin, accountId, { id, thumbprint }) =>
    confirmSessionKeyOf(deps, origin, accountId, id!, thumbprint!),
  page: ({ id }) => `${PAGES.agents}/${id}`,
  flash: 'sessionKeyKept',
});

/** GET /account/terminals/:thumbprint/end: asks whether to end a terminal, and what it granted with it. */
function endTerminalPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Whether to end a terminal',
    async handle({ deps, caller, params }) {
      const terminal = await findTerminal(deps, caller.session.accountId, params.thumbprint!);
      return pages.show(caller, 'end-terminal', { terminal: presentTerminal(terminal) });
    },
  });
}

/** POST /account/terminals/:thumbprint/end: ends a terminal. */
const endOneTerminal = formOperation({
  caller: 'signedInUser',
  summary: 'End a terminal',
  form: formSchema({ grants: z.literal('on').optional() }),
  async handle({ deps, origin, caller, params, body }) {
    const endsGrants = body.grants === 'on';
    await endTerminal(deps, origin, caller.session.accountId, params.thumbprint!, { endsGrants });
    return redirect(deps.config, PAGES.account, [], 'terminalEnded');
  },
});

/** Prepares a terminal for a template. */
export function presentTerminal({ row, bound, grants }: Terminal) {
  return {
    thumbprint: row.thumbprint,
    name: displayName(row.name ?? ''),
    network: row.origin,
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
    seenAt: row.seenAt ?? undefined,
    seenFrom: row.seenFrom ?? undefined,
    scopes: bound.scopes,
    workspaces: bound.workspaces.length,
    grants,
  };
}
