import { createLocalJWKSet, jwtVerify } from 'jose';
import { issueAccessToken, tokenExpiry } from '../../src/domain/credentials/access-tokens.ts';
import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { asker, type Server } from '../helpers/api-keys.ts';
import { newMailbox } from '../helpers/common.ts';
import { startWith } from '../helpers/configured-service.ts';
import type { TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openPlaces } from '../helpers/workspaces.ts';

/** Signed access tokens (RFC 9068) of agents on places: whoever verifies them without asking learns of no role that changed. */

const API = 'https://api.example.com/mcp';

onEveryEngine('signed tokens of agents on places', (engine, test) => {
  for (const signed of [false, true]) {
    test.describe(signed ? 'with workspaces.signed' : 'by default', (test) => {
      let on: TestService;
      let api: Server;
      const places = openPlaces(() => on);
      test.before(async () => {
        const resources = [{ url: API, name: 'MCP', tokens: 'jwt' }];
        on = await startWith({ resources, workspaces: { signed } }, {}, engine);
        api = await places.server(API);
      });
      test.after(() => on.stop());

      async function placed() {
        const mailbox = newMailbox();
        const { user_id: owner } = await on.claimed(mailbox);
        const { agent_id } = await on.claimed(mailbox);
        const wsp = await places.workspace([await places.person(), 'owner'], [owner, 'admin']);
        await placeAgent(on.service.deps, asker, owner, agent_id, [
          { workspaceId: wsp, path: 'drafts/', actions: ['write'] },
        ]);
        return { owner, agentId: agent_id as string, wsp };
      }
      const issue = (agentId: string, accountId: string) =>
        places.act((work) => {
          const audience = { url: API, tokens: 'jwt' as const };
          return issueAccessToken(work, {
            agentId,
            accountId,
            scopes: ['read'],
            audience,
            issuedAt: work.now,
            expiresAt: tokenExpiry(on.service.deps, audience, work.now, Infinity),
          });
        });
      async function claimsOf(token: string) {
        const keys = createLocalJWKSet((await on.get('/.well-known/jwks.json')).body);
        const { payload } = await jwtVerify(token, keys, {
          issuer: on.url,
          audience: API,
          currentDate: new Date(on.clock()),
        });
        return payload;
      }

      test(
        signed ? 'say where it may do what, and only that' : 'are for its own account alone',
        async (t) => {
          const { owner, agentId, wsp } = await placed();
          const claims = await claimsOf((await issue(agentId, owner)).value);
          t.is(claims.sub, owner);
          const common = { type: 'workspace', locations: [API] };
          t.deepEqual(
            [claims.scope, claims.authorization_details, claims.workspace],
            signed
              ? [
                  'read write',
                  [
                    { ...common, identifier: owner, actions: ['read'] },
                    {
                      ...common,
                      identifier: wsp,
                      path: 'drafts/',
                      actions: ['write'],
                      privileges: ['manage'],
                    },
                  ],
                  undefined,
                ]
              : ['read', undefined, undefined],
          );
          t.is(claims.exp! - claims.iat!, 300);
        },
      );

      test('of an agent without places are as ever', async (t) => {
        const { user_id: owner, agent_id } = await on.claimed(newMailbox());
        const claims = await claimsOf((await issue(agent_id, owner)).value);
        t.is(claims.scope, 'read');
        t.false('authorization_details' in claims);
      });

      test('are introspected with the places and the roles of that moment', async (t) => {
        const { owner, agentId, wsp } = await placed();
        const { value } = await issue(agentId, owner);
        t.is((await api.ask(value)).body.authorization_details.length, 2);
        await places.setRole(wsp, owner, 'viewer');
        t.is((await api.ask(value)).body.authorization_details, undefined);
      });
    });
  }
});
