import { type OwnedHost, showOwnedHost } from '../../domain/hosts/owned-hosts.ts';
import { revokeOwnedHost } from '../../domain/hosts/revoke-host.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { operation } from '../server/table.ts';
import { buttonOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';

/** The pages on which a signed-in human manages the hosts of their agents: on pages, environments. */

/** GET /hosts/:id/revoke: asks whether to revoke a host and its agents. */
export function revokeHostPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Ask before a host ends',
    async handle({ deps, caller, params }) {
      const host = await showOwnedHost(deps, caller.session.accountId, params.id!);
      if (host.revokedAt !== undefined) return redirect(deps.config, PAGES.environments);
      return pages.show(caller, 'revoke-host', { host: presentHost(host) });
    },
  });
}

/** POST /hosts/:id/revoke: revokes a host and its agents. */
export const revokeHost = buttonOperation({
  summary: 'End a host and its agents',
  act: (deps, origin, accountId, { id }) => revokeOwnedHost(deps, origin, accountId, id!),
  page: () => PAGES.environments,
  flash: 'hostRevoked',
});

/** Prepares a host for a template: its name, which is unverified, as it is shown. */
export function presentHost<Host extends OwnedHost>(host: Host): Host {
  return { ...host, name: (host.name && displayName(host.name)) || undefined };
}
