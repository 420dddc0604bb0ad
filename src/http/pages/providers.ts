import { z } from 'zod';
import { listAudiences } from '../../domain/audiences/audience.ts';
import { decideLinkRequest, findLinkRequestTo } from '../../domain/providers/link-requests.ts';
import { findLinkedProvider, unlinkProvider } from '../../domain/providers/linked-providers.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../server/table.ts';
import { formSchema } from './forms.ts';
import { buttonOperation, formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import { describeScopes } from './scopes.ts';

/** The pages on which a human decides whether a provider may connect apps to their account, and ends that. */

const none = undefined;

/** Creates the rows of these pages. */
export function providerRows(pages: Pages): Row[] {
  const [request, end] = [`${PAGES.links}/:id`, `${PAGES.providers}/:id/end`] as const;
  return [
    row('GET', request, 'recentlyVerifiedUser', none, linkRequestPage(pages)),
    row('POST', request, 'recentlyVerifiedUser', none, decideRequest),
    row('GET', end, 'signedInUser', none, endProviderPage(pages)),
    row('POST', end, 'signedInUser', none, endProvider),
  ];
}

/** GET /apps/links/:id: asks whether a provider may connect apps. */
function linkRequestPage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'Whether my organization may connect apps',
    async handle({ deps, caller, params }) {
      const asked = await findLinkRequestTo(deps, caller.session.accountId, params.id!);
      const audience = (await listAudiences(deps)).find(({ url }) => url === asked.resource);
      const values = {
        ...asked,
        appName: asked.appName === undefined ? '' : displayName(asked.appName),
        scopes: describeScopes(deps.config, asked.scopes),
        resource: audience && { name: audience.name, host: new URL(audience.url).host },
      };
      return pages.show(caller, 'link-request', values);
    },
  });
}

/** POST /apps/links/:id: lets a provider connect apps, or declines. */
const decideRequest = formOperation({
  caller: 'recentlyVerifiedUser',
  summary: 'Let my organization connect apps, or decline',
  form: formSchema({ decision: z.enum(['allow', 'decline']) }),
  async handle({ deps, origin, body, caller, params }) {
    const allows = body.decision === 'allow';
    await decideLinkRequest(deps, origin, caller.session.accountId, { id: params.id!, allows });
    return redirect(deps.config, PAGES.apps, [], allows ? 'providerLinked' : 'providerDeclined');
  },
});

/** GET /apps/providers/:id/end: asks whether to end what a provider may do. */
function endProviderPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Whether to end what my organization may do',
    async handle({ deps, caller, params }) {
      const provider = await findLinkedProvider(deps, caller.session.accountId, params.id!);
      return pages.show(caller, 'end-provider', { provider });
    },
  });
}

/** POST /apps/providers/:id/end: ends what a provider may do. */
const endProvider = buttonOperation({
  summary: 'End what my organization may do',
  act: (deps, origin, accountId, { id }) => unlinkProvider(deps, origin, accountId, id!),
  page: () => PAGES.apps,
  flash: 'providerUnlinked',
});
