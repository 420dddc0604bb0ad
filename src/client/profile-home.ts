import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { AuthError } from '../lib/artifacts/auth-error.ts';
import { checkPrivateFolder, makePrivateFolder } from './private-files.ts';
import { readVersioned, writeVersioned } from './profile-files.ts';
import { withLock } from './store-lock.ts';

/** The folder of the store: `config.json`, and a folder for each profile. */

const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/;
const DEFAULT_PROFILE = 'default';

/** Where a profile is looked for. */
export interface ProfilePlace {
  /** The folder of the store; absent: `~/.vouchsafe`. */
  home?: string | undefined;
  /** Absent: the default one. */
  name?: string | undefined;
}

/** A profile that may or may not be there. */
export interface LocatedProfile {
  home: string;
  name: string;
  folder: string;
}

/**
 * Says where a profile is, and checks the folders that it lies in.
 *
 * @throws AuthError `INVALID_USAGE` if that cannot be a name, `STORE_PERMISSIONS`, `STORE_CORRUPT`
 */
export function locateProfile({ home = join(homedir(), '.vouchsafe'), name }: ProfilePlace): LocatedProfile {
  const chosen = name ?? readDefaultProfile(home) ?? DEFAULT_PROFILE;
  if (!NAME.test(chosen)) {
    throw new AuthError('INVALID_USAGE', 'That cannot be the name of a profile.', {
      hint: 'Up to 32 small letters, digits, "-" and "_", beginning with a letter or digit.',
    });
  }
  checkPrivateFolder(home, { mayBeLink: true });
  checkPrivateFolder(join(home, 'profiles'));
  return { home, name: chosen, folder: join(home, 'profiles', chosen) };
}

/** Creates the folders of a profile. Those that are there are checked. */
export function makeProfileFolders({ home, folder }: LocatedProfile): void {
  makePrivateFolder(home, { mayBeLink: true });
  makePrivateFolder(join(home, 'profiles'));
  makePrivateFolder(folder);
}

/** Lists the names of profiles, sorted. @param home absent: `~/.vouchsafe` */
export function listProfiles(home: string = join(homedir(), '.vouchsafe')): string[] {
  const folder = join(home, 'profiles');
  if (!checkPrivateFolder(home, { mayBeLink: true }) || !checkPrivateFolder(folder)) return [];
  return readdirSync(folder)
    .filter((name) => NAME.test(name))
    .sort();
}

/** Returns the name of the default profile; undefined if none was made yet. */
export function readDefaultProfile(home: string): string | undefined {
  if (!checkPrivateFolder(home, { mayBeLink: true })) return undefined;
  return readVersioned(join(home, 'config.json'), ({ default_profile: name }) =>
    typeof name === 'string' && NAME.test(name) ? name : undefined,
  );
}

/** Makes a profile the default one, unless there is one. */
export async function ensureDefaultProfile(home: string, name: string): Promise<void> {
  await withLock(home, () => {
    if (readDefaultProfile(home) === undefined) {
      writeVersioned(join(home, 'config.json'), { default_profile: name });
    }
  });
}
