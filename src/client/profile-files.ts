import { type PermissionGrant, readGrant } from '../lib/artifacts/permission-grant.ts';
import { type PermissionRequest, readRequest } from '../lib/artifacts/permission-request.ts';
import { readPrivateFile, storeCorrupt, writePrivateFile } from './private-files.ts';

/** The files of a profile, as they lie on the disk. */

/** The version of the files that this code reads and writes. */
const VERSION = 1;

/** Who a profile is; `profile.json`. */
export interface ProfileInfo {
  name: string;
  /** The URL of its service. */
  service: string;
  created_at: string;
  /** The thumbprints of the keys that it had: grants for them are its own. */
  former: string[];
  /** What comes before the names of services in specs; absent: `vouchsafe`. */
  cap_prefix?: string;
  /** As what it is signed in, by the word of the service. */
  kind?: 'human' | 'agent';
  account?: string;
  agent_id?: string;
  /** Until when; ISO 8601. */
  expires_at?: string;
}

/** The key of an agent; `credential.json`. The only file beside the session keys that holds a secret. */
export interface StoredCredential {
  credential: string;
  agent_id?: string;
  claim_token?: string;
  expires_at?: string;
}

/** A request that this profile made or imported; in `requests.json`, the latest last. */
export interface StoredRequest {
  request: PermissionRequest;
  origin: 'made' | 'imported';
  /** ISO 8601. */
  stored_at: string;
  /** Where a person decides, once the service has it. */
  sent?: { verification_uri: string; user_code: string; expires_at: string };
  /** When the service was asked last; epoch ms. It wants five seconds between two questions. */
  asked_at?: number;
  /** What came of it, as far as this profile knows. */
  decision?: 'granted' | 'denied';
  grant_id?: string;
}

/** A command that runs once a request is granted; in `commands.json`. It was captured here, and travels in no file. */
export interface StoredCommand {
  argv: string[];
  program: string;
  folder: string;
}

/** A grant that this profile took in; a line of `grants.jsonl`. */
export interface StoredGrant {
  grant: PermissionGrant;
  /** ISO 8601. */
  taken_at: string;
}

/** Reads `profile.json`. @throws AuthError `STORE_CORRUPT`, `STORE_PERMISSIONS` */
export function readInfo(path: string): ProfileInfo | undefined {
  return readVersioned(path, (file) => {
    const info = file as unknown as ProfileInfo;
    const isWhole =
      [info.name, info.service, info.created_at].every((each) => typeof each === 'string') &&
      isTexts(info.former);
    return isWhole ? info : undefined;
  });
}

/** Reads `credential.json`. */
export function readCredential(path: string): StoredCredential | undefined {
  return readVersioned(path, (file) =>
    typeof file.credential === 'string' ? (file as unknown as StoredCredential) : undefined,
  );
}

/** Reads `requests.json`. */
export function readRequests(path: string): StoredRequest[] {
  const read = readVersioned(path, ({ requests }) =>
    Array.isArray(requests)
      ? requests.map((stored: StoredRequest) => {
          if (typeof stored.stored_at !== 'string') throw new Error('it says no time');
          return { ...stored, request: readRequest(stored.request) };
        })
      : undefined,
  );
  return read ?? [];
}

/** Reads `commands.json`: commands by the id of their request. */
export function readCommands(path: string): Map<string, StoredCommand> {
  const read = readVersioned(path, ({ commands }) => {
    const all = Object.entries((commands ?? {}) as Record<string, StoredCommand>);
    const areWhole = all.every(
      ([, { argv, program, folder }]) =>
        isTexts(argv) && argv.length > 0 && typeof program === 'string' && typeof folder === 'string',
    );
    return areWhole ? new Map(all) : undefined;
  });
  return read ?? new Map();
}

/** Reads `grants.jsonl`, oldest first. */
export function readGrants(path: string): StoredGrant[] {
  const text = readPrivateFile(path)?.toString('utf8') ?? '';
  const lines = text.split('\n').filter((line) => line !== '');
  try {
    return lines.map((line) => {
      const { version, taken_at, grant } = JSON.parse(line) as StoredGrant & { version: unknown };
      if (version !== VERSION || typeof taken_at !== 'string') throw new Error('its version is another');
      return { taken_at, grant: readGrant(grant) };
    });
  } catch {
    throw storeCorrupt(path, 'is damaged, or of a newer version');
  }
}

/** Writes `grants.jsonl`: as a whole, since a line that was written by half would make it unreadable. */
export function writeGrants(path: string, grants: readonly StoredGrant[]): void {
  const lines = grants.map((stored) => `${JSON.stringify({ version: VERSION, ...stored })}\n`);
  writePrivateFile(path, lines.join(''));
}

/** Reads a JSON file. @returns undefined if there is none @throws AuthError `STORE_CORRUPT`, `STORE_PERMISSIONS` */
export function readJsonFile(path: string): unknown {
  const bytes = readPrivateFile(path);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    throw storeCorrupt(path, 'is no JSON');
  }
}

/** Reads a JSON file of this version. @param read returns undefined for what is not whole */
export function readVersioned<Content>(
  path: string,
  read: (file: Record<string, unknown>) => Content | undefined,
): Content | undefined {
  const file = readJsonFile(path);
  if (file === undefined) return undefined;
  const { version, ...content } = (typeof file === 'object' && file !== null ? file : {}) as Record<
    string,
    unknown
  >;
  if (version !== VERSION) throw storeCorrupt(path, 'is of another version than this program writes');
  let found: Content | undefined;
  try {
    found = read(content);
  } catch {
    // It is damaged.
  }
  if (found === undefined) throw storeCorrupt(path, 'is damaged');
  return found;
}

/** Writes a JSON file of this version. */
export function writeVersioned(path: string, content: object): void {
  writePrivateFile(path, `${JSON.stringify({ version: VERSION, ...content }, null, 2)}\n`);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
