import { saveConsent } from '../../src/domain/apps/consents.ts';
import { changeRole, removeMember } from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { asker } from '../helpers/api-keys.ts';
import { REDIRECT } from '../helpers/app-client.ts';
import { openPlacedApps, type PlacedApps } from '../helpers/placed-apps.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { outcome } from '../helpers/workspaces.ts';

/** Apps that are let in while what that depends on ends. */

const ROUNDS = 16;

onEveryEngine('an app that is let into a workspace', (engine, test) => {
  let at: PlacedApps;
  let app: { clientId: string };
  test.before(async () => {
    at = await openPlacedApps(engine);
    app = await at.app();
  });
  test.after(() => at.on.stop());

  const deps = () => at.on.service.deps;

  async function team() {
    const [boss, ann] = [await at.account(), await at.account()];
    return { boss, ann, wsp: await at.places.workspace([boss, 'owner'], [ann, 'admin']) };
  }

  const letIn = (accountId: string, wsp: string) =>
    outcome(
      saveConsent(deps(), asker, {
        accountId,
        clientId: app.clientId,
        redirectUri: REDIRECT,
        resource: at.api.url,
        scopes: ['read', 'write'],
        openidScopes: [],
        places: [{ workspaceId: wsp, actions: ['read', 'write'], resources: [at.api.url] }],
      }),
    );

  /** The live places in a workspace, and the live consents without any place. */
  const left = (wsp: string, accountId: string) =>
    at.places.act(async ({ tx }) => ({
      places: (await tx.all('SELECT id FROM places WHERE workspace_id = ? AND ended_at IS NULL', [wsp]))
        .length,
      bare: (
        await tx.all(
          `SELECT id FROM oauth_grants g WHERE account_id = ? AND revoked_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM places p WHERE p.holder = g.id AND p.ended_at IS NULL)`,
          [accountId],
        )
      ).length,
    }));

  test('while the human is removed leaves no place, and no app without one', async (t) => {
    const teams = await Promise.all(Array.from({ length: ROUNDS }, team));
    await Promise.all(
      teams.flatMap(({ boss, ann, wsp }) => [
        letIn(ann, wsp),
        outcome(removeMember(deps(), asker, boss, wsp, ann)),
      ]),
    );
    for (const { wsp, ann } of teams) t.deepEqual(await left(wsp, ann), { places: 0, bare: 0 });
  });

  test('while the workspace is deleted leaves no place, and no app without one', async (t) => {
    const teams = await Promise.all(Array.from({ length: ROUNDS }, team));
    await Promise.all(
      teams.flatMap(({ boss, ann, wsp }) => [
        letIn(ann, wsp),
        outcome(deleteWorkspace(deps(), asker, boss, wsp)),
      ]),
    );
    for (const { wsp, ann } of teams) t.deepEqual(await left(wsp, ann), { places: 0, bare: 0 });
  });

  test('while the human is demoted does no more than the role', async (t) => {
    const teams = await Promise.all(Array.from({ length: ROUNDS }, team));
    const outcomes = await Promise.all(
      teams.flatMap(({ boss, ann, wsp }) => [
        letIn(ann, wsp),
        outcome(changeRole(deps(), asker, boss, wsp, { memberId: ann, role: 'viewer', endsKeys: true })),
      ]),
    );
    t.true(
      outcomes.every((each) => each === 'done' || each === 'forbidden'),
      String(outcomes),
    );
    for (const { wsp, ann } of teams) t.deepEqual(await left(wsp, ann), { places: 0, bare: 0 });
  });

  test('16 times at once has its places once', async (t) => {
    const { ann, wsp } = await team();
    const outcomes = await Promise.all(Array.from({ length: ROUNDS }, () => letIn(ann, wsp)));
    t.deepEqual([...new Set(outcomes)], ['done']);
    t.deepEqual(await left(wsp, ann), { places: 1, bare: 0 });
  });
});
