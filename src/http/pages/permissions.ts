import { z } from 'zod';
import { listOpenConnectionRequests } from '../../domain/hosts/connection-requests.ts';
import { findHostedSigner } from '../../domain/hosts/find-hosted-signer.ts';
import { askPermissions } from '../../domain/permissions/ask.ts';
import { findOwnGrant, listGrantsGiven, revokeGrantByOwner } from '../../domain/permissions/grants.ts';
import { listOpenRequests } from '../../domain/permissions/open-requests.ts';
import { readRequestToken, requestToken } from '../../domain/permissions/request-codes.ts';
import { Failure } from '../../errors.ts';
import { parseArtifact } from '../../lib/artifacts/artifact.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { type Call, type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { type Found, findWaiting } from './find-by-code.ts';
import { formSchema, type Problem } from './forms.ts';
import { buttonOperation, formOperation } from './operations.ts';
import { type Pages, redirectWithToken } from './pages.ts';
import { presentGrants } from './present-permissions.ts';
import { requestNotFound, reviewRows } from './review-permissions.ts';

/** The pages on which people find what is asked of them, and end what they gave. */

const none = undefined;

/** Creates the rows of these pages. */
export function permissionRows(pages: Pages): Row[] {
  return [
    row('GET', PAGES.permissions, 'browser', none, permissionsPage(pages)),
    row('POST', PAGES.permissions, 'browser', 'wrongPerIpHour', findRequest(pages)),
    ...reviewRows(pages),
    row('GET', `${PAGES.permissions}/:id/revoke`, 'signedInUser', none, revokePage(pages)),
    row('POST', `${PAGES.permissions}/:id/revoke`, 'signedInUser', none, revoke),
  ];
}

/** A code, or a whole request. */
const findForm = formSchema({
  code: z.string().max(64).default(''),
  artifact: z.string().max(48_000).default(''),
});

type BrowserCall = Pick<Call<unknown, 'browser'>, 'deps' | 'caller'>;

/** GET /permissions: where a code is typed; moves the token of a link into a cookie, out of the browser history. */
function permissionsPage(pages: Pages) {
  return operation({
    caller: 'browser',
    summary: 'Find what is asked, and what was given',
    handle(call) {
      const { deps, caller, query } = call;
      const token = query.get('t');
      if (token === null) return showPermissions(pages, call, caller.draft(PAGES.permissions) ?? {});
      const id = readRequestToken(deps, token);
      if (id === undefined) throw requestNotFound();
      return redirectWithToken(call, PAGES.reviewPermissions, 'permission', token);
    },
  });
}

/** POST /permissions: finds a request by its code, or takes one that is pasted as if it were posted. */
function findRequest(pages: Pages) {
  return formOperation({
    caller: 'browser',
    summary: 'By its code, or as a whole',
    form: findForm,
    hasArtifact: true,
    async handle(call) {
      const { body } = call;
      try {
        const found =
          body.artifact === ''
            ? await findWaiting(call.deps, call.origin, body.code)
            : await takeArtifact(call, body.artifact);
        return redirectWithToken(call, ...found);
      } catch (error) {
        return showPermissions(pages, call, body, problemOf(error, body.artifact !== ''));
      }
    },
  });
}

type FindCall = Pick<Call<z.output<typeof findForm>, 'browser'>, 'deps' | 'origin'>;

/** A terminal that wants to act for somebody is found by its code alone: nobody is led to it by what they were sent. */
async function takeArtifact({ deps, origin }: FindCall, text: string): Promise<Found> {
  const value = parseArtifact(Buffer.from(text));
  const isLogin = value.login === true;
  if (isLogin) throw new Failure('forbidden', 'Type the code that the terminal shows.');
  const findHosted = (thumbprint: string) => findHostedSigner(deps, thumbprint);
  const { id } = await askPermissions(deps, origin, value, { bearer: undefined, findHosted });
  return [PAGES.reviewPermissions, 'permission', requestToken(deps, id)];
}

const ARTIFACT_PROBLEMS: Partial<Record<Failure['kind'], string>> = {
  forbidden: 'requests.typeCode',
  wrongService: 'requests.wrongService',
  requestExpired: 'requests.expired',
  invalidSignature: 'requests.badSignature',
  unsupportedVersion: 'requests.newerVersion',
  unknownService: 'requests.unknownPlace',
  unknownAction: 'requests.unknownPlace',
  invalidPath: 'requests.unknownPlace',
  badRequest: 'requests.noRequest',
  bodyTooLarge: 'requests.noRequest',
  tooManyOpen: 'requests.tooManyOpen',
};

/** @throws what is no mistake of who typed it */
function problemOf(error: unknown, isArtifact: boolean): Problem {
  if (isArtifact && error instanceof AuthError) return { key: 'requests.noRequest', field: 'artifact' };
  if (!(error instanceof Failure)) throw error;
  if (error.kind === 'wrongCode') return { key: 'connect.wrongCode', field: 'code' };
  const key = isArtifact ? ARTIFACT_PROBLEMS[error.kind] : undefined;
  if (key === undefined) throw error;
  return { key, field: 'artifact' };
}

/** @param typed what stands in the fields */
async function showPermissions(
  pages: Pages,
  { deps, caller }: BrowserCall,
  { code = '', artifact = '' }: Record<string, string | undefined>,
  problem?: Problem,
): Promise<HandlerResult> {
  const { session } = caller;
  const lists = session && {
    requests: (await listOpenRequests(deps, session.accountId)).map(({ name, ...each }) => ({
      ...each,
      name: displayName(name ?? ''),
    })),
    connections: (await listOpenConnectionRequests(deps, session.accountId)).map(({ name, ...each }) => ({
      ...each,
      name: displayName(name),
    })),
    grants: await presentGrants(deps, await listGrantsGiven(deps, session.accountId)),
  };
  const values = { code, artifact, ...lists, isSignedIn: session !== undefined, problem };
  return pages.show(caller, 'permissions', values);
}

/** GET /permissions/:id/revoke: asks whether to end what was granted. */
function revokePage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Whether to end what was granted',
    async handle({ deps, caller, params }) {
      const grant = await findOwnGrant(deps, caller.session.accountId, params.id!);
      const [shown] = await presentGrants(deps, [grant]);
      return pages.show(caller, 'revoke-permission', { grant: shown });
    },
  });
}

/** POST /permissions/:id/revoke: ends what was granted. */
const revoke = buttonOperation({
  summary: 'End what was granted',
  act: (deps, origin, accountId, { id }) => revokeGrantByOwner(deps, origin, accountId, id!),
  page: () => PAGES.permissions,
  flash: 'permissionsEnded',
});
