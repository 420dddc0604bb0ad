import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { TerminalLogin } from '../../lib/artifacts/permission-grant.ts';
import { formatSeconds } from '../../lib/artifacts/read-members.ts';
import { readPublicKey } from '../../lib/ed25519.ts';
import { lockAccount } from '../../store/accounts.ts';
import { listMemberships } from '../../store/members.ts';
import { listLiveGrantsBy } from '../../store/permission-grants.ts';
import {
  findSessionKey,
  insertSessionKey,
  listTerminals,
  type SessionKeyRow,
} from '../../store/session-keys.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import { mayIssueKeys, type Role } from '../workspaces/roles.ts';
import { lockRequest, writeDecision } from './decide-request.ts';
import { isSessionKeyLive, type TerminalBound } from './key-holders.ts';
import { requestUnknown } from './request-state.ts';
import { endFamily } from './rotate-key.ts';
import { signLogin } from './sign-answers.ts';

/** Terminals that a human lets act for them: they grant within a bound, and read nothing by that. */

/** How long a terminal acts, seconds. */
export const TERMINAL_LIFE = { min: 3600, max: 7 * 86_400, default: 12 * 3600 } as const;

/** A workspace in which a human may let a terminal grant. */
export interface GrantableWorkspace {
  id: string;
  /** Undefined: their own things. */
  name: string | undefined;
  role: Role;
}

/** Lists where a human may let terminals grant: their own things, and workspaces if the operator allows it. */
export async function listGrantableWorkspaces(
  { db, config }: Pick<Deps, 'db' | 'config'>,
  accountId: string,
): Promise<GrantableWorkspace[]> {
  const own = { id: accountId, name: undefined, role: 'owner' } as const;
  if (!config.workspaces.grantByTerminal) return [own];
  const memberships = await listMemberships(db, accountId);
  const shared = memberships.filter(({ role }) => mayIssueKeys(config, role));
  return [own, ...shared.map(({ workspaceId, name, role }) => ({ id: workspaceId, name, role }))];
}

/**
 * Lets a terminal act for a human. Its key is known from now on.
 *
 * @param bound what it may grant: some scopes, in some of the workspaces of listGrantableWorkspaces()
 * @returns the answer to the terminal, as we signed it
 * @throws Failure `badRequest` for a bound of nothing, or of what is not there; `notFound`, `keyInUse`, `requestDecided`,
 * `requestExpired`
 */
export async function connectTerminal(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  accountId: string,
  { bound, lifetimeSeconds }: { bound: TerminalBound; lifetimeSeconds: number },
): Promise<TerminalLogin> {
  const grantable = new Set((await listGrantableWorkspaces(deps, accountId)).map((each) => each.id));
  const isWithin =
    bound.scopes.length > 0 &&
    bound.workspaces.length > 0 &&
    bound.scopes.every((name) => deps.config.scopes.has(name)) &&
    bound.workspaces.every((each) => grantable.has(each)) &&
    lifetimeSeconds >= TERMINAL_LIFE.min &&
    lifetimeSeconds <= TERMINAL_LIFE.max;
  if (!isWithin) throw new Failure('badRequest', 'Choose what the terminal may grant, and where.');
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { row, artifact } = await lockRequest(work, accountId, id);
    if (row.login !== 1) throw requestUnknown();
    const key = readPublicKey(artifact.requester.key);
    if (typeof key === 'string') throw requestUnknown();
    const expiresAt = now + lifetimeSeconds * 1000;
    const given = { scopes: bound.scopes.toSorted(), workspaces: bound.workspaces.toSorted() };
    await writeDecision(work, id, {
      accountId,
      grantId: null,
      denial: null,
      keepUntil: expiresAt,
    });
    const isNew = await insertSessionKey(tx, {
      thumbprint: key.thumbprint,
      publicJwk: key.jwk,
      family: key.thumbprint,
      generation: 0,
      agentId: null,
      accountId,
      name: artifact.requester.name ?? null,
      bound: JSON.stringify(given satisfies TerminalBound),
      boundBy: null,
      origin: row.origin,
      createdAt: now,
      expiresAt,
    });
    if (!isNew) throw new Failure('keyInUse', 'This key is known already. Sign in with another one.');
    await recordAndNotify(work, accountId, {
      kind: 'terminal.connected',
      subject: key.thumbprint,
      details: { network: row.origin, scopes: bound.scopes.join(' ') },
    });
    return signLogin(work, row, {
      expires_at: formatSeconds(expiresAt),
      account: accountId,
      bound: given,
    });
  });
}

/** A terminal as its human sees it. */
export interface Terminal {
  row: SessionKeyRow;
  bound: TerminalBound;
  /** How many grants that it gave work. */
  grants: number;
}

/** Lists the terminals that act for a human now. */
export async function listLiveTerminals(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
): Promise<Terminal[]> {
  const now = clock();
  const rows = await listTerminals(db, accountId, now);
  const given = await listLiveGrantsBy(db, accountId, now);
  return rows
    .filter((row) => isSessionKeyLive(row, now))
    .map((row) => ({
      row,
      bound: JSON.parse(row.bound ?? '{"scopes":[],"workspaces":[]}') as TerminalBound,
      grants: given.filter(({ grantedWith }) => grantedWith === row.family).length,
    }));
}

/** Finds a terminal of a human. @throws Failure `notFound` */
export async function findTerminal(
  deps: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  thumbprint: string,
): Promise<Terminal> {
  const terminal = (await listLiveTerminals(deps, accountId)).find(
    ({ row }) => row.thumbprint === thumbprint,
  );
  if (terminal === undefined) throw terminalUnknown();
  return terminal;
}

/** Ends a terminal of a human. @param endsGrants whether what it granted ends, too. @throws Failure `notFound` */
export async function endTerminal(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  thumbprint: string,
  { endsGrants }: { endsGrants: boolean },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if (!(await lockAccount(tx, accountId))) throw terminalUnknown();
    const row = await findSessionKey(tx, thumbprint, now);
    if (row === undefined || row.accountId !== accountId || row.endedAt !== null) throw terminalUnknown();
    const { family } = row;
    await endFamily(work, { family, agentId: undefined, accountId, thumbprint }, { endsGrants, by: 'owner' });
  });
}

function terminalUnknown(): Failure {
  return new Failure('notFound', 'There is no such terminal.');
}
