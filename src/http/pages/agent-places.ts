import { z } from 'zod';
import { type OwnedAgent, showOwnedAgent } from '../../domain/owner/owned-agent-view.ts';
import { placeAgent } from '../../domain/owner/place-agent.ts';
import { listPlacesOfHolders } from '../../domain/workspaces/pick-places.ts';
import { Failure } from '../../errors.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import { agentPath, isEnded, presentAgent } from './agents.ts';
import { formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import {
  enteredPlaces,
  hasGridFor,
  placeProblemOf,
  presentWhere,
  readWhere,
  toPlaceRequests,
  VALUE_LENGTH_MAX,
  type WhereForm,
} from './where.ts';

/** The page on which a human chooses where an agent may work beside its own account. */

const placesForm = formSchema({}).catchall(z.string().max(VALUE_LENGTH_MAX));

type PlacesCall = Call<unknown, 'recentlyVerifiedUser'>;

/** GET /agents/:id/where: shows where an agent may work, to change it. */
export function agentPlacesPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'Ask where it may work',
    async handle(call) {
      const { deps, caller, params } = call;
      const draft = caller.draft(`${agentPath(call)}/where`);
      if (draft !== undefined) return showForm(pages, call, draft);
      const places = (await listPlacesOfHolders(deps, [params.id!])).get(params.id!) ?? [];
      const live = places.filter(({ endedAt }) => endedAt === null);
      return showForm(pages, call, enteredPlaces({ presets: new Map() }, live));
    },
  });
}

/** POST /agents/:id/where: gives an agent the chosen places instead of those that it has. */
export function changeAgentPlaces(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Let it work in workspaces',
    form: placesForm,
    hasChoices: true,
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const { accountId } = caller.session;
      if (body.search !== undefined) return showForm(pages, call, body);
      const where = await readWhere(deps, accountId, body);
      if (where === undefined) return redirect(deps.config, agentPath(call), caller.cookies);
      if (where.problem !== undefined) return showForm(pages, call, body, where.problem);
      if (!hasGridFor(where, body)) {
        return showForm(pages, call, body, { key: 'keys.problem.grid', field: 'permissions' });
      }
      const requests = toPlaceRequests(deps, accountId, where, body, undefined);
      if (requests === undefined)
        return showForm(pages, call, body, { key: 'keys.problem.place', field: 'where' });
      if (requests.length === 0 && where.chosen.length > 0) {
        return showForm(pages, call, body, { key: 'keys.problem.permissions', field: 'permissions' });
      }
      try {
        await placeAgent(deps, origin, accountId, params.id!, requests);
      } catch (error) {
        const problem = error instanceof Failure ? placeProblemOf(error) : undefined;
        if (problem === undefined) throw error;
        return showForm(pages, call, body, problem);
      }
      return redirect(deps.config, agentPath(call), caller.cookies, 'agentPlaced');
    },
  });
}

/** Shows the form. Where nothing can be chosen or changed, it leads to the agent. */
async function showForm(
  pages: Pages,
  call: PlacesCall,
  form: WhereForm,
  problem?: Problem,
): Promise<HandlerResult> {
  const { deps, caller } = call;
  const agent = await findAgent(call);
  const where = await readWhere(deps, caller.session.accountId, form);
  if (isEnded(agent) || where === undefined) return redirect(deps.config, agentPath(call), caller.cookies);
  const values = {
    agent: presentAgent(agent),
    where: await presentWhere(deps, where, form, false),
    hasRows: where.chosen.length > 0,
    problem,
  };
  return pages.show(caller, 'agent-places', values);
}

/** @throws Failure `notFound`, also for an agent of another owner */
async function findAgent({ deps, caller, params }: PlacesCall): Promise<OwnedAgent> {
  const none = { keys: undefined, activity: undefined };
  return (await showOwnedAgent(deps, caller.session.accountId, params.id!, none)).agent;
}
