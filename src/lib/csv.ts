/**
 * Writes a line of a CSV file (RFC 4180). A value that a spreadsheet would take for a formula begins with an apostrophe.
 */
export function csvLine(values: readonly string[]): string {
  const cell = (value: string) => {
    const safe = /^[=+\-@\t\r\n|%]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return `${values.map(cell).join(',')}\r\n`;
}
