import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import { findJsonObject } from './find-json-object.ts';

/** The terminal of this process, whatever its stdin and stdout are. */
export interface Terminal {
  /** Asks a question that is answered by y or yes; anything else, and an empty line, is a no. */
  ask(question: string): Promise<boolean>;
  /**
   * Reads until one whole JSON object is there, or Ctrl-D.
   *
   * @returns what was pasted; undefined on Ctrl-C
   */
  readPasted(prompt: string, bytesMax: number): Promise<Buffer | undefined>;
  /** Reads a line without showing it. @returns undefined on Ctrl-C and Ctrl-D */
  readSecret(prompt: string): Promise<string | undefined>;
  /** Closes it, so that the process can end. */
  close(): void;
}

const INTERRUPT = 0x03;
const END_OF_INPUT = 0x04;
const SECRET_BYTES_MAX = 512;
// Long enough for what follows the object in the same paste, too short to be noticed.
const QUIET_MS = 100;

/** Opens /dev/tty. @returns undefined if the process has no terminal */
export function openTerminal(): Terminal | undefined {
  let fd: number;
  try {
    fd = openSync('/dev/tty', 'r+');
  } catch {
    return undefined;
  }
  const input = new ReadStream(fd);
  let pending: Buffer = Buffer.alloc(0);
  let wake = () => {};
  let hasEnded = false;
  input.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    wake();
  });
  const end = () => {
    hasEnded = true;
    wake();
  };
  input.on('end', end).on('error', end);
  const show = (text: string) => writeSync(fd, text);

  /** @returns what came since the last call; undefined at the end of input */
  async function next(): Promise<Buffer | undefined> {
    while (pending.length === 0 && !hasEnded) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (pending.length === 0) return undefined;
    const bytes = pending;
    pending = Buffer.alloc(0);
    return bytes;
  }

  /** Drops what comes until nothing does, so that the rest of a paste answers no question. */
  async function dropRest(): Promise<void> {
    do {
      pending = Buffer.alloc(0);
      await sleep(QUIET_MS);
    } while (pending.length > 0);
  }

  /** Without the line editing of the terminal: its lines end at 4,096 bytes, and it shows what is typed. */
  async function unedited<T>(prompt: string, work: () => Promise<T>): Promise<T> {
    input.setRawMode(true);
    try {
      // Whoever sees it may type at once.
      show(prompt);
      return await work();
    } finally {
      input.setRawMode(false);
      show('\n');
    }
  }

  return {
    async ask(question) {
      await dropRest();
      show(`${question} [y/N] `);
      let line = '';
      while (!line.includes('\n')) {
        const bytes = await next();
        if (bytes === undefined) break;
        line += bytes.toString('latin1');
      }
      return /^\s*y(es)?\s*\n/i.test(line);
    },
    async readPasted(prompt, bytesMax) {
      return unedited(`${prompt}\n`, async () => {
        let pasted: Buffer = Buffer.alloc(0);
        while (pasted.length <= bytesMax && findJsonObject(pasted) === undefined) {
          const bytes = await next();
          if (bytes?.includes(INTERRUPT)) return undefined;
          const end = bytes?.indexOf(END_OF_INPUT);
          if (bytes === undefined || end === undefined) break;
          const typed = end === -1 ? bytes : bytes.subarray(0, end);
          show(echo(typed));
          pasted = erase(Buffer.concat([pasted, typed]));
          if (end !== -1) break;
        }
        await dropRest();
        const at = findJsonObject(pasted);
        return at === undefined ? pasted : pasted.subarray(at.start, at.end);
      });
    },
    async readSecret(prompt) {
      return unedited(prompt, async () => {
        let typed: Buffer = Buffer.alloc(0);
        while (typed.length <= SECRET_BYTES_MAX) {
          const bytes = await next();
          if (bytes === undefined || bytes.includes(INTERRUPT) || bytes.includes(END_OF_INPUT))
            return undefined;
          typed = erase(Buffer.concat([typed, bytes]));
          const line = /^([^\r\n]*)[\r\n]/.exec(typed.toString('utf8'));
          if (line !== null) return line[1]!.trim();
        }
        return undefined;
      });
    },
    close() {
      input.destroy();
      try {
        closeSync(fd);
      } catch {
        // Destroying the stream has closed it.
      }
    },
  };
}

const BACKSPACES: readonly number[] = [0x08, 0x7f];

/** What is shown of pasted text: letters and line ends. Whoever made the text chose the rest, which may move the cursor. */
function echo(bytes: Buffer): string {
  return Array.from(bytes, (byte) => {
    if (BACKSPACES.includes(byte)) return '\b \b';
    if (byte === 0x0a || byte === 0x0d) return '\n';
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
  }).join('');
}

/** Applies backspaces. */
function erase(bytes: Buffer): Buffer {
  if (!bytes.some((byte) => BACKSPACES.includes(byte))) return bytes;
  const kept: number[] = [];
  for (const byte of bytes) {
    if (BACKSPACES.includes(byte)) kept.pop();
    else kept.push(byte);
  }
  return Buffer.from(kept);
}
