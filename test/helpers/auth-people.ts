import { execFileSync } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import { findRequestOfCode } from '../../src/domain/permissions/request-codes.ts';
import { connectTerminal } from '../../src/domain/permissions/terminals.ts';
import { asker } from './api-keys.ts';
import { type AuthHome, createAuthHome } from './auth-home.ts';
import { newPerson } from './permissions.ts';
import type { TestService } from './service.ts';
import type { openPlaces } from './workspaces.ts';

/** A person with a home on their machine. */
export interface PersonAtHome extends AuthHome {
  id: string;
  mailbox: string;
}

/** A home that is removed after the test. */
export function homeOf(t: ExecutionContext): AuthHome {
  const home = createAuthHome();
  t.teardown(() => home.remove());
  return home;
}

/** Copies the profiles of a home as they lie, with their modes: whoever may read them can. */
export function copyStore(from: AuthHome, to: AuthHome): void {
  execFileSync('cp', ['-Rp', from.store, to.store]);
}

/** Lets the terminal that shows a code act for a person, as its page does. */
export async function connectByCode(on: TestService, shown: string, accountId: string): Promise<void> {
  const code = /[A-Z2-9]{4}-[A-Z2-9]{4}/.exec(shown)![0];
  const row = await findRequestOfCode(on.service.deps, code);
  await connectTerminal(on.service.deps, asker, row!.id, accountId, {
    bound: { scopes: ['read'], workspaces: [accountId] },
    lifetimeSeconds: 43_200,
  });
}

/** A person whose default profile is signed in by `auth login`. */
export async function personAtHome(
  t: ExecutionContext,
  on: TestService,
  places: ReturnType<typeof openPlaces>,
): Promise<PersonAtHome> {
  const [home, person] = [homeOf(t), await newPerson(places)];
  let connected: Promise<void> | undefined;
  const args = ['login', '--service', on.url, '--method', 'browser'];
  const status = await home.json(t, args, {
    onStderr(stderr) {
      if (/code: \S+\n/.test(stderr)) connected ??= connectByCode(on, stderr, person.id);
    },
  });
  await connected;
  t.like(status, { authenticated: true, kind: 'human', account: person.id });
  return { ...home, ...person };
}
