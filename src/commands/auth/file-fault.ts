const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is none',
  EACCES: 'it is not allowed',
  EISDIR: 'it is a folder',
  ENOTDIR: 'there is none',
  ENOSPC: 'the disk is full',
  EROFS: 'nothing can be written there',
};

/** Says why a file could not be read or written, without its name: whoever gave it knows it. */
export function fileFault(error: unknown): string {
  const { code = 'unknown' } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? code;
}
