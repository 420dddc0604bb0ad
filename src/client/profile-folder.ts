import { join } from 'node:path';
import { AuthError } from '../lib/artifacts/auth-error.ts';
import { checkPrivateFolder, sweepTemporaryFiles } from './private-files.ts';
import { withLock } from './store-lock.ts';

/** The folder of one profile. */
export class ProfileFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** @throws AuthError `STORE_PERMISSIONS` */
  exists(): boolean {
    return checkPrivateFolder(this.path);
  }

  /** Returns the path of a file. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** Changes files while no other process does. @throws AuthError `STORE_BUSY`, `STORE_PERMISSIONS`, `PROFILE_NOT_FOUND` */
  async change<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    if (!this.exists()) throw new AuthError('PROFILE_NOT_FOUND', 'The profile is gone.');
    return withLock(this.path, () => {
      sweepTemporaryFiles(this.path);
      return work();
    });
  }
}
