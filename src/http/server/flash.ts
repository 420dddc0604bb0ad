/** What a page says of the POST that led to it, as `flash.NAME` of the catalogue. */
export const FLASHES = [
  'agentRenamed',
  'agentNarrowed',
  'agentPlaced',
  'agentUnlinked',
  'agentMovedOut',
  'agentRevoked',
  'hostRevoked',
  'keyRevoked',
  'appRevoked',
  'providerLinked',
  'providerDeclined',
  'providerUnlinked',
  'clientSaved',
  'clientDeleted',
  'clientShown',
  'clientSuspended',
  'clientResumed',
  'clientRemoved',
  'sessionEnded',
  'sessionsEnded',
  'mailChanged',
  'languageChanged',
  'authenticatorRemoved',
  'agentsRevoked',
  'keysRevoked',
  'accountSessionsEnded',
  'accountMailChanged',
  'nothingSelected',
  'resourceServerRemoved',
  'mailRetried',
  'nothingToRetry',
  'issuerKeysFetched',
] as const;
export type Flash = (typeof FLASHES)[number];

/** @returns the flash of a cookie; undefined for anything else */
export function readFlash(cookie: string | undefined): Flash | undefined {
  return FLASHES.find((flash) => flash === cookie);
}
