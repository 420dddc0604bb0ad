import { AuthError } from '../lib/artifacts/auth-error.ts';
import { canonicalJson } from '../lib/artifacts/canonical-json.ts';
import { type Implied, listMissing } from '../lib/artifacts/coverage.ts';
import type { PermissionEntry } from '../lib/artifacts/permission-entry.ts';
import type { PermissionDenial, PermissionGrant } from '../lib/artifacts/permission-grant.ts';
import type { PermissionRequest } from '../lib/artifacts/permission-request.ts';
import { readPublicKey } from '../lib/ed25519.ts';
import { DAY_MS } from '../lib/time.ts';
import {
  readCommands,
  readGrants,
  readRequests,
  type StoredCommand,
  type StoredGrant,
  type StoredRequest,
  writeGrants,
  writeVersioned,
} from './profile-files.ts';
import type { ProfileFolder } from './profile-folder.ts';

/** How long requests are kept, from when they were stored. */
const REQUEST_KEPT_MS = 30 * DAY_MS;

/** What a profile asked for, imported and was granted. */
export class ProfileArtifacts {
  readonly #folder: ProfileFolder;

  constructor(folder: ProfileFolder) {
    this.#folder = folder;
  }

  /** Lists the stored requests, the latest last. */
  requests(): StoredRequest[] {
    return readRequests(this.#folder.file('requests.json'));
  }

  /** Finds a stored request. @throws AuthError `REQUEST_NOT_FOUND` */
  request(id: string): StoredRequest {
    const found = this.requests().find(({ request }) => request.id === id);
    if (found !== undefined) return found;
    throw new AuthError('REQUEST_NOT_FOUND', 'This profile has no such request.', {
      hint: 'vouchsafe auth import FILE',
    });
  }

  /** Returns the request that was made or imported last. @throws AuthError `REQUEST_NOT_FOUND` */
  lastRequest(): StoredRequest {
    const last = this.requests().at(-1);
    if (last !== undefined) return last;
    throw new AuthError('REQUEST_NOT_FOUND', 'This profile has no request yet.', {
      hint: 'vouchsafe auth request --cap SPEC',
    });
  }

  /**
   * Finds an open request that asks for the same: made with the same key, for the same permissions, life, name and action.
   *
   * @param like a request that was made for comparison; its times and its id do not count
   */
  findOpenRequest(like: PermissionRequest, now = Date.now()): StoredRequest | undefined {
    const form = formOf(like);
    return this.requests().findLast(
      ({ request, origin, decision }) =>
        origin === 'made' &&
        decision === undefined &&
        Date.parse(request.expires_at) > now &&
        formOf(request) === form,
    );
  }

  /**
   * Stores a request as the latest; one that is stored already keeps what is known of it. Requests older than 30 days are
   * dropped, with their commands.
   */
  async saveRequest(
    request: PermissionRequest,
    origin: StoredRequest['origin'],
    now = Date.now(),
  ): Promise<StoredRequest> {
    return this.#folder.change(() => {
      const all = this.requests().filter(({ stored_at }) => Date.parse(stored_at) > now - REQUEST_KEPT_MS);
      const known = all.find((each) => each.request.id === request.id);
      const stored = known ?? { request, origin, stored_at: new Date(now).toISOString() };
      const kept = [...all.filter((each) => each !== known), stored];
      this.#writeRequests(kept);
      this.#dropCommands(kept);
      return stored;
    });
  }

  /** Notes what came of a stored request. */
  async updateRequest(
    id: string,
    change: Partial<Pick<StoredRequest, 'sent' | 'asked_at' | 'decision' | 'grant_id'>>,
  ): Promise<void> {
    await this.#folder.change(() => this.#update(id, change));
  }

  /** Returns the command that was captured with a request of this profile. */
  command(id: string): StoredCommand | undefined {
    return readCommands(this.#folder.file('commands.json')).get(id);
  }

  /** Stores the command of a request, in the place of an earlier one. */
  async saveCommand(id: string, command: StoredCommand): Promise<void> {
    await this.#folder.change(() => {
      this.#writeCommands(readCommands(this.#folder.file('commands.json')).set(id, command));
    });
  }

  /** Lists the grants that were taken in, oldest first. Whether they still hold only the service knows. */
  grants(): StoredGrant[] {
    return readGrants(this.#folder.file('grants.jsonl'));
  }

  /** Takes in a grant that was verified. One that is there already is not taken twice. */
  async saveGrant(grant: PermissionGrant, now = Date.now()): Promise<void> {
    await this.#folder.change(() => {
      const grants = this.grants();
      if (!grants.some((each) => each.grant.id === grant.id)) {
        const taken = { grant, taken_at: new Date(now).toISOString() };
        writeGrants(this.#folder.file('grants.jsonl'), [...grants, taken]);
      }
      this.#update(grant.request_id, { decision: 'granted', grant_id: grant.id });
    });
  }

  /** Takes in a denial that was verified. */
  async saveDenial(denial: PermissionDenial): Promise<void> {
    await this.#folder.change(() => this.#update(denial.request_id, { decision: 'denied' }));
  }

  /** Returns what of these permissions no live grant of this profile includes, as far as its files tell. */
  missing(wanted: readonly PermissionEntry[], implied: Implied = {}, now = Date.now()): PermissionEntry[] {
    const isLive = (expiresAt: string | undefined) => expiresAt === undefined || Date.parse(expiresAt) > now;
    const held = this.grants()
      .filter(({ grant }) => grant.once === undefined && isLive(grant.expires_at))
      .flatMap(({ grant }) => grant.permissions)
      .filter(({ expires_at }) => isLive(expires_at));
    return listMissing(held, wanted, implied);
  }

  #update(id: string, change: Partial<StoredRequest>): void {
    const requests = this.requests();
    const index = requests.findIndex(({ request }) => request.id === id);
    if (index === -1) return;
    this.#writeRequests(requests.with(index, { ...requests[index]!, ...change }));
  }

  #writeRequests(requests: readonly StoredRequest[]): void {
    writeVersioned(this.#folder.file('requests.json'), { requests });
  }

  #writeCommands(commands: Iterable<readonly [string, StoredCommand]>): void {
    writeVersioned(this.#folder.file('commands.json'), { commands: Object.fromEntries(commands) });
  }

  #dropCommands(requests: readonly StoredRequest[]): void {
    const commands = readCommands(this.#folder.file('commands.json'));
    const kept = [...commands].filter(([id]) => requests.some(({ request }) => request.id === id));
    if (kept.length < commands.size) this.#writeCommands(kept);
  }
}

/** What a request asks for, without what differs each time it is made. */
function formOf({
  service,
  requester,
  permissions,
  lifetime_seconds,
  login,
  action,
  once,
}: PermissionRequest) {
  const key = readPublicKey(requester.key);
  return canonicalJson({
    service,
    thumbprint: typeof key === 'string' ? undefined : key.thumbprint,
    name: requester.name,
    permissions: permissions?.map((each) => ({ ...each })),
    lifetime_seconds,
    login,
    action,
    once,
  });
}
