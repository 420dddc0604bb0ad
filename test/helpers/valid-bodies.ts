import { CLAIM_GRANT, ID_JAG, JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { type Media, mediaTypes } from '../../src/http/server/body.ts';
import type { Route } from '../../src/http/server/table.ts';
import { systemRandom } from '../../src/lib/random.ts';
import { newSecret } from '../../src/lib/secrets.ts';
import { ensure } from './ensure.ts';
import type { DialectName } from './wire.ts';

/** A valid body for each route that takes one, from which tests of bad input make the bad ones. */

export const JSON_TYPE = 'application/json';

export const FORM_TYPE = 'application/x-www-form-urlencoded';

export const unknownKey = newSecret('sk', systemRandom);

export const unknownClaimToken = newSecret('ct', systemRandom);

export const unknownOwnClaimToken = newSecret('clm', systemRandom);

export const unknownRefreshToken = newSecret('art', systemRandom);

export const mailbox = 'human@example.com';

/** A token in compact form, whose signature is none. */
export function jwt(header: object, claims: object, signature = 'AAAA'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(claims)}.${signature}`;
}

export const stranger = (typ: string) =>
  jwt({ alg: 'ES256', typ, kid: '1' }, { iss: 'https://stranger.example' });

export type Members = Record<string, unknown>;

/** The same of the Agent Auth Protocol, whose requests are all signed. */
const PROTOCOL_BODIES: Record<string, readonly (readonly [plain: string, body: Members])[]> = {
  'POST /agent/register': [
    [
      '401 authentication_required',
      { name: 'Robin', mode: 'autonomous', capabilities: ['read'], reason: 'why' },
    ],
  ],
  'POST /agent/request-capability': [
    ['401 authentication_required', { capabilities: ['write'], reason: 'why', preferred_method: 'ciba' }],
  ],
  'POST /agent/reactivate': [['401 authentication_required', { agent_id: 'agt_0' }]],
  'POST /agent/revoke': [['401 authentication_required', { agent_id: 'agt_0' }]],
  'POST /agent/rotate-key': [
    [
      '401 authentication_required',
      { agent_id: 'agt_0', public_key: { kty: 'OKP', crv: 'Ed25519', x: 'x' } },
    ],
  ],
  'POST /host/rotate-key': [
    ['401 authentication_required', { public_key: { kty: 'OKP', crv: 'Ed25519', x: 'x' } }],
  ],
  'POST /capability/execute': [
    ['401 authentication_required', { capability: 'read', arguments: { seconds: 60 } }],
  ],
  'POST /agent/permissions': [['400 invalid_request', { kind: 'vouchsafe.auth.request', version: 1 }]],
  'POST /agent/permissions/:id/grant': [
    ['401 unauthorized', { permissions: [{ index: 0, actions: ['read'] }] }],
  ],
  'POST /agent/session-key': [['401 unauthorized', { end: true }]],
  'POST /agent/introspect': [['401 authentication_required', { token: 'a.b.c' }]],
};

const BATCH = { workspace: 'wsp_0', upsert: [{ id: 'a', kind: 'folder', name: 'A' }] };

/**
 * Bodies that pass the schemas of each row that takes one, at least one for each version of it, so that a refusal is for what a
 * test added; and before each what becomes of it without any credential.
 */
const VALID: Record<string, readonly (readonly [plain: string, body: Members])[]> = {
  'POST /agent/auth': [
    ['200', { type: 'anonymous', agent_name: 'Robin' }],
    ['200', { type: 'anonymous', requested_credential_type: 'api_key', agent_name: 'Robin' }],
    [
      '400 invalid_issuer',
      {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: stranger('oauth-id-jag+jwt'),
        requested_credential_type: 'access_token',
      },
    ],
  ],
  'POST /agent/auth/claim': [
    ['401 invalid_claim_token', { claim_token: unknownClaimToken, email: mailbox, link: false }],
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, email: mailbox }],
  ],
  'POST /agent/auth/claim/complete': [
    ['401 invalid_claim_token', { claim_token: unknownClaimToken, otp: '123456' }],
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, otp: '123456' }],
  ],
  'POST /api/tokens': [['401 unauthorized', { name: 'helper', scope: 'read', expires_in: 60 }]],
  'POST /agent/identity': [
    ['200', { type: 'anonymous', agent_name: 'Robin' }],
    ['200', { type: 'service_auth', login_hint: mailbox }],
    [
      '400 invalid_issuer',
      {
        type: 'identity_assertion',
        assertion_type: ID_JAG,
        assertion: stranger('oauth-id-jag+jwt'),
      },
    ],
    ['400 invalid_refresh_token', { type: 'refresh', refresh_token: unknownRefreshToken }],
  ],
  'POST /agent/identity/claim': [
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, email: mailbox }],
    [
      '401 invalid_claim_token',
      { type: 'service_auth', claim_token: unknownOwnClaimToken, login_hint: mailbox },
    ],
    [
      '401 invalid_claim_token',
      {
        type: 'identity_assertion',
        claim_token: unknownOwnClaimToken,
        assertion: stranger('oauth-id-jag+jwt'),
      },
    ],
  ],
  'POST /agent/identity/claim/complete': [
    ['401 invalid_claim_token', { claim_token: unknownOwnClaimToken, otp: '123456' }],
    ['400 invalid_claim', { claim_token: unknownOwnClaimToken, user_code: 'BCDF-GHJK' }],
  ],
  'POST /oauth2/token': [
    [
      '400 invalid_grant',
      { grant_type: JWT_BEARER, assertion: stranger('agent-identity+jwt'), scope: 'read' },
    ],
    ['400 expired_token', { grant_type: CLAIM_GRANT, claim_token: unknownOwnClaimToken }],
  ],
  'POST /agent/event/notify': [['400 invalid_issuer', { token: stranger('secevent+jwt') }]],
  'POST /agent/auth/revoke': [['400 invalid_issuer', { token: stranger('logout+jwt') }]],
  'POST /oauth2/device_authorization': [['401 invalid_client', { client_id: 'cli_none', scope: 'read' }]],
  'POST /oauth2/register': [
    [
      '201',
      { redirect_uris: ['https://app.example/cb'], client_name: 'App', token_endpoint_auth_method: 'none' },
    ],
  ],
  'POST /oauth2/par': [
    [
      '401 invalid_client',
      {
        client_id: 'cli_0',
        response_type: 'code',
        redirect_uri: 'https://app.example/cb',
        code_challenge: 'a'.repeat(43),
        code_challenge_method: 'S256',
        scope: 'read',
      },
    ],
  ],
  'POST /oauth2/end-session': [['303', { state: 'st' }]],
  'POST /oauth/clients/register': [
    [
      '201',
      { redirect_uris: ['https://app.example/cb'], client_name: 'App', token_endpoint_auth_method: 'none' },
    ],
  ],
  'PUT /oauth2/register/:client_id': [
    ['401 invalid_token', { redirect_uris: ['https://app.example/cb'], client_id: 'key_0' }],
  ],
  'POST /oauth2/introspect': [['401 invalid_client', { token: unknownKey, token_type_hint: 'access_token' }]],
  'POST /oauth2/revoke': [['200', { token: unknownKey }]],
  ...PROTOCOL_BODIES,
  'POST /resource/quota': [['401 invalid_client', { key_id: 'key_0', action: 'send' }]],
  'PUT /resource/nodes': [['401 invalid_client', BATCH]],
  'POST /resource/nodes': [['401 invalid_client', BATCH]],
};

/** The same of pages. All of them are 403: a form needs the token that its page carries. */
const VALID_FORMS: Record<string, Record<string, string>> = {
  'POST /claim': { csrf: 'none', attempt: 'cla_0', code: '123456' },
  'POST /authorize/:uid': { csrf: 'none', decision: 'approve', 'scope:read': 'on' },
  'POST /authorize/:uid/switch': { csrf: 'none' },
  'POST /oauth2/end-session/confirm': { csrf: 'none', client_id: 'cli_0', state: 'st' },
  'POST /claim/deny': { csrf: 'none', no_more: 'on' },
  'POST /connect': { csrf: 'none', code: 'ABCD-EFGH' },
  'POST /connect/device': { csrf: 'none', request: 'ab', decision: 'approve', 'scope:read': 'on' },
  'POST /connect/deny': { csrf: 'none', no_more: 'on' },
  'POST /connect/review': { csrf: 'none', approval: 'apr_0', decision: 'approve', 'allow:read': 'on' },
  'POST /permissions': { csrf: 'none', code: 'ABCD-EFGH' },
  'POST /permissions/review': { csrf: 'none', request: 'prq_0', decision: 'approve', 'may:0:read': 'on' },
  'POST /permissions/review/refer': { csrf: 'none', request: 'prq_0', workspace: 'wsp_0' },
  'POST /permissions/:id/revoke': { csrf: 'none' },
  'POST /agents/:id/session-keys/:thumbprint/end': { csrf: 'none' },
  'POST /agents/:id/session-keys/:thumbprint/keep': { csrf: 'none' },
  'POST /account/terminals/:thumbprint/end': { csrf: 'none', grants: 'on' },
  'POST /hosts/:id/revoke': { csrf: 'none' },
  'POST /sign-in': { csrf: 'none', next: '/account', email: 'human@example.com' },
  'POST /sign-in/again': { csrf: 'none', next: '/account' },
  'POST /sign-in/code': { csrf: 'none', next: '/account', code: '123456' },
  'POST /sign-in/link': { csrf: 'none' },
  'POST /sign-out': { csrf: 'none' },
  'POST /agents/:id/rename': { csrf: 'none', name: 'Robin' },
  'POST /agents/:id/narrow': { csrf: 'none', 'scope:read': 'on' },
  'POST /agents/:id/where': { csrf: 'none', grid: 'wsp_a', 'place:wsp_a': 'on', 'may:wsp_a:read': 'on' },
  'POST /agents/:id/unlink': { csrf: 'none' },
  'POST /agents/:id/undo': { csrf: 'none' },
  'POST /agents/:id/revoke': { csrf: 'none' },
  'POST /keys/new': { csrf: 'none', once: 'a'.repeat(32), name: 'script', preset: 'read-only', life: '7' },
  'POST /keys/:id/revoke': { csrf: 'none' },
  'POST /apps/:id/revoke': { csrf: 'none' },
  'POST /apps/:id/workspaces/:workspace/end': { csrf: 'none' },
  'POST /apps/links/:id': { csrf: 'none', decision: 'allow' },
  'POST /apps/providers/:id/end': { csrf: 'none' },
  'POST /apps/clients/new': {
    csrf: 'none',
    name: 'Reports',
    auth: 'client_secret_post',
    redirects: 'https://app.example/cb',
    'use:people': 'on',
  },
  'POST /apps/clients/:id/edit': { csrf: 'none', name: 'Reports', redirects: 'https://app.example/cb' },
  'POST /apps/clients/:id/rotate': { csrf: 'none', overlap: '1d' },
  'POST /apps/clients/:id/delete': { csrf: 'none' },
  'POST /workspaces/new': { csrf: 'none', name: 'Atlas' },
  'POST /workspaces/:id/invite': { csrf: 'none', email: 'human@example.com', role: 'member' },
  'POST /workspaces/:id/withdraw': { csrf: 'none', invitation: 'inv_0' },
  'POST /workspaces/:id/connect': { csrf: 'none', api: 'rs_0' },
  'POST /workspaces/:id/rename': { csrf: 'none', name: 'Atlas' },
  'POST /workspaces/:id/leave': { csrf: 'none' },
  'POST /workspaces/:id/transfer': { csrf: 'none', member: 'usr_0' },
  'POST /workspaces/:id/delete': { csrf: 'none', name: 'Atlas' },
  'POST /workspaces/:id/members/:member': { csrf: 'none', role: 'viewer' },
  'POST /workspaces/:id/members/:member/remove': { csrf: 'none' },
  'POST /workspaces/:id/keys/:key/end': { csrf: 'none' },
  'POST /workspaces/:id/connected-apps/:app/end': { csrf: 'none' },
  'POST /workspaces/:id/grants/:grant/end': { csrf: 'none' },
  'POST /workspaces/:id/apps/:node': { csrf: 'none', once: 'a'.repeat(32), name: 'robot', life: '7' },
  'POST /invitation': { csrf: 'none', decision: 'join' },
  'POST /invitation/decline': { csrf: 'none' },
  'POST /account/invitations': { csrf: 'none', wanted: 'yes' },
  'POST /account/sessions/end': { csrf: 'none', session: 'ses_0' },
  'POST /account/sessions/end-others': { csrf: 'none' },
  'POST /account/mail': { csrf: 'none', wanted: 'yes' },
  'POST /account/name': { csrf: 'none', name: 'Ada' },
  'POST /account/language': { csrf: 'none', locale: 'de' },
  'POST /account/authenticator': { csrf: 'none', sealed: 'x', code: '123456' },
  'POST /account/authenticator/codes': { csrf: 'none' },
  'POST /account/authenticator/remove': { csrf: 'none' },
  'POST /console/agents/revoke': { csrf: 'none', reason: 'spam', 'agent:agt_0': 'on' },
  'POST /console/agents/:id/end': { csrf: 'none', reason: 'spam', id: 'grt_0' },
  'POST /console/accounts/:id/end-sessions': { csrf: 'none', reason: 'spam' },
  'POST /console/accounts/:id/revoke-keys': { csrf: 'none', reason: 'spam' },
  'POST /console/accounts/:id/stop-mail': { csrf: 'none', reason: 'spam' },
  'POST /console/accounts/:id/allow-mail': { csrf: 'none', reason: 'spam' },
  'POST /console/keys/revoke': { csrf: 'none', reason: 'spam', 'key:key_0': 'on' },
  'POST /console/workspaces/:id/delete': { csrf: 'none', reason: 'spam' },
  'POST /console/oauth-clients/:id/suspend': { csrf: 'none', reason: 'spam' },
  'POST /console/oauth-clients/:id/resume': { csrf: 'none', reason: 'spam' },
  'POST /console/oauth-clients/:id/remove': { csrf: 'none', reason: 'spam' },
  'POST /console/resource-servers/new': {
    csrf: 'none',
    name: 'API',
    url: 'https://api.example.com',
    scopes: 'all',
    reason: 'new',
  },
  'POST /console/resource-servers/:id/rotate': { csrf: 'none', overlap: '1d', reason: 'yearly' },
  'POST /console/resource-servers/:id/remove': { csrf: 'none', reason: 'gone' },
  'POST /console/trusted-issuers': { csrf: 'none' },
  'POST /console/mail/retry': { csrf: 'none', reason: 'fixed', 'mail:out_0': 'on' },
  'POST /console/mail/allow': { csrf: 'none', sealed: 'x', reason: 'asked' },
  'POST /account/delete': { csrf: 'none', mailbox: 'human@example.com' },
};

/** What the tests of bodies send: a valid body of a row, in one of the media types that the row takes. */
export interface BodyRow {
  line: string;
  method: Route['method'];
  path: string;
  caller: Route['caller'];
  repeatable: boolean;
  /** How a refusal is spelt before the body is understood. */
  before: DialectName;
  /** How it is spelt afterwards, by the version that the body is of. */
  dialect: DialectName;
  /** All that can be spoken at the path. */
  spoken: ReadonlySet<DialectName>;
  codec: 'json' | 'form' | 'token';
  /** As the row declares it, with its own limits. */
  media: Media;
  type: string;
  /** What else the row takes. */
  types: readonly string[];
  valid: Members;
  /** What becomes of it: the status, and the name of the refusal. */
  plain: string;
}

export function bodyRows(routes: readonly Route[]): BodyRow[] {
  return routes.flatMap((row) => {
    if (row.body === undefined) return [];
    const line = `${row.method} ${row.path}`;
    const form = VALID_FORMS[line];
    const bodies = VALID[line] ?? (form && [['403', form] as const]);
    ensure(bodies, `${line} takes a body: give a valid one above, so that it is tested too`);
    const versionOf = (valid: Members) => row.versions.find((each) => each.matches(valid));
    const tested = new Set(bodies.map(([, valid]) => versionOf(valid)));
    for (const each of [undefined, ...row.versions]) {
      ensure(tested.has(each), `${line} is spoken in several versions: give a valid body of each`);
    }
    const types = mediaTypes(row.body.media);
    return types.flatMap((type) =>
      bodies.map(
        ([plain, valid]): BodyRow => ({
          line: `${line} with ${JSON.stringify(valid).slice(0, 60)} as ${type}`,
          method: row.method,
          path: concrete(row.path),
          caller: row.caller,
          repeatable: row.repeatable,
          before: row.dialect.name as DialectName,
          dialect: (versionOf(valid) ?? row).dialect.name as DialectName,
          spoken: new Set([row, ...row.versions].map((each) => each.dialect.name as DialectName)),
          codec:
            type === JSON_TYPE || type.endsWith('+json') ? 'json' : type === FORM_TYPE ? 'form' : 'token',
          media: row.body!.media,
          type,
          types,
          valid,
          plain,
        }),
      ),
    );
  });
}

export function encode(row: Pick<BodyRow, 'codec' | 'valid'>, body: Members = row.valid): string {
  if (row.codec === 'json') return JSON.stringify(body);
  if (row.codec === 'token') return String(body.token);
  return new URLSearchParams(body as Record<string, string>).toString();
}

/** The valid JSON text with one more member, given as text. */
export function withMember(row: BodyRow, member: string): string {
  return `${JSON.stringify(row.valid).slice(0, -1)},${member}}`;
}

/** The path as a request writes it. */
export const concrete = (path: string) => path.replaceAll(/:\w+/g, 'key_0');
