import {
  ACTIVITY_GROUPS,
  type ActivitySubject,
  findSubject,
  listActivity,
  listSubjects,
} from '../../domain/audit/list-activity.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { operation } from '../server/table.ts';
import {
  type Choice,
  type ListView,
  presentFilters,
  presentPaging,
  readId,
  readMark,
  readSearch,
  type Select,
} from './lists.ts';
import type { Pages } from './pages.ts';

/** GET /account/activity: shows a page of the audit log of the account. */
export function activityPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'What happened in it',
    async handle({ deps, caller, query }) {
      const { accountId, hasWorkspaces } = caller.session;
      const aboutId = readId(query, 'about');
      const [subjects, about] = await Promise.all([
        listSubjects(deps, accountId),
        aboutId === undefined ? undefined : findSubject(deps, accountId, aboutId),
      ]);
      const group = ACTIVITY_GROUPS.find((each) => each === query.get('kind'));
      const search = readSearch(query);
      const page = await listActivity(deps, accountId, { group, about, search, at: readMark(query) });
      const view: ListView = { path: PAGES.activity, query, parameters: ['q', 'kind', 'about'] };
      return pages.show(caller, 'activity', {
        activity: page.items,
        isNarrowed: group !== undefined || about !== undefined || search !== undefined,
        isPartial: page.isPartial,
        list: presentFilters(view, { selects: [kindMenu(hasWorkspaces), subjectMenu(subjects, about)] }),
        paging: { ...presentPaging(view, page, { isByTime: true }), note: 'common.utc' },
      });
    },
  });
}

/** The menu of kinds, without workspaces where there are none. */
function kindMenu(hasWorkspaces: boolean): Select {
  const groups = ACTIVITY_GROUPS.filter((group) => hasWorkspaces || group !== 'workspaces');
  return {
    name: 'kind',
    label: 'activity.kind',
    choices: [
      { value: '', text: 'activity.group.all' },
      ...groups.map((group) => ({ value: group, text: `activity.group.${group}` })),
    ],
  };
}

/** The menu of agents and keys; the one that is chosen is in it, however long ago it was used. */
function subjectMenu(subjects: readonly ActivitySubject[], chosen: ActivitySubject | undefined): Select {
  const isListed = chosen === undefined || subjects.some(({ id }) => id === chosen.id);
  const all = isListed ? subjects : [chosen, ...subjects];
  const choicesOf = (kind: ActivitySubject['kind']): Choice[] =>
    all
      .filter((subject) => subject.kind === kind)
      .map(({ id, name }) => ({ value: id, name: (name && displayName(name)) || undefined }));
  const groups = [
    { label: 'activity.subjects.agents', choices: choicesOf('agent') },
    { label: 'activity.subjects.keys', choices: choicesOf('key') },
  ];
  return {
    name: 'about',
    label: 'activity.about',
    choices: [{ value: '', text: 'activity.subjects.all' }],
    groups: groups.filter(({ choices }) => choices.length > 0),
  };
}
