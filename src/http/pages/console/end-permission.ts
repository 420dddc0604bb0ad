import { z } from 'zod';
import { showFoundAgent } from '../../../domain/operators/agents.ts';
import { endPermissions } from '../../../domain/operators/permissions.ts';
import { listSessionKeysOf } from '../../../domain/permissions/agent-keys.ts';
import { listGrantsOfAgent } from '../../../domain/permissions/grants.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { formSchema, type Problem } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { presentGrants } from '../present-permissions.ts';
import { readAct, reasonField } from './acts.ts';
import { presentAgent } from './agents.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's page that asks before a session key of an agent, or what was granted to it, ends, and ends it. */

const PATH = `${CONSOLE.agents}/:id/end`;

/** `id` is that of a grant, or the thumbprint of a session key. */
const endForm = formSchema({ reason: reasonField, id: z.string().max(80).default('') });

export function endPermissionRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', undefined, endPage(pages)),
    row('POST', PATH, 'recentlyVerifiedOperator', undefined, submitEnd(pages)),
  ];
}

/** GET /console/agents/:id/end?id=…: asks first, and why. */
function endPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before a session key or a grant ends',
    handle(call) {
      const draft = call.caller.draft(`${pathOf(call)}/end`);
      return showEnd(pages, call, draft?.id ?? call.query.get('id') ?? '', draft?.reason);
    },
  });
}

/** POST /console/agents/:id/end: ends it. */
function submitEnd(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: 'End a session key or a grant',
    form: endForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const act = readAct(call, body.reason);
      if ('key' in act) return showEnd(pages, call, body.id, body.reason, act);
      const { grant } = await find(call, body.id);
      await endPermissions(deps, origin, act, [body.id]);
      const flash = grant === undefined ? 'sessionKeyEnded' : 'permissionsEnded';
      return redirect(deps.config, pathOf(call), caller.cookies, flash);
    },
  });
}

type EndCall = Pick<OperatorCall, 'deps' | 'caller' | 'params'>;

async function showEnd(
  pages: Pages,
  call: EndCall,
  id: string,
  reason: string | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const { deps, caller } = call;
  const { agent, grant, sessionKey } = await find(call, id);
  const [shown] = grant === undefined ? [] : await presentGrants(deps, [grant]);
  const values = { agent: presentAgent(agent), grant: shown, sessionKey, id, reason, problem };
  return showConsole(pages, caller, 'agents', 'end-permission', values);
}

/** @throws Failure `notFound` for what is not of this agent, or does not work any more */
async function find({ deps, params }: Pick<EndCall, 'deps' | 'params'>, id: string) {
  const found = await showFoundAgent(deps, params.id!);
  if (found === undefined) throw notFound();
  const { agent } = found;
  const grant = (await listGrantsOfAgent(deps, agent.id)).find((each) => each.id === id);
  const keys = await listSessionKeysOf(deps, agent.id);
  const sessionKey = keys.find(({ thumbprint }) => thumbprint === id);
  if (grant === undefined && sessionKey === undefined) throw notFound();
  return { agent, grant, sessionKey };
}

function pathOf({ params }: Pick<EndCall, 'params'>): `/${string}` {
  return `${CONSOLE.agents}/${encodeURIComponent(params.id!)}`;
}

function notFound(): Failure {
  return new Failure('notFound', 'This agent has no such session key and no such grant.');
}
