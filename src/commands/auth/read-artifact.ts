import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { fileFault } from './file-fault.ts';
import type { Terminal } from './terminal.ts';

/** Where an artifact comes from: exactly one of them. */
export interface ArtifactSource {
  /** A path; `-` is stdin. */
  file: string | undefined;
  stdin?: true;
  paste?: true;
}

/** What is read at most. An artifact has 16 KiB; indented text may have more. */
export const ARTIFACT_BYTES_MAX = 64 * 1024;

/**
 * Reads an artifact from a file, stdin or the terminal, and not more than one can have.
 *
 * @param verb for the hint, such as `import`
 * @throws AuthError `SOURCE_REQUIRED`, `SOURCE_IS_URL`, `ARTIFACT_TOO_LARGE`, `REQUEST_CANCELLED`, `CONFIRMATION_REQUIRED`
 */
export async function readArtifact(
  { file, stdin, paste }: ArtifactSource,
  verb: string,
  terminal: () => Terminal | undefined,
): Promise<Uint8Array> {
  const sources = [file !== undefined, stdin === true, paste === true].filter((isGiven) => isGiven).length;
  if (sources !== 1) {
    throw new AuthError(
      'SOURCE_REQUIRED',
      sources === 0 ? 'Say where the artifact is.' : 'Give one of a file, --stdin and --paste.',
      { hint: `vouchsafe auth ${verb} FILE, or --stdin, or --paste` },
    );
  }
  if (paste) return readPasted(terminal());
  if (file === undefined || file === '-') return readBounded(process.stdin);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(file)) {
    throw new AuthError(
      'SOURCE_IS_URL',
      'It takes files, not URLs: whoever wrote a link would choose where this machine connects to.',
      { hint: `curl … | vouchsafe auth ${verb} --stdin` },
    );
  }
  return readBounded(createReadStream(file));
}

async function readPasted(terminal: Terminal | undefined): Promise<Uint8Array> {
  if (terminal === undefined) {
    throw new AuthError('CONFIRMATION_REQUIRED', 'There is no terminal to paste at.', {
      hint: 'Use --stdin.',
    });
  }
  const prompt = 'Paste the artifact. It ends by itself, or by Ctrl-D.';
  const pasted = await terminal.readPasted(prompt, ARTIFACT_BYTES_MAX);
  if (pasted === undefined) throw new AuthError('REQUEST_CANCELLED', 'Nothing was read.');
  return checkSize(pasted);
}

async function readBounded(stream: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > ARTIFACT_BYTES_MAX) break;
    }
  } catch (error) {
    throw new AuthError('SOURCE_REQUIRED', `The artifact cannot be read: ${fileFault(error)}.`);
  }
  return checkSize(Buffer.concat(chunks));
}

function checkSize(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= ARTIFACT_BYTES_MAX) return bytes;
  throw new AuthError('ARTIFACT_TOO_LARGE', 'That is larger than any artifact: 64 KiB at most are read.');
}
