import { readFileSync } from 'node:fs';
import { AuthError, type AuthErrorCode } from '../../lib/artifacts/auth-error.ts';
import { parseCap } from '../../lib/artifacts/capability-spec.ts';
import type { PermissionEntry } from '../../lib/artifacts/permission-entry.ts';
import { findManifest, readManifest, readPermissionFile } from '../../lib/artifacts/permission-file.ts';
import { fileFault } from './file-fault.ts';

/** The options that say what is asked for. */
export interface PermissionOptions {
  cap?: string[];
  permission?: string[];
  manifest?: string[];
}

/** What is asked for, and what a manifest calls its application. */
export interface CollectedPermissions {
  permissions: PermissionEntry[];
  name: string | undefined;
}

/**
 * Reads all that is asked for: the union of specs, permission files and manifests.
 *
 * @param prefix of services
 * @throws AuthError `INVALID_CAP`, `INVALID_PERMISSION_FILE`, `INVALID_MANIFEST` and what is wrong in them
 */
export function collectPermissions(options: PermissionOptions, prefix?: string): CollectedPermissions {
  const specs = (options.cap ?? []).map((spec) => parseCap(spec, prefix));
  const files = (options.permission ?? []).flatMap((file) => readPermissionFile(readNamed(file), prefix));
  const manifests = (options.manifest ?? []).map((argument) =>
    readManifest(findManifest(argument, readIfThere), prefix),
  );
  return {
    permissions: [...specs, ...files, ...manifests.flatMap(({ permissions }) => permissions)],
    name: manifests.find(({ name }) => name !== undefined)?.name,
  };
}

function readNamed(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw unreadable('INVALID_PERMISSION_FILE', error);
  }
}

function readIfThere(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    // Base64 is no name of a file, and may be longer than one can be.
    if (['ENOENT', 'ENAMETOOLONG', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code!))
      return undefined;
    throw unreadable('INVALID_MANIFEST', error);
  }
}

function unreadable(code: AuthErrorCode, error: unknown): AuthError {
  return new AuthError(code, `The file cannot be read: ${fileFault(error)}.`);
}
