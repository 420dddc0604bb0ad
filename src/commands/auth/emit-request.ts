import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, lstatSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { ARTIFACT_READ_BYTES_MAX, parseArtifact } from '../../lib/artifacts/artifact.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { readRequest } from '../../lib/artifacts/permission-request.ts';
import { printableJson } from '../../lib/artifacts/printable-json.ts';
import { fileFault } from './file-fault.ts';

/** Writes an artifact as people read and compare it: indented, with a line end. */
export function artifactText(artifact: object): string {
  return `${printableJson(artifact, 2)}\n`;
}

/**
 * Writes a request to a new file that its owner alone reads. Replaces a plain file that is a request, and nothing else: no link,
 * no other file.
 *
 * @throws AuthError `OUTPUT_EXISTS`, `INVALID_USAGE` if the file cannot be written
 */
export function emitRequest(file: string, request: object): void {
  try {
    writeNew(file, artifactText(request));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw notWritable(error);
    if (!isRequestFile(file)) {
      throw new AuthError('OUTPUT_EXISTS', 'That file is there, and is no request: it stays as it is.', {
        hint: 'Choose another name for --emit.',
      });
    }
    replace(file, artifactText(request));
  }
}

function replace(file: string, text: string): void {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    writeNew(temporary, text);
    renameSync(temporary, file);
  } catch (error) {
    throw notWritable(error);
  }
}

function writeNew(file: string, text: string): void {
  const fd = openSync(file, 'wx', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function isRequestFile(file: string): boolean {
  try {
    const found = lstatSync(file);
    if (!found.isFile() || found.size > ARTIFACT_READ_BYTES_MAX) return false;
    readRequest(parseArtifact(readFileSync(file)));
    return true;
  } catch {
    return false;
  }
}

function notWritable(error: unknown): AuthError {
  return new AuthError('INVALID_USAGE', `The file of --emit cannot be written: ${fileFault(error)}.`);
}
