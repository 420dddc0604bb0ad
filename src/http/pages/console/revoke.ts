import { z } from 'zod';
import type { Deps } from '../../../deps.ts';
import type { OperatorAct } from '../../../domain/audit/operator-acts.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import type { RequestOrigin } from '../../../work.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { checkedNames, formSchema, type Problem } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { readAct, reasonField } from './acts.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages that ask before agents, or keys, are revoked, and revoke them. */

const none = undefined;

/** How many are revoked at once: a page of the list. */
const REVOKED_MAX = 50;

/** The reason, and each thing that is to be revoked: `agent:agt_…` or `key:key_…`. */
const revokeForm = formSchema({ reason: reasonField }).catchall(z.string().max(64));

/** What is revoked: the things of a section of the console. */
export interface Revocable<Found extends { status: string }> {
  section: 'agents' | 'keys';
  /** What the fields of the form begin with. */
  kind: 'agent' | 'key';
  /** The page that asks, and the act. */
  page: { summary: string };
  act: { summary: string };
  /** Finds things by their ids. */
  find(deps: Deps, ids: readonly string[]): Promise<Found[]>;
  /** Revokes things. @returns the ids of those that there are */
  revoke(deps: Deps, origin: RequestOrigin, act: OperatorAct, ids: readonly string[]): Promise<string[]>;
  /** Prepares one for the template `console-revoke-SECTION`. */
  present(found: Found): Found;
  /** Where one leads that was revoked alone; undefined: to the list. */
  pageOf?(id: string): `/${string}`;
}

/** The rows of GET and POST /console/…/revoke. */
export function revokeRows<Found extends { status: string }>(pages: Pages, of: Revocable<Found>): Row[] {
  const path = `${CONSOLE[of.section]}/revoke`;
  return [
    row('GET', path, 'operator', none, revokePage(pages, of)),
    row('POST', path, 'recentlyVerifiedOperator', none, revoke(pages, of)),
  ];
}

/** GET /console/…/revoke?id=…: asks whether to revoke some things, and why. */
function revokePage<Found extends { status: string }>(pages: Pages, of: Revocable<Found>) {
  return operation({
    caller: 'operator',
    summary: of.page.summary,
    handle(call) {
      const { caller, query } = call;
      const draft = caller.draft(`${CONSOLE[of.section]}/revoke`);
      const ids = draft === undefined ? query.getAll('id') : checkedNames(draft, of.kind);
      return showRevoke(pages, of, call, ids, draft?.reason);
    },
  });
}

/** POST /console/…/revoke: revokes them. */
function revoke<Found extends { status: string }>(pages: Pages, of: Revocable<Found>) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: of.act.summary,
    form: revokeForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const ids = checkedNames(body, of.kind).slice(0, REVOKED_MAX);
      const act = readAct(call, body.reason);
      if ('key' in act) return showRevoke(pages, of, call, ids, body.reason, act);
      const revoked = await of.revoke(deps, origin, act, ids);
      if (revoked.length === 0) throw notFound(of);
      const page = revoked.length === 1 ? of.pageOf?.(revoked[0]!) : undefined;
      return page === undefined
        ? redirect(deps.config, CONSOLE[of.section], caller.cookies, `${of.section}Revoked`)
        : redirect(deps.config, page, caller.cookies, `${of.kind}Revoked`);
    },
  });
}

async function showRevoke<Found extends { status: string }>(
  pages: Pages,
  of: Revocable<Found>,
  { deps, caller }: Pick<OperatorCall, 'deps' | 'caller'>,
  ids: readonly string[],
  reason: string | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const { section } = of;
  if (ids.length === 0) return redirect(deps.config, CONSOLE[section], caller.cookies, 'nothingSelected');
  const found = await of.find(deps, [...new Set(ids)].slice(0, REVOKED_MAX));
  if (found.length === 0) throw notFound(of);
  const live = found.filter(({ status }) => status !== 'revoked').map(of.present);
  if (live.length === 0) return redirect(deps.config, CONSOLE[section], caller.cookies, `${section}Revoked`);
  const values = { [section]: live, reason, problem };
  return showConsole(pages, caller, section, `revoke-${section}`, values);
}

function notFound({ section }: Pick<Revocable<never>, 'section'>): Failure {
  return new Failure('notFound', `There are no such ${section}.`);
}
