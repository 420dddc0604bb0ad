import type { Browser, Page } from 'playwright-core';
import {
  assertCurrentSections,
  inBrowser,
  inEachLook,
  keepPhonePicture,
  LIGHT,
  startChromium,
} from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import type { Engine } from '../helpers/service.ts';
import { visitAs } from '../helpers/visit-as.ts';
import { openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

/** Shared workspaces and invitations to them, in a browser. The pictures are those of docs/workspaces.md. */

inBrowser('workspaces, in a browser', (engine: Engine, test, executablePath: string) => {
  let world: Workspaces;
  let browser: Browser;
  test.before(async () => {
    [world, browser] = await Promise.all([openWorkspaces(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), world.stop()]));

  inEachLook(engine, test, (test, look, seen) => {
    const visiting = async (mailbox: string, path: string, tour: (page: Page) => Promise<void>) =>
      visitAs({ on: world.on, browser, look }, await signIn(world.on, mailbox), path, tour);

    test('somebody creates a workspace, invites people, withdraws one invitation, and renames it', async (t) => {
      const ann = await world.person('ann');
      await visiting(ann.mailbox, '/workspaces', async (page) => {
        await seen(t, page, 'Workspaces', 'workspaces, none');
        await page.getByRole('link', { name: 'Create workspace' }).click();
        await seen(t, page, 'Create workspace', 'workspace, new');
        await page.getByLabel('Name of the workspace').fill('\u3164'); // a letter that nobody sees
        await page.getByRole('button', { name: 'Create workspace' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, 'Create workspace', 'workspace, new, wrong');
        await page.getByLabel('Name of the workspace').fill('Northwind Research');
        await page.keyboard.press('Enter');
        await page.getByText('Workspace created.').waitFor();
        await seen(t, page, 'Northwind Research Owner', 'workspace, new one');
        await assertCurrentSections(t, page);
        for (const [role, to] of [
          ['Admin', newMailbox('kim')],
          ['Viewer', newMailbox('sam')],
        ] as const) {
          await page.getByLabel('Email address').fill(to);
          await page.locator('#role').selectOption({ label: role });
          await page.getByRole('button', { name: 'Send invitation' }).click();
          await page.getByText('Invited, or in it already.').waitFor();
        }
        await page.locator('summary', { hasText: 'What each role may do' }).click();
        await page.getByText('Make owners, transfer it and delete it').waitFor();
        await seen(t, page, 'Northwind Research Owner', 'workspace, roles');
        await page
          .getByRole('button', { name: /^Withdraw the invitation to/ })
          .first()
          .click();
        await page.getByText('Invitation withdrawn.').waitFor();
        t.is(await page.getByRole('button', { name: /^Withdraw/ }).count(), 1);
        await page.getByRole('link', { name: 'Rename…' }).click();
        await seen(t, page, 'Rename this workspace', 'workspace, rename');
        await page.getByLabel('Name of the workspace').fill('Northwind');
        await page.getByRole('button', { name: 'Save name' }).click();
        await seen(t, page, 'Northwind Owner', 'workspace, renamed');
        await page.goto(`${world.on.url}/workspaces`);
        await seen(t, page, 'Workspaces 1', 'workspaces');
      });
    });

    test('somebody is invited, signs in and joins; others learn nothing by the link', async (t) => {
      const ann = await world.person('ann');
      const bob = await world.person('bob');
      const id = await world.workspace(ann, [], 'Northwind Research');
      const visitor = await signIn(world.on, ann.mailbox);
      await visitor.get(`/workspaces/${id}`);
      await visitor.post(`/workspaces/${id}/invite`, { email: bob.mailbox, role: 'member' });
      const { pageUrl, declineUrl } = await world.on.invitationFor(bob.mailbox);
      const pathOf = (url: string) => url.slice(world.on.url.length);
      await visiting(ann.mailbox, pathOf(pageUrl), async (page) => {
        await seen(t, page, 'This invitation is for another account', 'invitation, of somebody else');
        t.false((await page.content()).includes('Northwind'));
      });
      const nobody = { cookies: new Map<string, string>() };
      await visitAs({ on: world.on, browser, look }, nobody, pathOf(pageUrl), async (page) => {
        await seen(t, page, 'You’re invited to a workspace', 'invitation, signed out');
        const earlier = world.on.signInMails.filter(({ to }) => to === bob.mailbox).length;
        await page.getByRole('link', { name: 'Sign in to continue' }).click();
        await page.getByLabel('Email address').fill(bob.mailbox);
        await page.getByRole('button', { name: 'Email me a code' }).click();
        await page
          .getByLabel('Code from the email')
          .fill(await world.on.signInCodeFor(bob.mailbox, earlier + 1));
        await page.getByRole('button', { name: 'Sign in' }).click();
        await seen(t, page, 'Join “Northwind Research”?', 'invitation');
        if (look === LIGHT) await keepPhonePicture(page, 'invitation');
        await page.getByText('Stop such emails').click();
        await page.getByLabel('Stop invitations from this workspace').waitFor();
        await seen(t, page, 'Join “Northwind Research”?', 'invitation, stops');
        await page.getByRole('button', { name: 'Join' }).click();
        await page.getByText('You joined the workspace.').waitFor();
        await seen(t, page, 'Northwind Research Member', 'workspace of a member');
        t.is(await page.getByRole('button', { name: 'Send invitation' }).count(), 0);
        await page.goto(pageUrl);
        await seen(t, page, 'This invitation has ended', 'invitation, over');
      });
      await visitAs({ on: world.on, browser, look }, nobody, pathOf(declineUrl), async (page) => {
        await seen(t, page, 'Decline this invitation?', 'invitation, decline');
        await page.getByRole('button', { name: 'Decline' }).click();
        await seen(t, page, 'Declined', 'invitation, declined');
      });
    });

    test('an owner changes a role, removes a member, transfers the workspace and leaves it', async (t) => {
      const [ann, bob, carl] = [
        await world.person('ann'),
        await world.person('bob'),
        await world.person('carl'),
      ];
      const id = await world.workspace(
        ann,
        [
          [bob, 'admin'],
          [carl, 'member'],
        ],
        'Northwind Research',
      );
      await world.invite(id, ann, { mailbox: newMailbox('kim') }, 'viewer');
      await visiting(ann.mailbox, `/workspaces/${id}`, async (page) => {
        await seen(t, page, 'Northwind Research Owner', 'workspace');
        if (look === LIGHT) await keepPhonePicture(page, 'workspace');
        await page.getByRole('link', { name: 'Manage c***@example.com' }).click();
        await seen(t, page, 'c***@example.com Member', 'member');
        await page.getByRole('radio', { name: /^Viewer/ }).check();
        await page.getByLabel('End their keys, too').check();
        await page.getByRole('button', { name: 'Save role' }).click();
        await page.getByText('Role saved.').waitFor();
        await page.getByRole('link', { name: 'Manage c***@example.com' }).click();
        await page.getByRole('link', { name: 'Remove…' }).click();
        await seen(t, page, 'Remove “c***@example.com”?', 'member, remove');
        await page.getByRole('button', { name: 'Remove' }).click();
        await page.getByText('Member removed.').waitFor();
        await page.getByRole('link', { name: 'Transfer…' }).click();
        await seen(t, page, 'Transfer “Northwind Research” to someone else?', 'workspace, transfer');
        await page.getByLabel('New owner').selectOption({ index: 1 });
        await page.getByRole('button', { name: 'Transfer' }).click();
        await page.getByText('Ownership transferred. You’re an admin now.').waitFor();
        await seen(t, page, 'Northwind Research Admin', 'workspace of an admin');
        await page.getByRole('link', { name: 'View all' }).click();
        await seen(t, page, 'Activity', 'workspace, activity');
        await page.goto(`${world.on.url}/workspaces/${id}/members`);
        await seen(t, page, 'Members 2', 'workspace, members');
        await page.goto(`${world.on.url}/workspaces/${id}/leave`);
        await seen(t, page, 'Leave “Northwind Research”?', 'workspace, leave');
        await page.getByRole('button', { name: 'Leave' }).click();
        await page.getByText('You left the workspace.').waitFor();
      });
      t.deepEqual(await world.membersOf(id), [`${bob.mailbox} owner`]);
    });

    test('a member says what others call them, on the account page', async (t) => {
      const ann = await world.person('ann');
      await world.workspace(ann, [], 'Northwind Research');
      await visiting(ann.mailbox, '/account', async (page) => {
        await page.getByLabel('Your name').fill('Ann Okafor');
        await page.getByRole('button', { name: 'Save', exact: true }).click();
        await page.getByRole('status').waitFor();
        await page.goto(`${world.on.url}/account`);
        t.is(await page.getByLabel('Your name').inputValue(), 'Ann Okafor');
        await seen(t, page, 'Account and security', 'account, of a member');
      });
    });

    test('an owner deletes a workspace by typing its name', async (t) => {
      const ann = await world.person('ann');
      const id = await world.workspace(ann, [], 'Northwind Research');
      await visiting(ann.mailbox, `/workspaces/${id}`, async (page) => {
        await page.getByText('You’re the only owner. Make someone else an owner before you leave.').waitFor();
        await page.getByRole('link', { name: 'Delete workspace…' }).click();
        await seen(t, page, 'Delete “Northwind Research”?', 'workspace, delete');
        await page.getByLabel('Name of the workspace').fill('Southwind');
        await page.getByRole('button', { name: 'Delete workspace' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, 'Delete “Northwind Research”?', 'workspace, delete, wrong');
        await page.getByLabel('Name of the workspace').fill('Northwind Research');
        await page.getByRole('button', { name: 'Delete workspace' }).click();
        await page.getByText('Workspace deleted.').waitFor();
        await seen(t, page, 'Workspaces', 'workspaces, deleted');
      });
      t.deepEqual(await world.membersOf(id), []);
    });
  });
});
