import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import {
  type Args,
  type AuthorizationServerOptions,
  type Configured,
  createPolicy,
  loadPolicy,
  type PlaceOfCall,
  type Policy,
  type PolicyOptions,
  VerificationError,
} from 'vouchsafe/resource-server';
import type { Workspaces } from './workspaces.ts';

/** Who may call which tool, decided before it runs: by the rules of the service, and by where a call is about. */

export interface Rules {
  policy: Policy;
  /** All scopes. */
  scopes: string[];
  /** What an app asks its human for at once: all that is not destructive. That it asks for when it needs it. */
  usualScopes: string[];
}

type Token = Parameters<NonNullable<PolicyOptions['resolveResource']>>[2];

/** Loads the rules that the operator wrote (`policy` in the configuration of the service); waits for a service that starts. */
export async function loadRules(server: AuthorizationServerOptions, workspaces: Workspaces): Promise<Rules> {
  let policy: Policy;
  const resolveResource = (tool: string, args: Args, token: Token) =>
    placeOfCall(workspaces, args, token, policy.isReadOnly(tool));
  const { policy: loaded, configured } = await whenServed(() => loadPolicy({ ...server, resolveResource }));
  let { scopes } = configured;
  policy = loaded;
  if (Object.keys(configured.tools).length === 0) {
    // A service without rules: those of two of the examples, for keys and tokens alike.
    const [one, other] = [readConfig('stable-baseline'), readConfig('apphub')];
    scopes = { ...one.scopes, ...other.scopes };
    const tools = { ...one.policy.tools, ...other.policy.tools };
    policy = createPolicy({ scopes, tools, resolveResource });
  }
  const isUsual = (name: string) => !(scopes[name] as { destructive?: boolean }).destructive;
  return {
    policy,
    scopes: Object.keys(scopes),
    usualScopes: Object.keys(scopes).filter(isUsual),
  };
}

/** In which workspace a call is: the one that it names, the only one of the key, or that of its own account. */
export function workspaceOf(args: Args, token: Pick<Token, 'workspace' | 'subject'>): string {
  const { workspace } = args;
  return typeof workspace === 'string' && workspace !== '' ? workspace : (token.workspace ?? token.subject);
}

/** The arguments that name a thing, in every tool. */
const NAMES = ['app', 'asset', 'preview', 'item', 'folder'];

/**
 * Returns where a call is about: where a thing is by the tree of this server, or where a new one is to be. A call that only looks
 * and names nothing is about nothing in particular: its answer holds what the key may look at.
 */
function placeOfCall(
  workspaces: Workspaces,
  args: Args,
  token: Token,
  isLooking: boolean,
): PlaceOfCall | undefined {
  const workspace = workspaceOf(args, token);
  const [id, ...others] = NAMES.flatMap((name) => args[name] ?? []);
  if (id === undefined && args.in === undefined && isLooking) return undefined;
  // A tool reads one of these arguments: who sends another beside it needs the whole workspace.
  if (others.length > 0 || !isReached(token, workspace)) return { workspace };
  workspaces.open(workspace);
  if (typeof id === 'string' && workspaces.find(workspace, id)) return workspaces.placeOf(workspace, id);
  const { type: _, ...place } = workspaces.placeOf(
    workspace,
    typeof args.in === 'string' ? args.in : undefined,
  );
  return { ...place, ...(typeof args.type === 'string' && { type: args.type }) };
}

/** Whether a key has anything in a workspace. */
export function isReached(
  { access, subject }: Pick<Token, 'access' | 'subject'>,
  workspace: string,
): boolean {
  return access?.some((place) => place.workspace === workspace) ?? workspace === subject;
}

async function whenServed<Result>(load: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await load();
    } catch (error) {
      if (!(error instanceof VerificationError) || tries === 60) throw error;
      if (tries === 1) console.error(`Waiting for the service: ${error.message}`);
      await setTimeout(1000);
    }
  }
}

function readConfig(name: string): {
  scopes: Configured['scopes'];
  policy: { tools: Configured['tools'] };
} {
  return JSON.parse(readFileSync(new URL(`../${name}.config.json`, import.meta.url), 'utf8'));
}
